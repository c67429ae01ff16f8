import Foundation

/// The connections to one endpoint: who has one, who waits for one, who dials.
actor HostConnections {
    struct Lease: Sendable {
        let connection: Connection
        /// It served a command before: it may have been lost since, without anybody's knowing.
        let isReused: Bool
    }

    private enum Grant {
        case lease(Lease)
        /// The one who waited dials; its place is counted already.
        case dial
        case failed(SSHError)
    }

    private let endpoint: Endpoint
    private let maximum: Int
    private let dialler: Dialler
    private var idle: [Connection] = []
    /// With what ends the work of the one who has it, also where that has not begun yet.
    private var busy: [ObjectIdentifier: Interrupt] = [:]
    private var dialling = 0
    private var dials: [ObjectIdentifier: Interrupt] = [:]
    private var isClosed = false
    private var nextTicket = 0
    private var waiting: [(ticket: Int, interrupt: Interrupt, continuation: CheckedContinuation<Grant, Never>)] = []

    /// A command that lasts longer than this does not hold up the next one: another connection is opened for it.
    private static let patience = Duration.milliseconds(250)

    init(
        _ endpoint: Endpoint, _ limits: ConnectionPool.Limits, dialler: Dialler
    ) {
        self.endpoint = endpoint
        maximum = max(limits.connectionsPerHost, 1)
        self.dialler = dialler
    }

    func lease(_ interrupt: Interrupt) async throws(SSHError) -> Lease {
        if interrupt.isCancelled { throw cancelled("cancelled") }
        if isClosed { throw cancelled("the connections were closed") }
        if let connection = idle.popLast() {
            busy[ObjectIdentifier(connection)] = interrupt
            return Lease(connection: connection, isReused: true)
        }
        if busy.isEmpty && dialling == 0 {
            dialling += 1
            return try await open(interrupt)
        }
        switch await wait(interrupt) {
        case .lease(let lease): return lease
        case .dial: return try await open(interrupt)
        case .failed(let error): throw error
        }
    }

    /// - Parameter isSound: another command may be run on it.
    func release(_ lease: Lease, isSound: Bool) {
        let connection = lease.connection
        if !isSound || isClosed {
            busy[ObjectIdentifier(connection)] = nil
            letOneDial()
        } else if let next = next() {
            busy[ObjectIdentifier(connection)] = next.interrupt
            next.continuation.resume(returning: .lease(Lease(connection: connection, isReused: true)))
        } else {
            busy[ObjectIdentifier(connection)] = nil
            idle.append(connection)
        }
    }

    /// After one connection was found dead: the ones beside it are no better.
    func dropIdle() {
        idle = []
    }

    func close() async {
        isClosed = true
        for interrupt in busy.values { interrupt.cancel() }
        for interrupt in dials.values { interrupt.cancel() }
        while let next = next() {
            next.continuation.resume(returning: .failed(cancelled("the connections were closed")))
        }
        let connections = idle
        idle = []
        for connection in connections { await connection.close() }
    }

    // MARK: Dialling

    private func open(_ interrupt: Interrupt) async throws(SSHError) -> Lease {
        let connection: Connection
        dials[ObjectIdentifier(interrupt)] = interrupt
        defer { dials[ObjectIdentifier(interrupt)] = nil }
        do throws(SSHError) {
            connection = try await dialler.dial(endpoint, interrupt)
            dialling -= 1
        } catch {
            dialling -= 1
            if error.code == .cancelled {
                letOneDial()
            } else if busy.isEmpty && dialling == 0 {
                // They waited for this dial: it was theirs too.
                while let next = next() { next.continuation.resume(returning: .failed(error)) }
            }
            throw error
        }
        if isClosed {
            await connection.close()
            throw cancelled("the connections were closed")
        }
        busy[ObjectIdentifier(connection)] = interrupt
        return Lease(connection: connection, isReused: false)
    }

    private func letOneDial() {
        guard busy.count + dialling < maximum, let next = next() else { return }
        dialling += 1
        next.continuation.resume(returning: .dial)
    }

    // MARK: Waiting

    private func next() -> (ticket: Int, interrupt: Interrupt, continuation: CheckedContinuation<Grant, Never>)? {
        waiting.isEmpty ? nil : waiting.removeFirst()
    }

    private func wait(_ interrupt: Interrupt) async -> Grant {
        nextTicket += 1
        let ticket = nextTicket
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if interrupt.isCancelled || Task.isCancelled {
                    continuation.resume(returning: .failed(cancelled("cancelled")))
                    return
                }
                waiting.append((ticket, interrupt, continuation))
                Task {
                    repeat { try? await Task.sleep(for: Self.patience) } while !growIfWaiting(ticket)
                }
            }
        } onCancel: {
            Task { await self.abandon(ticket) }
        }
    }

    /// - Returns: whether that one waits no more.
    private func growIfWaiting(_ ticket: Int) -> Bool {
        guard let index = waiting.firstIndex(where: { $0.ticket == ticket }) else { return true }
        guard dialling == 0, busy.count < maximum else { return false }
        dialling += 1
        waiting.remove(at: index).continuation.resume(returning: .dial)
        return true
    }

    private func abandon(_ ticket: Int) {
        guard let index = waiting.firstIndex(where: { $0.ticket == ticket }) else { return }
        waiting.remove(at: index).continuation.resume(returning: .failed(cancelled("cancelled")))
    }

    private func cancelled(_ why: String) -> SSHError {
        SSHError(
            .cancelled, host: endpoint.name, operation: "wait for a connection",
            cause: "\(why) before the command was sent")
    }
}
