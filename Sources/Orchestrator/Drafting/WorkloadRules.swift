package import Cluster
import Inventories

/// Rules for the workloads of a Cloudpods cluster, as the runbook has them; what it does not know is left to people.
package enum WorkloadRules {
    /// - Returns: a rule for what is known, critical data first, and what nobody has thought about yet.
    static func suggest(_ state: ClusterState, localClasses: [String]) -> (
        rules: [InventoryDraft.Rule], undecided: [InventoryDraft.Undecided]
    ) {
        var rules: [InventoryDraft.Rule] = []
        var undecided: [InventoryDraft.Undecided] = []
        for claim in state.objects.claims.sorted(by: { $0.reference < $1.reference })
        where isLocal(claim, state, localClasses) {
            let owner = state.owner(of: claim)
            if let rule = rule(claim, owner: owner) {
                if !rules.contains(rule) { rules.append(rule) }
            } else if let index = undecided.firstIndex(where: { $0.namespace == claim.namespace && $0.owner == owner })
            {
                undecided[index].claims.append(claim.name)
            } else if let owner {
                undecided.append(.init(namespace: claim.namespace, owner: owner, claims: [claim.name]))
            }
        }
        let sorted = rules.enumerated().sorted { (rank($0.element), $0.offset) < (rank($1.element), $1.offset) }
        return (sorted.map(\.element), undecided)
    }

    private static func isLocal(_ claim: Claim, _ state: ClusterState, _ classes: [String]) -> Bool {
        claim.spec.storageClassName.map(classes.contains) == true
            || claim.spec.volumeName.flatMap(state.objects.volume).map(state.isLocal) == true
    }

    /// - Returns: `nil` for what people have to decide.
    package static func rule(_ claim: Claim, owner: String?) -> InventoryDraft.Rule? {
        func make(
            _ target: Inventory.Workload.Target, _ rule: Inventory.Workload.Rule, _ reason: String
        ) -> InventoryDraft.Rule {
            .init(workload: .init(namespace: claim.namespace, target: target, rule: rule), reason: reason)
        }
        guard let owner else {
            return make(
                .claim(claim.name), .ignore,
                "Mounted by nothing\(claim.isBound ? "" : ", and bound to no volume"): left as it is.")
        }
        let parts = owner.split(separator: "/", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { return nil }
        switch parts[0] {
        case "statefulset" where parts[1].contains("minio") && isOfTheCloud(claim):
            // The monitoring's set holds logs; any other holds what the cloud cannot lose: glance's images.
            return claim.namespace.contains("monitor")
                ? make(
                    .statefulSet(parts[1]), .rebuild(.replicated, heal: .minio, recreatedBy: nil),
                    "The services' logs, held several times.")
                : make(
                    .statefulSet(parts[1]), .rebuild(.critical, heal: .minio, recreatedBy: nil),
                    "glance's images: the other drives are counted before a claim is deleted, and heal the new one.")
        case "deployment"
        where ["default-influxdb", "default-victoria-metrics"].contains(parts[1]) && isOfTheCloud(claim):
            return make(
                .deployment(parts[1]), .rebuild(.disposable, heal: nil, recreatedBy: .operator),
                "Monitoring data starts empty; onecloud-operator recreates claim and deployment.")
        case "deployment" where !claim.isBound:
            return make(.claim(claim.name), .ignore, "Bound to no volume: left as it is.")
        default: return nil
        }
    }

    private static func rank(_ rule: InventoryDraft.Rule) -> Int {
        switch rule.workload.rule {
        case .rebuild(.critical, _, _): 0
        case .rebuild(.replicated, _, _): 1
        case .rebuild(.disposable, _, _): 2
        case .ignore: 3
        }
    }

    /// A name alone says nothing about a workload of somebody else's.
    private static func isOfTheCloud(_ claim: Claim) -> Bool { claim.namespace.hasPrefix("onecloud") }
}
