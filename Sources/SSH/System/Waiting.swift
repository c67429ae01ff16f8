import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A point in time by the monotonic clock, which goes on while the machine sleeps: a laptop that was closed in the middle of a
/// command finds its deadline passed.
struct Deadline: Sendable {
    /// Since `origin`: an instant's size is known at run time only, and that of all that holds one.
    private let end: Duration

    private static let origin = ContinuousClock.now
    private static var now: Duration { origin.duration(to: .now) }

    static func after(_ duration: Duration) -> Deadline {
        Deadline(end: now + min(duration, longest))
    }

    /// A century stands for any longer time, which a sum or a system call could not hold.
    private static let longest = Duration.seconds(100 * 366 * 86400)

    var remaining: Duration { end - Self.now }
    var hasPassed: Bool { remaining <= .zero }
}

extension Duration {
    /// Rounded up, so that a wait never ends just before its deadline and spins.
    var milliseconds: Int {
        let (seconds, attoseconds) = components
        // What does not fit is the most that does.
        let most = Int64.max / 1000 - 1
        return Int(min(max(seconds, -most), most)) * 1000
            + Int((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }

    var inWords: String {
        let value = milliseconds
        return value % 1000 == 0 ? "\(value / 1000) s" : "\(Double(value) / 1000) s"
    }
}

/// Why a wait ended before what was waited for.
enum Stop: Error {
    case deadline
    case cancelled
}

/// Cancellation of one operation, from any thread. It rings the bell of the thread that waits.
final class Interrupt: Sendable {
    private struct State {
        var isCancelled = false
        var bell: WakePipe?
        var handler: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    func cancel() {
        let (bell, handler) = state.withLock { state in
            defer { state.handler = nil }
            state.isCancelled = true
            return (state.bell, state.handler)
        }
        bell?.wake()
        handler?()
    }

    /// Waits for a shared task or for the cancellation, whichever is first. The task goes on for others who wait for it.
    /// - Returns: `nil` where it was cancelled first.
    func value<Value: Sendable>(of task: Task<Value, Never>) async -> Value? {
        let answer = Mutex<CheckedContinuation<Value?, Never>?>(nil)
        let give = { @Sendable (value: Value?) in
            let waiting = answer.withLock { answer in
                defer { answer = nil }
                return answer
            }
            waiting?.resume(returning: value)
        }
        return await withCheckedContinuation { continuation in
            answer.withLock { $0 = continuation }
            let isCancelled = state.withLock { state in
                state.handler = { give(nil) }
                return state.isCancelled
            }
            if isCancelled { give(nil) }
            Task { give(await task.value) }
        }
    }

    func attach(_ bell: WakePipe?) {
        state.withLock { $0.bell = bell }
    }
}

/// The one poll loop: waits for a descriptor, a deadline or a cancellation, whichever is first.
struct Waiter {
    let bell: WakePipe
    let deadline: Deadline
    let interrupt: Interrupt

    func check() throws(Stop) {
        if interrupt.isCancelled { throw .cancelled }
        if deadline.hasPassed { throw .deadline }
    }

    /// Returns when the descriptor has one of the events, or after `limit` milliseconds in any case: libssh2 at times reports EAGAIN and no
    /// direction to wait for, so nothing waits for ever on its word.
    /// - Returns: whether it has one of them, or is broken.
    @discardableResult
    func wait(for descriptor: Int32, events: Int16, limit: Int32 = 1000) throws(Stop) -> Bool {
        // The clock is read once: the arithmetic of durations is dear.
        let remaining = deadline.remaining
        if interrupt.isCancelled { throw .cancelled }
        if remaining <= .zero { throw .deadline }
        let pause = remaining < .milliseconds(limit) ? Int32(remaining.milliseconds) : limit
        let (isReady, isRung) = withUnsafeTemporaryAllocation(of: pollfd.self, capacity: 2) { polled in
            polled.initializeElement(at: 0, to: pollfd(fd: descriptor, events: events, revents: 0))
            polled.initializeElement(at: 1, to: pollfd(fd: bell.readEnd, events: Int16(POLLIN), revents: 0))
            let count = poll(polled.baseAddress, 2, pause)
            return (count > 0 && polled[0].revents != 0, count > 0 && polled[1].revents != 0)
        }
        if isRung { bell.drain() }
        if interrupt.isCancelled { throw .cancelled }
        // What came in time counts; who asks for more than came finds the deadline passed at the next wait.
        if !isReady && deadline.hasPassed { throw .deadline }
        return isReady
    }
}
