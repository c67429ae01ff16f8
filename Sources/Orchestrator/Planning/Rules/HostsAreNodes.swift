package import Cluster
import Inventories

/// Each host of the inventory is one node at most, and each node one host: shown by addresses and by what the host says of itself,
/// not by equal names.
public enum HostsAreNodes: SafetyRule {
    public static let id = "hosts-are-nodes"
    public static let prevents =
        "taking one machine for another, or overlooking the volumes of a node that is deleted already"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        let masters = Set(input.state.objects.nodes.filter(\.isControlPlane).map(\.name))
        let concerned = [input.dead.host, input.replacement.name]
        return conflicts(input.identity).filter { conflict in
            !masters.isDisjoint(with: conflict.nodes) || conflict.hosts.contains(where: concerned.contains)
        }.map(\.refusal) + leftNodes(input) + namesTakenOver(input)
    }

    /// The dead one's node is deleted, and a join that failed left one of another name that bound volumes name: it had no time to get
    /// volumes, so that it most likely took over the dead one's name, and the volumes would be overlooked.
    private static func namesTakenOver(_ input: PlanningInput) -> [Refusal] {
        guard input.dead.uid == nil, let left = input.failedJoin.found?.node,
            left.name != input.dead.hostnameLabel
        else { return [] }
        let isNamed = input.state.objects.volumes.contains { volume in
            input.state.claim(of: volume) != nil && volume.nodes?.contains(left.name) == true
        }
        guard isNamed else { return [] }
        return [
            refusal(
                "the node \(left.name), which a failed join left, has a name that bound volumes name: whether \(input.dead.host) had that name before is not known",
                advice:
                    "see what runs there: kubectl get pods -A -o wide; if it had, and nothing runs: kubectl delete node \(left.name), and write that in the inventory, under hosts.\(input.dead.host): 'node: \(left.name)'"
            )
        ]
    }

    /// Nodes at the replacement's addresses that are neither the dead one nor what a failed join left: the machine was another node
    /// once. Two nodes at one address do not get a pod network (calico-node ends with "IPv4 address conflict").
    private static func leftNodes(_ input: PlanningInput) -> [Refusal] {
        // What else is wrong there is another rule's.
        if case .otherwise = input.failedJoin { return [] }
        let host = input.replacement
        let addresses = input.state.addresses(of: host)
        return input.state.objects.nodes.filter { node in
            node.uid != input.dead.uid && node.uid != input.failedJoin.found?.node?.uid && !node.isControlPlane
                && node.internalAddresses.contains(where: addresses.contains)
        }.map { node in
            refusal(
                "the node \(node.name) is at an address of \(host.name) (\(host.address)), which would be a second node there",
                advice:
                    "name another spare; if \(node.name) is what this machine was before it was installed again, delete that node: kubectl delete node \(node.name)"
            )
        }
    }

    /// Copies of one machine: Kubernetes wants each node to have ids of its own, and networks may give both one address.
    package static func warnings(_ input: PlanningInput) -> [String] {
        let host = input.replacement.name
        guard let id = input.state.hosts[host]?.facts?.machineID else { return [] }
        let twins = input.survivors.map(\.host).filter { input.state.hosts[$0]?.facts?.machineID == id }
        return twins.isEmpty
            ? []
            : [
                "\(host) has the machine id of \(twins.listed), as a copy of that machine has: give it one of its own, /etc/machine-id (man machine-id)"
            ]
    }

    /// What cannot be told apart, and what to write so that it can.
    package struct Conflict: Sendable, Hashable {
        package var hosts: [String]
        package var nodes: [String]
        package var refusal: Refusal
    }

    package static func conflicts(_ identity: Identity) -> [Conflict] {
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
