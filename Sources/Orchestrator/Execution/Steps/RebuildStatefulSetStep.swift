import Cluster
import Foundation
import Inventories
import Planning
import SSH

/// Deletes a StatefulSet's lost claims and their Pending pods, by UID, and waits until the set has recreated them on the new node, healed.
struct RebuildStatefulSetStep: Step {
    let plan: Plan
    let rebuild: Plan.Rebuild

    var id: String { "rebuild-\(rebuild.namespace)-\(rebuild.name)" }
    var title: String { "Rebuild statefulset \(rebuild.reference) on \(plan.replacement.node)" }
    var reason: String {
        "Its volumes were on \(plan.dead.node)'s disk. The claim goes first: a pod made before would be given it again."
    }
    /// Of which the heal of the lab's small drives takes most.
    var estimate: Int { 10 * rebuild.claims.count }
    var effects: [Effect] {
        var pods: Set<String> = []
        return rebuild.claims.flatMap { lost -> [Effect] in
            let pod = lost.pod ?? "?"
            // A pod with several claims is deleted once.
            let isFirst = pods.insert(pod).inserted
            let heal = expectsHeal && lost.isDrive != false ? ", healed by MinIO from the other drives" : ""
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

    /// Where the data is beyond healing, and the operator said so, there is nothing to wait for.
    private var expectsHeal: Bool { rebuild.heal == .minio && !rebuild.isDataLost }

    func check(_ context: RunContext) async throws -> StepStatus {
        for lost in rebuild.claims {
            if let missing = try await missing(lost, context) { return .needed(missing) }
        }
        return .satisfied(
            "\(rebuild.claims.count) claims Bound on \(plan.replacement.node), pods Ready"
                + (expectsHeal ? ", healed" : ""))
    }

    func run(_ context: RunContext) async throws {
        try await refuseIfOthersAreUnwell(context)
        for lost in rebuild.claims { try await delete(lost, context) }
        for lost in rebuild.claims {
            // A heal takes from seconds to days, and each look at it costs a walk over the drives.
            try await context.wait(
                for: "\(lost.claim.reference) on \(plan.replacement.node)", on: plan.replacement.host,
                growingTo: expectsHeal ? .seconds(30) : nil
            ) { () -> RunContext.Poll<Void> in
                if let missing = try await missing(lost, context) {
                    // An ordered set makes its pods one after the other: any of them may be the one that is stuck.
                    for lost in rebuild.claims { try await unblock(lost, context) }
                    return .pending(missing)
                }
                return .done(())
            }
        }
    }

    /// The set's drives on the survivors.
    private func peers(_ set: StatefulSet, _ kubectl: Kubectl) async throws -> [MinIOHealProof.Peer] {
        let claims = try await kubectl.list(Claim.self, ["persistentvolumeclaims", "-n", rebuild.namespace])
        let volumes = try await kubectl.list(Volume.self, ["persistentvolumes"])
        let nodes = try await kubectl.list(Node.self, ["nodes"])
        return claims.filter { set.ordinal(ofClaim: $0.name) != nil && $0.isBound }.compactMap { claim in
            guard let volume = volumes.first(where: { $0.name == claim.spec.volumeName }), let path = volume.path,
                let node = volume.node(among: nodes),
                let master = plan.survivors.first(where: { $0.node == node.name })
            else { return nil }
            return .init(host: master.host, path: path)
        }
    }

    private func set(_ kubectl: Kubectl) async throws -> StatefulSet {
        try await kubectl.get(StatefulSet.self, ["statefulset", rebuild.name, "-n", rebuild.namespace])
    }

    private func healProof(of pod: Pod, _ volume: Volume, _ kubectl: Kubectl) async throws -> MinIOHealProof {
        let set = try await set(kubectl)
        let drives = rebuild.redundancy?.replicas ?? set.replicas * max(1, set.templates.count)
        return MinIOHealProof(
            pod: pod, volume: volume, host: plan.replacement.host, peers: try await peers(set, kubectl),
            dataShards: rebuild.redundancy?.dataShards ?? MinIOParity(set).dataShards(drives: drives, set),
            parity: MinIOParity(set), hasSeveralSets: drives > MinIOParity.largestSet)
    }

    /// The plan counted the healthy replicas before ocboot touched every host; they are counted again before the first claim goes.
    private func refuseIfOthersAreUnwell(_ context: RunContext) async throws {
        guard !rebuild.isDataLost, rebuild.data != .disposable else { return }
        let kubectl = try context.kubectl()
        let set = try await set(kubectl)
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
        let peers = try await peers(set, kubectl)
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
        guard let claim = try await claim(lost, kubectl), claim.uid == lost.claim.uid else { return }
        guard claim.spec.volumeName == lost.volume.name else {
            throw ClusterError(
                .changed, host: plan.primary.host, operation: "delete \(lost.claim)",
                cause: "it is bound to \(claim.spec.volumeName ?? "nothing"), planned was \(lost.volume.name)",
                advice: "make a new plan: masterswap plan")
        }
        try await context.delete(lost.claim)
        try await context.wait(for: "\(lost.claim.reference) to be gone", limit: .seconds(180)) {
            let uid = try await kubectl.uid(of: lost.claim)
            guard uid == lost.claim.uid else { return .done(()) }
            try await ReplacementNode.evictHolders(of: lost, plan, context)
            return .pending("a pod still holds it")
        }
        try await unblock(lost, context)
    }

    /// A pod that waits for the claim that is gone waits for ever; the set makes a new one, and with it the claim. Nothing but a
    /// Pending pod without a node is ever deleted here.
    private func unblock(_ lost: Plan.LostClaim, _ context: RunContext) async throws {
        guard let name = lost.pod else { return }
        let kubectl = try context.kubectl()
        if let claim = try await claim(lost, kubectl) {
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

    private func claim(_ lost: Plan.LostClaim, _ kubectl: Kubectl) async throws -> Claim? {
        try await kubectl.find(Claim.self, ["persistentvolumeclaim", lost.claim.name, "-n", rebuild.namespace])
    }

    /// What is not as it shall be yet; `nil` when all is.
    private func missing(_ lost: Plan.LostClaim, _ context: RunContext) async throws -> String? {
        let kubectl = try context.kubectl()
        guard let claim = try await claim(lost, kubectl) else { return "the claim is not recreated yet" }
        if claim.uid == lost.claim.uid { return "the claim is still the one on \(plan.dead.node)" }
        guard claim.isBound, let name = claim.spec.volumeName else { return "the new claim is not Bound" }
        guard let volume = try await kubectl.find(Volume.self, ["persistentvolume", name]) else {
            return "its volume \(name) is not there"
        }
        guard try await RebuiltVolume.isOnReplacement(volume, plan, context) else {
            throw RebuiltVolume.misplaced(claim, volume, plan)
        }
        guard let podName = lost.pod,
            let pod = try await kubectl.find(Pod.self, ["pod", podName, "-n", rebuild.namespace])
        else {
            return "its pod is not recreated yet"
        }
        guard pod.isReady else { return "pod \(pod.name) is \(pod.status?.phase ?? "not there"), not Ready" }
        guard expectsHeal, lost.isDrive != false else { return nil }
        return try await healProof(of: pod, volume, kubectl).missing(context)
    }
}
