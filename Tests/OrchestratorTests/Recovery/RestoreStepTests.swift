import Crypto
import Foundation
import SSH
import Synchronization
import Testing

@testable import Cluster
@testable import Execution
@testable import Inventories
@testable import Planning

@Suite struct RestoreStepTests {
    typealias Cluster = RecoveryCluster
    static let manifest = RecoveryCluster.manifest

    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    func run(_ survivor: FakeSurvivor) async throws {
        var snapshot = Cluster.snapshot
        snapshot.path = folder.path + "/snapshot.db"
        try Data("pages".utf8).write(to: URL(fileURLWithPath: snapshot.path))
        var etcd = Cluster.damaged(Cluster.etcd())
        etcd.manifest = EtcdManifest(Self.manifest)
        var plan = try RecoveryPlanner.plan(
            try Cluster.state(), etcd, .init(survivor: Cluster.survivor, snapshot: snapshot), room: nil,
            now: Cluster.now)
        plan.watch = 0
        try FileManager.default.createDirectory(atPath: folder.path + "/saved", withIntermediateDirectories: true)
        let run = RunStore.Run(id: "r", directory: folder.path)
        let context = RunContext(
            plan.scene, inventory: try RunbookCluster.inventory(), remotes: Remotes { _ in survivor }, run: run,
            journal: try Journal(path: run.journalPath), recorder: nil, lock: nil, watches: [],
            limits: .init(wait: .seconds(60)),
            databasePassword: { Secret("x") }, emit: { _ in })
        try await Runner(Array(RecoverySteps.make(plan).prefix { $0.id != "api-server" }), context).run()
    }

    func expectRestored(_ survivor: FakeSurvivor) {
        let state = survivor.state.withLock { $0 }
        #expect(state.manifest == Self.manifest && state.kept == nil && state.isExchanged)
        #expect(!state.snapshot, "it holds every secret of the cluster")
    }

    @Test func theKubeletRestoresTheSnapshot() async throws {
        let survivor = FakeSurvivor(.init(isDamaged: true, revision: 4002))
        try await run(survivor)
        expectRestored(survivor)
        // Resumed, it does nothing more.
        let before = survivor.state.withLock { $0.log.count }
        try await run(survivor)
        let after = survivor.state.withLock { Array($0.log[before...]) }
        #expect(!after.contains { $0.hasPrefix("upload") || $0.hasPrefix("mv ") || $0.hasPrefix("rm ") }, "\(after)")
    }

    @Test(arguments: ["stopped", "restoring", "made", "exchanged"]) func whatWasCutOffIsGoneOnWith(_ place: String)
        async throws
    {
        try await run(FakeSurvivor(.init(isDamaged: true, revision: 4002)))
        let path = folder.path + "/journal.jsonl"
        let events = try Journal.events(at: path)
        let last = try #require(events.firstIndex { $0.event == .stepBegan && $0.step == "new-cluster" })
        try FileManager.default.removeItem(atPath: path)
        let journal = try Journal(path: path)
        for event in events[...last] + [Event(.runStarted)] { try journal.append(event, durable: false) }
        var state = FakeSurvivor.State(isDamaged: true, revision: 4002)
        (state.kept, state.manifest) = (state.manifest, nil)
        switch place {
        case "restoring": state.manifest = EtcdManifest(Self.manifest).restoring(token: "masterswap-r")?.text
        case "made": state.isMade = true
        case "exchanged": state.isExchanged = true
        default: break
        }
        let survivor = FakeSurvivor(state)
        try await run(survivor)
        #expect(survivor.state.withLock { $0.manifest == Self.manifest && $0.kept == nil && $0.isExchanged })
        let exchanges = survivor.state.withLock { $0.log }.count { $0.hasPrefix("mv /var/lib/etcd/member ") }
        #expect(exchanges == (place == "exchanged" ? 0 : 1))
    }

    // MARK: By a real shell

    /// What is restored is what `etcdctl snapshot save` writes: pages, and their SHA-256.
    @Test func aDatabaseBecomesASnapshot() throws {
        let data = folder.path + "/etcd"
        try FileManager.default.createDirectory(atPath: data + "/member/snap", withIntermediateDirectories: true)
        var command = Inventory.Distribution.kubeadm.snapshotDatabase
        command.arguments = command.arguments.map { $0.replacing("/var/lib/etcd", with: data) }
        #expect(try LocalRemote(shell: "sh").runNow(command).errorText.hasSuffix("/member/snap/db is not there\n"))
        let pages = Data((0..<8192).map { UInt8(truncatingIfNeeded: $0) })
        try pages.write(to: URL(fileURLWithPath: data + "/member/snap/db"))
        try Data("cut off".utf8).write(to: URL(fileURLWithPath: data + "/masterswap-restore.db.part"))
        let result = try LocalRemote(shell: "sh").runNow(command)
        #expect(result.succeeded, "\(result.errorText)")
        let made = try Data(contentsOf: URL(fileURLWithPath: data + "/masterswap-restore.db"))
        #expect(made == pages + Data(SHA256.hash(data: pages)))
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: data).sorted() == ["masterswap-restore.db", "member"])
    }

    /// Cut off anywhere, it goes on; the old data stay.
    @Test(arguments: ["begin", "moved", "exchanged", "nothing"]) func theDataChangePlaces(_ place: String) throws {
        let plan = try Cluster.plan()
        let step = RestoreStep(plan: plan)
        let told = step.commands(try RunbookCluster.inventory())
        #expect(told.contains { $0.contains("member-before-RUN") })
        let data = folder.path + "/etcd"
        func make(_ path: String, _ text: String) throws {
            try FileManager.default.createDirectory(atPath: data + "/" + path, withIntermediateDirectories: true)
            try Data(text.utf8).write(to: URL(fileURLWithPath: data + "/" + path + "/x.wal"))
        }
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        if place == "begin" { try make("member/wal", "old") }
        if place == "moved" || place == "exchanged" { try make("member-before-r/wal", "old") }
        if place == "begin" || place == "moved" { try make("masterswap-restored/member/wal", "new") }
        if place == "exchanged" { try make("member/wal", "new") }
        try Data().write(to: URL(fileURLWithPath: data + "/masterswap-restore.db"))
        // Nobody's API server is ended here.
        try folder.program("pidof", "#!/bin/sh\nexit 1\n")
        var command = step.exchange("r")
        command.arguments = command.arguments.map { $0.replacing("/var/lib/etcd", with: data) }
        let result = try LocalRemote(shell: "sh", path: folder.path).runNow(command)
        guard place != "nothing" else { return #expect(result.errorText.hasPrefix("there are no data in")) }
        #expect(result.succeeded, "\(result.errorText)")
        #expect(try String(contentsOfFile: data + "/member/wal/x.wal", encoding: .utf8) == "new")
        #expect(try String(contentsOfFile: data + "/member-before-r/wal/x.wal", encoding: .utf8) == "old")
        #expect(FileManager.default.fileExists(atPath: data + "/masterswap-restored-r"))
        for name in ["masterswap-restored", "masterswap-restore.db"] {
            #expect(!FileManager.default.fileExists(atPath: data + "/" + name))
        }
    }

    /// Without data nothing is started; a manifest that restores never takes the first one's place.
    @Test func etcdIsStoppedAndStartedOnlyOnData() throws {
        let kubeadm = Inventory.Distribution.kubeadm
        let (path, kept, data) = (folder.path + "/etcd.yaml", folder.path + "/kept.yaml", folder.path + "/etcd")
        func run(_ command: Command) throws -> CommandResult {
            var command = command
            command.arguments = command.arguments.map {
                $0.replacing(EtcdManifest.path, with: path).replacing(EtcdManifest.keptPath, with: kept).replacing(
                    "/var/lib/etcd", with: data)
            }
            return try LocalRemote(shell: "sh").runNow(command)
        }
        func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
        let first = Self.manifest.replacing("/var/lib/etcd", with: data)
        try Data(first.utf8).write(to: URL(fileURLWithPath: path))
        #expect(try run(kubeadm.stopEtcd).succeeded && text(kept) == first && text(path) == nil)
        let restoring = try #require(EtcdManifest(Self.manifest).restoring(token: "x")).text
            .replacing("/var/lib/etcd", with: data)
        try Data(restoring.utf8).write(to: URL(fileURLWithPath: path))
        #expect(try run(kubeadm.stopEtcd).succeeded && text(kept) == first && text(path) == nil)
        #expect(try run(kubeadm.startEtcd).errorText.contains("an empty cluster would begin"))
        try FileManager.default.createDirectory(atPath: data + "/member/wal", withIntermediateDirectories: true)
        #expect(try run(kubeadm.startEtcd).succeeded && text(path) == first && text(kept) == nil)
        #expect(try run(kubeadm.startEtcd).succeeded && text(path) == first, "nobody has stopped it")
    }
}
