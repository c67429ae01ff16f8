import Cluster
import Inventories
import Planning

/// Cordons the other nodes, so that rebuilt claims land on the new one and MinIO's drives stay spread.
///
/// What is cordoned here carries an annotation, so that just these nodes are uncordoned, also by a later run after a crash.
struct CordonStep: Step {
    let plan: Plan
    let round: RebuildRound
    static let id = "cordon"

    var id: String { round.id(Self.id) }
    var title: String { "Cordon \(plan.cordons.joined(separator: ", "))\(round.number > 1 ? " again" : "")" }
    var reason: String {
        "What is rebuilt must land on \(plan.replacement.node), or MinIO's drives would share a node."
    }
    let estimate = 1
    var effects: [Effect] {
        plan.cordons.map { .changes("node \($0): unschedulable until what is rebuilt is in its place") }
    }

    func commands(_ inventory: Inventory) -> [String] {
        plan.cordons.flatMap { Cordons.cordon($0, by: Plan.runName).map(plan.kubectl) }
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        // Resumed while MinIO heals, there is nothing to keep other nodes closed for.
        guard try await isToBePlaced(context) else { return .satisfied("nothing is left to be placed") }
        let open = try await Cordons.nodes(context).filter { plan.cordons.contains($0.name) && !$0.isCordoned }.map(
            \.name)
        return open.isEmpty ? .satisfied("cordoned") : .needed("schedulable: \(open.joined(separator: ", "))")
    }

    func run(_ context: RunContext) async throws {
        let kubectl = try context.kubectl()
        for node in try await Cordons.nodes(context) where plan.cordons.contains(node.name) && !node.isCordoned {
            for arguments in Cordons.cordon(node.name, by: context.run.id) { try await kubectl.run(arguments) }
        }
    }

    private func isToBePlaced(_ context: RunContext) async throws -> Bool {
        for rebuild in round.rebuilds where plan.reasonToPassOver(rebuild.id) == nil {
            if try await Placement(plan: plan, rebuild: rebuild).missing(context) != nil { return true }
        }
        return false
    }

    /// A claim that was deleted and is not bound again yet would land on any node that is schedulable: it is waited for first,
    /// but not for ever.
    func undo(_ context: RunContext) async throws {
        guard try await !Cordons.ours(context).isEmpty else { return }
        try? await context.wait(for: "deleted claims to be Bound before the nodes are uncordoned", limit: .seconds(90))
        {
            let open = try await unbound(context)
            return open.isEmpty ? .done(()) : .pending(open.joined(separator: ", "))
        }
        try await Cordons.release(context)
    }

    /// Claims of the plan that are gone, or recreated and not bound.
    private func unbound(_ context: RunContext) async throws -> [String] {
        let claims = try await context.kubectl().list(Claim.self, ["persistentvolumeclaims", "-A"])
        let rebuilds = plan.rebuilds.filter { plan.reasonToPassOver($0.id) == nil }
        return rebuilds.flatMap(\.claims).map(\.claim).filter { planned in
            let claim = claims.first { $0.reference == planned.reference }
            return claim?.isBound != true
        }.map(\.reference)
    }
}

/// Uncordons what was cordoned here, and only that. What was rebuilt is held on the new node by its volumes from here on; all else may
/// go to any node again while MinIO heals.
struct UncordonStep: Step {
    let plan: Plan
    /// `nil` where nothing is rebuilt.
    let round: RebuildRound?
    static let id = "uncordon"

    var id: String { round?.id(Self.id) ?? Self.id }
    var title: String { "Uncordon \(names.joined(separator: ", "))" }
    let reason = "Just what was cordoned for the rebuild is opened again."
    let estimate = 1
    var effects: [Effect] { names.map { .changes("node \($0): schedulable again") } }

    /// What this run cordons, and what an earlier one left so.
    private var names: [String] {
        (round == nil ? [] : plan.cordons) + (round?.number ?? 1 == 1 ? plan.oldCordons ?? [] : [])
    }

    func commands(_ inventory: Inventory) -> [String] {
        names.flatMap { Cordons.uncordon($0).map(plan.kubectl) }
    }

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
    /// The annotation first, so that a run that is cut off in between leaves no cordon that nobody knows.
    static func cordon(_ node: String, by run: String) -> [[String]] {
        [["annotate", "node", node, "--overwrite", "\(Node.cordonAnnotation)=\(run)"], ["cordon", node]]
    }

    static func uncordon(_ node: String) -> [[String]] {
        [["uncordon", node], ["annotate", "node", node, "\(Node.cordonAnnotation)-"]]
    }

    static func nodes(_ context: RunContext) async throws -> [Node] {
        try await context.kubectl().list(Node.self, ["nodes"])
    }

    /// Nodes that this tool cordoned, whichever run of it.
    static func ours(_ context: RunContext) async throws -> [Node] {
        try await nodes(context).filter { $0.metadata.annotations?[Node.cordonAnnotation] != nil }
    }

    static func release(_ context: RunContext) async throws {
        let kubectl = try context.kubectl()
        for node in try await ours(context) {
            for arguments in uncordon(node.name) { try await kubectl.run(arguments) }
            context.note("uncordoned \(node.name)")
        }
    }
}
