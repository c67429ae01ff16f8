import Cluster
import Inventories
import Planning

/// Deletes the node object and the pods that it leaves behind, which would hold their claims for as long as they are there.
struct DeleteNodeStep: Step {
    let plan: Plan

    private static let finalizersMayTake = Duration.seconds(60)
    let id = "delete-node"
    var title: String { "Delete the node \(plan.dead.node)" }
    let reason = "Pods of a node that is gone hold their claims for as long as the node object is there."
    let estimate = 5
    var effects: [Effect] {
        [
            .destroys("node \(plan.dead.node)" + (plan.dead.uid.map { " (uid \($0))" } ?? "")),
            .destroys("its pods, without grace: nothing runs them any more"),
        ]
            + (plan.kind.passwordSecret(ofNode: plan.dead.node).map {
                [.destroys("secret kube-system/\($0), by \(plan.kind.rawValue), with the node")]
            } ?? [])
    }

    func commands(_ inventory: Inventory) -> [String] {
        let pod = ObjectReference(.pod, namespace: "NAMESPACE", name: "POD", uid: "UID")
        return (node.map { [plan.deletion($0)] } ?? [])
            + [plan.deletion(pod, force: true) + " # each pod that is left on it"]
    }

    private var node: ObjectReference? {
        plan.dead.uid.map { ObjectReference(.node, name: plan.dead.node, uid: $0) }
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        let kubectl = try context.kubectl()
        if try await DeadNode.find(plan, kubectl) != nil { return .needed("the node is there") }
        let pods = try await DeadNode.pods(plan, kubectl)
        guard pods.allSatisfy(\.isHeld) else { return .needed("\(pods.count) pods of it are left") }
        // Only what they mount has to wait for them, and that is seen to where it is rebuilt.
        for pod in pods { context.warn("left behind as an object: \(pod.held)") }
        return .satisfied(
            pods.isEmpty
                ? "the node and its pods are gone" : "the node is gone; finalizers keep \(pods.count) of its pods")
    }

    func run(_ context: RunContext) async throws {
        let kubectl = try context.kubectl()
        try await DeadNode.refuseIfAlive(plan, context)
        if let node { try await context.delete(node) }
        // For as long as the node object is there, DaemonSets make new pods for it in the place of those that are deleted.
        try await DeadNode.awaitEnd(of: plan.dead.node, context) { try await DeadNode.find(plan, kubectl) }
        // Pod garbage collection would take up to a minute; the node is dead and gone, and its pods' end is part of the plan.
        // A finalizer may hold a pod for a while: it is told once that it is to go, and its controller is given a minute to let it.
        var deleted: Set<String> = []
        let began = ContinuousClock.now
        try await context.wait(for: "the dead node's pods to be gone") {
            let pods = try await DeadNode.pods(plan, kubectl)
            let isHeldAlone = pods.allSatisfy { $0.isHeld && deleted.contains($0.uid) }
            if isHeldAlone, pods.isEmpty || ContinuousClock.now - began > Self.finalizersMayTake { return .done(()) }
            for pod in pods where !deleted.contains(pod.uid) {
                try await context.delete(ObjectReference(.pod, pod), force: true)
                deleted.insert(pod.uid)
            }
            return .pending("\(pods.count) left: \(pods.prefix(3).map(\.held).joined(separator: "; "))")
        }
    }
}
