import Foundation

/// One connection to one host: one session, on a thread of its own, one command at a time.
actor Connection {
    private let executor: PooledThread
    /// `nil` before the connection is made and after it is closed.
    private var session: Session?

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init() throws(SystemError) {
        executor = try PooledThread.acquire()
    }

    deinit {
        executor.release()
    }

    var isOpen: Bool { session != nil }

    /// - Parameter through: a socket to use in place of a TCP connection, as ``Connector/connect(_:through:)`` has it.
    func connect(_ connector: Connector, _ waiter: Waiter, through: Int32?) throws(SSHError) {
        session = try connector.connect(waiter, through: through)
    }

    /// Runs one command. After a deadline, a cancellation or a loss the connection is closed, and the caller dials again.
    /// - Parameter isLast: whether the connection is closed in any case.
    func run(_ command: Command, on endpoint: Endpoint, _ waiter: Waiter, isLast: Bool) throws(SSHError)
        -> CommandResult
    {
        // Computed only for an error, because a script is long.
        var operation: String { "run \(command.display)" }
        guard let session else {
            throw SSHError(
                .connectionLost, host: endpoint.name, operation: operation, cause: "the connection is closed")
        }
        let shell = RemoteShell(command, timeout: waiter.limit, become: endpoint.become)
        do {
            let result = try Execution.run(
                shell, input: command.input, outputLimit: command.outputLimit, password: endpoint.become.password,
                on: session, waiter)
            if isLast { self.session = nil }
            return result
        } catch Execution.Failure.refused(let reason) {
            self.session = nil
            throw SSHError(
                .connectionLost, host: endpoint.name, operation: operation,
                cause: "the server would not run a command: \(reason); nothing ran",
                advice: "see MaxSessions and ForceCommand in its sshd_config")
        } catch Execution.Failure.sudo(let words) {
            self.session = nil
            let said = TerminalText.sanitize(words).trimmingCharacters(in: .whitespacesAndNewlines)
            throw SSHError(
                .authenticationFailed, host: endpoint.name, operation: "become root by sudo for \(command.display)",
                cause: said.isEmpty ? "sudo refused" : said,
                advice: endpoint.become.password == nil
                    ? "run again with --ask-sudo-password, or let \(endpoint.user) run commands without a password in sudoers; nothing ran"
                    : "check the password, or that sudoers lets \(endpoint.user) run commands; nothing ran")
        } catch Execution.Failure.noShell(let answer) {
            self.session = nil
            throw SSHError(
                .noShell, host: endpoint.name, operation: operation, cause: answer.cause,
                advice: answer.advice(user: endpoint.user))
        } catch Execution.Failure.afterSending(let error) {
            let hasEnded = endRemotely(shell, after: error, session, endpoint)
            self.session = nil
            throw unfinished(error, hasEnded: hasEnded, endpoint, operation, waiter.limit)
        } catch let stop as Stop {
            self.session = nil
            throw SSHError(
                stop == .cancelled ? .cancelled : .timedOut, host: endpoint.name, operation: operation,
                cause: stop == .cancelled
                    ? "cancelled before the command was sent; nothing ran"
                    : "no answer within \(waiter.limit.inWords), before the command was sent; nothing ran")
        } catch {
            self.session = nil
            throw SSHError(
                .connectionLost, host: endpoint.name, operation: operation,
                cause: "the connection was lost before the command was sent; nothing ran: \(error)")
        }
    }

    func close() {
        session = nil
    }

    // MARK: After a command that did not end

    /// Ends the remote process group over the same session, where the session can still be used, within five seconds that nothing
    /// cancels.
    /// - Returns: whether the process group has ended.
    private func endRemotely(_ shell: RemoteShell, after error: any Error, _ session: Session, _ endpoint: Endpoint)
        -> Bool
    {
        guard error is Stop, !session.isDirty else { return false }
        let result = try? Execution.run(
            shell.killing(become: endpoint.become), input: nil, outputLimit: 1024,
            password: endpoint.become.password, on: session, Waiter(limit: .seconds(5)))
        return result?.succeeded == true
    }

    private func unfinished(
        _ error: any Error, hasEnded: Bool, _ endpoint: Endpoint, _ operation: String, _ timeout: Duration
    ) -> SSHError {
        let limit = timeout.milliseconds / 1000 + 1 + RemoteShell.grace
        let fate =
            hasEnded
            ? "the remote process was ended"
            : "the remote process may be running still, for at most \(limit) s if the host has timeout(1)"
        func failure(_ code: SSHError.Code, _ cause: String) -> SSHError {
            SSHError(
                code, host: endpoint.name, operation: operation, cause: "\(cause); \(fate)",
                advice: hasEnded ? nil : "look on the host before it is run again")
        }
        switch error as? Stop {
        case .deadline: return failure(.timedOut, "no end within \(timeout.inWords)")
        case .cancelled: return failure(.cancelled, "cancelled")
        case nil: return failure(.outcomeUnknown, "no exit status came back: \(error)")
        }
    }
}

extension Endpoint.Become {
    var password: Secret? {
        if case .sudo(let password) = self { password } else { nil }
    }
}
