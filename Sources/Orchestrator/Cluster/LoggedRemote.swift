import Foundation
import Inventories
public import Logging
public import SSH

extension Remotes {
    /// The same hosts; where there is a logger, each question is logged with its outcome. Answers are not: they may hold secrets.
    public func logging(to logger: Logger?) -> Remotes {
        guard let logger else { return self }
        return Remotes { host in try self[host].logging(to: logger) }
    }
}

extension Remote {
    public func logging(to logger: Logger) -> any Remote { LoggedRemote(base: self, logger: logger) }
}

/// Logs what a host is asked, as a person is shown it, once the answer is there.
private struct LoggedRemote: Remote {
    let base: any Remote
    let logger: Logger
    var name: String { base.name }

    func run(_ command: Command) async throws -> CommandResult {
        try await logged(command.display) {
            try await base.run(command)
        } outcome: { result in
            "\(result.outcome), \(result.standardOutput.count) bytes"
        }
    }

    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {
        try await logged("upload \(path)") {
            try await base.upload(contents, to: path, mode: mode)
        } outcome: {
            "\(contents.count) bytes written"
        }
    }

    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {
        try await logged("replace \(path)") {
            try await base.replaceFile(path, expected: expected, with: contents)
        } outcome: {
            "\(contents.count) bytes written"
        }
    }

    private func logged<Result>(
        _ question: String, _ ask: () async throws -> Result, outcome: (Result) -> String
    ) async throws -> Result {
        let start = ContinuousClock.now
        func line(_ outcome: String) -> Logger.Message {
            let seconds = (ContinuousClock.now - start).seconds.formatted(.number.precision(.fractionLength(3)))
            return "\(TerminalText.line("\(name): \(question)")): \(TerminalText.line(outcome)) in \(seconds) s"
        }
        do {
            let result = try await ask()
            logger.info(line(outcome(result)))
            return result
        } catch {
            logger.warning(line("\(error)"))
            throw error
        }
    }
}
