/// Each host of the inventory is one node at most, and each node one host: shown by addresses and by what the host says of itself,
/// not by equal names.
public enum HostsAreNodes: SafetyRule {
    public static let id = "hosts-are-nodes"
    public static let prevents =
        "taking one machine for another, or overlooking the volumes of a node that is deleted already"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        let masters = Set(proposal.state.objects.nodes.filter(\.isControlPlane).map(\.name))
        let concerned = [proposal.dead.host, proposal.replacement.name]
        return conflicts(proposal.identity).filter { conflict in
            !masters.isDisjoint(with: conflict.nodes) || conflict.hosts.contains(where: concerned.contains)
        }.map(\.refusal)
    }

    /// What cannot be told apart, and what to write so that it can.
    struct Conflict: Sendable, Hashable {
        var hosts: [String]
        var nodes: [String]
        var refusal: Refusal
    }

    static func conflicts(_ identity: Identity) -> [Conflict] {
        let hosts = identity.candidates.filter { $0.nodes.count > 1 }.map { host, nodes in
            let names = nodes.map(\.name)
            return Conflict(
                hosts: [host.name], nodes: names,
                refusal: refusal(
                    "the host \(host.name) (\(host.address)) can be each of the nodes \(names.listed)",
                    advice: "write which one it is in the inventory, under hosts.\(host.name): 'node: \(names[0])'"))
        }
        let nodes = identity.state.objects.nodes.compactMap { node -> Conflict? in
            let hosts = identity.hosts(of: node)
            guard hosts.count > 1 else { return nil }
            return Conflict(
                hosts: hosts.map(\.name), nodes: [node.name],
                refusal: refusal(
                    "the hosts \(hosts.map { "\($0.name) (\($0.address))" }.listed) are both the node \(node.name)",
                    advice:
                        "if they are one machine, take one of the two out of the inventory; if not, write 'node: NAME' under each of them"
                ))
        }
        return hosts + nodes
    }
}
