/// Of data that must not be lost, every replica that the dead node did not hold is ready, on a bound claim: what is rebuilt is
/// healed from them.
public enum OtherReplicasAreHealthy: SafetyRule {
    public static let id = "other-replicas-healthy"
    public static let prevents = "rebuilding a replica while those that it is healed from are broken themselves"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        CriticalDataSurvives.groups(proposal).flatMap { group -> [Refusal] in
            guard !group.othersAreHealthy, let flags = group.lossFlags(proposal) else { return [] }
            let others = group.replicas - group.lost
            return [
                refusal(
                    "of the \(others) other replicas of \(group.name) \(group.healthy) \(group.healthy == 1 ? "is" : "are") healthy",
                    advice: "bring the others back first; if the data may go: \(flags)")
            ]
        }
    }
}
