import Cluster
import Inventories

/// Something that is wrong with a master that is neither dead nor new.
package struct MasterFault: Sendable, Hashable {
    var refusal: Refusal
    /// A cluster of enough masters can do without this one for as long as the replacement takes.
    var isSpared = false

    struct Judgement {
        var survivors: [Plan.Master]
        var unsound: [Plan.UnsoundMaster]
        var faults: [MasterFault]
    }

    /// Tells the masters that carry the replacement from those that it goes on without.
    ///
    /// Masters that are not whole are left aside only where the whole ones are a majority of etcd's voting members, both after the
    /// removal and while the new member joins: one of four survivors, none of two. One that is dead as well and no member any more, as
    /// after a recovery, costs no majority anything.
    static func judge(
        _ state: ClusterState, _ identity: Identity, _ nodes: [Node], _ memberships: Memberships
    ) -> Judgement {
        let all = nodes.map { node in
            let host = identity.host(of: node)
            let preferred = host.flatMap { state.facts($0)?.apiAddress ?? $0.address }
            let address = node.address(preferring: preferred) ?? host?.address ?? ""
            let master = Plan.Master(
                host: host?.name ?? node.name, node: node.name, address: address,
                inventoryAddress: host.flatMap { $0.address == address ? nil : $0.address },
                addresses: RequestedNode.further(identity.addresses(of: node), than: [address, host?.address]))
            let member = memberships.member(of: node)
            return (master, member, SurvivorsAreSound.faults(state, node, host, master, member))
        }.sorted { $0.0.node < $1.0.node }
        let voting = state.cluster.members.filter { member in
            member.isStarted && !member.isLearner && !memberships.ofTheDead.contains { $0.id == member.id }
        }.count
        let whole = all.filter { $0.2.isEmpty && $0.1?.isHealthy == true }
        let isEnough = Quorum(voting: voting + 1, healthy: whole.count).isThere
        let aside =
            all.filter { _, member, faults in
                (!faults.isEmpty || member?.isHealthy != true) && faults.allSatisfy(\.isSpared) && isEnough
            }
            + all.filter { master, member, faults in
                !isEnough && member == nil && faults.allSatisfy(\.isSpared) && isGone(master, by: whole.map(\.0), state)
            }
        let names = Set(aside.map(\.0.node))
        return Judgement(
            survivors: all.map(\.0).filter { !names.contains($0.node) },
            unsound: aside.map { master, member, faults in
                let etcd =
                    switch member {
                    case nil: ["it has no etcd member"]
                    case let member? where !member.isHealthy: ["its etcd member \(member.id) is not healthy"]
                    default: [String]()
                    }
                return Plan.UnsoundMaster(
                    host: master.host, node: master.node, memberID: member?.id,
                    reasons: faults.map(\.refusal.reason) + etcd,
                    isGone: member == nil && isGone(master, by: whole.map(\.0), state) ? true : nil)
            },
            faults: all.filter { !names.contains($0.0.node) }.flatMap(\.2))
    }

    /// Dead by every sign, as ``NodeIsDead`` has it: NotReady, silent here, and for each master that is whole.
    private static func isGone(_ master: Plan.Master, by others: [Plan.Master], _ state: ClusterState) -> Bool {
        guard state.objects.node(master.node)?.isReady != true,
            state.hosts[master.host]?.failure?.mayBeDead == true, state.lifeSigns(of: master.host).isEmpty
        else { return false }
        let sights = state.sights(of: master.host, by: others.map(\.host))
        return !sights.isEmpty && sights.allSatisfy(\.isUnresponsive)
    }
}
