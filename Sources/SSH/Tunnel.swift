import Dispatch
import Synchronization

/// A connection to a jump host that carries others, each over a direct-tcpip channel (RFC 4254 §7.2).
///
/// One thread owns the session. The inner connections know nothing of it: each has one end of a socket pair, and the thread
/// moves bytes between the other ends and the channels. ``TunnelPump`` does the moving.
final class Tunnel: Sendable {
    enum Opening: Sendable {
        case opened(Int32)
        case failed(SSHError)
        /// The connection to the jump host is gone: nothing was said to the target.
        case lost
        /// Another target's opening takes long; this one was not begun.
        case busy
    }

    struct Request: Sendable {
        let endpoint: Endpoint
        let deadline: Deadline
        let answer: Answer
    }

    /// Given once: by the thread, or by the deadline or cancellation of the one who asked.
    final class Answer: Sendable {
        private let state = Mutex<(value: Opening?, continuation: CheckedContinuation<Opening, Never>?)>((nil, nil))

        /// - Returns: false where another answer came first; a socket is still the caller's then.
        @discardableResult
        func give(_ opening: Opening) -> Bool {
            let (isFirst, continuation) = state.withLock { state in
                guard state.value == nil else { return (false, nil as CheckedContinuation<Opening, Never>?) }
                state.value = opening
                defer { state.continuation = nil }
                return (true, state.continuation)
            }
            continuation?.resume(returning: opening)
            return isFirst
        }

        var isGiven: Bool { state.withLock { $0.value != nil } }

        func wait() async -> Opening {
            await withCheckedContinuation { continuation in
                let value = state.withLock { state in
                    if state.value == nil { state.continuation = continuation }
                    return state.value
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
    let bell: WakePipe
    private let state = Mutex(State())
    private let stop = Interrupt()

    init(hop: Endpoint) throws(SystemError) {
        self.hop = hop
        bell = try WakePipe()
        stop.attach(bell)
    }

    static func connect(
        _ connector: Connector, interrupt: Interrupt, deadline: Deadline, through: Int32?
    ) async throws(SSHError) -> Tunnel {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Tunnel, SSHError>, Never>) in
            let fault = { @Sendable (error: SystemError) in
                if let through { _ = Descriptor(owning: through) }
                let error = SSHError(
                    .libraryFault, host: connector.endpoint.name, operation: "connect", cause: "\(error)")
                continuation.resume(returning: .failure(error))
            }
            do throws(SystemError) {
                let tunnel = try Tunnel(hop: connector.endpoint)
                try OwnThread.start {
                    do throws(SSHError) {
                        interrupt.attach(tunnel.bell)
                        let session = try connector.connect(
                            bell: tunnel.bell, interrupt: interrupt, deadline: deadline, through: through)
                        interrupt.attach(nil)
                        continuation.resume(returning: .success(tunnel))
                        var pump = TunnelPump(tunnel, session)
                        pump.run()
                        tunnel.end()
                    } catch {
                        continuation.resume(returning: .failure(error))
                    }
                }
            } catch {
                fault(error)
            }
        }
        return try result.get()
    }

    var isAlive: Bool { state.withLock { $0.isAlive } }

    /// An opening has lasted longer than any live target needs.
    var isStalled: Bool {
        state.withLock { state in
            guard let since = state.openingSince else { return false }
            return .now - since > .seconds(1)
        }
    }

    func open(to endpoint: Endpoint, deadline: Deadline, interrupt: Interrupt) async -> Opening {
        let answer = Answer()
        let isTaken = state.withLock { state in
            if state.isAlive { state.requests.append(Request(endpoint: endpoint, deadline: deadline, answer: answer)) }
            return state.isAlive
        }
        guard isTaken else { return .lost }
        bell.wake()
        let error = { @Sendable (code: SSHError.Code, cause: String) in
            SSHError(code, host: endpoint.name, operation: "connect by way of \(self.hop.name)", cause: cause)
        }
        let timer = Task {
            try await Task.sleep(for: deadline.remaining)
            answer.give(.failed(error(.unreachable, "no answer in time")))
        }
        defer { timer.cancel() }
        return await withTaskCancellationHandler {
            await answer.wait()
        } onCancel: {
            answer.give(.failed(error(.cancelled, "cancelled")))
        }
    }

    func close() {
        stop.cancel()
    }

    // MARK: For the thread

    var waiter: Waiter { Waiter(bell: bell, deadline: .after(.seconds(30)), interrupt: stop) }

    func takeRequest() -> Request? {
        state.withLock { state in
            state.requests.removeAll { $0.answer.isGiven }
            guard state.openingSince == nil, !state.requests.isEmpty else { return nil }
            state.openingSince = .now
            return state.requests.removeFirst()
        }
    }

    func openingEnded() {
        state.withLock { $0.openingSince = nil }
    }

    /// Sends those away who wait behind an opening that takes long.
    func turnAwayIfStalled() {
        guard isStalled else { return }
        let requests = state.withLock { state in
            defer { state.requests = [] }
            return state.requests
        }
        for request in requests { request.answer.give(.busy) }
    }

    private func end() {
        let requests = state.withLock { state in
            state.isAlive = false
            defer { state.requests = [] }
            return state.requests
        }
        for request in requests { request.answer.give(.lost) }
    }
}
