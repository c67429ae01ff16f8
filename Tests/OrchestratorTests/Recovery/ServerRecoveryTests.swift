import Foundation
import SSH
import Synchronization
import Testing

@testable import Cluster
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// The survivor's k3s, as far as the steps look at it: a service, a reset that is begun and followed, and data.
final class FakeServer: Remote {
    struct State: Sendable {
        var isActive = true
        var mark: ServerMark?
        var job = "absent"
        var isAlone = false
        var hasJoined = false
        /// Exit status of a reset.
        var resetStatus = 0
        /// One that fails has moved the data aside.
        var movesData = true
        var revision = 4321
        var restored: String?
        /// It is there.
        var hasSnapshot = false
        var log: [String] = []
    }

    let name = RecoveryCluster.survivor
    let state: Mutex<State>

    init(_ state: State = State()) { self.state = Mutex(state) }

    static let data = "what etcd has written"
    private static let sum = "2ff2c617bc411f17c632985d972bea1b191a25d016d9a2aab77a926886e22c44"
    private static let folder = Inventory.Distribution.k3s.etcdDataDirectory

    private static func reset(_ state: inout State, _ display: String) {
        state.job = "ended \(state.resetStatus)"
        guard state.resetStatus == 0 else { return }
        state.isAlone = true
        if display.contains("restore-path="), state.hasSnapshot { state.restored = "restored" }
    }

    func run(_ command: Command) async throws -> CommandResult {
        try state.withLock { state in
            let display = command.display
            state.log.append(display)
            if display == SurvivorProbe.operation { return try #require(Self.look(command, state)) }
            switch display {
            case Inventory.Distribution.k3s.stopEtcd.display:
                if state.mark == nil { state.mark = .stopped }
                state.isActive = false
            case Inventory.Distribution.k3s.startEtcd.display:
                guard state.mark != nil else { break }
                guard state.mark != .restoring else { return FakeCluster.failure("a restore has not come to its end") }
                (state.isActive, state.mark) = (true, nil)
            case "write \(ServerMark.path)":
                state.mark = ServerMark(rawValue: command.arguments.last ?? "")
            case let text where text.hasPrefix("start k3s server --cluster-reset"):
                #expect(!state.isActive, "the service is stopped while it is reset")
                Self.reset(&state, display)
            case let text where text.hasPrefix("follow "): return FakeCluster.output(state.job + "\n")
            case let text where text.hasPrefix("sha256sum of each"):
                #expect(!state.isActive, "k3s is stopped while its files are read")
                return FakeCluster.output("\(Self.sum)  member/snap/db\n\(Self.sum)  name\n")
            case "read \(Self.folder)/member/snap/db from 0", "read \(Self.folder)/name from 0":
                return FakeCluster.output(Self.data)
            case Inventory.Distribution.k3s.snapshotDatabase.display:
                #expect(!state.isActive && state.mark == .stopped, "k3s is stopped while its database is copied")
                state.hasSnapshot = true
            case let text where text.hasPrefix("rm -f -- \(Inventory.Distribution.k3s.restoredSnapshot)"):
                state.hasSnapshot = false
            case let text where text.hasPrefix("sha256sum \(Inventory.Distribution.k3s.restoredSnapshot)"):
                return state.hasSnapshot ? FakeCluster.output("") : FakeCluster.failure("")
            case "write \(Inventory.Distribution.k3s.restoredSnapshot)": state.hasSnapshot = true
            case "look at \(ServerMark.path)":
                return state.mark == .restoring || state.job != "absent"
                    ? FakeCluster.output("") : FakeCluster.failure("")
            case Inventory.Distribution.unmarkUnchanged.display:
                guard !state.movesData else { return FakeCluster.failure("") }
                state.mark = .stopped
            case let text where text.hasPrefix("read certificates"): return FakeCluster.output("tar")
            default: break
            }
            return FakeCluster.output("")
        }
    }

    private static func look(_ command: Command, _ state: State) -> CommandResult? {
        var texts = ["age": "700", "database": "9", "data": "9", "room": "99999999", "obstacles": "", "process": ""]
        texts["mark"] = state.mark?.rawValue
        if state.isActive {
            texts["process"] = "runs"
            let joined = EtcdMember(
                id: "5e", name: "s1-00000001", peerURLs: ["https://10.0.0.9:2380"],
                clientURLs: ["https://10.0.0.9:2379"])
            texts["members"] = FakeSurvivor.json(
                (state.isAlone ? [RecoveryCluster.k3sEtcd().members[1]] : RecoveryCluster.k3sEtcd().members)
                    + (state.hasJoined ? [joined] : []))
            let leads = state.isAlone ? 1 : 0
            texts["status"] = """
                {"health":"\(state.isAlone)"}
                etcd_server_has_leader \(leads)
                etcd_server_id{server_id="\(RecoveryCluster.ids[1])"} 1
                etcd_server_is_leader \(leads)
                etcd_server_version{server_version="3.5.9"} 1
                etcd_debugging_mvcc_current_revision \(state.revision)
                """
        }
        return FakeCluster.sections(command, texts, isComplete: false)
    }

    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {
        state.withLock { $0.log.append("upload \(path)") }
    }
    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
}

/// k3s' own way: `--cluster-reset`, with the service stopped.
@Suite struct ServerRecoveryTests {
    typealias Cluster = RecoveryCluster
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    func plan(_ snapshot: RecoveryPlan.Snapshot? = nil) throws -> RecoveryPlan {
        var plan = try RecoveryPlanner.plan(
            try Cluster.k3sState(), Cluster.k3sEtcd(), Cluster.request, room: nil, now: Cluster.now)
        (plan.watch, plan.snapshot) = (0, snapshot)
        return plan
    }

    /// One that is there, so that it can be brought to the host.
    func snapshot() throws -> RecoveryPlan.Snapshot {
        var snapshot = Cluster.snapshot
        snapshot.path = folder.path + "/snapshot.db"
        try Data("pages".utf8).write(to: URL(fileURLWithPath: snapshot.path))
        return snapshot
    }

    func run(_ server: FakeServer, _ plan: RecoveryPlan) async throws {
        try FileManager.default.createDirectory(atPath: folder.path + "/saved", withIntermediateDirectories: true)
        let run = RunStore.Run(id: "r", directory: folder.path)
        var inventory = try RunbookCluster.inventory()
        inventory.cluster.distribution = .k3s
        let context = RunContext(
            plan.scene, inventory: inventory, remotes: Remotes { _ in server }, run: run,
            journal: try Journal(path: run.journalPath), recorder: nil, lock: nil, watches: [],
            limits: .init(wait: .seconds(60)),
            databasePassword: { Secret("x") }, emit: { _ in })
        try await Runner(Array(RecoverySteps.make(plan).prefix { $0.id != "api-server" }), context).run()
    }

    @Test func itIsPlannedByItsOwnSteps() throws {
        let plan = try plan()
        #expect(
            RecoverySteps.make(plan).map(\.id) == [
                "save", "copy-data", "new-cluster", "start-k3s", "api-server", "promote", "dead-nodes", "verify",
            ])
        #expect(plan.dead.map(\.node) == Cluster.dead && plan.dead.map(\.memberID) == [Cluster.ids[0], Cluster.ids[2]])
        var inventory = try RunbookCluster.inventory()
        inventory.cluster.distribution = .k3s
        let lines = RecoveryText(plan, inventory).lines.map(\.text)
        #expect(lines.contains { $0.contains("start k3s server --cluster-reset") })
        #expect(!lines.contains { $0.contains("nsenter") || $0.contains("ClusterStatus") })
    }

    @Test func whatAResetWouldLackIsRefused() throws {
        var etcd = Cluster.k3sEtcd()
        etcd.obstacles = ["server in /etc/rancher/k3s/config.yaml"]
        let refused = try #require(throws: Refused.self) {
            try RecoveryPlanner.plan(try Cluster.k3sState(), etcd, Cluster.request, room: nil, now: Cluster.now)
        }
        #expect(refused.refusals.map(\.rule) == ["etcd-data-is-usable"])
    }

    func expectRecovered(_ server: FakeServer) throws {
        let state = server.state.withLock { $0 }
        #expect(state.isAlone && state.isActive && state.mark == nil)
        let saved = folder.path + "/saved/"
        for name in ["etcd-data/member/snap/db", "etcd-data/name"] {
            #expect(FileManager.default.contents(atPath: saved + name) == Data(FakeServer.data.utf8))
        }
        let index = try String(contentsOfFile: saved + "etcd-data.sha256", encoding: .utf8)
        #expect(index.hasSuffix("  etcd-data/name\n"))
        #expect(try String(contentsOfFile: saved + "etcd-data.json", encoding: .utf8).contains(#""revision":4321"#))
    }

    @Test func theSurvivorBecomesTheOnlyMember() async throws {
        let server = FakeServer()
        try await run(server, try plan())
        try expectRecovered(server)
        let log = server.state.withLock { $0.log }
        #expect(log.filter { $0.hasPrefix("start k3s server") }.count == 1)
        #expect(server.state.withLock { $0.restored == "restored" && !$0.hasSnapshot })
    }

    @Test func aSnapshotIsRestored() async throws {
        let server = FakeServer()
        try await run(server, try plan(try snapshot()))
        try expectRecovered(server)
        #expect(server.state.withLock { $0.restored } == "restored")
        let log = server.state.withLock { $0.log }
        let path = Inventory.Distribution.k3s.restoredSnapshot
        let begun = try #require(log.firstIndex { $0.contains("--cluster-reset-restore-path=\(path)") })
        #expect(log[..<begun].contains("upload \(path).part.piece"))
        #expect(log[begun...].contains { $0.hasPrefix("rm -f -- \(path)") }, "it holds every secret of the cluster")
    }

    /// Where a restore has begun there may be no data: k3s is not started on that, which would begin an empty cluster.
    @Test(arguments: [true, false]) func aRestoreThatFailsStartsNothing(isOwn: Bool) async throws {
        let server = FakeServer(.init(resetStatus: 1))
        let plan = try plan(isOwn ? nil : try snapshot())
        let error = try #require(await #expect(throws: ClusterError.self) { try await run(server, plan) })
        #expect(error.operation == "k3s server --cluster-reset" && error.cause.contains("status 1"))
        #expect(server.state.withLock { !$0.isActive && $0.mark == .restoring })
        #expect(!isOwn || server.state.withLock { $0.hasSnapshot }, "it may be all that is in its place")
        // Its cause is gone, and it is resumed.
        server.state.withLock { $0.resetStatus = 0 }
        try await run(server, plan)
        try expectRecovered(server)
        #expect(server.state.withLock { $0.restored == "restored" && !$0.hasSnapshot })
    }

    /// It had done nothing to the data: k3s runs again as it did, and no snapshot stays.
    @Test func aResetThatFailsBeforeItChangesAnythingStartsK3sAgain() async throws {
        let server = FakeServer(.init(resetStatus: 1, movesData: false))
        await #expect(throws: ClusterError.self) { try await run(server, try plan()) }
        #expect(server.state.withLock { $0.isActive && $0.mark == nil && !$0.hasSnapshot && !$0.isAlone })
    }

    /// The one that began it has the copy; by now the data are others.
    @Test func anotherMachineDoesNotCopyWhatIsBeingReplaced() async throws {
        try await run(FakeServer(), try plan())
        try cutJournal(afterBeginOf: "new-cluster")
        try FileManager.default.removeItem(atPath: folder.path + "/saved/etcd-data.sha256")
        let server = FakeServer(.init(isActive: false, mark: .restoring, job: "lost", hasSnapshot: true))
        try await run(server, try plan())
        #expect(server.state.withLock { $0.isAlone && $0.isActive && $0.mark == nil })
        #expect(!server.state.withLock { $0.log }.contains { $0.hasPrefix("sha256sum of each") })
    }

    /// The run is cut off where a step had begun, and resumed.
    func cutJournal(afterBeginOf step: String) throws {
        let path = folder.path + "/journal.jsonl"
        let events = try Journal.events(at: path)
        let last = try #require(events.firstIndex { $0.event == .stepBegan && $0.step == step })
        try FileManager.default.removeItem(atPath: path)
        let journal = try Journal(path: path)
        for event in events[...last] + [Event(.runStarted)] { try journal.append(event, durable: false) }
    }

    /// Wherever it was cut off, what is there says what is left to do.
    @Test(arguments: ["stopped", "cut", "marked", "running", "done", "started"]) func whatWasCutOffIsGoneOnWith(
        _ place: String
    )
        async throws
    {
        try await run(FakeServer(), try plan())
        var state = FakeServer.State()
        (state.isActive, state.mark) = (false, .stopped)
        switch place {
        case "stopped": try FileManager.default.removeItem(atPath: folder.path + "/saved/etcd-data.sha256")
        case "cut": state.job = "lost"
        // What is restored is there, and nothing else may be.
        case "marked": (state.job, state.mark, state.hasSnapshot) = ("lost", .restoring, true)
        case "running": (state.job, state.mark, state.hasSnapshot) = ("running", .restoring, true)
        case "done": (state.job, state.isAlone) = ("ended 0", true)
        default: (state.job, state.isAlone, state.isActive, state.mark) = ("ended 0", true, true, nil)
        }
        try cutJournal(afterBeginOf: ["stopped": "copy-data", "started": "start-k3s"][place] ?? "new-cluster")
        let server = FakeServer(state)
        if place == "running" {
            // It comes to its end while it is followed.
            Task {
                while !server.state.withLock({ $0.log.filter { $0.hasPrefix("follow ") }.count > 2 }) {
                    try await Task.sleep(for: .milliseconds(10))
                }
                server.state.withLock { ($0.job, $0.isAlone) = ("ended 0", true) }
            }
        }
        try await run(server, try plan())
        try expectRecovered(server)
        let resets = server.state.withLock { $0.log }.count { $0.hasPrefix("start k3s server") }
        #expect(resets == (["stopped", "cut", "marked"].contains(place) ? 1 : 0))
    }

    @Test func othersThatHaveJoinedSinceAreNotCutOff() async throws {
        try await run(FakeServer(), try plan())
        for step in ["start-k3s", "new-cluster"] {
            try cutJournal(afterBeginOf: step)
            let later = FakeServer(.init(isAlone: true, hasJoined: true))
            let error = try #require(await #expect(throws: ClusterError.self) { try await run(later, try plan()) })
            #expect(error.code == .changed && error.cause.contains("5e 's1-00000001'"), "\(error)")
            #expect(
                !later.state.withLock { $0.log }.contains { $0.hasPrefix("start k3s") || $0.contains("systemctl stop") }
            )
        }
    }

    // MARK: By a real shell

    /// Options stand with their values, which may be secrets: names alone are told.
    @Test func whatAResetWouldLackIsRead() throws {
        let script = try #require(Inventory.Distribution.k3s.survivorQuestions.first { $0.name == "obstacles" }).script
        func obstacles(_ unit: String, _ configuration: String) throws -> [String] {
            try Data(unit.utf8).write(to: URL(fileURLWithPath: folder.path + "/k3s.service"))
            try Data(configuration.utf8).write(to: URL(fileURLWithPath: folder.path + "/config.yaml"))
            let here = script.replacing("/etc/systemd/system/", with: folder.path + "/")
                .replacing("/etc/rancher/k3s/config.yaml ", with: folder.path + "/config.yaml ")
            let result = try LocalRemote(shell: "sh").runNow(.script(here, [], label: "look"))
            return result.text.split(separator: "\n").map { String($0).replacing(folder.path + "/", with: "") }
        }
        let own =
            "ExecStart=/usr/local/bin/k3s server --server https://10.0.0.9:6443 --data-dir /var/lib/rancher/k3s --token x--node-ip=y\n"
        #expect(try obstacles(own, "node-ip: 10.0.0.1\n").isEmpty)
        #expect(try obstacles(own, "\"server\": https://10.0.0.9:6443\n") == ["server in config.yaml"])
        let installer =
            "ExecStart=/usr/local/bin/k3s \\\n    server \\\n\t'--node-ip' \\\n\t'10.0.0.1' \\\n\t'--data-dir=/data' \\\n"
        #expect(try obstacles(installer, "") == ["--data-dir in k3s.service", "--node-ip in k3s.service"])
    }

    @Test func whatAResetHasNotChangedIsSeen() throws {
        try FileManager.default.createDirectory(
            atPath: folder.path + "/etcd/member/snap", withIntermediateDirectories: true)
        let (database, snapshot) = (folder.path + "/etcd/member/snap/db", folder.path + "/masterswap-restore.db")
        func run(_ command: Command) throws -> CommandResult {
            var command = command
            command.arguments = command.arguments.map {
                $0.replacing(ServerMark.path, with: folder.path + "/mark")
                    .replacing("/var/lib/rancher/k3s/server/db", with: folder.path)
            }
            return try LocalRemote(shell: "sh").runNow(command)
        }
        try Data(repeating: 7, count: 4096).write(to: URL(fileURLWithPath: database))
        #expect(try !run(Inventory.Distribution.unmarkUnchanged).succeeded, "there is no snapshot")
        #expect(try run(Inventory.Distribution.k3s.snapshotDatabase).succeeded)
        #expect(try Data(contentsOf: URL(fileURLWithPath: snapshot)).count == 4128)
        #expect(try run(Inventory.Distribution.unmarkUnchanged).succeeded)
        #expect(try String(contentsOfFile: folder.path + "/mark", encoding: .utf8) == "stopped\n")
        try Data(repeating: 8, count: 4096).write(to: URL(fileURLWithPath: database))
        #expect(try !run(Inventory.Distribution.unmarkUnchanged).succeeded)
        try Data().write(to: URL(fileURLWithPath: snapshot + ".part.piece"))
        #expect(try run(Inventory.Distribution.k3s.removeRestoredSnapshot).succeeded)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).allSatisfy { !$0.hasPrefix("masterswap") })
    }

    /// Without data nothing is started, and while a reset is at work neither.
    @Test func k3sIsStoppedForGoodAndStartedOnlyOnData() throws {
        let distribution = Inventory.Distribution.k3s
        let (mark, data) = (folder.path + "/mark", folder.path + "/etcd")
        try folder.program(
            "systemctl",
            "#!/bin/sh\n[ \"$1\" != is-active ] || { echo inactive; exit 3; }\necho \"$@\" >>\(folder.path)/said\n")
        try folder.program("pidof", "#!/bin/sh\n[ -e \(folder.path)/resets ]\n")
        let remote = LocalRemote(shell: "sh", path: folder.path)
        func run(_ command: Command) throws -> CommandResult {
            var command = command
            command.arguments = command.arguments.map {
                $0.replacing(ServerMark.path, with: mark).replacing(distribution.etcdDataDirectory, with: data)
            }
            return try remote.runNow(command)
        }
        func said() -> String { (try? String(contentsOfFile: folder.path + "/said", encoding: .utf8)) ?? "" }
        #expect(try run(distribution.startEtcd).succeeded && said().isEmpty, "nobody has stopped it")
        #expect(try run(distribution.stopEtcd).succeeded)
        #expect(said() == "disable k3s\nstop k3s\n")
        #expect(try String(contentsOfFile: mark, encoding: .utf8) == "stopped\n")
        #expect(try run(distribution.startEtcd).errorText.contains("an empty cluster would begin"))
        try FileManager.default.createDirectory(atPath: data + "/member/wal", withIntermediateDirectories: true)
        #expect(try run(Inventory.Distribution.mark(.restoring)).succeeded)
        #expect(try run(distribution.stopEtcd).succeeded)
        #expect(try String(contentsOfFile: mark, encoding: .utf8) == "restoring\n", "how far it is stays written down")
        #expect(try run(distribution.startEtcd).errorText.contains("a restore has not come to its end"))
        #expect(try run(Inventory.Distribution.mark(.stopped)).succeeded)
        try Data().write(to: URL(fileURLWithPath: folder.path + "/resets"))
        #expect(try run(distribution.startEtcd).errorText.contains("is at work"))
        try FileManager.default.removeItem(atPath: folder.path + "/resets")
        #expect(try run(distribution.startEtcd).succeeded)
        #expect(said().hasSuffix("enable k3s\nstart --no-block k3s\n") && !FileManager.default.fileExists(atPath: mark))
    }
}
