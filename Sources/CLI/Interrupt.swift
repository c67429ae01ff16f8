import Dispatch
import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Ctrl-C: the first one cancels the work, which then ends at a safe point; the second ends the program at once.
enum Interrupt {
    private static let acting = Mutex(false)
    private static let interrupted = Mutex(false)

    /// A run is at work on the cluster: it ends at a safe point, which may take a while. Before that, nothing was changed.
    static var isActing: Bool {
        get { acting.withLock { $0 } }
        set { acting.withLock { $0 = newValue } }
    }

    /// The first Ctrl-C was heard: for the live screen, which may leave no line above it to say so.
    static var isHeard: Bool { interrupted.withLock { $0 } }

    static func cancelling(_ work: @escaping @Sendable () async throws -> Void) async throws {
        let task = Task { try await work() }
        let source = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
        let termination = DispatchSource.makeSignalSource(signal: SIGTERM, queue: .global())
        signal(SIGINT, SIG_IGN)
        signal(SIGTERM, SIG_IGN)
        signal(SIGPIPE, SIG_IGN)
        let handler: @Sendable () -> Void = {
            if task.isCancelled {
                if isActing {
                    Terminal.screen.write("\nended at once; to go on: masterswap resume\n", to: STDERR_FILENO)
                }
                exit(130)
            }
            interrupted.withLock { $0 = true }
            Terminal.screen.write(
                isActing ? "\ninterrupted: ending the step at a safe point; once more ends at once\n" : "\n",
                to: STDERR_FILENO)
            task.cancel()
        }
        source.setEventHandler(handler: handler)
        termination.setEventHandler(handler: handler)
        source.resume()
        termination.resume()
        defer {
            source.cancel()
            termination.cancel()
        }
        try await task.value
    }
}
