import Foundation

/// The connections of a pool to one endpoint: those in use, the idle ones, the dials under way and the commands that wait.
actor HostConnections: Remote {
    nonisolated let name: String
    let endpoint: Endpoint
    private let limits: ConnectionPool.Limits
    private let dialler: Dialler
    private var idle: [Connection] = []
    /// Connections in use, each with what cancels the command on it, also where that has not begun yet.
    private var busy: [ObjectIdentifier: Interrupt] = [:]
    /// The number of dials under way, with those that were granted to a waiting command.
    private var dialling = 0
    private var dials: [ObjectIdentifier: Interrupt] = [:]
    private var isClosed = false
    private var nextTicket = 0
    private var waiting: [Waiting] = []

    /// A waiting command. It is given a connection, or `nil`; then it dials itself, which `dialling` counts already.
    private typealias Waiting = (
        ticket: Int, interrupt: Interrupt, continuation: CheckedContinuation<Result<Connection?, SSHError>, Never>
    )

    /// A command that lasts longer than this does not hold up the next one: another connection is opened for it.
    private static let growthDelay = Duration.milliseconds(250)

    init(_ endpoint: Endpoint, _ limits: ConnectionPool.Limits, dialler: Dialler) {
        name = endpoint.name
        self.endpoint = endpoint
        self.limits = limits
        self.dialler = dialler
    }

    // MARK: Commands

    func run(_ command: Command) async throws -> CommandResult {
        try check(command)
        let interrupt = Interrupt()
        let result = await withTaskCancellationHandler {
            do throws(SSHError) {
                return Result<CommandResult, SSHError>.success(try await run(command, interrupt))
            } catch {
                return .failure(error)
            }
        } onCancel: {
            interrupt.cancel()
        }
        return try result.get()
    }

    private func run(_ command: Command, _ interrupt: Interrupt) async throws(SSHError) -> CommandResult {
        while true {
            let (connection, isReused) = try await lease(interrupt)
            do {
                let waiter = try Waiter(interrupt, limit: command.timeout ?? limits.command)
                let result = try await connection.run(command, on: endpoint, waiter, isLast: !limits.keepsIdle)
                release(connection, isSound: limits.keepsIdle)
                return result
            } catch {
                release(connection, isSound: await connection.isOpen)
                guard let error = error as? SSHError else {
                    throw .localFault(error, host: name, operation: "run \(command.display)")
                }
                // The peer may have closed the connection while it was idle. Nothing was sent, so nothing ran, and the host is dialled
                // again, once, because a new connection does not count as reused. The other idle ones may be closed too.
                guard error.code == .connectionLost, isReused else { throw error }
                idle = []
            }
        }
    }

    private nonisolated func check(_ command: Command) throws(SSHError) {
        func refuse(_ cause: String) -> SSHError {
            SSHError(
                .libraryFault, host: name, operation: "run \(TerminalText.sanitize(command.display))", cause: cause)
        }
        guard let program = command.arguments.first, !program.isEmpty else {
            throw refuse("there is no program to run")
        }
        guard !command.line.utf8.contains(0) else {
            throw refuse("an argument holds a NUL, which no program can be given")
        }
    }

    /// Ends the commands and dials under way.
    func close() async {
        isClosed = true
        for interrupt in busy.values { interrupt.cancel() }
        for interrupt in dials.values { interrupt.cancel() }
        while let next = next() {
            next.continuation.resume(returning: .failure(cancelled("the connections were closed")))
        }
        let connections = idle
        idle = []
        for connection in connections { await connection.close() }
    }

    // MARK: Leases

    private func lease(_ interrupt: Interrupt) async throws(SSHError) -> (Connection, isReused: Bool) {
        if interrupt.isCancelled { throw cancelled("cancelled") }
        if isClosed { throw cancelled("the connections were closed") }
        if let connection = idle.popLast() {
            busy[ObjectIdentifier(connection)] = interrupt
            return (connection, true)
        }
        if busy.isEmpty && dialling == 0 {
            dialling += 1
        } else if let connection = try await wait(interrupt).get() {
            return (connection, true)
        }
        return (try await dial(interrupt), false)
    }

    /// - Parameter isSound: whether another command can be run on the connection.
    private func release(_ connection: Connection, isSound: Bool) {
        busy[ObjectIdentifier(connection)] = nil
        if !isSound || isClosed {
            grantDial()
        } else if let next = next() {
            busy[ObjectIdentifier(connection)] = next.interrupt
            next.continuation.resume(returning: .success(connection))
        } else {
            idle.append(connection)
        }
    }

    private func dial(_ interrupt: Interrupt) async throws(SSHError) -> Connection {
        let connection: Connection
        dials[ObjectIdentifier(interrupt)] = interrupt
        defer { dials[ObjectIdentifier(interrupt)] = nil }
        do throws(SSHError) {
            connection = try await dialler.dial(endpoint, interrupt)
            dialling -= 1
        } catch {
            dialling -= 1
            if error.code == .cancelled {
                grantDial()
            } else if busy.isEmpty && dialling == 0 {
                // The commands that waited for this dial fail with its error.
                while let next = next() { next.continuation.resume(returning: .failure(error)) }
            }
            throw error
        }
        if isClosed {
            await connection.close()
            throw cancelled("the connections were closed")
        }
        busy[ObjectIdentifier(connection)] = interrupt
        return connection
    }

    /// Lets the next waiting command dial, where one more connection is allowed.
    private func grantDial() {
        guard busy.count + dialling < maximum, let next = next() else { return }
        dialling += 1
        next.continuation.resume(returning: .success(nil))
    }

    private var maximum: Int { max(limits.connectionsPerHost, 1) }

    // MARK: Waiting

    private func next() -> Waiting? {
        waiting.isEmpty ? nil : waiting.removeFirst()
    }

    private func wait(_ interrupt: Interrupt) async -> Result<Connection?, SSHError> {
        nextTicket += 1
        let ticket = nextTicket
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if interrupt.isCancelled || Task.isCancelled {
                    continuation.resume(returning: .failure(cancelled("cancelled")))
                    return
                }
                waiting.append((ticket, interrupt, continuation))
                Task {
                    repeat { try? await Task.sleep(for: Self.growthDelay) } while !growIfWaiting(ticket)
                }
            }
        } onCancel: {
            Task { await self.abandon(ticket) }
        }
    }

    /// - Returns: whether the command has stopped waiting.
    private func growIfWaiting(_ ticket: Int) -> Bool {
        guard let index = waiting.firstIndex(where: { $0.ticket == ticket }) else { return true }
        guard dialling == 0, busy.count < maximum else { return false }
        dialling += 1
        waiting.remove(at: index).continuation.resume(returning: .success(nil))
        return true
    }

    private func abandon(_ ticket: Int) {
        guard let index = waiting.firstIndex(where: { $0.ticket == ticket }) else { return }
        waiting.remove(at: index).continuation.resume(returning: .failure(cancelled("cancelled")))
    }

    private func cancelled(_ why: String) -> SSHError {
        SSHError(
            .cancelled, host: name, operation: "wait for a connection", cause: "\(why) before the command was sent")
    }

    // MARK: Files

    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {
        try await change(path, "write \(path)", .writing(contents, to: path, mode: mode))
    }

    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {
        try await change(path, "replace \(path)", .replacing(path, expected: expected, with: contents))
    }

    private func change(_ path: String, _ operation: String, _ command: Command) async throws {
        guard path.hasPrefix("/"), !path.hasSuffix("/"), !path.utf8.contains(0) else {
            throw SSHError(
                .remoteFile, host: name, operation: operation, cause: "\"\(path)\" is not the full path of a file")
        }
        let result = try await run(command)
        guard !result.succeeded else { return }
        let words = TerminalText.sanitize(result.errorText).trimmingCharacters(in: .whitespacesAndNewlines)
        let cause = words.isEmpty ? "\(result.outcome)" : words
        guard result.outcome != .exited(Command.fileHasChanged) else {
            throw SSHError(
                .fileChanged, host: name, operation: operation, cause: cause,
                advice: "read it again and decide again; it was not touched")
        }
        throw SSHError(.remoteFile, host: name, operation: operation, cause: "\(cause); the file was not touched")
    }
}
