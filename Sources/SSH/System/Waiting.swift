import Foundation
import Synchronization

/// Why a wait ended before what was waited for.
enum Stop: Error {
    case deadline
    case cancelled
}

/// Cancellation of one operation, from any thread.
final class Interrupt: Sendable {
    private struct State {
        var isCancelled = false
        /// It is written to on cancellation and never read from, so that from then on every poll(2) on it returns at once.
        var pipe: WakePipe?
        var handler: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    func cancel() {
        let (pipe, handler) = state.withLock { state in
            defer { state.handler = nil }
            state.isCancelled = true
            return (state.pipe, state.handler)
        }
        pipe?.wake()
        handler?()
    }

    /// Waits for a shared task or for the cancellation, whichever is first. The task itself continues, for others that wait for it.
    /// - Returns: `nil` where it was cancelled first.
    func value<Value: Sendable>(of task: Task<Value, Never>) async -> Value? {
        let answer = Mutex<CheckedContinuation<Value?, Never>?>(nil)
        let resume = { @Sendable (value: Value?) in
            let waiting = answer.withLock { answer in
                defer { answer = nil }
                return answer
            }
            waiting?.resume(returning: value)
        }
        return await withCheckedContinuation { continuation in
            answer.withLock { $0 = continuation }
            let isCancelled = state.withLock { state in
                state.handler = { resume(nil) }
                return state.isCancelled
            }
            if isCancelled { resume(nil) }
            Task { resume(await task.value) }
        }
    }

    /// The descriptor that poll(2) reports after cancellation. It is made when first needed, because an operation that waits for its
    /// turn needs none.
    fileprivate func descriptor() throws(SystemError) -> Int32 {
        if let pipe = state.withLock({ $0.pipe }) { return pipe.readEnd }
        let new = try WakePipe()
        let (pipe, isCancelled) = state.withLock { state in
            if state.pipe == nil { state.pipe = new }
            return (state.pipe ?? new, state.isCancelled)
        }
        if isCancelled { pipe.wake() }
        return pipe.readEnd
    }
}

/// The deadline of a blocking call, and what cancels it.
///
/// Time is measured by the monotonic clock that runs on while the machine sleeps: on a laptop that was closed in the middle of a command
/// the deadline has passed when it is opened again.
struct Waiter: Sendable {
    /// The time for all of it, from the beginning.
    let limit: Duration
    let interrupt: Interrupt
    /// The descriptor of the interrupt; -1, which poll(2) ignores, where nothing cancels.
    private let descriptor: Int32
    /// The deadline, as the time since `origin`: the size of an instant, and of all that holds one, is known at run time only.
    private let end: Duration

    private static let origin = ContinuousClock.now
    private static var now: Duration { origin.duration(to: .now) }
    /// A limit of more than a century is taken for a century, because the sum could overflow.
    private static let longest = Duration.seconds(100 * 366 * 86400)

    /// Makes one that nothing cancels.
    init(limit: Duration) {
        self.init(Interrupt(), -1, limit)
    }

    /// - Throws: where the process has no descriptor left.
    init(_ interrupt: Interrupt, limit: Duration) throws(SystemError) {
        self.init(interrupt, try interrupt.descriptor(), limit)
    }

    private init(_ interrupt: Interrupt, _ descriptor: Int32, _ limit: Duration) {
        (self.interrupt, self.descriptor, self.limit) = (interrupt, descriptor, limit)
        end = Self.now + min(limit, Self.longest)
    }

    /// The same cancellation with another limit, which begins now.
    func with(limit: Duration) -> Waiter {
        Waiter(interrupt, descriptor, limit)
    }

    var remaining: Duration { end - Self.now }
    var hasPassed: Bool { remaining <= .zero }
    var isCancelled: Bool { interrupt.isCancelled }

    func check() throws(Stop) {
        if isCancelled { throw .cancelled }
        if hasPassed { throw .deadline }
    }

    /// Returns when the descriptor has one of the events, and after `milliseconds` in any case, because libssh2 at times reports EAGAIN
    /// and no direction to wait for.
    /// - Returns: whether the descriptor has one of the events, or is broken.
    @discardableResult
    func wait(for number: Int32, events: Int16, atMost milliseconds: Int32 = 1000) throws(Stop) -> Bool {
        var polled = [pollfd(fd: number, events: events, revents: 0)]
        try poll(&polled, atMost: milliseconds)
        return polled[0].revents != 0
    }

    /// The same for several descriptors.
    func poll(_ polled: inout [pollfd], atMost milliseconds: Int32) throws(Stop) {
        try check()
        let pause = min(max(remaining, .zero), .milliseconds(milliseconds)).milliseconds
        polled.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
        if Foundation.poll(&polled, nfds_t(polled.count), Int32(pause)) < 0 {
            for index in polled.indices { polled[index].revents = 0 }
        }
        polled.removeLast()
        if isCancelled { throw .cancelled }
        // An event counts also where the deadline has passed meanwhile; the next wait finds that it has.
        if !polled.contains(where: { $0.revents != 0 }) && hasPassed { throw .deadline }
    }
}

extension Duration {
    /// Rounded up, so that a wait never ends just before its deadline and spins.
    var milliseconds: Int {
        let (seconds, attoseconds) = components
        // A value that does not fit is clamped.
        let most = Int64.max / 1000 - 1
        return Int(min(max(seconds, -most), most)) * 1000
            + Int((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }

    /// Rounded to a tenth of a second, for people.
    var rounded: Duration { .milliseconds((milliseconds + 50) / 100 * 100) }

    var inWords: String {
        let value = milliseconds
        return value % 1000 == 0 ? "\(value / 1000) s" : "\(Double(value) / 1000) s"
    }
}
