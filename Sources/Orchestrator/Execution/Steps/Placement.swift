import Cluster
import Planning

/// Whether a rebuilt workload is in its place: each claim that was lost is there again, bound on the new node, with a pod there that
/// mounts it. From then on the volume holds the pod on its node, whatever is schedulable.
struct Placement {
    let plan: Plan
    let rebuild: Plan.Rebuild

    /// What is not in its place yet; `nil` when all is.
    /// - Throws: ``ClusterError`` with `changed` where a claim was bound on another node, which waiting does not change.
    func missing(_ context: RunContext) async throws -> String? {
        let kubectl = try context.kubectl()
        if rebuild.kind == .deployment {
            guard
                let now = try await kubectl.find(
                    Deployment.self, ["deployment", rebuild.name, "-n", rebuild.namespace])
            else { return "the deployment is not recreated yet" }
            if now.uid == rebuild.uid { return "the deployment is still the old one" }
        }
        for lost in rebuild.claims {
            if let missing = try await missing(lost, context) { return missing }
        }
        return nil
    }

    /// The same of one claim.
    func missing(_ lost: Plan.LostClaim, _ context: RunContext) async throws -> String? {
        let kubectl = try context.kubectl()
        guard let claim = try await claim(lost, kubectl) else {
            return "the claim \(lost.claim.name) is not recreated yet"
        }
        if claim.uid == lost.claim.uid { return "the claim \(claim.name) is still the one on \(plan.dead.node)" }
        guard claim.isBound, let name = claim.spec.volumeName else {
            let pod = try await pod(lost, kubectl)
            return "the new claim \(claim.name) is not Bound" + (pod.map { ", \(Self.state(of: $0))" } ?? "")
        }
        guard let volume = try await kubectl.find(Volume.self, ["persistentvolume", name]) else {
            return "its volume \(name) is not there"
        }
        let node = try await kubectl.get(Node.self, ["node", plan.replacement.node])
        guard volume.isOnly(on: node, among: try await kubectl.list(Node.self, ["nodes"])) else {
            throw misplaced(claim, volume)
        }
        guard let pod = try await pod(lost, kubectl) else { return "the pod of \(claim.name) is not recreated yet" }
        return pod.nodeName == node.name ? nil : Self.state(of: pod)
    }

    /// `pod minio-0 is Pending: the scheduler: 0/4 nodes are available: …`
    static func state(of pod: Pod) -> String {
        "pod \(pod.name) is \(pod.isReady ? "Ready" : "\(pod.status?.phase ?? "not there"), not Ready")"
            + (pod.hindrance.map { ": \($0)" } ?? "")
    }

    func claim(_ lost: Plan.LostClaim, _ kubectl: Kubectl) async throws -> Claim? {
        try await kubectl.find(Claim.self, ["persistentvolumeclaim", lost.claim.name, "-n", rebuild.namespace])
    }

    /// That mounts the claim: a StatefulSet's by its name, a Deployment's by its volumes, and of several the one that is placed.
    func pod(_ lost: Plan.LostClaim, _ kubectl: Kubectl) async throws -> Pod? {
        if let name = lost.pod {
            return try await kubectl.find(Pod.self, ["pod", name, "-n", rebuild.namespace]).flatMap {
                $0.metadata.deletionTimestamp == nil ? $0 : nil
            }
        }
        let pods = try await kubectl.list(Pod.self, ["pods", "-n", rebuild.namespace]).filter {
            $0.spec.claimNames.contains(lost.claim.name) && $0.metadata.deletionTimestamp == nil && !$0.isFinished
        }
        return pods.first { $0.nodeName == plan.replacement.node } ?? pods.first
    }

    /// Nothing moves a bound claim, so waiting would not help.
    private func misplaced(_ claim: Claim, _ volume: Volume) -> ClusterError {
        ClusterError(
            .changed, host: plan.primary.host, operation: "see \(claim.reference) on \(plan.replacement.node)",
            cause:
                "it was bound on \(volume.affinityText), which was schedulable meanwhile",
            advice:
                "cordon every node but \(plan.replacement.node), delete the claim and its pod by hand (kubectl delete pvc,pod -n \(claim.namespace)), then: masterswap resume; or leave it there: masterswap resume --skip \(rebuild.id) --because WHY"
        )
    }
}
