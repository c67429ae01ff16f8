import Cluster
import Planning

/// Where the volume of a claim that was recreated is.
enum RebuiltVolume {
    static func isOnReplacement(_ volume: Volume, _ plan: Plan, _ context: RunContext) async throws -> Bool {
        let kubectl = try context.kubectl()
        let node = try await kubectl.get(Node.self, ["node", plan.replacement.node])
        return volume.isOnly(on: node, among: try await kubectl.list(Node.self, ["nodes"]))
    }

    /// Nothing moves a bound claim, so waiting would not help.
    static func misplaced(_ claim: Claim, _ volume: Volume, _ plan: Plan) -> ClusterError {
        ClusterError(
            .changed, host: plan.primary.host, operation: "see \(claim.reference) on \(plan.replacement.node)",
            cause:
                "it was bound on \(volume.affinityText), which was schedulable meanwhile",
            advice:
                "cordon every node but \(plan.replacement.node), delete the claim and its pod by hand (kubectl delete pvc,pod -n \(claim.namespace)), then: masterswap resume"
        )
    }
}
