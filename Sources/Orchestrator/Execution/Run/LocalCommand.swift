import Cluster
import SSH
import Subprocess

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// A program on this machine, run without a shell.
enum LocalCommand {
    struct Result: Sendable {
        var succeeded: Bool
        /// `exited(1)`.
        var outcome: String
        /// What it printed.
        var lines: [String]
    }

    /// - Parameter command: the program, looked up in PATH where it is a name alone, and its arguments.
    /// - Throws: ``ClusterError`` with `commandFailed` where it cannot be run, or does not end within `limit` and is killed.
    static func run(_ command: [String], limit: Duration, operation: String, advice: String) async throws -> Result {
        func failure(_ cause: String) -> ClusterError {
            ClusterError(
                .commandFailed, host: "this machine", operation: operation,
                cause: "\(ShellQuoting.join(command)): \(cause)", advice: advice)
        }
        let program = command.first ?? ""
        let ended: Result?
        do {
            ended = try await withThrowingTaskGroup(of: Result?.self) { group in
                group.addTask {
                    let done = try await Subprocess.run(
                        program.contains("/") ? .path(FilePath(program)) : .name(program),
                        arguments: Arguments(Array(command.dropFirst())),
                        output: .string(limit: 1 << 20), error: .string(limit: 1 << 20))
                    let text = done.standardOutput + "\n" + done.standardError
                    return Result(
                        succeeded: done.terminationStatus.isSuccess, outcome: "\(done.terminationStatus)",
                        lines: text.split(separator: "\n").map { TerminalText.line(String($0)) })
                }
                group.addTask {
                    try await Task.sleep(for: limit)
                    return nil
                }
                defer { group.cancelAll() }
                return try await group.next() ?? nil
            }
        } catch let error where !(error is CancellationError) { throw failure("\(error)") }
        guard let ended else { throw failure("no end within \(Int(limit.seconds)) s") }
        return ended
    }
}
