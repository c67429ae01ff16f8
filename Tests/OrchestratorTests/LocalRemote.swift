import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// This machine's shell in a remote's place: the scripts themselves are what is tried.
struct LocalRemote: Remote {
    let shell: String
    let name = "local"
    /// A folder whose programs come before the machine's.
    var path: String?
    var environment: [String: String] = [:]

    func run(_ command: Command) async throws -> CommandResult { try runNow(command) }

    func runNow(_ command: Command) throws -> CommandResult {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        // A script is for the shell that is tried here.
        process.arguments =
            command.arguments.first == "sh" ? [shell] + command.arguments.dropFirst() : command.arguments
        var environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        if let path { environment["PATH"] = "\(path):\(environment["PATH"] ?? "")" }
        process.environment = environment
        let output = Pipe()
        process.standardOutput = output
        // A file, so that neither stream can block the other.
        let errors = try TemporaryFolder()
        let errorPath = errors.path + "/errors"
        _ = FileManager.default.createFile(atPath: errorPath, contents: nil)
        process.standardError = FileHandle(forWritingAtPath: errorPath)
        if let input = command.input {
            try errors.write("input", input)
            process.standardInput = FileHandle(forReadingAtPath: errors.path + "/input")
        }
        try Self.withoutBlockedSignals { try process.run() }
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return CommandResult(
            outcome: .exited(process.terminationStatus), standardOutput: data,
            standardError: FileManager.default.contents(atPath: errorPath) ?? Data())
    }

    /// A process inherits which signals its starter's thread blocks, and a shell to which SIGCHLD never comes waits for ever. sshd
    /// blocks none.
    private static func withoutBlockedSignals(_ body: () throws -> Void) throws {
        var (none, before) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try body()
    }

    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {}
    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
}
