/// A plan as a person reads it before agreeing: every step, with `+ ~ -` for what is made, changed and destroyed.
public enum PlanText {
    public static func lines(_ plan: Plan) -> [String] {
        var lines = [
            "Replace \(plan.dead.node) (\(plan.dead.address)) with \(plan.replacement.node) (\(plan.replacement.address)) in cluster \(plan.cluster)",
            "  primary: \(plan.primary.node)" + (plan.promotes ? ", to become keepalived's MASTER" : ", as it is"),
            "  survivors: \(plan.survivors.map(\.node).joined(separator: ", "))", "",
        ]
        for (index, step) in ReplacementSteps.make(plan).enumerated() {
            lines.append("\(index + 1). \(step.title)")
            lines += step.effects.map { "     \($0)" }
        }
        if !plan.ignoredClaims.isEmpty {
            lines += ["", "Left as they are, by the inventory's rule:"] + plan.ignoredClaims.map { "     \($0)" }
        }
        let lost = plan.rebuilds.filter(\.isDataLost)
        if !lost.isEmpty {
            lines += ["", "DATA IS LOST, as agreed to:"] + lost.flatMap { $0.claims.map { "     \($0.claim)" } }
        }
        return lines
    }

    /// What stays in place of the data at risk, a line each.
    public static func dataLines(_ plan: Plan) -> [String] {
        plan.rebuilds.map { rebuild in
            let count = rebuild.claims.count
            let fate =
                rebuild.isDataLost
                ? "is lost"
                : rebuild.data == .disposable ? "is disposable and starts empty" : "is healed from the other drives"
            return "\(rebuild.reference): the data of \(count) claim\(count == 1 ? "" : "s") \(fate)"
        }
    }
}
