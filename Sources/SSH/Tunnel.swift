import Synchronization

/// A connection to a jump host that carries others, each over a direct-tcpip channel (RFC 4254 §7.2).
///
/// One thread owns the session. Each inner connection has one end of a socket pair in place of a TCP connection, and on the thread
/// ``Pump`` moves bytes between the other ends and the channels.
final class Tunnel: Sendable {
    enum Opening: Sendable {
        case opened(Int32)
        case failed(SSHError)
        /// The connection to the jump host was lost, and nothing was sent to the target.
        case lost
        /// The opening for another target takes long, and this one was not begun.
        case busy
    }

    /// A request for a connection to a target. It is answered once: by the thread, or by the caller's deadline or cancellation.
    final class Request: Sendable {
        let endpoint: Endpoint
        private let answer = Mutex<(value: Opening?, continuation: CheckedContinuation<Opening, Never>?)>((nil, nil))

        init(_ endpoint: Endpoint) {
            self.endpoint = endpoint
        }

        /// - Returns: false where another answer came first; then the socket still belongs to the caller.
        @discardableResult
        func answer(_ opening: Opening) -> Bool {
            let (isFirst, continuation) = answer.withLock { answer in
                guard answer.value == nil else { return (false, nil as CheckedContinuation<Opening, Never>?) }
                answer.value = opening
                defer { answer.continuation = nil }
                return (true, answer.continuation)
            }
            continuation?.resume(returning: opening)
            return isFirst
        }

        var isAnswered: Bool { answer.withLock { $0.value != nil } }

        func wait() async -> Opening {
            await withCheckedContinuation { continuation in
                let value = answer.withLock { answer in
                    if answer.value == nil { answer.continuation = continuation }
                    return answer.value
                }
                if let value { continuation.resume(returning: value) }
            }
        }
    }

    private struct State {
        var requests: [Request] = []
        var isAlive = true
        var openingSince: ContinuousClock.Instant?
    }

    let hop: Endpoint
    /// Wakes the thread for a new request.
    let wakePipe: WakePipe
    /// The limit of one call on the session; cancelled when the tunnel is closed.
    let waiter: Waiter
    private let state = Mutex(State())
    private let stop = Interrupt()

    init(hop: Endpoint) throws(SystemError) {
        self.hop = hop
        wakePipe = try WakePipe()
        waiter = try Waiter(stop, limit: .seconds(30))
    }

    static func connect(_ connector: Connector, _ waiter: Waiter, through: Int32?) async throws(SSHError) -> Tunnel {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Tunnel, SSHError>, Never>) in
            do throws(SystemError) {
                let tunnel = try Tunnel(hop: connector.endpoint)
                try PooledThread.start {
                    do throws(SSHError) {
                        let session = try connector.connect(waiter, through: through)
                        continuation.resume(returning: .success(tunnel))
                        tunnel.run(session)
                    } catch {
                        continuation.resume(returning: .failure(error))
                    }
                }
            } catch {
                if let through { _ = Descriptor(owning: through) }
                continuation.resume(
                    returning: .failure(.localFault(error, host: connector.endpoint.name, operation: "connect")))
            }
        }
        return try result.get()
    }

    var isAlive: Bool { state.withLock { $0.isAlive } }

    /// Whether an opening has lasted longer than a target that is up needs.
    var isStalled: Bool {
        state.withLock { state in
            guard let since = state.openingSince else { return false }
            return .now - since > .seconds(1)
        }
    }

    func open(to endpoint: Endpoint, _ waiter: Waiter) async -> Opening {
        let request = Request(endpoint)
        let isTaken = state.withLock { state in
            if state.isAlive { state.requests.append(request) }
            return state.isAlive
        }
        guard isTaken else { return .lost }
        wakePipe.wake()
        let error = { @Sendable (code: SSHError.Code, cause: String) in
            SSHError(code, host: endpoint.name, operation: "connect by way of \(self.hop.name)", cause: cause)
        }
        let timer = Task {
            try await Task.sleep(for: waiter.remaining)
            request.answer(.failed(error(.unreachable, "no answer in time")))
        }
        defer { timer.cancel() }
        return await withTaskCancellationHandler {
            await request.wait()
        } onCancel: {
            request.answer(.failed(error(.cancelled, "cancelled")))
        }
    }

    func close() {
        stop.cancel()
    }

    // MARK: For the thread

    /// Serves the inner connections until the connection is lost or the tunnel is closed.
    /// - Parameter longestSleep: milliseconds after which the channels are checked again where no descriptor is ready.
    func run(_ session: Session, longestSleep: Int32 = 1000) {
        var pump = Pump(self, session, longestSleep: longestSleep)
        pump.run()
        let requests = state.withLock { state in
            state.isAlive = false
            defer { state.requests = [] }
            return state.requests
        }
        for request in requests { request.answer(.lost) }
    }

    func nextRequest() -> Request? {
        state.withLock { state in
            state.requests.removeAll { $0.isAnswered }
            guard state.openingSince == nil, !state.requests.isEmpty else { return nil }
            state.openingSince = .now
            return state.requests.removeFirst()
        }
    }

    func openingEnded() {
        state.withLock { $0.openingSince = nil }
    }

    /// Answers the requests that wait behind an opening that takes long.
    func refuseIfStalled() {
        guard isStalled else { return }
        let requests = state.withLock { state in
            defer { state.requests = [] }
            return state.requests
        }
        for request in requests { request.answer(.busy) }
    }
}
