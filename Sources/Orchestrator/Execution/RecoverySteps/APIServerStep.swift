import Cluster
import Inventories
import Planning
import SSH

/// Waits until the survivor's API server answers.
struct APIServerStep: Step {
    let plan: RecoveryPlan

    let id = "api-server"
    var title: String { "See that the API server on \(plan.survivor.host) answers" }
    var reason: String { plan.kind.apiServerComesBack }
    let effects: [Effect] = []
    let estimate = 5

    func commands(_ inventory: Inventory) -> [String] { [PlannedCommands.told(plan.survivor.host, look(inventory))] }

    private func look(_ inventory: Inventory) -> Command {
        let cluster = inventory.cluster
        let server = "\(IPAddress.inURL(plan.survivor.address)):\(cluster.apiPort)"
        let arguments = ["--request-timeout=5s", "get", "--raw", "/healthz"]
        return Command(
            Kubectl.prefix(cluster.distribution, apiServer: server) + arguments, timeout: .seconds(15),
            label: Kubectl.label(arguments))
    }

    private func why(_ context: RunContext) async throws -> String? {
        let result = try await context.remote(plan.survivor.host).run(look(context.inventory))
        guard !result.succeeded else { return nil }
        return Kubectl.failure(
            "get /healthz", result, host: plan.survivor.host, of: context.inventory.cluster.distribution
        ).cause
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        try await why(context).map { .needed($0) } ?? .satisfied("it answers")
    }

    func run(_ context: RunContext) async throws {
        try await context.wait(for: "the API server on \(plan.survivor.host)") {
            try await why(context).map { .pending($0) } ?? .done(())
        }
    }
}
