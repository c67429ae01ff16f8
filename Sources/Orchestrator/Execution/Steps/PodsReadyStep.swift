import Cluster
import Inventories
import Planning

/// Waits for the pods of the new node, and of what was rebuilt there. One that crashes for a reason of its own can be passed over: the
/// masters themselves are whole without it.
struct PodsReadyStep: Step {
    let plan: Plan

    static let id = "pods-ready"
    var id: String { Self.id }
    var title: String { "See the pods on \(plan.replacement.node) Ready" }
    let reason = "What was rebuilt and what runs on every node has to run there, too."
    let effects: [Effect] = []
    let estimate = 3
    var leftUndone: String? {
        "pods on \(plan.replacement.node) and pods of what was rebuilt that are not Ready stay so: see why, each of them"
    }

    func commands(_ inventory: Inventory) -> [String] { [plan.kubectl(["get", KubernetesObjects.kinds, "-A"])] }

    func check(_ context: RunContext) async throws -> StepStatus {
        let missing = try await missing(context.kubectl().objects(), context)
        return missing.isEmpty
            ? .satisfied("each pod on \(plan.replacement.node) is Ready") : .needed(missing.joined(separator: "; "))
    }

    func run(_ context: RunContext) async throws {
        try await context.wait(for: "the pods on \(plan.replacement.node) to be Ready", on: plan.replacement.host) {
            let missing = try await missing(context.kubectl().objects(), context)
            return missing.isEmpty ? .done(()) : .pending(missing.joined(separator: "; "))
        }
    }

    /// What is not Ready, a phrase each; of a workload that is given up nothing is expected.
    func missing(_ objects: KubernetesObjects, _ context: RunContext) async throws -> [String] {
        let givenUp = plan.givenUp
        let unready = objects.pods.filter { pod in
            pod.nodeName == plan.replacement.node && !pod.isMirror && !pod.isReady && !pod.isFinished && !isGivenUp(pod)
        }
        var missing = unready.map { "on \(plan.replacement.node) \(Placement.state(of: $0))" }
        for rebuild in plan.rebuilds where !givenUp.contains(rebuild) {
            for lost in rebuild.claims
            where !objects.pods.contains(where: { rebuild.mounts(lost, $0) && $0.isReady }) {
                // Why it does not start is said by the pod alone.
                let pod = try await Placement(plan: plan, rebuild: rebuild).pod(lost, try context.kubectl())
                missing.append(
                    "no Ready pod mounts \(lost.claim.reference)" + (pod.map { ": \(Placement.state(of: $0))" } ?? ""))
            }
        }
        return missing + (try await replicasKept(context))
    }

    /// A StatefulSet recreates a replica under the same name, and cannot while a pod of the dead node still has that name.
    private func replicasKept(_ context: RunContext) async throws -> [String] {
        try await DeadNode.pods(plan, context.kubectl()).filter {
            $0.isHeld && $0.controller?.kind == "StatefulSet" && !isGivenUp($0)
        }.map { "\($0.held), keeps its StatefulSet from recreating the replica" }
    }

    private func isGivenUp(_ pod: Pod) -> Bool {
        plan.givenUp.contains { rebuild in rebuild.claims.contains { rebuild.mounts($0, pod) } }
    }
}

extension Plan.Rebuild {
    fileprivate func mounts(_ lost: Plan.LostClaim, _ pod: Pod) -> Bool {
        pod.namespace == namespace && pod.spec.claimNames.contains(lost.claim.name)
    }
}
