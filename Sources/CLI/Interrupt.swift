import Dispatch
import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Ctrl-C: the first one cancels the work, which then ends at a safe point; the second ends the program at once.
enum Interrupt {
    static func cancelling(_ work: @escaping @Sendable () async throws -> Void) async throws {
        let task = Task { try await work() }
        let source = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
        let termination = DispatchSource.makeSignalSource(signal: SIGTERM, queue: .global())
        signal(SIGINT, SIG_IGN)
        signal(SIGTERM, SIG_IGN)
        signal(SIGPIPE, SIG_IGN)
        let handler: @Sendable () -> Void = {
            if task.isCancelled { exit(130) }
            FileHandle.standardError.write(
                Data("\ninterrupted: ending the step at a safe point; once more ends at once\n".utf8))
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
