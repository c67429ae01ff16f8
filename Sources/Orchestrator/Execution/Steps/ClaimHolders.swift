import Cluster
import Planning

/// What a lost claim, told to go, is kept for: it goes when no pod on a node mounts it any more (the finalizer
/// kubernetes.io/pvc-protection).
struct ClaimHolders {
    let plan: Plan
    let lost: Plan.LostClaim

    func awaitEnd(_ context: RunContext) async throws {
        let kubectl = try context.kubectl()
        do {
            try await context.wait(for: "\(lost.claim.reference) to be gone", limit: .seconds(180)) {
                guard try await kubectl.uid(of: lost.claim) == lost.claim.uid else { return .done(()) }
                try await ReplacementNode.evictHolders(of: lost, plan, context)
                let pods = try await pods(kubectl)
                return .pending(
                    pods.isEmpty
                        ? "it is told to go, and is there"
                        : pods.map { "\($0.held) mounts it" }.joined(separator: "; "))
            }
        } catch var error as ClusterError where error.code == .waitTimedOut {
            guard let held = try? await pods(kubectl).first(where: \.isHeld) else {
                throw error
            }
            error.advice =
                "have the controller run that takes the finalizer off pod \(held.reference); where there is none any more, take metadata.finalizers out by hand, for nothing runs a pod of a node that is deleted: kubectl -n \(held.namespace) edit pod \(held.name); then: masterswap resume"
            throw error
        }
    }

    private func pods(_ kubectl: Kubectl) async throws -> [Pod] {
        guard let namespace = lost.claim.namespace else { return [] }
        return try await kubectl.list(Pod.self, ["pods", "-n", namespace]).filter {
            $0.nodeName != nil && $0.spec.claimNames.contains(lost.claim.name)
        }
    }
}

extension Pod {
    /// Told to go, and kept by a finalizer: an object alone, where its node is gone.
    var isHeld: Bool { metadata.deletionTimestamp != nil && metadata.finalizers?.isEmpty == false }

    /// `pod onecloud/minio-0, kept by its finalizers example.org/a`
    var held: String {
        "pod \(reference)"
            + (isHeld ? ", kept by its finalizers \((metadata.finalizers ?? []).joined(separator: ", "))" : "")
    }
}
