package import Cluster
import Inventories

/// Which etcd member belongs to which master: by its peer addresses, checked by its name.
package struct Memberships: Sendable {
    /// Of the masters that are neither dead nor new, by the node's UID.
    private let owned: [String: [EtcdMember]]
    /// At the dead one's addresses, with its name, or with none because it never started.
    let ofTheDead: [EtcdMember]
    /// Started members that belong to no master, or not to one alone, with the reason.
    package private(set) var strays: [Stray] = []

    package struct Stray: Sendable, Hashable {
        package var member: EtcdMember
        package var reason: String
    }

    /// - Parameters:
    ///   - dead: the dead one; `nil` where there is none, as for a check.
    ///   - nodes: the other masters.
    package init(_ state: ClusterState, _ identity: Identity, dead: Plan.DeadNode?, nodes: [Node]) {
        let distribution = state.inventory.cluster.distribution
        let members = state.cluster.members
        let addresses = nodes.map(identity.addresses)
        func owners(of member: EtcdMember) -> [Node] {
            zip(nodes, addresses).filter { !$1.isDisjoint(with: member.addresses) }.map(\.0)
        }
        func isNamed(_ member: EtcdMember, _ node: String) -> Bool {
            distribution.isMemberName(member.name, ofNode: node)
        }
        var ofTheDead = members.filter { member in
            guard let dead, dead.isAt(member) else { return false }
            return member.name.isEmpty || isNamed(member, dead.node)
        }
        if let dead, ofTheDead.isEmpty {
            // Of a machine that does not answer not every address is known. A member with its name is its own where every other
            // master has one already, and no host has this one's address.
            let named = members.filter { isNamed($0, dead.node) && owners(of: $0).isEmpty }
            let isLast = nodes.allSatisfy { node in members.filter { owners(of: $0).contains(node) }.count == 1 }
            if named.count == 1, isLast { ofTheDead = named }
        }
        self.ofTheDead = ofTheDead
        var owned: [String: [EtcdMember]] = [:]
        for member in members where !ofTheDead.contains(where: { $0.id == member.id }) {
            let owners = owners(of: member)
            for node in owners { owned[node.uid, default: []].append(member) }
            // One that has not started, or does not vote, is a join's: its rule is another.
            guard member.isStarted, !member.isLearner else { continue }
            var what: String {
                "etcd member \(member.id) '\(member.name)' at \(member.addresses.joined(separator: ", "))"
            }
            // Its name may be anybody's, but not another master's.
            let namesake = nodes.first { isNamed(member, $0.name) }
            let isNamedAsDead = dead.map { isNamed(member, $0.node) } ?? false
            let reason: String? =
                switch owners.count {
                case 0 where isNamedAsDead:
                    "\(what) has \(dead?.node ?? "")'s name, and is not at its address \(dead?.address ?? "")"
                case 0 where namesake != nil:
                    "\(what) is not where its node \(namesake?.name ?? "") is: \(namesake?.internalAddresses.listed ?? "")"
                case 0 where dead?.isAt(member) == true:
                    "\(what) is at \(dead?.node ?? "")'s address, and does not have its name"
                case 0: "\(what) belongs to no master"
                case 1 where namesake.map({ $0.uid != owners[0].uid }) == true || isNamedAsDead:
                    "\(what) is at \(owners[0].name)'s address, and has \(isNamedAsDead ? dead?.node ?? "" : namesake?.name ?? "")'s name"
                case 1: nil
                default: "\(what) belongs to each of the masters \(owners.map(\.name).listed)"
                }
            if let reason { strays.append(Stray(member: member, reason: reason)) }
        }
        self.owned = owned
        for node in nodes {
            let all = (owned[node.uid] ?? []).filter { member in
                member.isStarted && !strays.contains { $0.member.id == member.id }
            }
            guard all.count > 1 else { continue }
            strays += all.map {
                Stray(
                    member: $0,
                    reason: "etcd member \($0.id) '\($0.name)' is one of \(all.count) of the master \(node.name)")
            }
        }
    }

    /// All that are at a master's addresses.
    package func members(of node: Node) -> [EtcdMember] { owned[node.uid] ?? [] }

    /// A master's one member, started and voting; `nil` where it has none.
    package func member(of node: Node) -> EtcdMember? {
        members(of: node).first { $0.isStarted && !$0.isLearner }
    }
}
