package import Cluster
import Foundation
package import Inventories

/// The death of a master that is alive: the state as it would be some time after its power had failed. A plan for that state says in
/// daylight what the planner would say at night.
package struct SupposedDeath: Sendable {
    /// The master that is supposed to be dead, by its inventory name.
    package let host: String
    /// The survivor that keepalived gives the VIP to; `nil` where another host than the dead one holds it.
    package let holder: String?

    package init(host: String, holder: String?) {
        self.host = host
        self.holder = holder
    }

    /// The deaths of one master that differ in who takes the VIP over, where it holds it: keepalived gives it to the highest priority
    /// that is left, and of several equal ones to any.
    package static func all(of host: Inventory.Host, _ state: ClusterState) -> [SupposedDeath] {
        let alone = [SupposedDeath(host: host.name, holder: nil)]
        guard state.vipHolders.map(\.name) == [host.name] else { return alone }
        let others = state.liveMasters.filter { other in
            other.name != host.name && state.node(of: other).map { state.keepalivedIsDown(on: $0.name) } != true
        }
        let priorities = others.compactMap { other in state.facts(other)?.manifest.map { (other.name, $0.priority) } }
        guard let highest = priorities.map(\.1).max() else { return alone }
        return priorities.filter { $0.1 == highest }.map { SupposedDeath(host: host.name, holder: $0.0) }
    }

    /// The rest is as it was seen: whoever was broken still is.
    package func applied(to state: ClusterState) -> ClusterState {
        guard let host = state.inventory.host(named: host) else { return state }
        var after = state
        let node = state.node(of: host)
        let addresses = Set(state.watchedAddresses(of: host.name)).union(state.addresses(of: host))
        after.hosts[host.name] = .failed(.init(message: "\(host.name): no answer (supposed)", sign: .unresponsive))
        if let node { after.silence(node) }
        after.silenceMembers(state.ownMembers(of: host), hasMajority: lostMajority(in: state) == nil)
        for (name, observation) in after.hosts {
            guard case .reached(var facts) = observation else { continue }
            // Who can look at one address of it can look at the others, which are asked about only where it does not answer.
            if facts.peers[IPAddress.canonical(host.address)] != nil || facts.peers[host.address] != nil {
                for address in addresses { facts.peers[address] = Self.silentView }
            }
            if name == holder {
                let vip = state.inventory.cluster.vip
                facts.take(vip, from: state.facts(host))
                if let own = state.inventory.host(named: name) { facts.logInToItself(at: vip, own.address) }
            }
            after.hosts[name] = .reached(facts)
        }
        if state.cluster.source == host.name {
            after.cluster.source = after.inventory.hosts.first { after.facts($0)?.kubeletRuns == true }?.name
        }
        return after
    }

    /// Why etcd would have no majority any more, and what to do about it while it has one; `nil` where it would keep it, or where its
    /// members are not known.
    package func lostMajority(in state: ClusterState) -> Refusal? {
        guard let host = state.inventory.host(named: host), !state.cluster.members.isEmpty else { return nil }
        let own = state.ownMembers(of: host)
        // One that was begun again, as a cluster of its own, is healthy for itself.
        let clusters = Dictionary(grouping: state.cluster.etcd.statuses ?? [], by: \.clusterID)
        let usual = clusters.max { ($0.value.count, $1.key) < ($1.value.count, $0.key) }?.key
        let voters = state.cluster.members.filter { !$0.isLearner }
        let left = voters.filter { member in
            member.isHealthy && !own.contains(member.id)
                && state.cluster.etcd.status(of: member).map { $0.clusterID == usual } ?? true
        }
        let quorum = Quorum(voting: voters.count, healthy: left.count)
        guard !quorum.isThere else { return nil }
        let down = voters.filter { member in !own.contains(member.id) && !left.contains { $0.id == member.id } }
        return Refusal(
            QuorumSurvives.id,
            "without \(host.name) etcd would have \(left.count) of \(quorum.voting) members healthy, and needs \(quorum.needed): the cluster would take no writes, and nothing could be replaced",
            advice: down.isEmpty
                ? "have three masters at least"
                : "bring back now: \(down.map { state.cluster.name(ofMember: $0.id) }.listed)")
    }

    /// Nothing answers, and nobody answers ARP.
    private static let silentView = PeerView(
        attempts: [22: .unanswered, 6443: .unanswered, 10250: .unanswered, 2380: .unanswered], neighbour: "FAILED")
}

extension ClusterState {
    /// Its kubelet says nothing any more: kube-controller-manager makes its conditions Unknown. Its pods lose the condition Ready alone
    /// (MarkPodsNotReady in k/k's pkg/controller/util/node); what is read of them, the containers' own states, keeps the kubelet's last word.
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
    }

    /// The ids of a master's members, by its addresses or its name.
    package func ownMembers(of host: Inventory.Host) -> Set<String> {
        let node = node(of: host)
        let addresses = Set(watchedAddresses(of: host.name)).union(addresses(of: host))
        let distribution = inventory.cluster.distribution
        return Set(
            cluster.members.filter { member in
                !addresses.isDisjoint(with: member.addresses)
                    || node.map { distribution.isMemberName(member.name, ofNode: $0.name) } == true
            }.map(\.id))
    }

    /// Its member is down; if it was the leader, another healthy one becomes leader. Without a majority no member is healthy, and there
    /// is no leader.
    fileprivate mutating func silenceMembers(_ own: Set<String>, hasMajority: Bool) {
        for index in cluster.members.indices where own.contains(cluster.members[index].id) || !hasMajority {
            cluster.members[index].isHealthy = false
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
    /// A login to an address that it has taken over is one to itself: the result for its own address counts. A connection that was
    /// refused or timed out stays so: sshd may listen on given addresses only (ListenAddress).
    fileprivate mutating func logInToItself(at vip: String, _ own: String) {
        let unreachable = deniedLogins[vip].flatMap { OcbootLogin.isDenied($0) ? nil : $0 }
        deniedLogins[vip] = deniedLogins[own] ?? unreachable
    }

    /// keepalived puts the VIP on the interface that the other one had it on, or on the one that it is told.
    fileprivate mutating func take(_ vip: String, from other: HostFacts?) {
        guard !holds(vip) else { return }
        let interface = other?.addresses?.first { $0.address == vip && $0.interface != Self.serviceInterface }?
            .interface
        addresses?.append(.init(interface: interface ?? "keepalived", address: vip))
    }
}
