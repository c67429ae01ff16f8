public import Foundation
import Inventories
public import SSH
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Writes a recording while a verb asks its questions.
public final class Recorder: Sendable {
    private struct State {
        var scrubber: SecretScrubber
        var count = 0
        var fault: ClusterError?
    }

    /// What counts as now for the whole run, and for each replay.
    public let now: Date
    public let path: String
    private let file: FileHandle
    private let state: Mutex<State>

    /// Makes the file, mode 0600, and writes the header.
    /// - Parameters:
    ///   - inventory: the text of the inventory that the run reads.
    ///   - secrets: those that the session knows.
    /// - Throws: ``ClusterError`` with `localFile`; a file that is there is not written over.
    public init(
        _ path: String, program: String, verb: String, arguments: [String], inventory: String, secrets: [Secret],
        now: Date = Date()
    ) throws {
        self.path = path
        self.now = Recording.Moment.rounded(now)
        var scrubber = SecretScrubber(secrets)
        let header = Recording.Header(
            recording: Recording.format, program: program, at: self.now, verb: verb,
            arguments: arguments.map { scrubber.scrub($0) },
            inventory: scrubber.scrub(try Recording.inventory(inventory)))
        state = Mutex(State(scrubber: scrubber))
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.fault(path, String(cString: strerror(errno))) }
        file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        do { try file.write(contentsOf: Recording.encode(header)) } catch {
            throw Self.fault(path, error.localizedDescription)
        }
    }

    /// The hosts as they are, with a recording made of all that they are asked.
    public func recording(_ remotes: Remotes) -> Remotes {
        Remotes { host in RecordingRemote(name: host.name, base: { try remotes[host] }, recorder: self) }
    }

    /// Writes an answer.
    /// - Returns: what is written. The program goes on with that, so that a replay cannot come to another result.
    fileprivate func write(
        _ host: String, _ command: Command, at: Date, duration: Duration, _ result: Result<CommandResult, SSHError>
    ) -> Recording.Answer {
        state.withLock { state in
            var question = Recording.Question(command)
            question.command = question.command.map { state.scrubber.scrub($0) }
            var answer = Recording.Answer(at: Recording.Moment.rounded(at), duration: duration.seconds)
            switch result {
            case .success(let result):
                switch result.outcome {
                case .exited(let status): answer.exitStatus = status
                case .signalled(let name): answer.signal = name
                }
                let marker = Data("\n@\(Recording.nonce)".utf8)
                func output(_ data: Data) -> Recording.Output? {
                    Recording.Output(
                        state.scrubber.scrub(
                            command.withoutNonce(data), exceptLinesWith: command.sections == nil ? Data() : marker))
                }
                answer.stdout = output(result.standardOutput)
                answer.stderr = output(result.standardError)
                answer.droppedStdout = result.droppedOutput > 0 ? result.droppedOutput : nil
                answer.droppedStderr = result.droppedError > 0 ? result.droppedError : nil
            case .failure(let error):
                // The host's words are in the cause; the rest is this program's.
                answer.error = Recording.Failure(
                    code: error.code, host: error.host, operation: command.withoutNonce(error.operation),
                    cause: state.scrubber.scrub(command.withoutNonce(error.cause)), advice: error.advice)
            }
            let exchange = Recording.Exchange(host: host, question: question, answer: answer)
            write(exchange, &state)
            state.count += 1
            return answer
        }
    }

    private func write(_ line: some Encodable, _ state: inout State) {
        guard state.fault == nil else { return }
        do { try file.write(contentsOf: Recording.encode(line)) } catch {
            state.fault = Self.fault(path, error.localizedDescription)
        }
    }

    /// Writes the closing line.
    /// - Returns: how many answers there are.
    /// - Throws: ``ClusterError`` with `localFile` where not all could be written.
    @discardableResult
    public func close() throws -> Int {
        try state.withLock { state in
            write(Recording.Closing(exchanges: state.count), &state)
            if let fault = state.fault { throw fault }
            return state.count
        }
    }

    private static func fault(_ path: String, _ cause: String) -> ClusterError {
        ClusterError(
            .localFile, host: "this machine", operation: "write the recording \(path)", cause: cause,
            advice: "name a new file in a folder that has room and that you may write to")
    }
}

/// A host with its answers written down.
private struct RecordingRemote: Remote {
    let name: String
    /// Where there is no way to a host, that is its answer.
    let base: @Sendable () throws -> any Remote
    let recorder: Recorder

    func run(_ command: Command) async throws -> CommandResult {
        let start = (date: Date(), instant: ContinuousClock.now)
        let result: Result<CommandResult, SSHError>
        do { result = .success(try await base().run(command)) } catch let error as SSHError {
            result = .failure(error)
        }
        let at = (try? result.get().startedAt) ?? start.date
        let duration = (try? result.get().duration) ?? (.now - start.instant)
        return try recorder.write(name, command, at: at, duration: duration, result).result(of: command)
    }

    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {
        throw SSHError(recorded: name, operation: "write \(path)")
    }

    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {
        throw SSHError(recorded: name, operation: "replace \(path)")
    }
}

extension SSHError {
    package init(recorded host: String, operation: String) {
        self.init(
            .libraryFault, host: host, operation: operation,
            cause: "a recorded or replayed verb only reads; nothing was written",
            advice: "report it: this is a fault of masterswap itself")
    }
}
