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

    /// How it ended. It is never guessed: where it is unknown there is an error in place of a result.
    public var outcome: Outcome
    /// The bytes of standard output as they came, up to the command's limit.
    public var standardOutput: Data
    /// The bytes of standard error, without sudo's prompt and the line that says that sudo has started the command.
    public var standardError: Data
    /// The number of bytes of standard output beyond the command's `outputLimit`, which were dropped.
    public var droppedOutput: Int
    /// The same for standard error.
    public var droppedError: Int
    /// The time by this machine's clock at which the request was sent.
    public var startedAt: Date
    /// The time from the request to the exit status.
    public var duration: Duration

    public init(
        outcome: Outcome, standardOutput: Data = Data(), standardError: Data = Data(), droppedOutput: Int = 0,
        droppedError: Int = 0, startedAt: Date = Date(), duration: Duration = .zero
    ) {
        self.outcome = outcome
        self.standardOutput = standardOutput
        self.standardError = standardError
        self.droppedOutput = droppedOutput
        self.droppedError = droppedError
        self.startedAt = startedAt
        self.duration = duration
    }

    /// Exit status 0.
    public var succeeded: Bool { outcome == .exited(0) }

    /// Standard output as text; bytes that are not UTF-8 are shown as U+FFFD.
    public var text: String { String(decoding: standardOutput, as: UTF8.self) }
    /// Standard error as text; bytes that are not UTF-8 are shown as U+FFFD.
    public var errorText: String { String(decoding: standardError, as: UTF8.self) }
}

extension CommandResult.Outcome: CustomStringConvertible {
    /// `exit status 3`, or `ended by signal KILL`.
    public var description: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .signalled(let name): "ended by signal \(name)"
        }
    }
}
