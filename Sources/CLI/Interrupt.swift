import Dispatch
import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Ctrl-C, SIGTERM, and the end of the terminal (SIGHUP): the first one cancels the work, which then ends at a safe point; the second
/// ends the program at once.
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
        let numbers = signals
        // A signal that comes before its source is registered is lost: the work begins after that.
        let (registrations, registered) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            var missing = numbers.count
            for await _ in registrations {
                missing -= 1
                if missing == 0 { break }
            }
            try await work()
        }
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
        let sources = numbers.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler(handler: handler)
            source.setRegistrationHandler { registered.yield() }
            source.resume()
            return source
        }
        defer { for source in sources { source.cancel() } }
        try await task.value
    }

    /// `nohup` ignores SIGHUP for what it starts, which then goes on without a terminal.
    private static var signals: [Int32] {
        var hangup = sigaction()
        sigaction(SIGHUP, nil, &hangup)
        #if canImport(Darwin)
            let handler = hangup.__sigaction_u.__sa_handler
        #else
            let handler = hangup.__sigaction_handler.sa_handler
        #endif
        let isIgnored = unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
        return [SIGINT, SIGTERM] + (isIgnored ? [] : [SIGHUP])
    }
}
