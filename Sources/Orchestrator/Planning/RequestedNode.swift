package import Cluster
import Inventories

/// Which machine a request's NODE stands for: an inventory host and, unless it is deleted, a node, shown to be one machine.
///
/// A node that somebody has deleted by hand is known by what outlives it: kubeadm's ClusterStatus, its etcd member, and the volumes
/// that name its hostname.
package struct RequestedNode {
    package let dead: Plan.DeadNode
    /// What was concluded from little.
    package let remarks: [String]

    private static func refusal(_ reason: String, advice: String) -> Refused {
        Refused([HostsAreNodes.refusal(reason, advice: advice)])
    }

    /// - Parameter reference: an inventory name, a node name or an address.
    /// - Throws: ``Refused`` where it stands for nothing, or for more than one machine.
    package init(_ state: ClusterState, _ identity: Identity, _ reference: String) throws {
        let host = state.inventory.host(reference)
        let nodes = state.objects.nodes.filter { $0.isCalled(reference) || $0.isAt(reference) }
        guard nodes.count <= 1 else {
            throw Self.refusal(
                "'\(reference)' stands for the nodes \(nodes.map(\.name).listed)",
                advice: "name one of them: \(nodes.map(\.name).joined(separator: ", "))")
        }
        switch (host, nodes.first) {
        case (let host?, let node?): try self.init(state, identity, host, node)
        case (let host?, nil):
            let found = state.nodes(of: host)
            guard found.count <= 1 else {
                throw Self.refusal(
                    "the host \(host.name) (\(host.address)) can be each of the nodes \(found.map(\.name).listed)",
                    advice: "write which one it is in the inventory, under hosts.\(host.name): 'node: \(found[0].name)'"
                )
            }
            if let node = found.first {
                try self.init(state, identity, host, node)
            } else {
                try self.init(state, deleted: host)
            }
        case (nil, let node?): try self.init(state, identity, identity.host(of: node), node)
        case (nil, nil):
            guard let host = try Self.host(state, ofDeleted: reference) else {
                throw Refused([
                    Refusal(
                        "names-are-known",
                        "'\(reference)' is neither a node of the cluster nor a host of the inventory",
                        advice: "nodes here: \(state.objects.nodes.map(\.name).joined(separator: ", "))")
                ])
            }
            try self.init(state, deleted: host)
        }
    }

    /// A node that is there.
    private init(_ state: ClusterState, _ identity: Identity, _ host: Inventory.Host?, _ node: Node) throws {
        let claimants = identity.hosts(of: node)
        if let host, !claimants.contains(host) {
            let place = node.internalAddresses.isEmpty ? "no address" : node.internalAddresses.listed
            if let own = state.node(of: host) {
                throw Self.refusal(
                    "the host \(host.name) (\(host.address)) is the node \(own.name), and the node \(node.name) is at \(place): two machines",
                    advice:
                        "name the one that is meant by its address: \(host.address) or \(node.internalAddresses.first ?? "its own")"
                )
            }
            if let other = claimants.first {
                throw Self.refusal(
                    "the node \(node.name) is the host \(other.name) (\(other.address)), and the host \(host.name) is at \(host.address): two machines",
                    advice: "name the one that is meant by its address: \(host.address) or \(other.address)")
            }
            throw Self.refusal(
                "the node \(node.name) is at \(place), and the inventory's \(host.name) at \(host.address): nothing but the name says that they are one machine",
                advice:
                    "correct the address in the inventory; or, if both are of that machine, write under hosts.\(host.name): 'node: \(node.name)'"
            )
        }
        guard claimants.count <= 1 else {
            throw Self.refusal(
                "the hosts \(claimants.map { "\($0.name) (\($0.address))" }.listed) are both the node \(node.name)",
                advice:
                    "if they are one machine, take one of the two out of the inventory; if not, write 'node: NAME' under each of them"
            )
        }
        let machine = claimants.first
        let address = node.address(preferring: machine?.address) ?? machine?.address ?? ""
        dead = Plan.DeadNode(
            host: machine?.name ?? node.name, node: node.name, address: address, uid: node.uid,
            hostnameLabel: node.hostnameLabel,
            inventoryAddress: machine.flatMap { $0.address == address ? nil : $0.address },
            addresses: Self.further(identity.addresses(of: node), than: [address, machine?.address]))
        remarks = []
    }

    /// A host that is no node any more.
    private init(_ state: ClusterState, deleted host: Inventory.Host) throws {
        var (name, label, remarks) = try Self.names(state, ofDeleted: host)
        // Volumes may name a node by its hostname label and by its name, and one of the two may have the domain.
        label = state.unknown(\.hostnames).first { Self.isOneName($0, label) } ?? label
        name = state.unknown(\.nodeNames).first { Self.isOneName($0, name) } ?? name
        if let node = state.objects.nodes.first(where: { $0.isCalled(name) || $0.isCalled(label) }) {
            throw Self.refusal(
                "the host \(host.name) (\(host.address)) was the node \(name), and a node of that name is at \(node.internalAddresses.isEmpty ? "no address" : node.internalAddresses.listed) now: their volumes cannot be told apart",
                advice:
                    "if that is the same machine, write its address in the inventory, or under hosts.\(host.name): 'node: \(node.name)'"
            )
        }
        dead = Plan.DeadNode(
            host: host.name, node: name, address: host.address, uid: nil, hostnameLabel: label, inventoryAddress: nil,
            addresses: Self.further(state.addresses(of: host), than: [host.address]))
        self.remarks = remarks
    }

    static func further(_ all: Set<String>, than known: [String?]) -> [String]? {
        let further = all.subtracting(known.compactMap(\.self)).sorted()
        return further.isEmpty ? nil : further
    }

    // MARK: Deleted by hand

    /// What a deleted node was called, and the hostname that its volumes name.
    private static func names(_ state: ClusterState, ofDeleted host: Inventory.Host) throws -> (
        name: String, label: String, remarks: [String]
    ) {
        let unknown = state.unknownHostnames
        let told = state.addresses(of: host).reduce(into: Set<String>()) { $0.formUnion(state.nodeNames(at: $1)) }
            .sorted()
        if let name = host.node {
            guard told.isEmpty || told == [name] || unknown.contains(name) else {
                throw refusal(
                    "the inventory says that \(host.name) (\(host.address)) was the node \(name); etcd's members or kubeadm's ClusterStatus say \(told.listed)",
                    advice:
                        "write the one that volumes name: kubectl get persistentvolumes -o yaml; hosts.\(host.name): 'node: NAME'"
                )
            }
            // Its volumes may name it with its domain or without.
            let label = unknown.contains(name) ? name : unknown.first { isOneName($0, name) } ?? name
            return (told.count == 1 ? told[0] : name, label, [])
        }
        guard told.count <= 1 else {
            throw refusal(
                "etcd's members and kubeadm's ClusterStatus have several names for \(host.name) (\(host.address)): \(told.listed)",
                advice: "write the node's name in the inventory, under hosts.\(host.name): 'node: NAME'")
        }
        if let name = told.first {
            if let label = unknown.first(where: { isOneName($0, name) }) { return (name, label, []) }
            guard unknown.isEmpty else { throw undecided(host, "it was the node \(name)", unknown, or: name) }
            return (name, name, [])
        }
        // kubeadm may know it by an address that is not known here.
        let left = Self.listedWithoutNode(state, but: host)
        if let name = left.first(where: { isOneName($0, host.name) }) {
            return (name, unknown.first { isOneName($0, name) } ?? name, [])
        }
        guard left.isEmpty else {
            throw refusal(
                "\(host.name) (\(host.address)) is no node any more, and kubeadm's ClusterStatus lists \(left.listed), which no node is called: whether that was this host is not known",
                advice:
                    "if it was, write that in the inventory, under hosts.\(host.name): 'node: \(left[0])'; if not, take it out: kubectl -n kube-system edit configmap kubeadm-config"
            )
        }
        // The inventory's name, and volumes of just that name: two things that say the same.
        if let label = unknown.first(where: { isOneName($0, host.name) }) { return (label, label, []) }
        guard let label = unknown.first else { return (host.name.lowercased(), host.name.lowercased(), []) }
        let others = state.inventory.masters.filter { $0.name != host.name && state.nodes(of: $0).isEmpty }
        let isAnothers =
            !others.isEmpty
            || state.inventory.hosts.contains { $0.name != host.name && ($0.node ?? $0.name).lowercased() == label }
            || state.cluster.clusterStatus?.endpoints.contains(label) == true
            || state.cluster.members.contains {
                state.inventory.cluster.distribution.nodeName(ofMember: $0.name) == label
            }
        // Where every other master is named as its node is, this one most likely was, too.
        let named = state.inventory.masters.filter { $0.name != host.name }.compactMap { other in
            state.node(of: other).map { isOneName($0.name, other.name) }
        }
        let isNamedOtherwise = !named.isEmpty && !named.contains(false)
        guard unknown.count == 1, !isAnothers, !isNamedOtherwise else {
            throw undecided(
                host, "nothing says which node it was", unknown, or: isNamedOtherwise ? host.name.lowercased() : nil)
        }
        return (
            label, label,
            [
                "\(host.name) (\(host.address)) is taken for the node \(label), which was deleted: no other hostname that volumes name is without a node"
            ]
        )
    }

    /// Names in kubeadm's ClusterStatus that no node has, and that are no other host's by their address.
    private static func listedWithoutNode(_ state: ClusterState, but host: Inventory.Host) -> [String] {
        let others = state.inventory.hosts.filter { $0.name != host.name }.flatMap { state.nodeNames(at: $0.address) }
        return (state.cluster.clusterStatus?.endpoints ?? []).filter { name in
            !others.contains(name) && !state.objects.nodes.contains { $0.isCalled(name) }
        }
    }

    private static func undecided(
        _ host: Inventory.Host, _ what: String, _ unknown: [String], or name: String?
    ) -> Refused {
        let choice = (unknown + (name.map { [$0] } ?? [])).map { "'node: \($0)'" }
        return refusal(
            "\(host.name) (\(host.address)) is no node any more, and \(what); bound volumes name \(unknown.listed), which no node is called",
            advice:
                "write the hostname that its own volumes name in the inventory, under hosts.\(host.name): \(choice.joined(separator: " or "))"
        )
    }

    /// In whatever case, with the domain or without.
    private static func isOneName(_ left: String, _ right: String) -> Bool {
        let (left, right) = (left.lowercased(), right.lowercased())
        return left == right || left.hasPrefix(right + ".") || right.hasPrefix(left + ".")
    }

    /// The host whose node of that name was deleted.
    private static func host(_ state: ClusterState, ofDeleted reference: String) throws -> Inventory.Host? {
        let reference = reference.lowercased()
        let gone = state.inventory.masters.filter { state.nodes(of: $0).isEmpty }
        let named = gone.filter { host in state.nodeNames(at: host.address).contains(reference) }
        if named.count == 1 { return named[0] }
        guard state.unknownHostnames.contains(reference), gone.count == 1 else { return nil }
        return gone[0]
    }
}
