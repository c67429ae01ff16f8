import Synchronization

/// Tells a run's own time from the time in which a host or the cluster is waited for. Waits that overlap count once.
public final class Stopwatch: Sendable {
    private struct State {
        var depth = 0
        var since: ContinuousClock.Instant?
        var total: Duration = .zero
    }
    private let state = Mutex(State())

    public init() {}

    /// All waiting so far.
    public var waited: Duration {
        state.withLock { $0.total + ($0.since.map { ContinuousClock.now - $0 } ?? .zero) }
    }

    package func waiting<T>(_ work: () async throws -> T) async rethrows -> T {
        state.withLock { state in
            if state.depth == 0 { state.since = .now }
            state.depth += 1
        }
        defer {
            state.withLock { state in
                state.depth -= 1
                if state.depth == 0, let since = state.since {
                    state.total += .now - since
                    state.since = nil
                }
            }
        }
        return try await work()
    }
}
