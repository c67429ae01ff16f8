package import Cluster
package import Inventories

/// Only a node of the control plane or an etcd member has a place that a new master can take. A worker and a spare have none.
public enum NodeIsAMaster: SafetyRule {
    public static let id = "node-is-a-master"
    public static let prevents = "adding one more master in the place of a worker or a spare"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        let name = input.dead.node
        guard !input.deadIsMaster else {
            guard input.deadNode == nil, input.deadMembers.isEmpty,
                let host = input.state.inventory.host(named: input.dead.host),
                let masters = input.state.mastersInThePlaceOf(host, besides: input.replacement)
            else { return [] }
            return [
                refusal(
                    "\(name) is no master any more: it has neither a node nor an etcd member, and the cluster has \(masters.count) masters without it: \(masters.listed)",
                    advice: leftInInventoryAdvice(host))
            ]
        }
        if input.deadNode != nil {
            return [
                refusal(
                    "\(name) is a worker: it is no node of the control plane, and no etcd member is at \(input.dead.address)",
                    advice: workerAdvice(name))
            ]
        }
        return [
            refusal(
                "\(name) is a spare: neither a node nor an etcd member is at \(input.dead.address)",
                advice: "there is nothing to replace; where a master died, name that one: masterswap check")
        ]
    }

    package static func leftInInventoryAdvice(_ host: Inventory.Host) -> String {
        "it was replaced already: take \(host.name) out of the inventory, and give the host that took its place 'role: master'"
    }

    /// What to do about a worker, which this tool does not replace.
    package static func workerAdvice(_ node: String) -> String {
        "look at it: kubectl describe node \(node); where it is dead for good: kubectl drain --ignore-daemonsets \(node), "
            + "kubectl delete node \(node), then add another worker with ocboot's add-node"
    }
}

extension PlanningInput {
    var deadIsMaster: Bool {
        let host = state.inventory.host(named: dead.host)
        let role: Inventory.Role? = host?.isReinstalledMaster == true ? .master : host?.role
        return state.isMaster(
            node: deadNode, addresses: [dead.address] + (deadNode?.internalAddresses ?? []), role: role)
    }
}

extension ClusterState {
    /// The cluster's masters, where a host that the inventory names is none of them and nothing is missing: there are as many as it
    /// names, or an odd number of them, and nothing in the cluster speaks of that host. Somebody has replaced it and left the inventory
    /// as it was. `nil` where its place is free.
    /// - Parameter spare: one whose join failed half-way is no master yet.
    package func mastersInThePlaceOf(_ host: Inventory.Host, besides spare: Inventory.Host? = nil) -> [String]? {
        guard node(of: host) == nil, !cluster.members.isEmpty else { return nil }
        let joining = spare.flatMap { self.node(of: $0) }
        let masters = objects.nodes.filter { $0.isControlPlane && $0.uid != joining?.uid }
        let named = inventory.hosts.count { $0.role == .master || $0.isReinstalledMaster }
        let isWhole = masters.count >= 3 && !masters.count.isMultiple(of: 2)
        let isForgotten = nodeNames(at: host.address).isEmpty && unknownHostnames.isEmpty
        return masters.count >= named || (isWhole && isForgotten) ? masters.map(\.name) : nil
    }

    /// - Parameters:
    ///   - node: `nil` where the cluster has none at those addresses: it may be deleted already, then the inventory's word counts.
    ///   - role: the inventory's, if it names the host.
    package func isMaster(node: Node?, addresses: [String], role: Inventory.Role?) -> Bool {
        if cluster.members.contains(where: { !Set($0.addresses).isDisjoint(with: addresses) }) { return true }
        return node.map(\.isControlPlane) ?? (role == .master)
    }
}
