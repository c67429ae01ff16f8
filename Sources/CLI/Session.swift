import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting
import SSH

/// What a verb works with: the inventory, the way to its hosts, and where words and data go.
struct Session: Sendable {
    let inventory: Inventory
    let pool: ConnectionPool
    let remotes: Remotes
    let terminal: Terminal
    let source: AnswerSource

    /// - Parameters:
    ///   - keepsConnections: false where each host gets one command only.
    ///   - verb: `nil` for a verb that cannot be recorded.
    init(_ options: HostOptions, keepsConnections: Bool = true, verb: RecordedVerb? = nil) async throws {
        if let file = verb?.options.replayFile {
            self = try Session(options, replaying: file)
            return
        }
        let text = try Inventory.text(of: options.inventory.path)
        let inventory = try Inventory.parse(text, file: options.inventory.path)
        let terminal = Terminal(options)
        let logger = try options.log.logger(terminal)
        let pool = Self.pool(options.connection, terminal, keepsConnections: keepsConnections)
        let needsPassword = options.connection.askSudoPassword && inventory.hosts.contains { $0.ssh.become == .sudo }
        let password = needsPassword ? terminal.askSecret("sudo password: ") : nil
        let endpoints = await inventory.endpoints(sudoPassword: password)
        self.inventory = inventory
        self.pool = pool
        self.terminal = terminal
        let remotes = Remotes { host in
            guard let endpoint = endpoints[host.name] else {
                throw SSHError(
                    .invalidEndpoint, host: host.name, operation: "find the host", cause: "it is not in the inventory")
            }
            return pool.remote(try endpoint.get())
        }
        guard let verb, let file = verb.options.recordFile else {
            self.remotes = remotes.logging(to: logger)
            source = .hosts
            return
        }
        // Before any host is asked: a file that cannot be written is told at once.
        let recorder = try Recorder(
            file, program: Masterswap.configuration.version, verb: verb.name, arguments: verb.arguments,
            inventory: text, secrets: inventory.secretsAtHand + [password].compactMap(\.self))
        self.remotes = recorder.recording(remotes).logging(to: logger)
        source = .recordedHosts(recorder)
    }

    /// A session that asks a recording in place of the hosts, with its inventory unless another one is named.
    private init(_ options: HostOptions, replaying file: String) throws {
        let replay = Replay(
            try Recording(contentsOf: file), path: file, program: Masterswap.configuration.version)
        terminal = Terminal(options)
        pool = Self.pool(options.connection, terminal)
        inventory = try options.inventory.file.map { try Inventory.read($0) } ?? replay.inventory()
        remotes = replay.remotes.logging(to: try options.log.logger(terminal))
        source = .recording(replay)
    }

    /// The time for what is shown and decided: in a replay that of the recording.
    var now: Date { source.now ?? Date() }

    static func pool(_ options: ConnectionOptions, _ terminal: Terminal, keepsConnections: Bool = true)
        -> ConnectionPool
    {
        ConnectionPool(
            limits: .init(
                connect: .seconds(options.connectTimeout), command: .seconds(options.commandTimeout),
                concurrency: options.concurrency, keepsIdle: keepsConnections),
            acceptances: options.acceptedHostKeys.map(\.acceptance) + options.replacedHostKeys.map(\.acceptance),
            passphrase: { path in terminal.askSecret("Passphrase of \(path): ") },
            notice: { terminal.say($0) })
    }

    func observe() async throws -> ClusterState { try await observe(inventory) }

    /// - Parameter inventory: ours, or a part of it.
    /// - Throws: ``ClusterError`` where a recording does not hold what was asked.
    func observe(_ inventory: Inventory) async throws -> ClusterState {
        let count = HostCount(inventory.hosts, terminal)
        defer { count.end() }
        let state = await Observer(inventory, remotes, isOrdered: !source.isHosts, each: count.done).observe()
        if case .recording(let replay) = source { try replay.check() }
        return state
    }

    func observe(for request: ReplacementRequest) async throws -> ClusterState {
        try await observe(inventory.preparing(request))
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
        _ options: HostOptions, keepsConnections: Bool = true, verb: RecordedVerb? = nil,
        _ work: @escaping @Sendable (Session) async throws -> Void
    ) async throws {
        let session: Session
        do {
            session = try await Session(options, keepsConnections: keepsConnections, verb: verb)
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
            session.closeRecording()
            if error is ExitCode { throw error }
            if let error = error as? ValidationError {
                session.terminal.printResult(ResultLine(error, status: .usage, at: session.now))
                throw error
            }
            throw fail(error, session.terminal, at: session.now)
        }
        guard session.closeRecording() else { throw ExitCode(ExitStatus.checkOrStepFailed.rawValue) }
    }

    /// Ends a recording, whatever came of the verb: a refusal is what it is made for. An interrupted one gets no closing line.
    /// - Returns: false where it could not be written.
    @discardableResult
    private func closeRecording() -> Bool {
        guard case .recordedHosts(let recorder) = source, !Interrupt.isHeard else { return true }
        do {
            let count = try recorder.close()
            terminal.say(
                "recorded: \(count) answers in \(recorder.path), without secrets; it holds names, addresses and versions: look through it before you send it"
            )
            return true
        } catch {
            terminal.say(terminal.paint("error: ", .red) + TerminalText.sanitize("\(error)"))
            return false
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
    static func fail(_ error: any Error, _ terminal: Terminal, at now: Date = Date()) -> ExitCode {
        let status = ExitStatus(error)
        terminal.printResult(ResultLine(error, status: status, at: now))
        switch error {
        case let refused as Refused:
            Self.lines(refused, terminal).forEach(terminal.say)
        case is CancellationError: terminal.say("interrupted; whether a run is left to resume: masterswap runs")
        case let error as InventoryError: terminal.say("\(error)")
        default:
            let advice =
                status == .programFault
                ? "; this is a fault of masterswap itself: see where things stand with masterswap check, and report it, with a recording if check, inspect or plan shows it too: --record FILE"
                : ""
            terminal.say(terminal.paint("error: ", .red) + TerminalText.sanitize("\(error)") + advice)
        }
        return ExitCode(status.rawValue)
    }
}

/// The last line of `--output json` where no run had one: `{"event":"result","status":3,"text":"…","refusals":[…]}`.
struct ResultLine: Encodable {
    private(set) var event = Event.Name.result
    var at: Date
    var status: Int
    var text: String?
    /// Each with its rule, the reason and what to do next.
    var refusals: [Refusal]?

    init(status: ExitStatus, text: String? = nil, at now: Date = Date()) {
        at = now
        self.status = Int(status.rawValue)
        self.text = text
    }

    init(_ error: any Error, status: ExitStatus, at now: Date = Date()) {
        self.init(status: status, text: error is CancellationError ? "interrupted" : "\(error)", at: now)
        refusals = (error as? Refused)?.refusals
    }
}
