/// Each host of the inventory is one node at most, and each node one host: shown by addresses and by what the host says of itself,
/// not by equal names.
public enum HostsAreNodes: SafetyRule {
    public static let id = "hosts-are-nodes"
    public static let prevents =
        "taking one machine for another, or overlooking the volumes of a node that is deleted already"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        let masters = Set(proposal.state.objects.nodes.filter(\.isControlPlane).map(\.name))
        let concerned = [proposal.dead.host, proposal.replacement.name]
        return proposal.identity.conflicts.filter { conflict in
            !masters.isDisjoint(with: conflict.nodes) || conflict.hosts.contains(where: concerned.contains)
        }.map { refusal($0.reason, advice: $0.advice) }
    }
}
