import Cluster
import Inventories
import Planning

/// Waits for the new master to carry its part: its node Ready, its etcd member started and healthy.
///
/// The kubelet takes a minute more to call its static pods Ready; that is waited for at the end, by ``VerifyStep``, and not here,
/// where claims of dead pods are waiting.
struct NodeReadyStep: Step {
    let plan: Plan

    let id = "node-ready"
    var title: String { "See \(plan.replacement.node) Ready, its etcd member healthy" }
    let reason = "Nothing is rebuilt on a node that does not carry its part yet."
    let effects: [Effect] = []
    let estimate = 7

    func commands(_ inventory: Inventory) -> [String] {
        [
            plan.kubectl(["get", "node", plan.replacement.node, "-o", "json"])
        ] + plan.memberQuestions(inventory.cluster.distribution)
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        if let missing = try await missing(context) { return .needed(missing) }
        return .satisfied("Ready, \(plan.survivors.count + 1) healthy etcd members")
    }

    func run(_ context: RunContext) async throws {
        try await context.wait(for: "\(plan.replacement.node) to be whole", on: plan.replacement.host) {
            try await missing(context).map { .pending($0) } ?? .done(())
        }
    }

    private func missing(_ context: RunContext) async throws -> String? {
        let name = plan.replacement.node
        let kubectl = try context.kubectl()
        guard let node = try await ReplacementNode.find(plan, kubectl) else { return "\(name) is no node yet" }
        guard node.isReady else { return "\(name) is not Ready" }
        let members = try await context.etcdctl().members().filter { !plan.unsoundMemberIDs.contains($0.id) }
        guard
            let member = members.first(where: { plan.replacement.isAt($0) && $0.id != plan.member?.id })
        else {
            return "it is no etcd member yet"
        }
        guard member.isStarted, !member.isLearner else { return "its etcd member has not started" }
        let unhealthy = members.filter { !$0.isHealthy }
        guard unhealthy.isEmpty else {
            return "etcd member \(unhealthy.map(\.name).joined(separator: ", ")) is not healthy"
        }
        guard members.count == plan.survivors.count + 1 else { return "etcd has \(members.count) members" }
        return nil
    }
}
