public import Foundation

/// What is known of a command that ended. That it ended is certain: where neither an exit status nor a signal came back, `run`
/// throws ``SSHError/Code/outcomeUnknown`` and there is no result.
public struct CommandResult: Sendable, Hashable {
    /// How the remote process ended.
    public enum Outcome: Sendable, Hashable {
        case exited(Int32)
        /// The signal's name without `SIG`, as RFC 4254 §6.10 has it: `KILL`, `TERM`.
        case signalled(String)
    }

    public var outcome: Outcome
    public var standardOutput: Data
    public var standardError: Data
    /// Bytes that came beyond the command's `outputLimit` and were dropped, of each stream.
    public var droppedOutput: Int
    public var droppedError: Int
    /// From the request to the exit status.
    public var duration: Duration

    public init(
        outcome: Outcome, standardOutput: Data = Data(), standardError: Data = Data(), droppedOutput: Int = 0,
        droppedError: Int = 0, duration: Duration = .zero
    ) {
        self.outcome = outcome
        self.standardOutput = standardOutput
        self.standardError = standardError
        self.droppedOutput = droppedOutput
        self.droppedError = droppedError
        self.duration = duration
    }

    public var succeeded: Bool { outcome == .exited(0) }

    /// Standard output as text; bytes that are not UTF-8 are shown as U+FFFD.
    public var text: String { String(decoding: standardOutput, as: UTF8.self) }
    public var errorText: String { String(decoding: standardError, as: UTF8.self) }
}

extension CommandResult.Outcome: CustomStringConvertible {
    public var description: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .signalled(let name): "ended by signal \(name)"
        }
    }
}
