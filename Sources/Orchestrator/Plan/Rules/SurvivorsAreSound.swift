/// What is left carries the cluster through the replacement: it must be reachable, Ready and not broken itself. Of five masters and
/// more, one that is not whole is left aside where etcd's quorum can do without it (``MasterFault``).
public enum SurvivorsAreSound: SafetyRule {
    public static let id = "survivors-are-sound"
    public static let prevents = "a replacement on top of a second fault"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        guard !proposal.survivors.isEmpty else {
            return [
                refusal(
                    "no other master is left",
                    advice: "restore the cluster from an etcd snapshot; this tool cannot help")
            ]
        }
        return proposal.faults.map { refusal($0.reason, advice: $0.advice, isUnreachable: $0.isUnreachable) }
    }
}
