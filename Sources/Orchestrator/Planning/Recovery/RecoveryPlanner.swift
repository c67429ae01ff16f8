package import Cluster
package import Foundation
package import Inventories

/// Makes a plan of a recovery, of what was seen from here and of what the survivor's own etcd says; talks to nobody.
public enum RecoveryPlanner {
    /// - Parameters:
    ///   - etcd: what the survivor's etcd says; `nil` where it was not asked.
    ///   - room: bytes that are free here, where the run is kept; `nil` where that is not known.
    /// - Throws: ``Refused`` with every objection.
    package static func plan(
        _ state: ClusterState, _ etcd: SurvivorEtcd?, _ request: RecoveryRequest, room: Int?, now: Date
    ) throws -> RecoveryPlan {
        let survivor = try survivor(state, request)
        guard let facts = state.facts(survivor) else {
            throw Refused([
                Refusal(
                    RecoveryRules.survivor,
                    state.hosts[survivor.name]?.failure?.message ?? "\(survivor.name) was not looked at",
                    advice: "repair the way to it: masterswap check", isUnreachable: true)
            ])
        }
        let rules = RecoveryRules(
            state: state, survivor: survivor, facts: facts, etcd: etcd ?? SurvivorEtcd(), request: request, room: room,
            now: now)
        let refusals = rules.refusals
        guard refusals.isEmpty else { throw Refused(refusals) }
        let etcd = etcd ?? SurvivorEtcd()
        let own = etcd.own
        guard own != nil || request.snapshot != nil else { throw Refused([rules.untold]) }
        let isUnfinished = rules.isUnfinished
        let address = facts.apiAddress ?? survivor.address
        let node = facts.kubeletNodeName ?? facts.hostname.lowercased()
        let further = facts.ownAddresses(vip: state.inventory.cluster.vip)
        let promotes =
            facts.manifest.map { $0.state != .master || $0.priority != KeepalivedManifest.primaryPriority } ?? false
        let unfinishedRuns = state.unfinishedRuns.map(\.run)
        return RecoveryPlan(
            cluster: state.inventory.cluster.name, distribution: state.inventory.cluster.distribution,
            vip: state.inventory.cluster.vip, madeAt: now,
            survivor: Plan.Master(
                host: survivor.name, node: node, address: address,
                inventoryAddress: survivor.address == address ? nil : survivor.address,
                addresses: RequestedNode.further(further, than: [address, survivor.address])),
            dead: rules.others.map { rules.dead($0) }, unstarted: rules.unstarted.isEmpty ? nil : rules.unstarted,
            etcd: .init(
                memberID: own?.id, revision: etcd.status?.revision, databaseBytes: etcd.databaseBytes ?? 0),
            watch: isUnfinished ? 0 : request.withoutQuorumFor, silentFor: etcd.silentFor,
            snapshot: request.snapshot, isUnfinished: isUnfinished ? true : nil,
            givesUp: unfinishedRuns.isEmpty ? nil : unfinishedRuns, promotes: promotes,
            manifestDiff: facts.manifest?.promotionDiff(
                path: state.inventory.cluster.distribution.keepalivedManifest))
    }

    /// The inventory's host, which has to be a master of a cluster that this tool can recover.
    package static func survivor(_ state: ClusterState, _ request: RecoveryRequest) throws -> Inventory.Host {
        guard let host = state.inventory.host(request.survivor), host.role == .master else {
            throw Refused([
                Refusal(
                    "names-are-known", "'\(request.survivor)' is no master of the inventory",
                    advice: "masters here: \(state.inventory.masters.map(\.name).joined(separator: ", "))")
            ])
        }
        return host
    }

    /// - Throws: ``Refused`` where what is planned now is something else than what was agreed to.
    public static func refuseIfOther(_ agreed: RecoveryPlan, _ now: RecoveryPlan) throws {
        guard
            agreed.survivor == now.survivor, agreed.etcd.memberID == now.etcd.memberID,
            agreed.dead.map(\.host) == now.dead.map(\.host),
            agreed.dead.map(\.memberID) == now.dead.map(\.memberID), agreed.unstarted == now.unstarted,
            agreed.promotes == now.promotes,
            agreed.snapshot == now.snapshot, agreed.isUnfinished == now.isUnfinished, agreed.givesUp == now.givesUp
        else {
            throw Refused([
                Refusal(
                    PlanIsCurrent.id, "the cluster is another one than it was when the plan was shown",
                    advice: "look at the new plan: masterswap recover \(agreed.survivor.host)")
            ])
        }
    }
}
