/// Of data that must not be lost, every replica that the dead node did not hold is ready, on bound claims, and MinIO's drives are
/// whole: what is rebuilt is healed from them.
public enum OtherReplicasAreHealthy: SafetyRule {
    public static let id = "other-replicas-healthy"
    public static let prevents = "rebuilding a replica while those that it is healed from are broken themselves"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        input.losses.flatMap { loss -> [Refusal] in
            guard !loss.othersAreHealthy, let flags = loss.lossFlags(input) else { return [] }
            let others = loss.total - loss.lost
            return [
                refusal(
                    "of the \(others) other volumes of \(loss.name) \(loss.healthy) \(loss.healthy == 1 ? "is" : "are") healthy: \(loss.unwell.joined(separator: "; "))",
                    advice:
                        "bring the others back first, and let a heal come to its end; if the data may go: \(flags)")
            ]
        }
    }
}
