import Cluster
import Inventories
import Planning

/// Deletes a Deployment and its lost claims, by UID, and sees the operator make both again on the new node.
///
/// Other than a StatefulSet, a Deployment does not make its claim: onecloud-operator does, and only beside a new Deployment.
struct RebuildDeploymentStep: Step {
    let plan: Plan
    let rebuild: Plan.Rebuild

    var id: String { rebuild.id }
    var title: String { "Have deployment \(rebuild.reference) recreated on \(plan.replacement.node)" }
    let reason = "A deployment does not make its claim again; the operator does, and only beside a new deployment."
    let estimate = 7
    var leftUndone: String? { rebuild.leftUndone(by: plan) }
    var effects: [Effect] {
        rebuild.claims.map { .destroys("\($0.claim), on \($0.volume.name): its data is \(rebuild.data.rawValue)") }
            + [
                .destroys("\(deployment), and its pods"),
                .makes("all of them again on \(plan.replacement.node), by the operator"),
            ]
    }

    private var deployment: ObjectReference {
        ObjectReference(.deployment, namespace: rebuild.namespace, name: rebuild.name, uid: rebuild.uid)
    }

    private var placement: Placement { Placement(plan: plan, rebuild: rebuild) }

    func commands(_ inventory: Inventory) -> [String] {
        rebuild.claims.map { plan.deletion($0.claim) } + [plan.deletion(deployment)]
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        if let missing = try await placement.missing(context) { return .needed(missing) }
        return .satisfied("recreated, its claim Bound and its pod placed on \(plan.replacement.node)")
    }

    func run(_ context: RunContext) async throws {
        let kubectl = try context.kubectl()
        for lost in rebuild.claims {
            if let claim = try await kubectl.find(
                Claim.self, ["persistentvolumeclaim", lost.claim.name, "-n", rebuild.namespace]),
                claim.uid == lost.claim.uid, claim.spec.volumeName != lost.volume.name
            {
                throw ClusterError(
                    .changed, host: plan.primary.host, operation: "delete \(lost.claim)",
                    cause: "it is bound to \(claim.spec.volumeName ?? "nothing"), planned was \(lost.volume.name)",
                    advice:
                        "see who has done that; to leave the workload as it is: masterswap resume --skip \(id) --because WHY"
                )
            }
            try await context.delete(lost.claim)
            try await ClaimHolders(plan: plan, lost: lost).awaitEnd(context)
        }
        try await context.delete(deployment)
        // Its namespace is the cloud's own, with all its pods.
        try await context.wait(
            for: "the operator to make \(rebuild.reference) again", on: plan.replacement.host, growingTo: .seconds(5)
        ) {
            try await placement.missing(context).map { .pending($0) } ?? .done(())
        }
    }
}
