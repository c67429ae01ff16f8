/// Of data that must not be lost, what the dead node held has to be covered by what the other nodes hold, all of it healthy.
///
/// MinIO with N drives has a parity of N/2 by default, and of 4 at most since 2021 (EC:2 of 4, EC:4 of 16): as many may be lost.
public enum CriticalDataSurvives: SafetyRule {
    public static let id = "critical-data-survives"
    public static let prevents = "deleting the copy that the rest would have to be healed from"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        groups(proposal).flatMap { group -> [Refusal] in
            guard group.workload.data != .disposable, !group.isCovered else { return [] }
            let missing = group.claims.filter { !proposal.accepts($0) }
            guard !missing.isEmpty else { return [] }
            let flags = missing.map { "--accept-data-loss \($0.reference)" }.joined(separator: " ")
            return [
                refusal(
                    "\(group.workload.namespace)/\(group.workload.target.name) is \(group.workload.data.rawValue): \(group.lost) of \(group.replicas) volumes are lost, \(group.redundancy) may be, and \(group.healthy) of the \(group.replicas - group.lost) others \(group.healthy == 1 ? "is" : "are") healthy",
                    advice: "bring the others back first; if the data may go: \(flags)")
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

        var isCovered: Bool { lost <= redundancy && healthy == replicas - lost }
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
