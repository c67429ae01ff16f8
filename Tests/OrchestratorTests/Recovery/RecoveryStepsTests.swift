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
        /// etcd does not run on its own data.
        var isDamaged = false
        /// A snapshot is there, to be restored.
        var snapshot = false
        /// The restored data are made.
        var isMade = false
        /// They are in their place: a cluster of one member.
        var isExchanged = false
        /// Somebody has had etcd forget the others before.
        var isForced = false
        /// A new master is a member, too.
        var hasJoined = false
        var revision = 4321
        /// The container that restores makes nothing.
        var restoresNothing = false
        /// Files arrive otherwise than they are.
        var corrupts = false
        /// The kubelet was restarted while no API server answered: until it is restarted once more it takes no static pod away, and starts
        /// none of that name.
        var isDeaf = false
        /// It becomes so once the data are restored.
        var goesDeaf = false
        /// It has left etcd running.
        var isLeftRunning = false
        var log: [String] = []
    }

    let name = RecoveryCluster.survivor
    let state: Mutex<State>
    /// The restored member's id is made of the new cluster's token.
    static let restoredID = "ab"

    init(_ state: State = State()) { self.state = Mutex(state) }

    static let database = "what etcd has written"

    static func json(_ members: [EtcdMember]) -> String {
        let items = members.map { member in
            #"{"id":\#(UInt64(member.id, radix: 16) ?? 0),"name":"\#(member.name)","peerURLs":["\#(member.peerURLs[0])"],"clientURLs":["\#(member.clientURLs[0])"]}"#
        }
        return "[\(items.joined(separator: ","))]"
    }

    private static func isRestoring(_ state: State) -> Bool {
        state.manifest.map { EtcdManifest($0).isRestoring } == true
    }

    private static func ownID(_ state: State) -> String { state.isExchanged ? restoredID : RecoveryCluster.ids[1] }

    private static func status(_ state: State) -> String {
        let own = UInt64(ownID(state), radix: 16) ?? 0
        return
            #"[{"Status":{"header":{"cluster_id":193,"member_id":\#(own),"revision":\#(state.revision)},"leader":\#(own)}}]"#
    }

    func run(_ command: Command) async throws -> CommandResult {
        try state.withLock { state in
            let display = command.display
            state.log.append(display)
            if display == SurvivorProbe.operation { return try #require(Self.look(command, state)) }
            let kubeadm = Inventory.Distribution.kubeadm
            switch display {
            case kubeadm.stopEtcd.display:
                if Self.isRestoring(state), state.kept != nil { state.manifest = nil }
                if let manifest = state.manifest {
                    (state.kept, state.manifest, state.isLeftRunning) = (manifest, nil, state.isDeaf)
                }
            case kubeadm.restartKubelet?.display: state.isDeaf = false
            case kubeadm.endEtcd?.display: if !state.isDeaf { state.isLeftRunning = false }
            case kubeadm.startEtcd.display:
                if let kept = state.kept { (state.manifest, state.kept) = (kept, nil) }
            case "rm \(EtcdManifest.path)": if Self.isRestoring(state) { state.manifest = nil }
            case "rm -f -- \(EtcdManifest.keptPath)": state.kept = nil
            case "rm -rf -- \(EtcdManifest.restoredPath)": state.isMade = false
            case "look at \(EtcdManifest.restoredPath)":
                return FakeCluster.output((state.isExchanged ? "exchanged\n" : "") + (state.isMade ? "made\n" : ""))
            case "look at /var/lib/etcd": return FakeCluster.failure("")
            case let text where text.hasPrefix("mv /var/lib/etcd/member "):
                #expect(state.manifest == nil && state.isMade, "nothing runs while the data change places")
                (state.isExchanged, state.isMade, state.snapshot) = (true, false, false)
            case kubeadm.snapshotDatabase.display:
                #expect(state.manifest == nil && !state.isLeftRunning, "etcd is stopped while its database is copied")
                state.snapshot = true
            case let text where text.hasPrefix("sha256sum \(kubeadm.restoredSnapshot)"):
                return state.snapshot ? FakeCluster.output("") : FakeCluster.failure("")
            case "write \(kubeadm.restoredSnapshot)": state.snapshot = true
            case let text where text.hasPrefix("rm -f -- \(kubeadm.restoredSnapshot)"): state.snapshot = false
            case EtcdDatabase.label:
                return FakeCluster.output(#"{"hash":1004314899,"revision":4321,"totalKey":900,"totalSize":9}"#)
            case let text where text.hasPrefix("sha256sum of each"):
                #expect(state.manifest == nil && !state.isLeftRunning, "etcd is stopped while its files are read")
                return FakeCluster.output(state.isDamaged ? "" : "\(Self.databaseSum)  member/snap/db\n")
            case let text where text.hasPrefix("read \(EtcdDatabase.path) from"):
                guard text.hasSuffix(" from 0") else { break }
                return FakeCluster.output(state.corrupts ? "something else" : Self.database)
            case let text where text.hasPrefix("read certificates"): return FakeCluster.output("tar")
            // The others are dead.
            case let text where text.hasPrefix("etcdctl endpoint status") && text.hasSuffix("--command-timeout=4s"):
                return FakeCluster.failure(
                    "Failed to get the status of endpoint https://10.0.0.1:2379 (context deadline exceeded)")
            default: break
            }
            return FakeCluster.output("")
        }
    }

    /// SHA-256 of ``database``.
    private static let databaseSum = "2ff2c617bc411f17c632985d972bea1b191a25d016d9a2aab77a926886e22c44"

    private static func look(_ command: Command, _ state: State) -> CommandResult? {
        var texts = ["age": "700", "database": "9", "data": "9", "room": "99999999", "process": ""]
        (texts["kept"], texts["manifest"]) = (state.kept, state.manifest)
        if state.isLeftRunning { texts["process"] = "runs" }
        if let manifest = state.manifest, !isRestoring(state), !state.isDamaged || state.isExchanged,
            !state.isDeaf || !state.isExchanged
        {
            texts["process"] = EtcdManifest(manifest).isForcing ? "forced" : "runs"
            let joined = EtcdMember(
                id: "5e", name: "s1", peerURLs: ["https://10.0.0.9:2380"], clientURLs: ["https://10.0.0.9:2379"])
            let isAlone = state.isExchanged || state.isForced
            var own = RecoveryCluster.etcd().members[1]
            own.id = ownID(state)
            texts["members"] = json(
                (isAlone ? [own] : RecoveryCluster.etcd().members) + (state.hasJoined ? [joined] : []))
            if isAlone { texts["status"] = status(state) }
        }
        return FakeCluster.sections(command, texts, isComplete: false)
    }

    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {
        state.withLock { state in
            state.log.append("upload \(path)")
            guard path == EtcdManifest.path else { return }
            state.manifest = String(decoding: contents, as: UTF8.self)
            // The container makes the data, and ends.
            if Self.isRestoring(state), state.snapshot, !state.restoresNothing { state.isMade = true }
            if state.goesDeaf, state.isExchanged { (state.isDeaf, state.goesDeaf) = (true, false) }
        }
    }
    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
}

@Suite struct RecoveryStepsTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    func run(_ survivor: FakeSurvivor, _ plan: RecoveryPlan? = nil, wait: Duration = .seconds(60)) async throws {
        let plan = try plan ?? self.plan()
        let saved = folder.path + "/saved"
        try FileManager.default.createDirectory(atPath: saved, withIntermediateDirectories: true)
        let run = RunStore.Run(id: "r", directory: folder.path)
        var limits = RunContext.Limits(wait: wait)
        limits.kubelet = .milliseconds(20)
        let context = RunContext(
            plan.scene, inventory: try RunbookCluster.inventory(), remotes: Remotes { _ in survivor }, run: run,
            journal: try Journal(path: run.journalPath), recorder: nil, lock: nil, watches: [],
            limits: limits,
            databasePassword: { Secret("x") }, emit: { _ in })
        let steps = RecoverySteps.make(plan).prefix { $0.id != "api-server" }
        try await Runner(Array(steps), context).run()
    }

    func plan() throws -> RecoveryPlan {
        var plan = try RecoveryCluster.plan()
        plan.watch = 0
        return plan
    }

    func saved(_ name: String) -> String? {
        FileManager.default.contents(atPath: folder.path + "/saved/" + name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// One member, the manifest as it was, nothing left beside it, and a copy of what there was.
    func expectRecovered(_ survivor: FakeSurvivor) {
        let state = survivor.state.withLock { $0 }
        #expect(state.isExchanged && state.manifest == RecoveryCluster.manifest && state.kept == nil)
        #expect(!state.snapshot, "it holds every secret of the cluster")
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

    /// Restarted, perhaps with its host, since the majority was lost.
    @Test func aKubeletThatDoesNotStopEtcdIsRestarted() async throws {
        let survivor = FakeSurvivor(.init(isDeaf: true))
        try await run(survivor)
        expectRecovered(survivor)
        #expect(survivor.state.withLock { $0.log.contains("systemctl restart kubelet") })
    }

    @Test func aKubeletThatDoesNotStartEtcdIsRestarted() async throws {
        let survivor = FakeSurvivor(.init(goesDeaf: true))
        try await run(survivor)
        expectRecovered(survivor)
        #expect(survivor.state.withLock { $0.log.count { $0 == "systemctl restart kubelet" } == 1 })
    }

    /// One that heeds its folder is left alone.
    @Test func theKubeletIsNotRestartedWithoutNeed() async throws {
        let survivor = FakeSurvivor()
        try await run(survivor)
        #expect(!survivor.state.withLock { $0.log.contains("systemctl restart kubelet") })
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
        let later = FakeSurvivor(.init(isExchanged: true, hasJoined: true))
        let error = try #require(await #expect(throws: ClusterError.self) { try await run(later) })
        #expect(error.code == .changed && error.cause.contains("5e 's1'"), "\(error)")
        #expect(!later.state.withLock { $0.log }.contains { $0.hasPrefix("upload") || $0.hasPrefix("mv") })
        // One that was cut off before that looks again before it stops etcd.
        try cutJournal(afterBeginOf: "save")
        let other = FakeSurvivor(.init(isExchanged: true, hasJoined: true))
        await #expect(throws: ClusterError.self) { try await run(other) }
        #expect(!other.state.withLock { $0.log }.contains { $0.hasPrefix("upload") || $0.hasPrefix("mv") })
    }

    /// Wherever it was cut off, what is there says what is left to do.
    @Test(arguments: ["stopped", "copied", "restoring", "made", "exchanged", "done"])
    func whatWasCutOffIsGoneOnWith(_ place: String) async throws {
        try await run(FakeSurvivor())
        var state = FakeSurvivor.State()
        (state.kept, state.manifest) = (state.manifest, nil)
        switch place {
        case "stopped": try FileManager.default.removeItem(atPath: folder.path + "/saved/etcd-data.sha256")
        case "restoring":
            state.manifest = EtcdManifest(RecoveryCluster.manifest).restoring(token: "masterswap-r")?.text
        case "made": state.isMade = true
        case "exchanged": state.isExchanged = true
        case "done": (state.isExchanged, state.manifest, state.kept) = (true, RecoveryCluster.manifest, nil)
        default: break
        }
        try cutJournal(
            afterBeginOf: place == "done" ? nil : place == "stopped" ? "copy-data" : "new-cluster")
        let survivor = FakeSurvivor(state)
        try await run(survivor)
        expectRecovered(survivor)
        let log = survivor.state.withLock { $0.log }
        #expect(
            log.count { $0.hasPrefix("mv /var/lib/etcd/member ") } == (["exchanged", "done"].contains(place) ? 0 : 1))
        if place == "done" { #expect(!log.contains { $0.hasPrefix("upload") || $0.hasPrefix("mv") }) }
    }

    /// Somebody has had etcd forget the others, and has left it so: its database is restored all the same, and the flag is gone.
    @Test func aFlagThatWasLeftIsTakenOut() async throws {
        var plan = try plan()
        plan.isUnfinished = true
        let survivor = FakeSurvivor(.init(manifest: RecoveryCluster.forcing, isForced: true))
        try await run(survivor, plan)
        expectRecovered(survivor)
    }

    @Test func aFlagThatWasLeftDoesNotOutliveARunThatFails() async throws {
        var plan = try plan()
        plan.isUnfinished = true
        let survivor = FakeSurvivor(.init(manifest: RecoveryCluster.forcing, isForced: true, corrupts: true))
        await #expect(throws: ClusterError.self) { try await run(survivor, plan) }
        #expect(survivor.state.withLock { $0.manifest == RecoveryCluster.manifest && !$0.isExchanged })
    }

    @Test func aCopyThatArrivesOtherwiseStopsItAndEtcdRunsAgain() async throws {
        let survivor = FakeSurvivor(.init(corrupts: true))
        let error = try #require(await #expect(throws: ClusterError.self) { try await run(survivor) })
        #expect(error.cause.contains("another checksum"))
        let state = survivor.state.withLock { $0 }
        #expect(state.manifest == RecoveryCluster.manifest && state.kept == nil && !state.isExchanged)
    }

    @Test func aRestoreThatMakesNothingLeavesEtcdAsItWas() async throws {
        let survivor = FakeSurvivor(.init(restoresNothing: true))
        let error = try #require(
            await #expect(throws: ClusterError.self) { try await run(survivor, wait: .milliseconds(50)) })
        #expect(error.code == .waitTimedOut)
        let state = survivor.state.withLock { $0 }
        #expect(
            state.manifest == RecoveryCluster.manifest && state.kept == nil && !state.isExchanged && !state.snapshot)
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
