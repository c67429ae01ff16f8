import Cluster
import Inventories
import Planning

/// Deletes the dead node's volumes that nothing claims any more: the provisioner's helper pod cannot run on a node that is gone,
/// so they would stay Released for ever (rancher/local-path-provisioner#31, #452). Those whose reclaim policy is Retain were kept on
/// purpose: the plan has them only where their loss was agreed to.
struct DeleteVolumesStep: Step {
    let plan: Plan

    static let id = "delete-volumes"
    var id: String { Self.id }
    var title: String { "Delete the dead node's released volumes" }
    let reason = "The provisioner cannot clean up on a node that is gone: they would stay Released for ever."
    let estimate = 2
    var leftUndone: String? {
        "those of these volumes that are left stay until they are deleted by hand: \(plan.volumesToDelete.map(\.name).joined(separator: ", "))"
    }
    var effects: [Effect] { plan.volumesToDelete.map { .destroys("\($0)") } }

    func commands(_ inventory: Inventory) -> [String] { plan.volumesToDelete.map { plan.deletion($0) } }

    func check(_ context: RunContext) async throws -> StepStatus {
        let left = try await left(context)
        return left.isEmpty
            ? .satisfied("none is left") : .needed("\(left.count) left: \(left.map(\.name).joined(separator: ", "))")
    }

    func run(_ context: RunContext) async throws {
        let kubectl = try context.kubectl()
        // The new node may have the dead one's labels, and even its name.
        let others = try await kubectl.list(Node.self, ["nodes"]).filter {
            $0.uid != plan.dead.uid && $0.name != plan.replacement.node
        }
        for volume in try await left(context) {
            if let namespace = volume.spec.claimRef?.namespace, let name = volume.spec.claimRef?.name,
                let claim = try await kubectl.find(Claim.self, ["persistentvolumeclaim", name, "-n", namespace]),
                claim.uid == volume.spec.claimRef?.uid
            {
                throw ClusterError(
                    .changed, host: plan.primary.host, operation: "delete volume \(volume.name)",
                    cause: "the claim \(claim.reference) is still bound to it",
                    advice: "go on with: masterswap resume, which rebuilds the claim first")
            }
            guard volume.location(from: plan.dead.selectable, others: others, isLocal: true) == .here else {
                throw ClusterError(
                    .changed, host: plan.primary.host, operation: "delete volume \(volume.name)",
                    cause: "its node affinity names \(volume.affinityText), not \(plan.dead.node) alone",
                    advice:
                        "see who has done that; to leave the volumes: masterswap resume --skip \(id) --because WHY")
            }
            let reference = ObjectReference(.volume, volume)
            try await context.delete(reference)
        }
        try await context.wait(for: "the volumes to be gone", limit: .seconds(120)) {
            let left = try await left(context)
            return left.isEmpty ? .done(()) : .pending(left.map(\.name).joined(separator: ", "))
        }
    }

    /// The planned volumes that are there, by UID.
    private func left(_ context: RunContext) async throws -> [Volume] {
        let planned = Set(plan.volumesToDelete.map(\.uid))
        return try await context.kubectl().list(Volume.self, ["persistentvolumes"]).filter { planned.contains($0.uid) }
    }
}
