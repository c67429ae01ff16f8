import Foundation

/// The death of a master that is alive: the state as it would be some time after its power had failed. A plan for that state says in
/// daylight what the planner would say at night.
struct SupposedDeath: Sendable {
    /// The master that is supposed to be dead, by its inventory name.
    let host: String
    /// The survivor that keepalived gives the VIP to; `nil` where another host than the dead one holds it.
    let holder: String?

    /// The deaths of one master that differ in who takes the VIP over: one for each other master whose keepalived could, or one alone.
    static func all(of host: Inventory.Host, _ state: ClusterState) -> [SupposedDeath] {
        let holders = state.vipHolders.map(\.name)
        guard holders.isEmpty || holders == [host.name] else { return [SupposedDeath(host: host.name, holder: nil)] }
        let heirs = state.liveMasters.filter { $0.name != host.name && state.facts($0)?.manifest != nil }
        guard !heirs.isEmpty else { return [SupposedDeath(host: host.name, holder: nil)] }
        return heirs.map { SupposedDeath(host: host.name, holder: $0.name) }
    }

    /// The rest is as it was seen: whoever was broken still is.
    func applied(to state: ClusterState) -> ClusterState {
        guard let host = state.inventory.host(named: host) else { return state }
        var after = state
        let node = state.node(of: host)
        let addresses = Set(state.watchedAddresses(of: host.name)).union(state.addresses(of: host))
        after.hosts[host.name] = .failed(.init(message: "\(host.name): no answer (supposed)", sign: .unresponsive))
        if let node { after.silence(node) }
        after.silenceMembers(of: host, node, at: addresses, before: state)
        for (name, observation) in after.hosts {
            guard case .reached(var facts) = observation else { continue }
            for address in addresses where facts.peers[address] != nil { facts.peers[address] = Self.silentView }
            if name == holder { facts.take(state.inventory.cluster.vip, from: state.facts(host)) }
            after.hosts[name] = .reached(facts)
        }
        if state.cluster.source == host.name {
            after.cluster.source = after.inventory.hosts.first { after.facts($0)?.kubeletRuns == true }?.name
        }
        return after
    }

    /// Nothing answers, and nobody answers ARP.
    private static let silentView = PeerView(
        attempts: [22: .unanswered, 6443: .unanswered, 10250: .unanswered, 2380: .unanswered], neighbour: "FAILED")
}

extension ClusterState {
    /// Its kubelet says nothing any more: kube-controller-manager makes its conditions Unknown, and its pods not Ready.
    fileprivate mutating func silence(_ node: Node) {
        for index in cluster.objects.nodes.indices where cluster.objects.nodes[index].uid == node.uid {
            guard let conditions = cluster.objects.nodes[index].status?.conditions else { continue }
            cluster.objects.nodes[index].status?.conditions = conditions.map { condition in
                var condition = condition
                condition.status = "Unknown"
                condition.reason = "NodeStatusUnknown"
                return condition
            }
        }
        for index in cluster.objects.pods.indices where cluster.objects.pods[index].nodeName == node.name {
            let statuses = cluster.objects.pods[index].status?.containerStatuses
            cluster.objects.pods[index].status?.containerStatuses = statuses?.map { status in
                var status = status
                status.ready = false
                return status
            }
        }
    }

    /// Its member answers nobody; where it led, another one that answers does.
    fileprivate mutating func silenceMembers(
        of host: Inventory.Host, _ node: Node?, at addresses: Set<String>, before: ClusterState
    ) {
        let distribution = inventory.cluster.distribution
        let own = cluster.members.filter { member in
            !addresses.isDisjoint(with: member.addresses)
                || node.map { distribution.isMemberName(member.name, ofNode: $0.name) } == true
        }.map(\.id)
        for index in cluster.members.indices where own.contains(cluster.members[index].id) {
            cluster.members[index].isHealthy = false
        }
        // Without a majority none of them answers as a healthy one does, and none leads.
        // One that was begun again, as a cluster of its own, is healthy for itself.
        let clusters = Dictionary(grouping: cluster.etcd.statuses ?? [], by: \.clusterID)
        let usual = clusters.max { ($0.value.count, $1.key) < ($1.value.count, $0.key) }?.key
        let voters = cluster.members.filter { !$0.isLearner }
        let hasMajority =
            voters.count { member in
                member.isHealthy && cluster.etcd.status(of: member).map { $0.clusterID == usual } ?? true
            } > voters.count / 2
        if !hasMajority {
            for index in cluster.members.indices { cluster.members[index].isHealthy = false }
        }
        let answering = cluster.etcd.statuses?.filter { !own.contains($0.memberID) }
        cluster.etcd.statuses = answering?.map { status in
            guard let leader = status.leader, own.contains(leader) || !hasMajority else { return status }
            var status = status
            status.leader = hasMajority ? answering?.first { $0.clusterID == status.clusterID }?.memberID : nil
            return status
        }
    }
}

extension HostFacts {
    /// keepalived puts the VIP on the interface that the other one had it on, or on the one that it is told.
    fileprivate mutating func take(_ vip: String, from other: HostFacts?) {
        guard !holds(vip) else { return }
        let interface = other?.addresses?.first { $0.address == vip && $0.interface != Self.serviceInterface }?
            .interface
        addresses?.append(.init(interface: interface ?? "keepalived", address: vip))
    }
}
