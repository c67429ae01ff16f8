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

/// The records where a cluster keeps them: files that a real shell writes and reads, below a folder for each host, and ConfigMaps of an
/// API server that behaves as the real one does with them.
final class RecordHomes: Sendable {
    struct State {
        var maps: [String: [String: String]] = [:]
        var away: Set<String> = []
        var apiIsAway = false
    }
    let state = Mutex(State())
    /// The cluster's lock; of somebody who lives, it is another one with each look.
    let leases = ClusterLockTests.LeaseServer()
    let root: String

    init(_ folder: TemporaryFolder) { root = folder.path }

    var remotes: Remotes { Remotes { Seat(name: $0.name, homes: self) } }

    func records(_ hosts: [String] = Array(RunbookCluster.names.dropFirst())) throws -> ClusterRecords {
        let inventory = try RunbookCluster.inventory()
        return try ClusterRecords(hosts.compactMap { inventory.host(named: $0) }, remotes, inventory.cluster)
    }

    func file(_ host: String, _ run: String) -> String { "\(root)/\(host)\(RunHead.directory)/\(run)/run.jsonl" }

    struct Seat: Remote {
        let name: String
        let homes: RecordHomes

        func run(_ command: Command) async throws -> CommandResult {
            if homes.state.withLock({ $0.away.contains(name) }) {
                throw SSHError(.unreachable, host: name, operation: "connect", cause: "no answer within 10 s")
            }
            if command.display.hasPrefix("kubectl ") { return try homes.kubectl(command) }
            var local = command
            local.arguments = command.arguments.map {
                $0.replacing(RunHead.directory, with: "\(homes.root)/\(name)\(RunHead.directory)")
            }
            // What a script asks kubectl for comes from the same maps.
            let kubectl = try TemporaryFolder()
            try homes.writeMaps(kubectl)
            return try LocalRemote(shell: "sh", path: kubectl.path).runNow(local)
        }
        func upload(_ contents: Data, to path: String, mode: UInt16) async throws {}
        func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
    }

    private func writeMaps(_ folder: TemporaryFolder) throws {
        let (maps, isAway) = state.withLock { ($0.maps, $0.apiIsAway) }
        let all = maps.sorted { $0.key < $1.key }.compactMap { $0.value["record"] }.joined()
        try folder.write("maps", Data(all.utf8))
        try folder.program(
            "kubectl",
            isAway
                ? "#!/bin/sh\necho 'The connection to the server was refused' >&2; exit 1\n"
                : "#!/bin/sh\nexec cat \"$(dirname \"$0\")/maps\"\n")
    }

    private struct Object: Decodable {
        struct Metadata: Decodable {
            var name: String
            var namespace: String
            var labels: [String: String]
        }
        var metadata: Metadata
        var data: [String: String]
    }

    private func kubectl(_ command: Command) throws -> CommandResult {
        let words = command.display.split(separator: " ").map(String.init)
        if words.contains("lease") || String(decoding: command.input ?? Data(), as: UTF8.self).contains("Lease") {
            if leases.lease.withLock({ $0?.holder }) == LockTests.other.identity { leases.renew() }
            return try leases.answer(command)
        }
        return try state.withLock { state in
            if state.apiIsAway { return KubectlTests.failure("The connection to the server was refused") }
            switch words[1] {
            case "replace", "create":
                let object = try JSONDecoder().decode(Object.self, from: command.input ?? Data())
                #expect(object.metadata.namespace == "kube-system")
                #expect(object.metadata.labels == ["app.kubernetes.io/managed-by": "masterswap"])
                let isThere = state.maps[object.metadata.name] != nil
                guard isThere == (words[1] == "replace") else {
                    return KubectlTests.failure(
                        "Error from server (\(isThere ? "AlreadyExists" : "NotFound")): configmaps")
                }
                state.maps[object.metadata.name] = object.data
            case "delete":
                for word in words { state.maps[word] = nil }
            default: Issue.record("kubectl \(words)")
            }
            return KubectlTests.output("")
        }
    }
}

/// A lock that is ours until the test takes it.
private final class TestLock: RunLock {
    let isTaken = Flag()
    func assertHeld() async throws { if isTaken.isSet { throw Locked(LockTests.lease()) } }
    func assertNotTakenOver() async throws { try await assertHeld() }
    func release() async {}
}

@Suite struct ClusterRecordsTests {
    let folder: TemporaryFolder
    let homes: RecordHomes
    let notes = RunnerTests.Log()

    init() throws {
        folder = try TemporaryFolder()
        homes = RecordHomes(folder)
    }

    func record(_ run: String = "r", _ more: Event...) throws -> RunRecord {
        RunRecord(run: run, try RunRecordTests.events() + more)
    }

    private func recorder(_ record: RunRecord, lock: TestLock = TestLock()) throws -> RunRecorder {
        RunRecorder(record, in: try homes.records(), lock: lock, note: notes.add)
    }

    @Test func itIsOnEverySurvivorAndInTheCluster() async throws {
        let outcome = await (try homes.records()).write(try record())
        #expect(outcome.values.allSatisfy { $0 == nil } && outcome.count == 3)
        for host in RunbookCluster.names.dropFirst() {
            let file = homes.file(host, "r")
            #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == record().data)
            let attributes = try FileManager.default.attributesOfItem(atPath: file)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
            let folder = (file as NSString).deletingLastPathComponent
            #expect(try FileManager.default.attributesOfItem(atPath: folder)[.posixPermissions] as? Int == 0o700)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["run.jsonl"])
        }
        #expect(
            try homes.state.withLock { $0.maps["masterswap-r"]?["record"] }
                == String(decoding: record().data, as: UTF8.self))
        let reading = await (try homes.records()).read()
        #expect(reading.records == [try record()])
        #expect(reading.problems == [] && reading.isAnswer)
    }

    /// The laptop and either of the survivors are lost, or the API server is away.
    @Test(arguments: [[RunbookCluster.names[1]], [RunbookCluster.names[2]], []])
    func itOutlivesAMasterAndTheAPIServer(dead: [String]) async throws {
        _ = await (try homes.records()).write(try record())
        homes.state.withLock { state in
            state.away = Set(dead)
            state.apiIsAway = dead.isEmpty
        }
        let reading = await (try homes.records()).read()
        #expect(reading.records == [try record()])
        #expect(!reading.problems.isEmpty)
    }

    @Test func whereAllAreAwayThereIsNoAnswer() async throws {
        homes.state.withLock { $0.away = Set(RunbookCluster.names) }
        let reading = await (try homes.records()).read()
        #expect(!reading.isAnswer && reading.records == [])
        #expect(reading.problems.count == 2)
    }

    // MARK: While a run goes on

    @Test func eachEventThatCountsIsWritten() async throws {
        let recorder = try recorder(RunRecord(run: "r"))
        for event in try RunRecordTests.events() { recorder.add(event) }
        try await recorder.flushBeforeTheFirstAct(host: "h")
        #expect(await (try homes.records()).read().records == [try record()])
        let end = Event(.result, at: RunRecordTests.date(50), text: "done", status: 0)
        recorder.add(end)
        await recorder.flush()
        #expect(await (try homes.records()).read().records == [try record("r", end)])
        #expect(notes.all == [])
    }

    @Test func aRunWhoseRecordIsNowhereIsRefused() async throws {
        homes.state.withLock { $0.away = Set(RunbookCluster.names) }
        let recorder = try recorder(RunRecord(run: "r"))
        recorder.add(try RunRecordTests.events()[0])
        let error = try #require(
            await #expect(throws: ClusterError.self) {
                try await recorder.flushBeforeTheFirstAct(host: "h")
            })
        #expect(error.advice.hasPrefix("nothing was changed"))
    }

    /// Told once, and made good as soon as the place answers.
    @Test func aPlaceThatIsAwayIsANote() async throws {
        let recorder = try recorder(RunRecord(run: "r"))
        let away = RunbookCluster.names[2]
        homes.state.withLock { $0.away = [away] }
        for event in try RunRecordTests.events() {
            recorder.add(event)
            await recorder.flush()
        }
        try await recorder.flushBeforeTheFirstAct(host: "h")
        #expect(notes.all.count == 1 && notes.all[0].contains(away))
        #expect(!FileManager.default.fileExists(atPath: homes.file(away, "r")))
        homes.state.withLock { $0.away = [] }
        recorder.add(Event(.stepFinished, at: RunRecordTests.date(60), step: "drain", text: "drained"))
        await recorder.flush()
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: homes.file(away, "r")))
                == Data(contentsOf: URL(fileURLWithPath: homes.file(RunbookCluster.names[1], "r"))))
    }

    /// A laptop that slept through the end of its run, which another one has come to: what it wakes up with is not written.
    @Test func aRunThatHasLostTheLockWritesNothing() async throws {
        let lock = TestLock()
        let sleeper = try recorder(try record(), lock: lock)
        let end = Event(.result, at: RunRecordTests.date(50), text: "done", status: 0)
        _ = await (try homes.records()).write(try record("r", end))
        lock.isTaken.set()
        sleeper.add(Event(.stepFailed, at: RunRecordTests.date(90), step: "drain", text: "connection lost"))
        await sleeper.flush()
        #expect(await (try homes.records()).read().records == [try record("r", end)])
    }

    @Test func theOldestOfThoseThatAreOverGo() async throws {
        let records = try homes.records()
        let end = Event(.result, at: RunRecordTests.date(50), text: "done", status: 0)
        for number in 1...8 { _ = await records.write(try record("r\(number)", end)) }
        _ = await records.write(try record("r0"))
        let recorder = try recorder(try record("r9"))
        recorder.add(end)
        await recorder.deleteOld()
        #expect(await records.read().records.map(\.run) == ["r0", "r5", "r6", "r7", "r8", "r9"])
        #expect(homes.state.withLock { $0.maps.count } == 6)
    }

    // MARK: What a machine knows

    func known(_ store: RunStore) async throws -> KnownRuns {
        await KnownRuns(store, try RunbookCluster.inventory(), homes.remotes)
    }

    func store(_ name: String) -> RunStore { RunStore(environment: ["MASTERSWAP_STATE": "\(folder.path)/\(name)"]) }

    /// Begun on one machine and lost with it; gone on with on another.
    @Test func anotherMachineFindsTheRunAndGoesOn() async throws {
        _ = await (try homes.records()).write(try record("20261122-0301"))
        let store = store("second")
        let inventory = try RunbookCluster.inventory()
        let found = try await known(store).find(nil, of: inventory.cluster)
        #expect(found.id == "20261122-0301" && !found.isHere && found.isInCluster)
        let run = try store.adopt(found, inventory)
        #expect(run.id == found.id, "the join's folder on the primary is named after it")
        #expect(try Replacement.plan(of: run) == RunRecordTests.plan())
        #expect(try run.events().map(\.event) == record().events.map(\.event))
        let again = try await known(store).find("20261122", of: inventory.cluster)
        #expect(again.isHere && again.isInCluster)
        #expect(try store.adopt(again, inventory).events().count == run.events().count, "nothing is added twice")
    }

    /// The first machine is back after the second has gone on: its journal gets what it missed.
    @Test func aJournalGetsWhatWasDoneElsewhere() async throws {
        let store = store("first")
        let inventory = try RunbookCluster.inventory()
        let run = try store.create("r")
        let journal = try Journal(path: run.journalPath)
        for event in try RunRecordTests.events() { try journal.append(event) }
        let later = Event(.stepFinished, at: RunRecordTests.date(70), step: "drain", text: "drained")
        _ = await (try homes.records()).write(try record("r", later))
        let adopted = try store.adopt(try await known(store).find(nil, of: inventory.cluster), inventory)
        #expect(try adopted.events().map(\.event) == RunRecordTests.events().map(\.event) + [.stepFinished])
        #expect(try adopted.events().last?.text == "drained")
    }

    /// Killed right after its last line: the cluster has not heard of the end, and would let no other run begin.
    @Test func anEndThatOnlyThisMachineKnowsIsSeen() async throws {
        let store = store("first")
        let run = try store.create("r")
        let journal = try Journal(path: run.journalPath)
        for event in try RunRecordTests.events() { try journal.append(event) }
        _ = await (try homes.records()).write(try record("r"))
        #expect(try await known(store).runs.map(\.isOverHereAlone) == [false])
        try journal.append(Event(.result, at: RunRecordTests.date(50), text: "done", status: 0))
        let found = try #require(try await known(store).runs.first)
        #expect(found.isOverHereAlone && found.record.state == .done)
        _ = await (try homes.records()).write(found.record)
        #expect(try await known(store).runs.map(\.isOverHereAlone) == [false])
    }

    /// Its disk has changed a byte; the cluster's record is whole.
    @Test func aDamagedJournalIsSetAside() async throws {
        let (store, inventory) = (store("first"), try RunbookCluster.inventory())
        let run = try store.create("r")
        try Data("{}\n{}\n".utf8).write(to: URL(fileURLWithPath: run.journalPath))
        var notes: [String] = []
        // Where the cluster has none there is nothing to go on with.
        let alone = try #require(try await known(store).runs.first)
        #expect(throws: ClusterError.self) { try store.adopt(alone, inventory) }
        _ = await (try homes.records()).write(try record("r"))
        let found = try await known(store).find(nil, of: inventory.cluster)
        let adopted = try store.adopt(found, inventory) { notes.append($0) }
        #expect(try adopted.events().map(\.event) == record().events.map(\.event))
        #expect(notes.count == 1 && notes[0].contains("line 1 is damaged; "))
        let names = try FileManager.default.contentsOfDirectory(atPath: run.directory)
        #expect(names.contains { $0.hasPrefix("journal.jsonl.damaged-") }, "nothing is lost")
    }

    /// While this operator waited for the lock, another one resumed, ended or abandoned the run.
    @Test func whatHasChangedUntilTheLockIsTakenIsSeen() async throws {
        let inventory = try RunbookCluster.inventory()
        _ = await (try homes.records()).write(try record("r"))
        let found = try await known(store("first")).find(nil, of: inventory.cluster)
        func refusal() async throws -> String? {
            do { try await found.refuseIfChanged(inventory.masters, homes.remotes, inventory.cluster) } catch let error
                as ClusterError
            { return error.cause }
            return nil
        }
        #expect(try await refusal() == nil)
        for (event, words) in [
            (
                Event(.stepFinished, at: RunRecordTests.date(70), step: "drain", text: "drained"),
                "another operator has resumed it"
            ),
            (
                Event(.runAbandoned, text: "mei on laptop: no spare"),
                "it was given up since it was found: mei on laptop: no spare"
            ),
            (Event(.result, at: RunRecordTests.date(80), text: "done", status: 0), "it has ended since it was found"),
        ] {
            _ = await (try homes.records()).write(try record("r", event))
            #expect(try await refusal()?.contains(words) == true, "\(words)")
        }
    }

    @Test func aRunThatWasBegunUntilTheLockWasTakenIsSeen() async throws {
        let (inventory, replacement) = (try RunbookCluster.inventory(), try replacement())
        try await replacement.refuseBesideAnother(inventory.masters)
        _ = await (try homes.records()).write(try record("r1", Event(.result, at: RunRecordTests.date(50), status: 0)))
        try await replacement.refuseBesideAnother(inventory.masters)
        _ = await (try homes.records()).write(try record("r2"))
        let refused = try #require(
            await #expect(throws: Refused.self) { try await replacement.refuseBesideAnother(inventory.masters) })
        #expect(refused.refusals.map(\.rule) == [NoOtherRun.id])
        #expect(refused.refusals.first?.reason.hasPrefix("run r2 (Replace a with b), begun ") == true)
        #expect(refused.refusals.first?.advice.hasPrefix("resume it: masterswap resume r2") == true)
    }

    // MARK: Giving up

    func replacement() throws -> Replacement {
        Replacement(
            inventory: try RunbookCluster.inventory(), remotes: homes.remotes, store: store("first"), limits: .init(),
            databasePassword: { Secret("x") }, emit: { _ in })
    }

    /// The head still says that it is unfinished, and would let no other run begin.
    @Test func aRunWhoseRecordIsDamagedCanBeGivenUp() async throws {
        let text = String(decoding: try record("r").data, as: UTF8.self)
            .replacing(#""event":"step-finished""#, with: #""event":"step-exploded""#)
        for host in RunbookCluster.names.dropFirst() {
            let file = homes.file(host, "r")
            try FileManager.default.createDirectory(
                atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            // Without its last newline it takes nothing from the one after it.
            try Data(text.dropLast().utf8).write(to: URL(fileURLWithPath: file))
        }
        _ = await (try homes.records()).write(try record("s", Event(.result, at: RunRecordTests.date(50), status: 0)))
        let store = store("first")
        let found = try await known(store).find("r", of: try RunbookCluster.inventory().cluster)
        #expect(throws: ClusterError.self) { try found.refuseIfDamaged() }
        try await replacement().abandon(found, because: "why") {}
        #expect(try await known(store).runs.map(\.record.state) == [.abandoned, .done])
    }

    /// Nothing could be written in the cluster: it is not given up here alone.
    @Test func aRunIsGivenUpInTheClusterOrNotAtAll() async throws {
        let (store, inventory) = (store("first"), try RunbookCluster.inventory())
        _ = await (try homes.records()).write(try record("r"))
        let found = try await known(store).find(nil, of: inventory.cluster)
        let run = try store.adopt(found, inventory)
        let here = try await known(store).find(nil, of: inventory.cluster)
        let refused = Remotes { [homes] host in RefusingSeat(seat: RecordHomes.Seat(name: host.name, homes: homes)) }
        let replacement = Replacement(
            inventory: inventory, remotes: refused, store: store, limits: .init(), databasePassword: { Secret("x") },
            emit: { _ in })
        await #expect(throws: ClusterError.self) { try await replacement.abandon(here, because: "why") {} }
        #expect(try run.events().last?.event != .runAbandoned)
        // One that an older masterswap has given up here alone is told to the cluster.
        try Journal(path: run.journalPath).append(Event(.runAbandoned, text: "mei: why", run: "r"))
        let alone = try await known(store).find(nil, of: inventory.cluster)
        #expect(alone.isOverHereAlone)
        try await self.replacement().abandon(alone, because: "why") {}
        #expect(await (try homes.records()).read().records.map(\.state) == [.abandoned])
    }

    /// Takes no record.
    private struct RefusingSeat: Remote {
        let seat: RecordHomes.Seat
        var name: String { seat.name }

        func run(_ command: Command) async throws -> CommandResult {
            let isRecord =
                command.display.hasPrefix("write ")
                || String(decoding: command.input ?? Data(), as: UTF8.self).contains("ConfigMap")
            return isRecord ? KubectlTests.failure("no space left on device") : try await seat.run(command)
        }
        func upload(_ contents: Data, to path: String, mode: UInt16) async throws {}
        func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
    }

    /// The cluster that a recovery makes is none that an older run can be gone on with in; a run that its plan does not name stays.
    @Test func aRecoveryGivesUpWhatItsPlanNames() async throws {
        let records = try homes.records()
        let end = Event(.result, at: RunRecordTests.date(50), text: "done", status: 0)
        for record in [try record("r1"), try record("r2", end), try record("r3")] { _ = await records.write(record) }
        await records.giveUp(["r1", "r2"], for: "r3")
        let read = await records.read().records
        #expect(read.map(\.state) == [.abandoned, .done, .unfinished])
        #expect(read[0].abandonment?.contains("r3") == true)
    }

    /// It may have been cut off before it had given them up. Its lock is another's by then, so that it does no step.
    @Test func aRecoveryThatIsResumedGivesThemUpToo() async throws {
        _ = await (try homes.records()).write(try record("r1"))
        var plan = try RecoveryCluster.plan()
        (plan.givesUp, plan.dead, plan.watch) = (["r1"], [], 0)
        let run = try store("first").create()
        try Journal(path: run.journalPath).append(Event(.runStarted, run: run.id, recovery: plan))
        let recovery = Recovery(
            inventory: try RunbookCluster.inventory(), remotes: homes.remotes, store: store("first"),
            limits: .init(), emit: { _ in })
        let lock = TestLock()
        lock.isTaken.set()
        await #expect(throws: ClusterError.self) { try await recovery.resume(run, plan: plan, lock: .init(base: lock)) }
        #expect(await (try homes.records()).read().records.map(\.state) == [.abandoned])
    }

    private struct NotTyped: Error {}

    @Test func aRunIsGivenUpOnceNobodyIsAtWorkOnIt() async throws {
        _ = await (try homes.records(RunbookCluster.names)).write(try record("r1"))
        let replacement = try replacement()
        let run = try #require(try await known(store("first")).runs.first)
        homes.leases.lease.withLock { $0 = LockTests.lease() }
        await #expect(throws: Locked.self) { try await replacement.abandon(run, because: "why") {} }
        homes.leases.lease.withLock { $0 = nil }
        await #expect(throws: NotTyped.self) {
            try await replacement.abandon(run, because: "why") { throw NotTyped() }
        }
        #expect(try await known(store("first")).runs.map(\.record.state) == [.unfinished])
        try await replacement.abandon(run, because: "the new host's disk is broken") {}
        let given = try #require(try await known(store("second")).runs.first)
        #expect(given.record.state == .abandoned)
        #expect(given.record.abandonment?.hasSuffix(": the new host's disk is broken") == true)
        await #expect(throws: ClusterError.self) { try await replacement.abandon(given, because: "again") {} }
        #expect(homes.leases.lease.withLock { $0?.holder } == nil, "the lock is given back")
    }

    /// The newest run here is another cluster's; this cluster's is done, given up, or goes on.
    @Test func theClustersUnfinishedRunIsTaken() async throws {
        let store = store("first")
        let inventory = try RunbookCluster.inventory()
        let end = Event(.result, at: RunRecordTests.date(50), text: "done", status: 0)
        let givenUp = Event(.runAbandoned, at: RunRecordTests.date(50), text: "mei: why")
        var other = try RunRecordTests.plan()
        other.cluster = "another"
        let elsewhere = try store.create("r9")
        try Journal(path: elsewhere.journalPath).append(Event(.runStarted, run: "r9", plan: other))
        #expect(throws: ClusterError.self) { try KnownRuns(store).find(nil, of: inventory.cluster) }
        _ = await (try homes.records()).write(try record("r1", end))
        #expect(try await known(store).find(nil, of: inventory.cluster).id == "r1", "there is no other")
        _ = await (try homes.records()).write(try record("r2"))
        _ = await (try homes.records()).write(try record("r3", givenUp))
        _ = await (try homes.records()).write(try record("r4", end))
        #expect(try await known(store).find(nil, of: inventory.cluster).id == "r2")
        let abandoned = try await known(store).find("r3", of: inventory.cluster)
        #expect(throws: ClusterError.self) { try abandoned.refuseIfAbandoned() }
        await #expect(throws: ClusterError.self) { try await known(store).find("r", of: inventory.cluster) }
        #expect(try await known(store).find("r9", of: inventory.cluster).id == "r9")
    }
}
