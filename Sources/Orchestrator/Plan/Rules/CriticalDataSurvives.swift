/// Of data that must not be lost, what the dead node held has to be covered by what the other nodes hold.
///
/// MinIO with N drives has a parity of N/2 by default, and of 4 at most since 2021 (EC:2 of 4, EC:4 of 16): as many may be lost.
public enum CriticalDataSurvives: SafetyRule {
    public static let id = "critical-data-survives"
    public static let prevents = "deleting the copy that the rest would have to be healed from"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        groups(proposal).flatMap { group -> [Refusal] in
            guard !group.isRedundant, let flags = group.lossFlags(proposal) else { return [] }
            return [
                refusal(
                    "\(group.name) is \(group.workload.data.rawValue): \(group.lost) of \(group.replicas) volumes are lost, \(group.redundancy) may be",
                    advice: "bring the dead node's disks back; if the data may go: \(flags)")
            ]
        }
    }

    /// The lost claims of one workload, and what is left of it.
    struct Group {
        var workload: (namespace: String, target: Inventory.Workload.Target, data: Inventory.Workload.DataClass)
        /// Those to rebuild.
        var claims: [ObjectReference]
        /// All volumes of the workload on the dead node, the ignored ones too.
        var lost: Int
        var replicas: Int
        /// How many volumes may be lost without losing data.
        var redundancy: Int
        /// Replicas elsewhere that are ready and whose claim is bound.
        var healthy: Int

        var isRedundant: Bool { lost <= redundancy }
        var othersAreHealthy: Bool { healthy == replicas - lost }
        var isCovered: Bool { isRedundant && othersAreHealthy }
        var name: String { "\(workload.namespace)/\(workload.target.name)" }

        /// What would have to be agreed to; `nil` where the data may go, or was agreed to.
        func lossFlags(_ proposal: Proposal) -> String? {
            let missing = workload.data == .disposable ? [] : claims.filter { !proposal.accepts($0) }
            return missing.isEmpty ? nil : missing.map { "--accept-data-loss \($0.reference)" }.joined(separator: " ")
        }
    }

    static func groups(_ proposal: Proposal) -> [Group] {
        var order: [Inventory.Workload] = []
        var claims: [Inventory.Workload: [ObjectReference]] = [:]
        for lost in proposal.lost {
            guard case .rebuild(let workload) = lost.action, let claim = lost.claim else { continue }
            if claims[workload] == nil { order.append(workload) }
            claims[workload, default: []].append(ObjectReference(.claim, claim))
        }
        return order.compactMap { workload in
            guard case .rebuild(let data, let heal, _) = workload.rule, let lost = claims[workload] else { return nil }
            let key = (workload.namespace, workload.target, data)
            guard case .statefulSet(let name) = workload.target,
                let set = proposal.state.statefulSet(workload.namespace, name)
            else {
                return Group(
                    workload: key, claims: lost, lost: lost.count, replicas: lost.count, redundancy: 0, healthy: 0)
            }
            let all = proposal.lost.compactMap(\.claim).filter {
                $0.namespace == set.namespace && set.ordinal(ofClaim: $0.name) != nil
            }
            return Group(
                workload: key, claims: lost, lost: all.count, replicas: set.replicas,
                redundancy: heal == .minio ? min(set.replicas / 2, 4) : 0,
                healthy: healthyElsewhere(proposal, set, lost: all))
        }
    }

    private static func healthyElsewhere(_ proposal: Proposal, _ set: StatefulSet, lost: [Claim]) -> Int {
        let lostNames = Set(lost.map(\.name))
        return proposal.state.objects.pods.filter { pod in
            pod.namespace == set.namespace && pod.controller?.uid == set.uid && pod.isReady
                && pod.nodeName != proposal.dead.node && lostNames.isDisjoint(with: pod.spec.claimNames)
                && pod.spec.claimNames.allSatisfy { proposal.state.objects.claim(set.namespace, $0)?.isBound == true }
        }.count
    }
}
