import Foundation
import SSH
import Synchronization
import Testing

@testable import Cluster
@testable import Execution
@testable import Inventories
@testable import Planning

/// The survivor's etcd and kubelet, as far as the steps look at them: what the manifest says is what runs.
final class FakeSurvivor: Remote {
    struct State: Sendable {
        var manifest: String? = RecoveryCluster.manifest
        var kept: String?
        /// A new master is a member, too.
        var hasJoined = false
        /// The others are forgotten.
        var isAlone = false
        var revision = 4321
        /// With the flag nothing changes.
        var ignoresFlag = false
        /// Files arrive otherwise than they are.
        var corrupts = false
        var log: [String] = []
    }

    let name = RecoveryCluster.survivor
    let state: Mutex<State>

    init(_ state: State = State()) { self.state = Mutex(state) }

    static let database = "what etcd has written"

    static func json(_ members: [EtcdMember], cluster: String = "c1") -> String {
        let items = members.map { member in
            #"{"id":\#(UInt64(member.id, radix: 16) ?? 0),"name":"\#(member.name)","peerURLs":["\#(member.peerURLs[0])"],"clientURLs":["\#(member.clientURLs[0])"]}"#
        }
        return "\(cluster)\n[\(items.joined(separator: ","))]"
    }

    private static func status(_ state: State) -> String {
        let own = UInt64(RecoveryCluster.ids[1], radix: 16) ?? 0
        return
            #"[{"Status":{"header":{"cluster_id":193,"member_id":\#(own),"revision":\#(state.revision)},"leader":\#(own)}}]"#
    }

    private static func change(_ state: inout State) {
        if state.manifest.map({ EtcdManifest($0).isForcing }) == true, !state.ignoresFlag { state.isAlone = true }
    }

    func run(_ command: Command) async throws -> CommandResult {
        try state.withLock { state in
            let display = command.display
            state.log.append(display)
            if display == SurvivorProbe.operation { return try #require(Self.look(command, state)) }
            switch display {
            case "mv \(EtcdManifest.path) \(EtcdManifest.keptPath)":
                if let manifest = state.manifest { (state.kept, state.manifest) = (manifest, nil) }
            case "mv \(EtcdManifest.keptPath) \(EtcdManifest.path)":
                if let kept = state.kept { (state.manifest, state.kept) = (kept, nil) }
            case "rm -f -- \(EtcdManifest.keptPath)": state.kept = nil
            case EtcdDatabase.label:
                return FakeCluster.output(#"{"hash":1004314899,"revision":4321,"totalKey":900,"totalSize":9}"#)
            case let text where text.hasPrefix("sha256sum of each"):
                #expect(state.manifest == nil, "etcd is stopped while its files are read")
                return FakeCluster.output("\(Self.databaseSum)  member/snap/db\n")
            case let text where text.hasPrefix("read \(EtcdDatabase.path) from"):
                guard text.hasSuffix(" from 0") else { break }
                return FakeCluster.output(state.corrupts ? "something else" : Self.database)
            case let text where text.hasPrefix("read certificates"): return FakeCluster.output("tar")
            // The others are dead.
            case let text where text.hasPrefix("etcdctl endpoint status") && text.hasSuffix("--command-timeout=4s"):
                return FakeCluster.failure(
                    "Failed to get the status of endpoint https://10.0.0.1:2379 (context deadline exceeded)")
            case let text where text.hasPrefix("etcdctl endpoint status"): return FakeCluster.output(Self.status(state))
            default: break
            }
            return FakeCluster.output("")
        }
    }

    /// SHA-256 of ``database``.
    private static let databaseSum = "2ff2c617bc411f17c632985d972bea1b191a25d016d9a2aab77a926886e22c44"

    private static func look(_ command: Command, _ state: State) -> CommandResult? {
        var texts = ["age": "700", "database": "9", "data": "9", "room": "99999999"]
        texts["kept"] = state.kept
        if let manifest = state.manifest {
            texts["manifest"] = manifest
            texts["process"] = EtcdManifest(manifest).isForcing ? "forced" : "runs"
            let joined = EtcdMember(
                id: "5e", name: "s1", peerURLs: ["https://10.0.0.9:2380"], clientURLs: ["https://10.0.0.9:2379"])
            texts["members"] = json(
                (state.isAlone ? [RecoveryCluster.etcd().members[1]] : RecoveryCluster.etcd().members)
                    + (state.hasJoined ? [joined] : []))
            if state.isAlone { texts["status"] = status(state) }
        }
        return FakeCluster.sections(command, texts, isComplete: false)
    }

    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {
        state.withLock { state in
            state.log.append("upload \(path)")
            if path == EtcdManifest.path { state.manifest = String(decoding: contents, as: UTF8.self) }
            Self.change(&state)
        }
    }
    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
}

@Suite struct RecoveryStepsTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    func run(_ survivor: FakeSurvivor, wait: Duration = .seconds(60)) async throws {
        let plan = try plan()
        let saved = folder.path + "/saved"
        try FileManager.default.createDirectory(atPath: saved, withIntermediateDirectories: true)
        let run = RunStore.Run(id: "r", directory: folder.path)
        let context = RunContext(
            plan.scene, inventory: try RunbookCluster.inventory(), remotes: Remotes { _ in survivor }, run: run,
            journal: try Journal(path: run.journalPath), recorder: nil, lock: nil, watches: [],
            limits: .init(wait: wait),
            databasePassword: { Secret("x") }, emit: { _ in })
        let steps = RecoverySteps.make(plan).prefix { $0.id != "api-server" }
        try await Runner(Array(steps), context).run()
    }

    func plan() throws -> RecoveryPlan {
        var plan = try RecoveryCluster.plan()
        plan.etcd.clusterID = "c1"
        plan.watch = 0
        return plan
    }

    func saved(_ name: String) -> String? {
        FileManager.default.contents(atPath: folder.path + "/saved/" + name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// One member, the manifest as it was, nothing left beside it, and a copy of what there was.
    func expectRecovered(_ survivor: FakeSurvivor) {
        let state = survivor.state.withLock { $0 }
        #expect(state.isAlone && state.manifest == RecoveryCluster.manifest && state.kept == nil)
        #expect(saved("etcd-data/member/snap/db") == FakeSurvivor.database)
        #expect(saved("etcd-data.sha256")?.hasSuffix("  etcd-data/member/snap/db\n") == true)
        #expect(saved("etcd-data.json")?.contains(#""revision":4321"#) == true)
        #expect(saved("\(LocalFile.safeName(RecoveryCluster.survivor)).tar") == "tar")
    }

    @Test func theSurvivorBecomesTheOnlyMember() async throws {
        let survivor = FakeSurvivor()
        try await run(survivor)
        expectRecovered(survivor)
        let destroyed = try Journal.events(at: folder.path + "/journal.jsonl").filter { $0.event == .destroyed }
        #expect(destroyed.compactMap(\.text).count == 2)
    }

    /// The run is cut off where a step had begun, and resumed.
    func cutJournal(afterBeginOf step: String?) throws {
        let path = folder.path + "/journal.jsonl"
        let events = try Journal.events(at: path)
        let last = events.firstIndex { $0.event == .stepBegan && $0.step == step } ?? events.count - 1
        try FileManager.default.removeItem(atPath: path)
        let journal = try Journal(path: path)
        for event in events[...last] + [Event(.runStarted)] { try journal.append(event, durable: false) }
    }

    /// Days later, others have joined: what this run did once is not done again.
    @Test func othersThatHaveJoinedSinceAreNotCutOff() async throws {
        let survivor = FakeSurvivor()
        try await run(survivor)
        try cutJournal(afterBeginOf: "first-manifest")
        let later = FakeSurvivor(.init(hasJoined: true, isAlone: true))
        let error = try #require(await #expect(throws: ClusterError.self) { try await run(later) })
        #expect(error.code == .changed && error.cause.contains("5e 's1'"), "\(error)")
        #expect(!later.state.withLock { $0.log }.contains { $0.hasPrefix("upload") || $0.hasPrefix("mv") })
        // One that was cut off before that looks again before it stops etcd.
        try cutJournal(afterBeginOf: "save")
        let other = FakeSurvivor(.init(hasJoined: true, isAlone: true))
        await #expect(throws: ClusterError.self) { try await run(other) }
        #expect(!other.state.withLock { $0.log }.contains { $0.hasPrefix("upload") || $0.hasPrefix("mv") })
    }

    /// Wherever it was cut off, what is there says what is left to do.
    @Test(arguments: ["stopped", "forced", "alone", "done"]) func whatWasCutOffIsGoneOnWith(_ place: String)
        async throws
    {
        let first = FakeSurvivor()
        try await run(first)
        var state = FakeSurvivor.State()
        switch place {
        case "stopped":
            (state.kept, state.manifest) = (state.manifest, nil)
            try FileManager.default.removeItem(atPath: folder.path + "/saved/etcd-data.sha256")
        case "forced":
            (state.kept, state.isAlone) = (state.manifest, true)
            state.manifest = EtcdManifest(RecoveryCluster.manifest).forcing?.text
        case "alone": (state.kept, state.isAlone) = (state.manifest, true)
        default: state.isAlone = true
        }
        try cutJournal(
            afterBeginOf: ["stopped": "copy-data", "forced": "new-cluster", "alone": "first-manifest"][place])
        let survivor = FakeSurvivor(state)
        try await run(survivor)
        expectRecovered(survivor)
        if place == "done" {
            #expect(!survivor.state.withLock { $0.log }.contains { $0.hasPrefix("upload") || $0.hasPrefix("mv") })
        }
    }

    @Test func aCopyThatArrivesOtherwiseStopsItAndEtcdRunsAgain() async throws {
        let survivor = FakeSurvivor(.init(corrupts: true))
        let error = try #require(await #expect(throws: ClusterError.self) { try await run(survivor) })
        #expect(error.cause.contains("another checksum"))
        let state = survivor.state.withLock { $0 }
        #expect(state.manifest == RecoveryCluster.manifest && state.kept == nil && !state.isAlone)
    }

    @Test func theFlagDoesNotOutliveARunThatFails() async throws {
        let survivor = FakeSurvivor(.init(ignoresFlag: true))
        let error = try #require(
            await #expect(throws: ClusterError.self) { try await run(survivor, wait: .milliseconds(50)) })
        #expect(error.code == .waitTimedOut)
        let manifest = try #require(survivor.state.withLock { $0.manifest })
        #expect(!EtcdManifest(manifest).isForcing)
    }

    @Test func dataThatIsOlderThanItsCopyStopsIt() async throws {
        let survivor = FakeSurvivor(.init(revision: 4000))
        let error = try #require(await #expect(throws: ClusterError.self) { try await run(survivor) })
        #expect(error.code == .changed && error.cause == "it is at revision 4000, and the copy at 4321")
    }
}

/// By a real shell.
@Suite struct SurvivorLockTests {
    let folder: TemporaryFolder
    let remote = LocalRemote(shell: "sh")
    var path: String { folder.path + "/lock" }

    init() throws { folder = try TemporaryFolder() }

    @Test func twoRunsDoNotRecoverAtOnce() async throws {
        let first = try await SurvivorLock.acquire(on: remote, path: path)
        let error = try #require(
            await #expect(throws: Locked.self) { try await SurvivorLock.acquire(on: remote, path: path) })
        #expect(error.description.contains("delete there: \(path)"))
        try await first.assertHeld()
        await first.release()
        #expect(!FileManager.default.fileExists(atPath: path))
        let second = try await SurvivorLock.acquire(on: remote, path: path)
        await #expect(throws: Locked.self) { try await first.assertHeld() }
        await first.release()
        try await second.assertHeld()
        await second.release()
    }

    /// /run is empty after a restart.
    @Test func aLockThatIsGoneIsNobodyElses() async throws {
        let lock = try await SurvivorLock.acquire(on: remote, path: path)
        try FileManager.default.removeItem(atPath: path)
        let error = try #require(await #expect(throws: Locked.self) { try await lock.assertHeld() })
        #expect(error.description.contains("local was restarted, or somebody has deleted it"))
        #expect(!FileManager.default.fileExists(atPath: path), "others may have come and gone")
        await lock.release()
    }

    @Test func anAbandonedOneIsTakenOver() async throws {
        let first = try await SurvivorLock.acquire(on: remote, path: path)
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -60)], ofItemAtPath: path)
        let second = try await SurvivorLock.acquire(on: remote, path: path)
        await #expect(throws: Locked.self) { try await first.assertHeld() }
        try await second.assertHeld()
        await second.release()
        await first.release()
        // Of a process that is gone from this machine nobody waits for the end.
        let gone = ClusterLock.Owner.current().identity.replacing(
            "/\(ProcessInfo.processInfo.processIdentifier)/", with: "/4194305/")
        try Data((gone + "\n").utf8).write(to: URL(fileURLWithPath: path))
        let third = try await SurvivorLock.acquire(on: remote, path: path)
        await third.release()
    }
}
