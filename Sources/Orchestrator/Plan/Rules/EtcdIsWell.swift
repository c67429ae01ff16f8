/// etcd takes a change of its members well: no alarm, one leader that all see, every member that counts close behind it.
public enum EtcdIsWell: SafetyRule {
    public static let id = "etcd-is-well"
    public static let prevents =
        "changing the members of an etcd that takes no writes, has damaged data or is still catching up"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        let cluster = proposal.state.cluster
        // What was left half joined is cleaned; who is not healthy is counted out by the quorum's rule.
        let counted = proposal.remainingMembers.filter { $0.isHealthy && $0.isStarted }
        var refusals = EtcdFault.find(cluster, counted: counted).map { refusal($0.reason, advice: $0.advice) }
        let leaders = Set(counted.compactMap { cluster.etcd.status(of: $0)?.leader })
        if !proposal.fences, let dead = proposal.deadMembers.first(where: { leaders.contains($0.id) }) {
            refusals.append(
                refusal(
                    "etcd's leader is the dead one's member \(dead.id)",
                    advice: "it lives, or has died within the last seconds: look again"))
        }
        return refusals
    }
}
