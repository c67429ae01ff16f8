import Foundation

/// A host behind a pool.
struct PooledRemote: Remote {
    let endpoint: Endpoint
    let limits: ConnectionPool.Limits
    let connections: HostConnections

    var name: String { endpoint.name }

    func run(_ command: Command) async throws -> CommandResult {
        try await execute(command)
    }

    private func execute(_ command: Command) async throws(SSHError) -> CommandResult {
        try check(command)
        let interrupt = Interrupt()
        let result = await withTaskCancellationHandler {
            do throws(SSHError) {
                return Result<CommandResult, SSHError>.success(try await attempt(command, interrupt))
            } catch {
                return .failure(error)
            }
        } onCancel: {
            interrupt.cancel()
        }
        return try result.get()
    }

    private func attempt(_ command: Command, _ interrupt: Interrupt) async throws(SSHError) -> CommandResult {
        let timeout = command.timeout ?? limits.command
        while true {
            let lease = try await connections.lease(interrupt)
            do {
                let result = try await lease.connection.run(
                    command, on: endpoint, timeout: timeout, interrupt: interrupt, isLast: !limits.keepsIdle)
                await connections.release(lease, isSound: limits.keepsIdle)
                return result
            } catch {
                await connections.release(lease, isSound: await lease.connection.isOpen)
                // Lost while it lay idle, and before anything was sent: nothing ran, so it is dialled again, once; a
                // connection just dialled is not reused.
                guard error.code == .connectionLost, lease.isReused else { throw error }
                await connections.dropIdle()
            }
        }
    }

    private func check(_ command: Command) throws(SSHError) {
        func refuse(_ cause: String) -> SSHError {
            SSHError(
                .libraryFault, host: name, operation: "run \(TerminalText.sanitize(command.display))", cause: cause)
        }
        guard let program = command.arguments.first, !program.isEmpty else {
            throw refuse("there is no program to run")
        }
        guard command.line.allBytes({ $0 != 0 }) else {
            throw refuse("an argument holds a NUL, which no program can be given")
        }
    }

    // MARK: Files

    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {
        let operation = "write \(path)"
        try check(path, operation)
        let command = RemoteFile.upload(contents, to: path, mode: mode)
        try RemoteFile.check(try await run(command), host: name, operation: operation)
    }

    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {
        let operation = "replace \(path)"
        try check(path, operation)
        let command = RemoteFile.replace(path, expected: expected, with: contents)
        try RemoteFile.check(try await run(command), host: name, operation: operation)
    }

    private func check(_ path: String, _ operation: String) throws(SSHError) {
        guard path.hasPrefix("/"), !path.hasSuffix("/"), !path.utf8.contains(0) else {
            throw SSHError(
                .remoteFile, host: name, operation: operation, cause: "\"\(path)\" is not the full path of a file")
        }
    }
}
