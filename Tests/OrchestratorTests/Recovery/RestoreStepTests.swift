import Foundation
import SSH
import Synchronization
import Testing

@testable import Cluster
@testable import Execution
@testable import Inventories
@testable import Planning

/// A survivor whose etcd does not run on its data, and a kubelet that runs what the manifest says.
final class FakeDamaged: Remote {
    struct State: Sendable {
        var manifest: String? = RestoreStepTests.manifest
        var kept: String?
        var isMade = false
        var isExchanged = false
        var snapshot: Bool = false
        var log: [String] = []
    }

    let name = RecoveryCluster.survivor
    let state: Mutex<State>
    /// The member's id is made of the new cluster's token.
    static let id = "ab"

    init(_ state: State = State()) { self.state = Mutex(state) }

    private static func isRestoring(_ state: State) -> Bool {
        state.manifest.map { EtcdManifest($0).isRestoring } == true
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
                if let manifest = state.manifest { (state.kept, state.manifest) = (manifest, nil) }
            case kubeadm.startEtcd.display:
                if let kept = state.kept { (state.manifest, state.kept) = (kept, nil) }
            case "rm \(EtcdManifest.path)": if Self.isRestoring(state) { state.manifest = nil }
            case "rm -f -- \(EtcdManifest.keptPath)": state.kept = nil
            case "rm -rf -- \(EtcdManifest.restoredPath)": state.isMade = false
            case "look at \(EtcdManifest.restoredPath)":
                return FakeCluster.output(
                    (state.isExchanged ? "exchanged\n" : "") + (state.isMade ? "made\n" : ""))
            case "look at /var/lib/etcd": return FakeCluster.failure("")
            case let text where text.hasPrefix("mv /var/lib/etcd/member "):
                #expect(state.manifest == nil && state.isMade, "nothing runs while the data change places")
                (state.isExchanged, state.isMade) = (true, false)
            case let text where text.hasPrefix("sha256sum \(kubeadm.restoredSnapshot)"):
                return state.snapshot ? FakeCluster.output("") : FakeCluster.failure("")
            case "write \(kubeadm.restoredSnapshot)": state.snapshot = true
            case let text where text.hasPrefix("rm -f -- \(kubeadm.restoredSnapshot)"): state.snapshot = false
            case let text where text.hasPrefix("read certificates"): return FakeCluster.output("tar")
            default: break
            }
            return FakeCluster.output("")
        }
    }

    private static func look(_ command: Command, _ state: State) -> CommandResult? {
        var texts = ["age": "700", "database": "9", "data": "9", "room": "99999999", "process": ""]
        (texts["kept"], texts["manifest"]) = (state.kept, state.manifest)
        if state.isExchanged, state.manifest != nil, !isRestoring(state) {
            texts["process"] = "runs"
            var own = RecoveryCluster.etcd().members[1]
            own.id = id
            texts["members"] = FakeSurvivor.json([own], cluster: "c2")
            texts["status"] =
                #"[{"Status":{"header":{"cluster_id":194,"member_id":171,"revision":4002},"leader":171}}]"#
        }
        return FakeCluster.sections(command, texts, isComplete: false)
    }

    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {
        state.withLock { state in
            state.log.append("upload \(path)")
            guard path == EtcdManifest.path else { return }
            state.manifest = String(decoding: contents, as: UTF8.self)
            // The container makes the data, and ends.
            if Self.isRestoring(state), state.snapshot { state.isMade = true }
        }
    }
    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
}

@Suite struct RestoreStepTests {
    typealias Cluster = RecoveryCluster
    static let manifest = RecoveryCluster.manifest

    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    func run(_ survivor: FakeDamaged) async throws {
        var snapshot = Cluster.snapshot
        snapshot.path = folder.path + "/snapshot.db"
        try Data("pages".utf8).write(to: URL(fileURLWithPath: snapshot.path))
        var etcd = Cluster.damaged(Cluster.etcd())
        etcd.manifest = EtcdManifest(Self.manifest)
        var plan = try RecoveryPlanner.plan(
            try Cluster.state(), etcd, .init(survivor: Cluster.survivor, snapshot: snapshot), room: nil,
            now: Cluster.now)
        (plan.watch, plan.etcd.clusterID) = (0, "c1")
        try FileManager.default.createDirectory(atPath: folder.path + "/saved", withIntermediateDirectories: true)
        let run = RunStore.Run(id: "r", directory: folder.path)
        let context = RunContext(
            plan.scene, inventory: try RunbookCluster.inventory(), remotes: Remotes { _ in survivor }, run: run,
            journal: try Journal(path: run.journalPath), recorder: nil, lock: nil, watches: [],
            limits: .init(wait: .seconds(60)),
            databasePassword: { Secret("x") }, emit: { _ in })
        try await Runner(Array(RecoverySteps.make(plan).prefix { $0.id != "api-server" }), context).run()
    }

    func expectRestored(_ survivor: FakeDamaged) {
        let state = survivor.state.withLock { $0 }
        #expect(state.manifest == Self.manifest && state.kept == nil && state.isExchanged)
        #expect(!state.snapshot, "it holds every secret of the cluster")
    }

    @Test func theKubeletRestoresTheSnapshot() async throws {
        let survivor = FakeDamaged()
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
        try await run(FakeDamaged())
        let path = folder.path + "/journal.jsonl"
        let events = try Journal.events(at: path)
        let last = try #require(events.firstIndex { $0.event == .stepBegan && $0.step == "new-cluster" })
        try FileManager.default.removeItem(atPath: path)
        let journal = try Journal(path: path)
        for event in events[...last] + [Event(.runStarted)] { try journal.append(event, durable: false) }
        var state = FakeDamaged.State()
        (state.kept, state.manifest) = (state.manifest, nil)
        switch place {
        case "restoring": state.manifest = EtcdManifest(Self.manifest).restoring(token: "masterswap-r")?.text
        case "made": state.isMade = true
        case "exchanged": (state.isExchanged, state.snapshot) = (true, true)
        default: break
        }
        let survivor = FakeDamaged(state)
        try await run(survivor)
        #expect(survivor.state.withLock { $0.manifest == Self.manifest && $0.kept == nil && $0.isExchanged })
        let exchanges = survivor.state.withLock { $0.log }.count { $0.hasPrefix("mv /var/lib/etcd/member ") }
        #expect(exchanges == (place == "exchanged" ? 0 : 1))
    }

    // MARK: By a real shell

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
        #expect(!FileManager.default.fileExists(atPath: data + "/masterswap-restored"))
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
