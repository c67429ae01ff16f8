import Cluster
import Inventories
import Planning

/// Waits until the cluster itself has noticed that the dead masters are gone: until then it takes their last word for true, and sends
/// requests to their pods.
struct DeadNodesStep: Step {
    let plan: RecoveryPlan

    let id = "dead-nodes"
    var title: String { "See that the cluster takes \(plan.dead.map(\.node).joined(separator: ", ")) for dead" }
    let reason = "Their last word is from before: all of them are shown Ready at first."
    let effects: [Effect] = []
    let estimate = 29

    private static let question = ["get", "nodes", "-o", "json"]

    func commands(_ inventory: Inventory) -> [String] { ["\(plan.survivor.host): \(Kubectl.label(Self.question))"] }

    private func ready(_ context: RunContext) async throws -> [String] {
        let nodes = try await context.kubectl().list(Node.self, ["nodes"])
        return plan.dead.compactMap { dead in
            nodes.first { $0.isCalled(dead.node) || !dead.allAddresses.isDisjoint(with: $0.internalAddresses) }
        }.filter(\.isReady).map(\.name)
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        let ready = try await ready(context)
        return ready.isEmpty
            ? .satisfied("none of them is Ready")
            : .needed("Ready by their last word: \(ready.joined(separator: ", "))")
    }

    func run(_ context: RunContext) async throws {
        try await context.wait(for: "the dead masters to be NotReady") {
            let ready = try await ready(context)
            return ready.isEmpty ? .done(()) : .pending("Ready: \(ready.joined(separator: ", "))")
        }
    }
}
