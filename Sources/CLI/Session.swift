import ArgumentParser
import Foundation
import Orchestrator
import SSH

/// What a verb works with: the inventory, the way to its hosts, and where words and data go.
struct Session: Sendable {
    let inventory: Inventory
    let pool: ConnectionPool
    let remotes: Remotes
    let terminal: Terminal

    /// - Parameter keepsConnections: false where each host gets one command only.
    init(_ options: GlobalOptions, keepsConnections: Bool = true) async throws {
        let inventory = try Inventory.read(options.inventoryPath)
        let terminal = Terminal(options)
        let pool = Self.pool(options, terminal, keepsConnections: keepsConnections)
        let needsPassword = options.askSudoPassword && inventory.hosts.contains { $0.ssh.become == .sudo }
        let password = needsPassword ? terminal.askSecret("sudo password: ") : nil
        let endpoints = await inventory.endpoints(sudoPassword: password)
        self.inventory = inventory
        self.pool = pool
        self.terminal = terminal
        remotes = Remotes { host in
            guard let endpoint = endpoints[host.name] else {
                throw SSHError(
                    .invalidEndpoint, host: host.name, operation: "find the host", cause: "it is not in the inventory")
            }
            return pool.remote(try endpoint.get())
        }
    }

    static func pool(_ options: GlobalOptions, _ terminal: Terminal, keepsConnections: Bool = true) -> ConnectionPool {
        ConnectionPool(
            limits: .init(
                connect: .seconds(options.connectTimeout), command: .seconds(options.commandTimeout),
                concurrency: options.concurrency, keepsIdle: keepsConnections),
            acceptances: options.acceptedHostKeys.map(\.acceptance) + options.replacedHostKeys.map(\.acceptance),
            passphrase: { path in terminal.askSecret("Passphrase of \(path): ") },
            notice: { terminal.say($0) })
    }

    func observe() async -> ClusterState { await observe(inventory) }

    /// - Parameter inventory: ours, or a part of it.
    func observe(_ inventory: Inventory) async -> ClusterState {
        let count = HostCount(inventory.hosts, terminal)
        defer { count.end() }
        return await Observer(inventory, remotes, each: count.done).observe()
    }

    func observe(for request: ReplacementRequest) async -> ClusterState {
        await observe(inventory.preparing(request))
    }

    /// The hosts that `--limit` names.
    /// - Throws: `ValidationError` where it names none.
    func hosts(limit: String?) throws -> [Inventory.Host] {
        guard let limit else { return inventory.hosts }
        let patterns = limit.split(separator: ",").map(String.init)
        let hosts = inventory.hosts.filter { host in
            patterns.contains { fnmatch($0, host.name, 0) == 0 || $0 == host.address || $0 == host.role.rawValue }
        }
        guard !hosts.isEmpty else {
            throw ValidationError(
                "--limit \(limit) matches no host; hosts: \(inventory.hosts.map(\.name).joined(separator: ", "))")
        }
        return hosts
    }

    /// Runs a verb's work, tells an error on standard error, and ends with the status that the contract has for it.
    static func run(
        _ options: GlobalOptions, keepsConnections: Bool = true,
        _ work: @escaping @Sendable (Session) async throws -> Void
    ) async throws {
        let session: Session
        do {
            session = try await Session(options, keepsConnections: keepsConnections)
        } catch let error as ValidationError {
            throw error
        } catch {
            throw fail(error, Terminal(options))
        }
        do {
            try await Interrupt.cancelling { try await work(session) }
            await session.pool.close()
        } catch {
            await session.pool.close()
            if error is ExitCode { throw error }
            if let error = error as? ValidationError {
                session.terminal.printResult(ResultLine(error, status: .usage))
                throw error
            }
            throw fail(error, session.terminal)
        }
    }

    static func lines(_ refused: Refused, _ terminal: Terminal) -> [String] {
        [terminal.paint("Refused; nothing was changed.", .red)]
            + refused.refusals.flatMap { refusal in
                terminal.lines("  \(refusal.rule): ", refusal.reason, style: .bold)
                    + terminal.lines("      → ", refusal.advice)
            }
    }

    /// Tells it to a person, and as the last line of JSON where a program asked.
    static func fail(_ error: any Error, _ terminal: Terminal) -> ExitCode {
        let status = ExitStatus(error)
        terminal.printResult(ResultLine(error, status: status))
        switch error {
        case let refused as Refused:
            Self.lines(refused, terminal).forEach(terminal.say)
        case is CancellationError: terminal.say("interrupted; whether a run is left to resume: masterswap runs")
        case let error as InventoryError: terminal.say("\(error)")
        default:
            let advice =
                status == .programFault
                ? "; this is a fault of masterswap itself: see where things stand with masterswap check, and report it"
                : ""
            terminal.say(terminal.paint("error: ", .red) + TerminalText.sanitize("\(error)") + advice)
        }
        return ExitCode(status.rawValue)
    }
}

/// The last line of `--output json` where no run had one: `{"event":"result","status":3,"text":"…","refusals":[…]}`.
struct ResultLine: Encodable {
    private(set) var event = Event.Name.result
    var at = Date()
    var status: Int
    var text: String?
    /// Each with its rule, the reason and what to do next.
    var refusals: [Refusal]?

    init(status: ExitStatus, text: String? = nil) {
        self.status = Int(status.rawValue)
        self.text = text
    }

    init(_ error: any Error, status: ExitStatus) {
        self.init(status: status, text: error is CancellationError ? "interrupted" : "\(error)")
        refusals = (error as? Refused)?.refusals
    }
}
