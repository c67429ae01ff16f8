import Synchronization
import Testing

@testable import SSH

/// All tests with a real server, one after another: they start processes, have deadlines, and count descriptors.
@Suite(.serialized, .enabled(if: Server.isPresent, Server.missing))
enum Integration {
    /// Waits for a condition that a task brings about; a task that ends before it holds is a failure.
    static func wait(for task: Task<CommandResult, any Error>, until condition: () -> Bool) async throws {
        let hasEnded = Flag()
        let watcher = Task {
            _ = await task.result
            hasEnded.raise()
        }
        defer { watcher.cancel() }
        while !condition() {
            if hasEnded.isRaised { throw TestFailure("ended too early: \(await task.result)") }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}

/// What a pool told its user.
final class Notices: Sendable {
    private let texts = Mutex<[String]>([])

    var all: [String] { texts.withLock { $0 } }

    func add(_ text: String) { texts.withLock { $0.append(text) } }
}
