import Foundation
import SSH

/// Deletes a StatefulSet's lost claims and their Pending pods, by UID, and sees the set make them again on the new node, healed.
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
        rebuild.claims.flatMap { lost -> [Effect] in
            [
                .destroys("\(lost.claim), on \(lost.volume.name)"),
                .destroys("pod \(rebuild.namespace)/\(lost.pod ?? "?"), Pending"),
                .makes(
                    "both again on \(plan.replacement.node)"
                        + (expectsHeal ? ", healed by MinIO from the other drives" : "")),
            ]
        }
    }

    func commands(_ inventory: Inventory) -> [String] {
        rebuild.claims.flatMap { lost -> [String] in
            let pod = lost.pod.map { ObjectReference(.pod, namespace: rebuild.namespace, name: $0, uid: "UID") }
            return [plan.deletion(lost.claim)] + (pod.map { [plan.deletion($0)] } ?? [])
        }
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
            try await context.wait(
                for: "\(lost.claim.reference) on \(plan.replacement.node)", on: plan.replacement.host
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

    private struct Pods: Decodable {
        var items: [Pod]
    }

    private struct List<Item: Decodable>: Decodable {
        var items: [Item]
    }

    /// Where the set's other volumes lie on the survivors: by inventory host and path.
    private func peers(_ context: RunContext) async throws -> [(host: String, path: String)] {
        let kubectl = try context.kubectl()
        let set = try await kubectl.get(StatefulSet.self, ["statefulset", rebuild.name, "-n", rebuild.namespace])
        // Beyond 16 drives there are several erasure sets, which do not hold the same objects.
        guard set.replicas <= 16 else { return [] }
        let claims = try await kubectl.get(List<Claim>.self, ["persistentvolumeclaims", "-n", rebuild.namespace]).items
        let volumes = try await kubectl.get(List<Volume>.self, ["persistentvolumes"]).items
        let nodes = try await kubectl.get(List<Node>.self, ["nodes"]).items
        return claims.filter { set.ordinal(ofClaim: $0.name) != nil && $0.isBound }.compactMap { claim in
            guard let volume = volumes.first(where: { $0.name == claim.spec.volumeName }), let path = volume.path,
                let master = plan.survivors.first(where: { master in
                    nodes.first { $0.name == master.node }.map { volume.isOnly(on: $0) } ?? false
                })
            else { return nil }
            return (master.host, path)
        }
    }

    /// The plan counted the healthy replicas before ocboot touched every host; they are counted again before the first claim goes.
    private func refuseIfOthersAreUnwell(_ context: RunContext) async throws {
        guard !rebuild.isDataLost, rebuild.data != .disposable else { return }
        let kubectl = try context.kubectl()
        let set = try await kubectl.get(StatefulSet.self, ["statefulset", rebuild.name, "-n", rebuild.namespace])
        let lost = Set(rebuild.claims.compactMap(\.pod))
        let wanted = set.replicas - lost.count - ignored(set)
        // What ocboot restarted is given the time to come back.
        try await context.wait(for: "the other replicas of \(rebuild.reference) to be Ready", limit: .seconds(180)) {
            let pods = try await kubectl.get(Pods.self, ["pods", "-n", rebuild.namespace]).items
            let healthy = pods.filter { $0.controller?.uid == rebuild.uid && !lost.contains($0.name) && $0.isReady }
                .count
            return healthy >= wanted ? .done(()) : .pending("\(healthy) of \(wanted)")
        }
    }

    /// Replicas on the dead node whose claims the inventory leaves alone: they stay down.
    private func ignored(_ set: StatefulSet) -> Int {
        plan.ignoredClaims.filter { $0.namespace == rebuild.namespace && set.ordinal(ofClaim: $0.name) != nil }.count
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
            try await ReplacementNode.evictHolders(of: lost, context)
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
        guard let claim = try await claim(lost, kubectl) else { return "the claim is not made again yet" }
        if claim.uid == lost.claim.uid { return "the claim is still the one on \(plan.dead.node)" }
        guard claim.isBound, let name = claim.spec.volumeName else { return "the new claim is not Bound" }
        guard let volume = try await kubectl.find(Volume.self, ["persistentvolume", name]) else {
            return "its volume \(name) is not there"
        }
        guard try await RebuiltVolume.isOnReplacement(volume, context) else {
            throw RebuiltVolume.misplaced(claim, volume, plan)
        }
        guard let podName = lost.pod,
            let pod = try await kubectl.find(Pod.self, ["pod", podName, "-n", rebuild.namespace])
        else {
            return "its pod is not made again yet"
        }
        guard pod.isReady else { return "pod \(pod.name) is \(pod.status?.phase ?? "not there"), not Ready" }
        guard expectsHeal else { return nil }
        return try await MinIOHealProof(pod: pod, volume: volume, peers: try await peers(context)).missing(context)
    }
}

enum RebuiltVolume {
    static func isOnReplacement(_ volume: Volume, _ context: RunContext) async throws -> Bool {
        let node = try await context.kubectl().get(Node.self, ["node", context.plan.replacement.node])
        return volume.isOnly(on: node)
    }

    /// Nothing moves a bound claim, so waiting would not help.
    static func misplaced(_ claim: Claim, _ volume: Volume, _ plan: Plan) -> ClusterError {
        ClusterError(
            .changed, host: plan.primary.host, operation: "see \(claim.reference) on \(plan.replacement.node)",
            cause:
                "it was bound on \(volume.nodes?.joined(separator: ", ") ?? "no node"), which was schedulable meanwhile",
            advice:
                "cordon every node but \(plan.replacement.node), delete the claim and its pod by hand (kubectl delete pvc,pod -n \(claim.namespace)), then: masterswap resume"
        )
    }
}

/// A heal is proven by the pod's own log since its start, and by the buckets' directories on the new node's disk.
///
/// Where the log begins after the heal (it was rotated, or the container was restarted), by the disks alone: the drive is
/// formatted, MinIO's mark of an unfinished heal is not there, and it holds every file that any drive of the survivors holds.
/// The drives of one erasure set have the same tree of objects, each its own part of them.
struct MinIOHealProof {
    let pod: Pod
    let volume: Volume
    /// The set's drives on the survivors.
    let peers: [(host: String, path: String)]

    /// What is missing for the proof; `nil` when it stands.
    /// - Throws: ``ClusterError`` where the heal ended and objects were not healed.
    func missing(_ context: RunContext) async throws -> String? {
        let log = try await context.kubectl().run([
            "logs", pod.name, "-n", pod.namespace, "-c", pod.spec.containers?.first?.name ?? "",
        ])
        switch MinIOHeal.state(ofLog: String(decoding: log, as: UTF8.self)) {
        case .notStarted:
            return try await missingByDisk(context).map { "\(pod.name): no heal in its log; \($0)" }
        case .running: return "\(pod.name): MinIO is healing"
        case .failed(let why):
            throw ClusterError(
                .changed, host: context.plan.replacement.host, operation: "see \(pod.reference) healed", cause: why,
                advice: "look at its log, and heal by hand: mc admin heal; then: masterswap resume")
        case .complete(let summary): return try await missingOnDisk(summary, context)
        }
    }

    private func missingByDisk(_ context: RunContext) async throws -> String? {
        guard let path = volume.path else { return "the volume \(volume.name) has no path on the node" }
        guard !peers.isEmpty else { return "and no other drive of its set to compare it with" }
        // The others first: what is written meanwhile is on all of them.
        var wanted: Set<Substring> = []
        for peer in peers {
            guard let files = try await Self.tree(peer.path, on: try context.remote(peer.host)) else {
                return "\(peer.path) on \(peer.host) cannot be listed"
            }
            wanted.formUnion(files)
        }
        guard let own = try await Self.tree(path, on: try context.remote(context.plan.replacement.host)) else {
            return "its drive is not formatted, or is being healed"
        }
        let missing = wanted.subtracting(own)
        guard missing.isEmpty else { return "\(missing.count) of \(wanted.count) files are not on its drive yet" }
        context.note("\(pod.reference) has each of the \(wanted.count) files that the other drives have: healed")
        return nil
    }

    /// Folders of buckets and files of objects, without MinIO's own; `nil` where the drive is not whole.
    static func tree(_ path: String, on remote: any Remote) async throws -> [Substring]? {
        // `.healing.bin` is in the metadata bucket from the moment that an empty drive is formatted until its heal is through.
        let script = """
            cd -- "$1" && [ -s .minio.sys/format.json ] || exit 1
            for mark in .minio.sys/buckets/.healing.bin .minio.sys/healing.bin; do [ ! -e "$mark" ] || exit 1; done
            find . -mindepth 1 -maxdepth 1 -type d ! -name .minio.sys && find . -path ./.minio.sys -prune -o -type f -print
            """
        let result = try await remote.run(
            .script(script, [path], timeout: .seconds(300), outputLimit: 256 << 20, label: "list the files in \(path)"))
        guard result.succeeded, result.droppedOutput == 0 else { return nil }
        return result.text.split(separator: "\n")
    }

    private func missingOnDisk(_ summary: MinIOHeal.Summary, _ context: RunContext) async throws -> String? {
        guard let path = volume.path else { return "the volume \(volume.name) has no path on the node" }
        // A bucket may be empty; its directory may not be missing.
        let script = """
            cd -- "$1" || exit 1
            shift
            for bucket; do [ -d "$bucket" ] || echo "$bucket"; done
            """
        let result = try await context.remote(context.plan.replacement.host).run(
            .script(
                script, [path] + summary.healedBuckets, timeout: .seconds(30),
                label: "look for the healed buckets in \(path)"))
        guard result.succeeded else { return "\(path) is not there on \(context.plan.replacement.host)" }
        let missing = result.text.split(separator: "\n")
        return missing.isEmpty ? nil : "healed by its log, but not on the disk: \(missing.joined(separator: ", "))"
    }
}
