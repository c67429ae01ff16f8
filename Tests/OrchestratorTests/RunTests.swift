import Foundation
import SSH
import Synchronization
import TestSupport
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// A folder that is gone when the test is.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "masterswap-test-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file, making the folders that it is in.
    func write(_ path: String, _ content: Data = Data("x".utf8)) throws {
        let file = URL(fileURLWithPath: self.path + "/" + path)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try content.write(to: file)
    }

    /// Writes an executable script, by a program of its own: a child that another test starts meanwhile would inherit our descriptor, and
    /// what is open for writing cannot be run (ETXTBSY).
    func program(_ name: String, _ text: String) throws {
        _ = try LocalProcess.output(
            of: "/bin/sh", ["-c", #"cat >"$1" && chmod 755 "$1""#, "sh", path + "/" + name], input: Data(text.utf8))
    }
}

@Suite struct JournalTests {
    let folder: TemporaryFolder
    var path: String { folder.path + "/journal.jsonl" }

    init() throws { folder = try TemporaryFolder() }

    func write(_ count: Int) throws {
        let journal = try Journal(path: path)
        for number in 0..<count { try journal.append(Event(.note, text: "event \(number)")) }
    }

    @Test func whatIsWrittenIsRead() throws {
        try write(3)
        try write(2)
        #expect(try Journal.events(at: path).map(\.text) == ["event 0", "event 1", "event 2", "event 0", "event 1"])
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    @Test func aTornLastLineIsDroppedAndWrittenOver() throws {
        try write(3)
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        let lastLine = try #require(whole.dropLast().lastIndex(of: UInt8(ascii: "\n"))) + 1
        for length in lastLine..<whole.count {
            try whole.prefix(length).write(to: URL(fileURLWithPath: path))
            #expect(try Journal.events(at: path).count == 2)
            try Journal(path: path).append(Event(.note, text: "next"))
            #expect(try Journal.events(at: path).map(\.text) == ["event 0", "event 1", "next"])
        }
    }

    @Test func aDamagedLineInTheMiddleIsRefused() throws {
        try write(3)
        let whole = try String(contentsOf: URL(fileURLWithPath: path), encoding: .utf8)
        for damaged in [
            whole.replacing("event 1", with: "event 7"),
            whole.split(separator: "\n").enumerated().filter { $0.offset != 1 }.map { $0.element + "\n" }.joined(),
        ] {
            try Data(damaged.utf8).write(to: URL(fileURLWithPath: path))
            #expect(throws: ClusterError.self) { try Journal.events(at: path) }
            #expect(throws: ClusterError.self) { try Journal(path: path) }
        }
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full"), "needs /dev/full"))
    func aFullDiskIsAnErrorBeforeTheAct() throws {
        let journal = try Journal(path: "/dev/full")
        #expect(throws: ClusterError.self) { try journal.append(Event(.stepBegan)) }
    }
}

@Suite struct RunnerTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    struct FakeStep: Step {
        let id: String
        var title: String { id }
        let reason = ""
        let effects: [Effect] = []
        let estimate = 0
        let log: @Sendable (String) -> Void
        var isDone: @Sendable () -> Bool
        var act: @Sendable () throws -> Void

        func check(_ context: RunContext) async throws -> StepStatus {
            log("check \(id)")
            return isDone() ? .satisfied("so") : .needed("not so")
        }
        func run(_ context: RunContext) async throws {
            log("run \(id)")
            try act()
        }
        func undo(_ context: RunContext) async throws { log("undo \(id)") }
    }

    final class Log: Sendable {
        let lines = Mutex<[String]>([])
        func add(_ line: String) { lines.withLock { $0.append(line) } }
        var all: [String] { lines.withLock { $0 } }
    }

    func context(_ log: Log, _ journal: Journal, lock: ClusterLock? = nil) throws -> RunContext {
        let plan = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: Date())
        return RunContext(
            plan: plan, inventory: try RunbookCluster.inventory(), remotes: Remotes { _ in LocalRemote(shell: "sh") },
            run: .init(id: "r", directory: folder.path), journal: journal, lock: lock, watch: nil, limits: .init(),
            databasePassword: { Secret("x") }, emit: { _ in })
    }

    struct Broken: Error {}

    @Test func stepsAreCheckedRunAndCheckedAgain() async throws {
        let log = Log()
        let done = Mutex(false)
        let first = FakeStep(id: "a", log: log.add, isDone: { true }, act: {})
        let second = FakeStep(
            id: "b", log: log.add, isDone: { done.withLock { $0 } }, act: { done.withLock { $0 = true } })
        let journal = try Journal(path: folder.path + "/j")
        try await Runner([first, second], try context(log, journal)).run()
        #expect(log.all == ["check a", "check b", "run b", "check b"])
        #expect(
            try Journal.events(at: folder.path + "/j").map(\.event) == [
                .stepStarted, .stepSkipped, .stepStarted, .stepBegan, .stepFinished,
            ])
    }

    @Test func anActThatDidNothingIsAFailure() async throws {
        let log = Log()
        let step = FakeStep(id: "a", log: log.add, isDone: { false }, act: {})
        let journal = try Journal(path: folder.path + "/j")
        await #expect(throws: ClusterError.self) { try await Runner([step], try context(log, journal)).run() }
        #expect(try Journal.events(at: folder.path + "/j").last?.event == .stepFailed)
    }

    @Test func aFailureTakesBackWhatWasDoneLastFirst() async throws {
        let log = Log()
        let steps = ["a", "b", "c"].map { name in
            let done = Mutex(false)
            return FakeStep(
                id: name, log: log.add, isDone: { done.withLock { $0 } },
                act: { if name == "c" { throw Broken() } else { done.withLock { $0 = true } } })
        }
        let journal = try Journal(path: folder.path + "/j")
        await #expect(throws: Broken.self) { try await Runner(steps, try context(log, journal)).run() }
        #expect(
            log.all.filter { $0.hasPrefix("undo") } == ["undo c", "undo b", "undo a"],
            "the failed one may have done a part")
    }

    /// Killed in `b`, resumed, and failed in `a`: what `b` began is taken back, too; `c` was never reached.
    @Test func whatWasBegunBeforeACutIsTakenBack() async throws {
        let log = Log()
        let steps = ["a", "b", "c"].map { name in
            FakeStep(id: name, log: log.add, isDone: { false }, act: { throw Broken() })
        }
        let journal = try Journal(path: folder.path + "/journal.jsonl")
        try journal.append(Event(.stepBegan, step: "b"))
        await #expect(throws: Broken.self) { try await Runner(steps, try context(log, journal)).run() }
        #expect(Set(log.all.filter { $0.hasPrefix("undo") }) == ["undo a", "undo b"])
    }

    @Test func whatItWaitsForIsToldAndLimited() async throws {
        let log = Log()
        let context = try context(log, try Journal(path: folder.path + "/j"))
        await #expect(throws: ClusterError.self) {
            try await context.wait(for: "nothing", limit: .milliseconds(50), every: .milliseconds(10)) {
                () -> RunContext.Poll<Void> in .pending("no")
            }
        }
        let waits = try Journal.events(at: folder.path + "/j").filter { $0.event == .waiting }
        #expect(waits.first?.title == "nothing")
        #expect(waits.first?.text == "no")
    }
}

@Suite struct RedactorTests {
    @Test func secretsAndTokensAreTakenOut() {
        let redactor = Redactor([Secret("hunter2"), Secret("")])
        let key = String(repeating: "ab", count: 32)
        let line = redactor.redact("db_password: hunter2 token abcdef.0123456789abcdef key \(key) stays")
        #expect(line == "db_password: •••• token •••• key •••• stays")
    }

    @Test(arguments: ["0neC1oud\"DB#", "a/b\\c d&e=f", "Pässwörd\n2", "+//+/w==x", "hunter22"])
    func theyAreFoundAsProgramsWriteThemDown(secret: String) throws {
        let redactor = Redactor([Secret(secret)])
        let json = String(decoding: try JSONEncoder().encode(["password": secret]), as: UTF8.self)
        let nested = String(decoding: try JSONEncoder().encode(["msg": json]), as: UTF8.self)
        let url = try #require(secret.addingPercentEncoding(withAllowedCharacters: .alphanumerics))
        let embedded = ["", "u:", "user"].map { Data("\($0)\(secret)@".utf8).base64EncodedString() }
        #expect(redactor.redact(json) == #"{"password":"••••"}"#)
        for text in [secret, nested, "mysql://root:\(url)@db", Data(secret.utf8).base64EncodedString()] + embedded {
            let redacted = redactor.redact(text)
            #expect(redacted.contains("••••"), "\(text)")
            #expect(!redacted.contains(secret))
        }
        #expect(redactor.redact("nothing of it: changed: [10.0.0.1]") == "nothing of it: changed: [10.0.0.1]")
    }
}

@Suite struct ClusterStatusStepTests {
    @Test(arguments: [true, false]) func aPatchWhoseAnswerWasLostIsDone(wasDone: Bool) async throws {
        func map(_ names: [String]) -> ConfigMap {
            let lines = names.map { "  \($0):\n    advertiseAddress: 10.0.0.1\n    bindPort: 6443\n" }.joined()
            return ConfigMap(
                metadata: RunbookCluster.meta("kubeadm-config", "kube-system"),
                data: ["ClusterStatus": "apiEndpoints:\n" + lines])
        }
        let folder = try TemporaryFolder()
        let plan = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: Date())
        let patched = Flag()
        let (before, after) = (
            try JSONEncoder().encode(map(RunbookCluster.names)),
            try JSONEncoder().encode(map(Array(RunbookCluster.names.dropFirst())))
        )
        let cluster = FakeCluster(KubernetesObjects()) { _, command in
            if command.display.contains(" patch ") {
                patched.set()
                return FakeCluster.failure(#"Error from server: testing path "/data/ClusterStatus" failed"#)
            }
            guard command.display.contains(" get configmap") else { return nil }
            return CommandResult(
                outcome: .exited(0), standardOutput: wasDone && patched.isSet ? after : before)
        }
        let step = CleanClusterStatusStep(plan: plan)
        let context = try cluster.context(plan, in: folder)
        if wasDone {
            try await step.run(context)
        } else {
            await #expect(throws: ClusterError.self) { try await step.run(context) }
        }
    }
}
