/// Something that is wrong with a master that is neither dead nor new.
struct MasterFault: Sendable, Hashable {
    var master: Plan.Master
    var reason: String
    var advice: String
    var isUnreachable = false
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
    /// removal and while the new member joins: one of four survivors, none of two.
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
            return (master, member, faults(state, node, host, master, member))
        }.sorted { $0.0.node < $1.0.node }
        let voting = state.cluster.members.filter { member in
            member.isStarted && !member.isLearner && !memberships.ofTheDead.contains { $0.id == member.id }
        }.count
        let whole = all.filter { $0.2.isEmpty && $0.1?.isHealthy == true }
        let isEnough = whole.count >= (voting + 1) / 2 + 1
        let aside = all.filter { _, member, faults in
            (!faults.isEmpty || member?.isHealthy != true) && faults.allSatisfy(\.isSpared) && isEnough
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
                    host: master.host, node: master.node, memberID: member?.id, reasons: faults.map(\.reason) + etcd)
            },
            faults: all.filter { !names.contains($0.0.node) }.flatMap(\.2))
    }

    /// Beside the health of its etcd member, which the quorum is counted by.
    private static func faults(
        _ state: ClusterState, _ node: Node, _ host: Inventory.Host?, _ master: Plan.Master, _ member: EtcdMember?
    ) -> [MasterFault] {
        var faults: [MasterFault] = []
        if !node.isReady {
            faults.append(
                MasterFault(
                    master: master, reason: "\(node.name) is not Ready",
                    advice: "bring it back first: kubectl describe node \(node.name)", isSpared: true))
        }
        switch host.flatMap({ state.hosts[$0.name] }) {
        case .reached(let facts):
            // It would fight for the VIP with whoever is made MASTER in the dead one's stead.
            let isPrimary = facts.manifest?.state == .master && (!faults.isEmpty || member?.isHealthy != true)
            if isPrimary {
                faults.append(
                    MasterFault(
                        master: master, reason: "\(master.host) is keepalived's MASTER, and not whole itself",
                        advice: "bring it back first: masterswap check"))
            }
        case .failed(let failure):
            // One that is down altogether holds no VIP; one that only this machine cannot see may.
            let isDown = failure.isSilent && !node.isReady && member?.isHealthy != true
            faults.append(
                MasterFault(
                    master: master, reason: failure.message,
                    advice: "every surviving master must be seen; bring it back, or correct its inventory entry",
                    isUnreachable: failure.isUnreachableOrUntrusted, isSpared: isDown))
        case nil:
            faults.append(
                MasterFault(
                    master: master,
                    reason: "the master \(master.node) (\(master.address)) is in no inventory entry",
                    advice:
                        "add it to the inventory's hosts with 'role: master'; if it is one of them under another address, write under that one: 'node: \(master.node)'"
                ))
        }
        return faults
    }
}
