public import Foundation
public import Inventories
import SSH
import Synchronization

/// Answers a verb's questions from a recording.
///
/// A question is the host's name and the command's label. Of a script with sections every section that is asked for must have been
/// asked for in the recording, too, but for those that are optional; what its text was does not matter, and neither do sections that
/// are no longer asked for. A question that was asked several times gets its answers in their order, and then the last one again.
public final class Replay: Sendable {
    private struct Key: Hashable {
        var host: String
        var label: String
    }
    private struct State {
        var next: [Key: Int] = [:]
        var missing: ClusterError?
    }

    public let recording: Recording
    private let path: String
    private let program: String
    private let exchanges: [Key: [Recording.Exchange]]
    private let state = Mutex(State())

    /// - Parameters:
    ///   - path: for messages.
    ///   - program: the version of this program.
    public init(_ recording: Recording, path: String, program: String) {
        self.recording = recording
        self.path = path
        self.program = program
        exchanges = Dictionary(grouping: recording.exchanges) { Key(host: $0.host, label: $0.question.label) }
    }

    /// What counts as now.
    public var now: Date { recording.header.at }

    /// The inventory that the recording was made with.
    /// - Throws: `InventoryError`.
    public func inventory() throws -> Inventory {
        try Inventory.parse(recording.header.inventory, file: "the inventory in \(path)")
    }

    public var remotes: Remotes { Remotes { ReplayRemote(name: $0.name, replay: self) } }

    /// - Throws: ``ClusterError`` where a question was asked that the recording does not hold. What came of it is worth nothing.
    public func check() throws {
        if let missing = state.withLock(\.missing) { throw missing }
    }

    fileprivate func answer(_ host: String, _ command: Command) throws -> CommandResult {
        let key = Key(host: host, label: Recording.Question.label(command))
        let sections = command.sections?.names ?? []
        let optional = command.sections?.optional ?? []
        guard let known = exchanges[key] else {
            // Whoever asks only what may be missing takes an error for an answer that is not known.
            if !sections.isEmpty, optional.isSuperset(of: sections) {
                throw unknown("the question '\(key.label)' to \(host)")
            }
            throw missing("the question '\(key.label)' to \(host)")
        }
        let exchange = state.withLock { state in
            defer { state.next[key, default: 0] += 1 }
            return known[min(state.next[key, default: 0], known.count - 1)]
        }
        let unasked = sections.filter { !optional.contains($0) && exchange.question.sections?.contains($0) != true }
        guard unasked.isEmpty else {
            throw missing("\(unasked.joined(separator: ", ")) in the question '\(key.label)' to \(host)")
        }
        return try exchange.answer.result(of: command)
    }

    /// Remembered, because observers take an error for the host's own.
    private func missing(_ what: String) -> ClusterError {
        let error = unknown(what)
        state.withLock { $0.missing = $0.missing ?? error }
        return error
    }

    private func unknown(_ what: String) -> ClusterError {
        ClusterError(
            .localFile, host: "this machine", operation: "replay \(path)", cause: "the recording does not hold \(what)",
            advice: advice)
    }

    private var advice: String {
        guard recording.isComplete else { return "its end is missing: the recorded run was interrupted; record again" }
        return
            "it was made by masterswap \(recording.header.program) (\(recording.header.verb)), this is \(program): replay it with that version and its arguments, or record again"
    }
}

/// A host whose answers come from a recording.
private struct ReplayRemote: Remote {
    let name: String
    let replay: Replay

    func run(_ command: Command) async throws -> CommandResult { try replay.answer(name, command) }

    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {
        throw SSHError(recorded: name, operation: "write \(path)")
    }

    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {
        throw SSHError(recorded: name, operation: "replace \(path)")
    }
}
