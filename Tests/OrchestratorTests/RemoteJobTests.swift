import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Real processes of this machine, started and looked at by the real scripts.
@Suite(
    .enabled(if: FileManager.default.fileExists(atPath: "/proc/sys/kernel/random/boot_id"), "jobs run on Linux hosts"))
struct RemoteJobTests {
    let folder: TemporaryFolder
    let job: RemoteJob

    init() throws {
        folder = try TemporaryFolder()
        job = RemoteJob(JobRemote(output: folder.path), directory: folder.path + "/runs/join-1")
    }

    func start(_ script: String) async throws {
        try await job.start(["sh", "-c", script], in: folder.path)
    }

    func state() async throws -> RemoteJob.State { try await job.progress(after: 0).state }

    func until(_ wanted: (RemoteJob.State) -> Bool) async throws -> RemoteJob.State {
        while true {
            let now = try await state()
            if wanted(now) { return now }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    func write(_ text: String, _ name: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: job.directory + "/" + name))
    }

    func read(_ name: String) throws -> [String] {
        try String(contentsOfFile: job.directory + "/" + name, encoding: .utf8).split(separator: "\n")
            .joined().split(separator: " ").map(String.init)
    }

    @Test(.timeLimit(.minutes(5))) func itsEndAndItsWordsAreKept() async throws {
        #expect(try await state() == .absent)
        try await start("echo said; exit 7")
        #expect(try await until { $0 != .running } == .ended(7))
        #expect(try await job.progress(after: 0).log == Data("said\n".utf8))
        #expect(try await job.progress(after: 3).log == Data("d\n".utf8))
    }

    @Test(.timeLimit(.minutes(5))) func itIsNeverStartedTwice() async throws {
        try await start("echo once >>out")
        try await start("echo twice >>out")
        #expect(try await until { $0 != .running } == .ended(0))
        #expect(try String(contentsOfFile: folder.path + "/out", encoding: .utf8) == "once\n")
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path + "/runs") == ["join-1"],
            "what the second start made is gone")
    }

    /// Holds a job in `running` until the test has looked.
    func startHeld() async throws {
        try await start("until [ -e go ]; do sleep 0.05; done")
        _ = try await until { _ in FileManager.default.fileExists(atPath: job.directory + "/pid") }
        #expect(try await state() == .running)
    }

    func release() throws {
        #expect(FileManager.default.createFile(atPath: folder.path + "/go", contents: nil))
    }

    @Test(.timeLimit(.minutes(5))) func aProcessIdThatWasGivenOutAgainIsNotTheJob() async throws {
        try await startHeld()
        let pid = try read("pid")
        #expect(pid.count == 2)
        let started = try #require(Int(pid[1]))
        try write("\(pid[0]) \(started - 1)\n", "pid")
        #expect(try await state() == .lost)
        try write("\(pid[0]) \(started)\n", "pid")
        #expect(try await state() == .running)
        try release()
        #expect(try await until { $0 != .running } == .ended(0))
    }

    @Test(.timeLimit(.minutes(5))) func aJobOfAnotherBootIsLost() async throws {
        try await startHeld()
        let boot = try read("boot")
        try write("00000000-0000-4000-8000-000000000000 \(boot[1])\n", "boot")
        #expect(try await state() == .lost)
        try FileManager.default.removeItem(atPath: job.directory + "/pid")
        #expect(try await state() == .lost, "nor is it starting")
        try release()
        #expect(try await until { $0 != .lost } == .ended(0))
    }

    @Test func aStartThatNeverCameToItsProcessIsLostAfterItsLimit() async throws {
        try FileManager.default.createDirectory(atPath: job.directory, withIntermediateDirectories: true)
        let boot = try String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
            .trimmingCharacters(in: .newlines)
        let uptime = try #require(
            Double(
                try String(contentsOfFile: "/proc/uptime", encoding: .utf8).split(separator: " ").first.map(String.init)
                    ?? ""))
        try write("\(boot) \(Int(uptime))\n", "boot")
        #expect(try await state() == .running)
        try write("\(boot) \(Int(uptime) - RemoteJob.startLimit)\n", "boot")
        #expect(try await state() == .lost)
        try FileManager.default.removeItem(atPath: job.directory + "/boot")
        #expect(try await state() == .lost)
    }

    @Test(.timeLimit(.minutes(5))) func whatItStartedOutlivesItsShell() async throws {
        try await startHeld()
        let shell = try #require(Int32(try read("pid")[0]))
        #expect(kill(shell, SIGKILL) == 0)
        while let stat = try? String(contentsOfFile: "/proc/\(shell)/stat", encoding: .utf8), !stat.contains(") Z ") {
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(try await state() == .running)
        try release()
        #expect(try await until { $0 != .running } == .lost)
    }
}

/// This machine's shell, with nothing of this process open in what it starts: a job that outlives its command would keep the pipes
/// of tests beside it open. No thread waits for it.
private struct JobRemote: Remote {
    let output: String
    let name = "local"

    func run(_ command: Command) async throws -> CommandResult {
        let path = output + "/" + UUID().uuidString
        #expect(FileManager.default.createFile(atPath: path, contents: nil))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        let closing = #"for file in /proc/self/fd/*; do n=${file##*/}; ((n < 3)) || eval "exec $n>&-"; done; exec "$@""#
        process.arguments = ["-c", closing, "bash"] + command.arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle(forWritingAtPath: path)
        process.standardError = FileHandle.nullDevice
        let status = try await withCheckedThrowingContinuation { (done: CheckedContinuation<Int32, any Error>) in
            process.terminationHandler = { done.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { done.resume(throwing: error) }
        }
        defer { try? FileManager.default.removeItem(atPath: path) }
        return CommandResult(
            outcome: .exited(status), standardOutput: FileManager.default.contents(atPath: path) ?? Data())
    }

    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {}
    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
}
