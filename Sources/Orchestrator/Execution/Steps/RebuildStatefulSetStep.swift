import Cluster
import Foundation
import Inventories
import Planning
import SSH

/// Deletes a StatefulSet's lost claims and their Pending pods, by UID, and waits until the set has recreated them on the new node.
struct RebuildStatefulSetStep: Step {
    let plan: Plan
    let rebuild: Plan.Rebuild

    var id: String { rebuild.id }
    var title: String { "Rebuild statefulset \(rebuild.reference) on \(plan.replacement.node)" }
    var reason: String {
        "Its volumes were on \(plan.dead.node)'s disk. The claim goes first: a pod made before would be given it again."
    }
    var estimate: Int { 3 * rebuild.claims.count }
    var leftUndone: String? { rebuild.leftUndone(by: plan) }
    var effects: [Effect] {
        var pods: Set<String> = []
        return rebuild.claims.flatMap { lost -> [Effect] in
            let pod = lost.pod ?? "?"
            // A pod with several claims is deleted once.
            let isFirst = pods.insert(pod).inserted
            let heal = rebuild.drives.contains(lost) ? ", healed by MinIO from the other drives" : ""
            return [.destroys("\(lost.claim), on \(lost.volume.name)")]
                + (isFirst ? [.destroys("pod \(rebuild.namespace)/\(pod), Pending")] : [])
                + [.makes("\(isFirst ? "both" : "it") recreated on \(plan.replacement.node)\(heal)")]
        }
    }

    func commands(_ inventory: Inventory) -> [String] {
        let deletions = rebuild.claims.flatMap { lost -> [String] in
            let pod = lost.pod.map { ObjectReference(.pod, namespace: rebuild.namespace, name: $0, uid: "UID") }
            return [plan.deletion(lost.claim)] + (pod.map { [plan.deletion($0)] } ?? [])
        }
        return Array(uniqued: deletions)
    }

    private var placement: Placement { Placement(plan: plan, rebuild: rebuild) }

    func check(_ context: RunContext) async throws -> StepStatus {
        if let missing = try await placement.missing(context) { return .needed(missing) }
        return .satisfied(
            "\(rebuild.claims.count) claims Bound on \(plan.replacement.node), their pods placed there")
    }

    func run(_ context: RunContext) async throws {
        try await refuseIfOthersAreUnwell(context)
        for lost in rebuild.claims { try await delete(lost, context) }
        for lost in rebuild.claims {
            try await context.wait(
                for: "\(lost.claim.reference) on \(plan.replacement.node)", on: plan.replacement.host
            ) { () -> RunContext.Poll<Void> in
                guard let missing = try await placement.missing(lost, context) else { return .done(()) }
                // An ordered set makes its pods one after the other: any of them may be the one that is stuck.
                for lost in rebuild.claims { try await unblock(lost, context) }
                return .pending(missing)
            }
        }
    }

    /// The plan counted the healthy replicas before ocboot touched every host; they are counted again before the first claim goes.
    private func refuseIfOthersAreUnwell(_ context: RunContext) async throws {
        guard !rebuild.isDataLost, rebuild.data != .disposable else { return }
        let kubectl = try context.kubectl()
        let set = try await kubectl.get(StatefulSet.self, ["statefulset", rebuild.name, "-n", rebuild.namespace])
        let lost = Set(rebuild.claims.compactMap(\.pod)).union(ignoredPods(set))
        let wanted = set.replicas - lost.count
        // What ocboot restarted is given the time to come back.
        try await context.wait(for: "the other replicas of \(rebuild.reference) to be Ready", limit: .seconds(180)) {
            let pods = try await kubectl.list(Pod.self, ["pods", "-n", rebuild.namespace])
            let healthy = pods.filter { $0.controller?.uid == rebuild.uid && !lost.contains($0.name) && $0.isReady }
                .count
            return healthy >= wanted ? .done(()) : .pending("\(healthy) of \(wanted)")
        }
        guard rebuild.heal == .minio else { return }
        let peers = try await MinIOHealProof.peers(of: set, plan, kubectl)
        try await context.wait(for: "the other drives of \(rebuild.reference) to be whole", limit: .seconds(180)) {
            () -> RunContext.Poll<Void> in
            for peer in peers {
                let place = DriveProbe.Place(volume: peer.path, path: peer.path)
                let drive = await DriveProbe.look(at: [place], on: try context.remote(peer.host))[peer.path]
                if case .healing(let progress)? = drive?.state {
                    return .pending(
                        "\(peer.path) on \(peer.host) is being healed\(progress.map { ": \($0)" } ?? "")")
                }
                if case .unknown(let why)? = drive?.state { return .pending(why) }
            }
            return .done(())
        }
    }

    /// Replicas on the dead node whose claims the inventory leaves alone: they stay down.
    private func ignoredPods(_ set: StatefulSet) -> Set<String> {
        Set(
            plan.ignoredClaims.filter { $0.namespace == rebuild.namespace }.compactMap {
                set.ordinal(ofClaim: $0.name).map { "\(rebuild.name)-\($0)" }
            })
    }

    /// The claim goes first: a pod made while it is still there would be given it again (kubernetes/kubernetes#74374, #89910).
    private func delete(_ lost: Plan.LostClaim, _ context: RunContext) async throws {
        let kubectl = try context.kubectl()
        guard let claim = try await placement.claim(lost, kubectl), claim.uid == lost.claim.uid else { return }
        guard claim.spec.volumeName == lost.volume.name else {
            throw ClusterError(
                .changed, host: plan.primary.host, operation: "delete \(lost.claim)",
                cause: "it is bound to \(claim.spec.volumeName ?? "nothing"), planned was \(lost.volume.name)",
                advice:
                    "see who has done that; to leave the workload as it is: masterswap resume --skip \(id) --because WHY"
            )
        }
        try await context.delete(lost.claim)
        try await ClaimHolders(plan: plan, lost: lost).awaitEnd(context)
        try await unblock(lost, context)
    }

    /// A pod that waits for the claim that is gone waits for ever; the set makes a new one, and with it the claim. Nothing but a
    /// Pending pod without a node is ever deleted here.
    private func unblock(_ lost: Plan.LostClaim, _ context: RunContext) async throws {
        guard let name = lost.pod else { return }
        let kubectl = try context.kubectl()
        if let claim = try await placement.claim(lost, kubectl) {
            guard claim.uid != lost.claim.uid, claim.metadata.deletionTimestamp == nil else { return }
            try await clearSelectedNode(claim, context)
            return
        }
        guard let pod = try await kubectl.find(Pod.self, ["pod", name, "-n", rebuild.namespace]), pod.isPending,
            pod.nodeName == nil,
            pod.metadata.deletionTimestamp == nil
        else { return }
        let reference = ObjectReference(.pod, pod)
        try await context.delete(reference)
    }

    /// A new claim whose `selected-node` names the dead node is never bound (kubernetes/kubernetes#100485).
    private func clearSelectedNode(_ claim: Claim, _ context: RunContext) async throws {
        guard !plan.reusesName, claim.selectedNode == plan.dead.node, !claim.isBound else { return }
        context.note("clearing the selected node of \(claim.reference), which names \(plan.dead.node)")
        try await context.kubectl().run([
            "annotate", "persistentvolumeclaim", claim.name, "-n", claim.namespace,
            "volume.kubernetes.io/selected-node-",
        ])
    }
}
