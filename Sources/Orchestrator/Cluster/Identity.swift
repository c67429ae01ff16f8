public import Inventories

/// Which inventory host is which node, and which addresses are theirs.
///
/// The inventory's names are the operator's own (`inventory import` makes them from addresses), a node's name is what its kubelet
/// registered, and etcd's members carry a third one: equal names alone prove nothing. What counts, in this order: the inventory's
/// `node`; the inventory's address among the node's; the addresses on the host's own interfaces; the name that its kubelet goes by;
/// its machine id. Of a host that does not answer, what etcd's members and kubeadm's ClusterStatus say of its address.
package struct Identity: Sendable {
    package let state: ClusterState
    /// In the inventory's order: each host with the nodes that it can be.
    package let candidates: [(host: Inventory.Host, nodes: [Node])]

    package init(_ state: ClusterState) {
        self.state = state
        candidates = state.inventory.hosts.map { ($0, state.nodes(of: $0)) }
    }

    /// The hosts that can be a node.
    package func hosts(of node: Node) -> [Inventory.Host] {
        candidates.filter { $0.nodes.contains { $0.uid == node.uid } }.map(\.host)
    }

    /// The host that a node runs on; `nil` where there is none, or where several claim it (``HostsAreNodes``).
    package func host(of node: Node) -> Inventory.Host? {
        let hosts = hosts(of: node)
        return hosts.count == 1 ? hosts[0] : nil
    }

    /// All addresses that are a node's: its own word, the inventory's, and those on its host's interfaces.
    package func addresses(of node: Node) -> Set<String> {
        Set(node.internalAddresses).union(host(of: node).map(state.addresses) ?? [])
    }
}

extension ClusterState {
    /// The node that a host is; `nil` where it is none, or where it cannot be told which.
    public func node(of host: Inventory.Host) -> Node? {
        let nodes = nodes(of: host)
        return nodes.count == 1 ? nodes[0] : nil
    }

    /// The inventory host that a node runs on; `nil` where there is none, or where several claim it.
    public func host(of node: Node) -> Inventory.Host? { Identity(self).host(of: node) }

    /// The nodes that a host can be, by the strongest evidence that there is for any.
    package func nodes(of host: Inventory.Host) -> [Node] {
        if let name = host.node { return objects.nodes.filter { $0.isCalled(name) } }
        let facts = facts(host)
        let atItsAddress = objects.nodes.filter { $0.isAt(host.address) }
        if !atItsAddress.isEmpty { return narrowed(atItsAddress, facts) }
        // Weaker evidence does not count against an address: the node is another host's then.
        let free = objects.nodes.filter { node in
            !inventory.hosts.contains { other in
                other.name != host.name && (node.isAt(other.address) || other.node.map(node.isCalled) == true)
            }
        }
        // A bare host has nothing of a node's, but may have been given the name or an address that the dead one had.
        guard let facts, !facts.isBare else {
            // A node that has a member at its own address is another machine, which has taken the name over.
            let names = nodeNames(at: host.address)
            return free.filter { node in
                names.contains(node.name)
                    && !cluster.members.contains { !Set($0.addresses).isDisjoint(with: node.internalAddresses) }
            }
        }
        let own = facts.ownAddresses(vip: inventory.cluster.vip)
        let onItsInterfaces = free.filter { node in node.internalAddresses.contains(where: own.contains) }
        if !onItsInterfaces.isEmpty { return narrowed(onItsInterfaces, facts) }
        let named = free.filter { $0.isCalled(facts.kubeletNodeName ?? facts.hostname) }
        if !named.isEmpty { return named }
        return free.filter { $0.status?.nodeInfo?.machineID == facts.machineID && facts.machineID != nil }
    }

    /// Of several nodes at one host, the one whose name its kubelet goes by: an old node object outlives a change of the name.
    private func narrowed(_ nodes: [Node], _ facts: HostFacts?) -> [Node] {
        guard nodes.count > 1, let facts, !facts.isBare else { return nodes }
        let named = nodes.filter { $0.isCalled(facts.kubeletNodeName ?? facts.hostname) }
        return named.count == 1 ? named : nodes
    }

    /// The names that etcd's members and kubeadm's ClusterStatus have for the master at an address: they outlive its node.
    package func nodeNames(at address: String) -> Set<String> {
        let address = IPAddress.canonical(address)
        var names = Set(cluster.clusterStatus?.names(at: address) ?? [])
        for member in cluster.members where !member.name.isEmpty && member.addresses.contains(address) {
            names.insert(inventory.cluster.distribution.nodeName(ofMember: member.name))
        }
        return names
    }

    /// Where each master's API server is, by the inventory's name of the host: its certificate may not have the inventory's address.
    public var apiAddresses: [String: String] {
        var addresses: [String: String] = [:]
        for host in inventory.hosts {
            addresses[host.name] = facts(host)?.apiAddress ?? node(of: host)?.address(preferring: host.address)
        }
        return addresses
    }

    /// A host's addresses: the inventory's, and those on its interfaces that no other machine has.
    package func addresses(of host: Inventory.Host) -> Set<String> {
        (facts(host)?.ownAddresses(vip: inventory.cluster.vip) ?? []).union([IPAddress.canonical(host.address)])
    }

    /// Hostnames that bound volumes name and no node has: what a node leaves behind that somebody deleted by hand.
    package var unknownHostnames: [String] { unknown(\.nodes) }

    /// - Parameter named: the nodes that a volume names, in one way or another.
    package func unknown(_ named: (Volume) -> [String]?) -> [String] {
        let known = Set(objects.nodes.flatMap { [$0.hostnameLabel, $0.name] })
        var unknown: Set<String> = []
        for volume in objects.volumes where claim(of: volume) != nil {
            guard let names = named(volume), known.isDisjoint(with: names) else { continue }
            unknown.formUnion(names)
        }
        return unknown.sorted()
    }
}

extension Node {
    /// Every InternalIP: one of each family in a dual-stack cluster, and more where a cloud lists several interfaces.
    public var internalAddresses: [String] {
        (status?.addresses ?? []).filter { $0.type == "InternalIP" }.map { IPAddress.canonical($0.address) }
    }

    package func isAt(_ address: String) -> Bool {
        let address = IPAddress.canonical(address)
        return status?.addresses?.contains {
            $0.type == "InternalIP" && ($0.address == address || IPAddress.canonical($0.address) == address)
        } == true
    }

    /// A kubelet registers its host's name in lower case; the hostname label and the Hostname address may differ from it.
    package func isCalled(_ name: String) -> Bool {
        let name = name.lowercased()
        return self.name == name || hostnameLabel.lowercased() == name
            || status?.addresses?.contains { $0.type == "Hostname" && $0.address.lowercased() == name } == true
    }

    /// The one address to reach its API server at, and to show: the inventory's where that is among them, else its first IPv4 one.
    package func address(preferring preferred: String?) -> String? {
        if let preferred, isAt(preferred) { return preferred }
        return internalAddresses.first { !$0.contains(":") } ?? internalAddresses.first
    }
}

extension HostFacts {
    /// The addresses of this machine alone: without the VIP, the loopback's, and interfaces that every node has with the same
    /// addresses (kube-proxy's, docker's, the node-local DNS cache's).
    package func ownAddresses(vip: String) -> Set<String> {
        Set(
            (addresses ?? []).filter {
                !Self.sharedInterfaces.contains($0.interface) && IPAddress.isOfOneMachine($0.address)
                    && $0.address != vip
            }.map { IPAddress.canonical($0.address) })
    }

    private static let sharedInterfaces: Set<String> = ["lo", "docker0", "nodelocaldns", HostFacts.serviceInterface]
}

extension [String] {
    /// `a`, `a and b`, `a, b and c`.
    package var listed: String {
        guard count > 1 else { return first ?? "" }
        return dropLast().joined(separator: ", ") + " and " + self[count - 1]
    }
}
