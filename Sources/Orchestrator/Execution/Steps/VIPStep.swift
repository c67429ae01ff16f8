import Cluster
import Inventories
import Planning
import SSH

/// Waits until exactly one surviving master holds the VIP and an API server answers there: the join goes by way of it.
struct VIPStep: Step {
    let vip: String
    let primary: String
    /// The inventory's names of those who may hold it.
    let hosts: [String]

    init(plan: Plan) { self.init(plan.scene) }
    init(_ scene: RunScene) {
        vip = scene.vip
        primary = scene.primary.host
        hosts = scene.masters.map(\.host)
    }

    let id = "vip"
    var title: String { "See that one master holds the VIP \(vip)" }
    let reason = "The join goes by way of the VIP: with two holders, or none, it would fail half-way."
    let effects: [Effect] = []
    let estimate = 1

    func commands(_ inventory: Inventory) -> [String] { VIP.commands(vip, on: primary, hosts, inventory) }

    func check(_ context: RunContext) async throws -> StepStatus {
        switch try await VIP.look(hosts, context) {
        case .held(let holder): .satisfied("\(holder) holds it, the API answers there")
        case .unsettled(let why): .needed(why)
        }
    }

    func run(_ context: RunContext) async throws {
        _ = try await VIP.settle(hosts, on: nil, samples: 1, context)
    }
}

/// Who holds the VIP, asked of every live master: on whatever interface, the runbook's own moved it to br0.
enum VIP {
    enum Sight: Sendable {
        /// By exactly one host, and an API server answers on it.
        case held(by: String)
        case unsettled(String)
    }

    private static let addresses = Command(["ip", "-o", "-4", "addr"], timeout: .seconds(10))

    private static func health(_ vip: String, _ cluster: Inventory.Cluster) -> Command {
        Command(
            cluster.distribution.kubectl + [
                "--server", "https://\(vip):\(cluster.apiPort)", "--request-timeout=3s", "get", "--raw", "/healthz",
            ],
            timeout: .seconds(10))
    }

    /// The looks, before they are done.
    static func commands(
        _ vip: String, on primary: String, _ hosts: [String], _ inventory: Inventory
    ) -> [String] {
        hosts.map { PlannedCommands.told($0, addresses) }
            + [PlannedCommands.told(primary, health(vip, inventory.cluster)) + " # on the holder"]
    }

    /// The names of those that have the VIP on an interface, sorted.
    /// - Throws: where one of them does not tell.
    static func holders(of vip: String, _ remotes: [any Remote]) async throws -> [String] {
        try await withThrowingTaskGroup(of: String?.self) { group in
            for remote in remotes {
                group.addTask {
                    let result = try await remote.run(addresses)
                    guard result.succeeded else {
                        throw ClusterError(
                            .commandFailed, host: remote.name, operation: addresses.display,
                            cause: "\(result.outcome): \(result.errorText.lastLines(1))",
                            advice: "see that ip(8) works there; then go on with: masterswap resume")
                    }
                    let isHeld = result.text.split(separator: "\n").compactMap(HostProbe.address).contains {
                        $0.address == vip && $0.interface != HostFacts.serviceInterface
                    }
                    return isHeld ? remote.name : nil
                }
            }
            return try await group.reduce(into: []) { if let holder = $1 { $0.append(holder) } }.sorted()
        }
    }

    static func look(_ hosts: [String], _ context: RunContext) async throws -> Sight {
        let vip = context.scene.vip
        let holders = try await holders(of: vip, hosts.map(context.remote))
        guard let holder = holders.first else { return .unsettled("no master holds \(vip)") }
        guard holders.count == 1 else { return .unsettled("\(holders.joined(separator: " and ")) hold \(vip)") }
        let answer = try await context.remote(holder).run(health(vip, context.inventory.cluster))
        return answer.succeeded ? .held(by: holder) : .unsettled("\(holder) holds it, but no API server answers there")
    }

    /// Waits for the same good sight several times in a row: a VIP on the move looks settled for a moment, too.
    static func settle(_ hosts: [String], on wanted: String?, samples: Int, _ context: RunContext) async throws
        -> String
    {
        var good = 0
        return try await context.wait(for: "one holder of \(context.scene.vip)", limit: .seconds(180)) {
            switch try await look(hosts, context) {
            case .held(let holder) where wanted == nil || holder == wanted:
                good += 1
                return good >= samples ? .done(holder) : .pending("\(holder) holds it")
            case .held(let holder):
                good = 0
                return .pending("\(holder) holds it")
            case .unsettled(let why):
                good = 0
                return .pending(why)
            }
        }
    }
}
