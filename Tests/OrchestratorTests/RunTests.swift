import Foundation
import SSH
import Synchronization
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

    /// Writes an executable script.
    func program(_ name: String, _ text: String) throws {
        let file = path + "/" + name
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file)
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

@Suite struct KubectlTests {
    /// Answers by the first rule whose words all stand in the command.
    final class ScriptedRemote: Remote {
        let name: String
        let answer: @Sendable (Command) throws -> CommandResult
        let commands = Mutex<[Command]>([])

        init(_ name: String, _ answer: @escaping @Sendable (Command) throws -> CommandResult) {
            self.name = name
            self.answer = answer
        }

        func run(_ command: Command) async throws -> CommandResult {
            commands.withLock { $0.append(command) }
            return try answer(command)
        }
        func upload(_ contents: Data, to path: String, mode: UInt16) async throws {}
        func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
        var displays: [String] { commands.withLock { $0.map(\.display) } }
    }

    static func output(_ text: String) -> CommandResult {
        CommandResult(outcome: .exited(0), standardOutput: Data(text.utf8))
    }
    static func failure(_ text: String) -> CommandResult {
        CommandResult(outcome: .exited(1), standardError: Data(text.utf8))
    }

    let claim = ObjectReference(.claim, namespace: "n", name: "c", uid: "old")

    func kubectl(_ remotes: [ScriptedRemote], version: KubernetesVersion? = nil) -> Kubectl {
        Kubectl(remotes.map { .init(remote: $0) }, distribution: .kubeadm, version: version, retryTimeout: .seconds(5))
    }

    @Test func aSuccessorOfTheSameNameIsNotDeleted() async throws {
        let remote = ScriptedRemote("a") { _ in Self.output(#"{"metadata":{"name":"c","namespace":"n","uid":"new"}}"#) }
        #expect(try await kubectl([remote]).delete(claim) == false)
        #expect(remote.displays == ["kubectl get persistentvolumeclaim c -n n -o json"])
    }

    @Test func theUIDGoesWithTheDeletion() async throws {
        let remote = ScriptedRemote("a") { command in
            command.display.contains("get")
                ? Self.output(#"{"metadata":{"name":"c","namespace":"n","uid":"old"}}"#) : Self.output("")
        }
        #expect(try await kubectl([remote]).delete(claim))
        let last = try #require(remote.commands.withLock { $0.last })
        #expect(last.display == "kubectl delete --raw /api/v1/namespaces/n/persistentvolumeclaims/c -f -")
        #expect(String(decoding: last.input ?? Data(), as: UTF8.self).contains(#""preconditions":{"uid":"old"}"#))
    }

    @Test func oldKubectlDeletesByNameAfterComparing() async throws {
        let remote = ScriptedRemote("a") { command in
            command.display.contains("get")
                ? Self.output(#"{"metadata":{"name":"c","namespace":"n","uid":"old"}}"#) : Self.output("")
        }
        #expect(try await kubectl([remote], version: KubernetesVersion(1, 15)).delete(claim))
        #expect(remote.displays.last == "kubectl delete persistentvolumeclaim c --wait=false -n n")
    }

    @Test func whatIsGoneIsNotAnError() async throws {
        let remote = ScriptedRemote("a") { _ in
            Self.failure(#"Error from server (NotFound): persistentvolumeclaims "c" not found"#)
        }
        #expect(try await kubectl([remote]).delete(claim) == false)
    }

    @Test func anotherMasterIsAskedWhereOneIsAway() async throws {
        let away = ScriptedRemote("a") { _ in
            Self.failure(
                "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?")
        }
        let lost = ScriptedRemote("b") { _ in
            throw SSHError(.connectionLost, host: "b", operation: "run", cause: "reset")
        }
        let there = ScriptedRemote("c") { _ in Self.output("ok") }
        #expect(try await kubectl([away, lost, there]).run(["version"]) == Data("ok".utf8))
    }

    /// Cut off, of another shape, empty: a typed error, and nothing is deleted.
    @Test(arguments: [
        "", "{", #"{"metadata":{"name":"c","uid":"old""#, "[]", "null", #"{"metadata":{"name":"c"}}"#,
        #"{"metadata":{"name":"c","uid":7}}"#, #"{"items":[]}"#, "No resources found",
    ]) func unreadableJSONIsNoReasonToAct(text: String) async throws {
        let remote = ScriptedRemote("a") { _ in Self.output(text) }
        let error = await #expect(throws: ClusterError.self) { try await kubectl([remote]).delete(claim) }
        #expect(error?.code == .badOutput)
        #expect(remote.displays.allSatisfy { $0.hasPrefix("kubectl get") }, "\(remote.displays)")
    }

    @Test func aRealRefusalIsNotAskedAgain() async throws {
        let remote = ScriptedRemote("a") { _ in Self.failure("Error from server (Forbidden): no") }
        await #expect(throws: ClusterError.self) { try await kubectl([remote, remote]).run(["delete", "x"]) }
        #expect(remote.displays.count == 1)
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

@Suite struct SnapshotStatusTests {
    let status = #"{"hash":1,"revision":7,"totalKey":900,"totalSize":20480}"#

    func ask(_ answer: @escaping @Sendable (Command) -> CommandResult) async throws -> (
        Etcdctl.SnapshotStatus, asked: [String]
    ) {
        let remote = KubectlTests.ScriptedRemote("a", answer)
        let kubectl = Kubectl([.init(remote: remote)], distribution: .kubeadm)
        let status = try await Etcdctl(kubectl, node: "a", distribution: .kubeadm).snapshotStatus("/s.db")
        return (status, remote.displays)
    }

    @Test func etcdctlIsAskedFirst() async throws {
        let (found, asked) = try await ask { [status] _ in KubectlTests.output(status) }
        #expect(found == .init(revision: 7, totalKey: 900))
        #expect(asked == ["etcdctl snapshot status /s.db -w json"])
    }

    @Test(arguments: [true, false]) func etcdutlWhereItCannot(endsWell: Bool) async throws {
        let (found, asked) = try await ask { [status] command in
            if command.display.hasPrefix("etcdutl") { return KubectlTests.output(status) }
            return endsWell
                ? KubectlTests.output("NAME:\n  snapshot - Manages etcd node snapshots\n")
                : KubectlTests.failure("Error: unknown command")
        }
        #expect(found.totalKey == 900)
        #expect(asked.last == "etcdutl snapshot status /s.db -w json")
    }

    @Test func neitherIsAnError() async throws {
        await #expect(throws: ClusterError.self) {
            try await ask { _ in KubectlTests.failure("snapshot file corrupted") }
        }
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

@Suite struct ClusterLockTests {
    /// The Lease as the API server keeps it: a replacement of another version than the present one is a conflict.
    final class LeaseServer: Sendable {
        let lease = Mutex<ClusterLock.Lease?>(nil)
        /// Called with each write, before it is looked at.
        let beforeWrite = Mutex<(@Sendable (LeaseServer) -> Void)?>(nil)

        func answer(_ command: Command) throws -> CommandResult {
            if command.display.hasPrefix("kubectl get lease") {
                guard let lease = lease.withLock({ $0 }) else {
                    return KubectlTests.failure("Error from server (NotFound): leases not found")
                }
                return CommandResult(outcome: .exited(0), standardOutput: try JSONEncoder().encode(lease))
            }
            let hook = beforeWrite.withLock { hook in
                defer { hook = nil }
                return hook
            }
            hook?(self)
            let next = try JSONDecoder().decode(ClusterLock.Lease.self, from: command.input ?? Data())
            return lease.withLock { lease in
                guard next.metadata.resourceVersion == lease?.metadata.resourceVersion else {
                    return KubectlTests.failure("Error from server (Conflict): the object has been modified")
                }
                store(next, in: &lease)
                return KubectlTests.output("")
            }
        }

        private func store(_ next: ClusterLock.Lease, in lease: inout ClusterLock.Lease?) {
            var next = next
            next.metadata.resourceVersion = String((Int(lease?.metadata.resourceVersion ?? "0") ?? 0) + 1)
            lease = next
        }

        /// What a renewal that is on its way does.
        func renew() {
            lease.withLock { lease in
                guard let now = lease else { return }
                store(now, in: &lease)
            }
        }
    }

    @Test func aReleaseThatMeetsARenewalStillReleases() async throws {
        let server = LeaseServer()
        let remote = KubectlTests.ScriptedRemote("a") { try server.answer($0) }
        let kubectl = Kubectl([.init(remote: remote)], distribution: .kubeadm)
        let lock = try await ClusterLock.acquire(kubectl) { _ in }
        try await lock.assertHeld()
        server.beforeWrite.withLock { $0 = { $0.renew() } }
        await lock.release()
        #expect(try await ClusterLock.holder(kubectl) == nil)
        await #expect(throws: Locked.self) { try await lock.assertHeld() }
    }

    @Test func anotherNamespacesProcessIdSaysNothing() throws {
        let own = ClusterLock.Owner.current()
        #expect(ClusterLock.Owner(identity: own.identity) == own)
        var gone = own
        gone.process = Int32.max
        #expect(gone.isGoneFromHere, "no process has that number")
        guard let dot = own.machine.lastIndex(of: ".") else { return }
        gone.machine = own.machine[...dot] + "1"
        #expect(!gone.isGoneFromHere, "it may live in a container of the same name")
    }
}
