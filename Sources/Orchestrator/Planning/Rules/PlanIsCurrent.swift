import Foundation

/// What was agreed to is run, or nothing: the plan's UIDs, member id and order are what would be planned now.
public enum PlanIsCurrent: ListedRule {
    public static let id = "plan-is-current"
    public static let prevents = "running a plan on a cluster that has moved on since it was agreed to"

    /// - Parameters:
    ///   - saved: what was agreed to.
    ///   - current: what would be planned now, by the same request.
    ///   - lines: how a plan is shown, for saying in what they differ.
    public static func refusals(_ saved: Plan, _ current: Plan, lines: (Plan) -> [String]) -> [Refusal] {
        var comparable = current
        comparable.madeAt = saved.madeAt
        comparable.drainTimeout = saved.drainTimeout
        comparable.acceptedLosses = saved.acceptedLosses
        comparable.signsOfDeath = saved.signsOfDeath
        guard comparable != saved else { return [] }
        let old = Set(lines(saved))
        let different = lines(comparable).filter { !old.contains($0) }.map { $0.trimmingCharacters(in: .whitespaces) }
        return [
            Refusal(
                id,
                "the cluster has moved on since the plan was made; now it would be: \(different.prefix(5).joined(separator: "; "))",
                advice: "plan again: masterswap plan \(saved.dead.node) --with \(saved.replacement.host) --out FILE")
        ]
    }
}
