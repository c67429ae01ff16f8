/// Cordons the other nodes, so that rebuilt claims land on the new one and MinIO's drives stay spread.
///
/// What is cordoned here carries an annotation, so that just these nodes are uncordoned, also by a later run after a crash.
struct CordonStep: Step {
    let plan: Plan

    let id = "cordon"
    var title: String { "Cordon \(plan.cordons.joined(separator: ", "))" }
    var effects: [Effect] { plan.cordons.map { .changes("node \($0): unschedulable for the time of the rebuild") } }

    func check(_ context: RunContext) async throws -> StepStatus {
        let open = try await Cordons.nodes(context).filter { plan.cordons.contains($0.name) && !$0.isCordoned }.map(
            \.name)
        return open.isEmpty ? .satisfied("cordoned") : .needed("schedulable: \(open.joined(separator: ", "))")
    }

    func run(_ context: RunContext) async throws {
        let kubectl = try context.kubectl()
        for node in try await Cordons.nodes(context) where plan.cordons.contains(node.name) && !node.isCordoned {
            try await kubectl.run([
                "annotate", "node", node.name, "--overwrite", "\(Cordons.annotation)=\(context.run.id)",
            ])
            try await kubectl.run(["cordon", node.name])
        }
    }

    func undo(_ context: RunContext) async throws {
        try await Cordons.release(context)
    }
}

/// Uncordons what was cordoned here, and only that.
struct UncordonStep: Step {
    let plan: Plan

    let id = "uncordon"
    var title: String { "Uncordon \(plan.cordons.joined(separator: ", "))" }
    var effects: [Effect] { plan.cordons.map { .changes("node \($0): schedulable again") } }

    func check(_ context: RunContext) async throws -> StepStatus {
        let ours = try await Cordons.ours(context).map(\.name)
        return ours.isEmpty
            ? .satisfied("none is cordoned by this tool")
            : .needed("cordoned by this tool: \(ours.joined(separator: ", "))")
    }

    func run(_ context: RunContext) async throws {
        try await Cordons.release(context)
    }
}

enum Cordons {
    static let annotation = "masterswap.cloudpods.org/cordoned-by"

    private struct Nodes: Decodable {
        var items: [Node]
    }

    static func nodes(_ context: RunContext) async throws -> [Node] {
        try await context.kubectl().get(Nodes.self, ["nodes"]).items
    }

    /// Nodes that this tool cordoned, whichever run of it.
    static func ours(_ context: RunContext) async throws -> [Node] {
        try await nodes(context).filter { $0.metadata.annotations?[annotation] != nil }
    }

    static func release(_ context: RunContext) async throws {
        let kubectl = try context.kubectl()
        for node in try await ours(context) {
            try await kubectl.run(["uncordon", node.name])
            try await kubectl.run(["annotate", "node", node.name, "\(annotation)-"])
            context.note("uncordoned \(node.name)")
        }
    }
}
