/// Waits for the new master to be whole: its node Ready, its etcd member started and healthy, its static pods Ready.
struct NodeReadyStep: Step {
    let plan: Plan

    let id = "node-ready"
    var title: String { "See \(plan.replacement.node) Ready, its etcd member healthy" }
    let effects: [Effect] = []

    func check(_ context: RunContext) async throws -> StepStatus {
        if let missing = try await missing(context) { return .needed(missing) }
        return .satisfied("Ready, \(plan.survivors.count + 1) healthy etcd members, static pods Ready")
    }

    func run(_ context: RunContext) async throws {
        try await context.wait(for: "\(plan.replacement.node) to be whole", on: plan.replacement.host) {
            try await missing(context).map { .pending($0) } ?? .done(())
        }
    }

    private struct Pods: Decodable {
        var items: [Pod]
    }

    private func missing(_ context: RunContext) async throws -> String? {
        let name = plan.replacement.node
        let kubectl = try context.kubectl()
        guard let node = try await kubectl.find(Node.self, ["node", name]) else { return "\(name) is no node yet" }
        guard node.isReady else { return "\(name) is not Ready" }
        let members = try await context.etcdctl().members()
        guard let member = members.first(where: { $0.addresses.contains(plan.replacement.address) }) else {
            return "it is no etcd member yet"
        }
        guard member.isStarted, !member.isLearner else { return "its etcd member has not started" }
        let unhealthy = members.filter { !$0.isHealthy }
        guard unhealthy.isEmpty else {
            return "etcd member \(unhealthy.map(\.name).joined(separator: ", ")) is not healthy"
        }
        guard members.count == plan.survivors.count + 1 else { return "etcd has \(members.count) members" }
        let pods = try await kubectl.get(
            Pods.self, ["pods", "-n", "kube-system", "--field-selector", "spec.nodeName=\(name)"]
        ).items
        let unready = pods.filter { $0.isMirror && !$0.isReady }.map(\.name)
        return unready.isEmpty ? nil : "not Ready yet: \(unready.joined(separator: ", "))"
    }
}
