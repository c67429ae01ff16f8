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

/// What a cluster keeps of a run, as a value.
@Suite struct RunRecordTests {
    static func date(_ seconds: Double) -> Date { Date(timeIntervalSince1970: 1_700_000_000 + seconds) }

    /// One, for the runbook's cluster is made anew each time, with the time that it is then.
    private static let onePlan = Result {
        try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: date(0))
    }
    static func plan() throws -> Plan { try onePlan.get() }

    /// A run up to the middle of its second step, as its journal has it.
    static func events() throws -> [Event] {
        [
            Event(.runStarted, at: date(0), title: "Replace a with b", run: "r", plan: try plan(), planHash: "x"),
            Event(.stepStarted, at: date(1), step: "save", title: "Save"),
            Event(.note, at: date(2), step: "save", text: "a note"),
            Event(.stepBegan, at: date(3), step: "save", text: "not saved yet"),
            Event(.command, at: date(4), step: "save", text: "m1: a command"),
            Event(.stepFinished, at: date(5), step: "save", text: "saved", elapsed: 4, waited: 1),
            Event(.stepStarted, at: date(6), step: "drain", title: "Drain"),
            Event(.stepBegan, at: date(7), step: "drain", text: "it is there"),
            Event(.waiting, at: date(8), step: "drain", title: "an end", text: "not yet", elapsed: 1, limit: 2),
        ]
    }

    @Test func itIsWhatHasToBeKnownToGoOn() throws {
        let record = RunRecord(run: "r", try Self.events())
        #expect(
            record.events.map(\.event) == [
                .runStarted, .stepStarted, .stepBegan, .stepFinished, .stepStarted, .stepBegan,
            ])
        #expect(record.plan == (try Self.plan()).withoutSecrets)
        #expect(record.stepsDone == ["save"])
        #expect(
            record.head == RunHead(run: "r", title: "Replace a with b", startedAt: Self.date(0), state: .unfinished))
    }

    @Test func itIsReadAsItWasWritten() throws {
        let first = RunRecord(run: "r1", try Self.events())
        let second = RunRecord(run: "r2", try Self.events() + [Event(.result, at: Self.date(9), status: 0)])
        let read = RunRecord.read(try second.data + first.data) { Issue.record("\($0): \($1)") }
        #expect(read == [first, second])
        #expect(read.map(\.state) == [.unfinished, .done])
        #expect(
            RunHead.read(String(decoding: try first.data, as: UTF8.self).components(separatedBy: "\n")) == [first.head])
    }

    /// It is what its own events make, so that a journal that is made of it has the same record.
    @Test func aJournalThatIsMadeOfItHasTheSame() throws {
        let record = RunRecord(run: "r", try Self.events())
        #expect(RunRecord(run: "r", record.events) == record)
    }

    /// Whatever fraction of a second it has been: a copy of a copy is the same, and so is its plan's hash.
    @Test func aCopyOfACopyIsTheSame() throws {
        for number in 0..<500 {
            let at = Date(timeIntervalSince1970: 1_700_000_000 + Double(number) * 0.0127)
            let record = RunRecord(
                run: "r", [Event(.stepFailed, at: at, text: "password: x", elapsed: 0.1 * Double(number))])
            let copy = try #require(RunRecord.read(try record.data) { Issue.record("\($0): \($1)") }.first)
            #expect(copy == record)
            #expect(try copy.data == record.data)
        }
        var plan = try Self.plan()
        plan.madeAt = Date(timeIntervalSince1970: 1_700_000_000.1239)
        #expect(try EventCoding.decode(Plan.self, from: EventCoding.encode(plan)).hash == plan.hash)
    }

    @Test func damagedAndForeignOnesAreTold() throws {
        let good = RunRecord(run: "good", try Self.events())
        var damaged = String(decoding: try RunRecord(run: "bad", try Self.events()).data, as: UTF8.self)
        damaged = damaged.replacing(#""event":"step-finished""#, with: #""event":"step-exploded""#)
        let newer =
            #"{"record":2,"run":"newer","startedAt":"2026-11-22T03:01:15.000Z","state":"unfinished","title":""}"#
        var told: [String] = []
        let read = RunRecord.read(Data(damaged.utf8) + Data((newer + "\n{}\n").utf8) + (try good.data)) { run, _ in
            told.append(run)
        }
        #expect(read.map(\.run) == ["bad", "good"] && read[1] == good)
        #expect(read[0].isDamaged && read[0].events == [] && read[0].head.title == good.head.title)
        #expect(read[0].isUnfinished, "nobody knows what it has done")
        #expect(told == ["bad", "newer"])
    }

    /// A copy that is whole tells all; one that is not takes nothing from it.
    @Test func aDamagedCopyIsNothingBesideOneThatIsWhole() throws {
        let good = RunRecord(run: "r", try Self.events())
        let text = String(decoding: try good.data, as: UTF8.self)
        let damaged = text.replacing(#""event":"step-finished""#, with: #""event":"step-exploded""#)
        for copies in [damaged + text, text + damaged] {
            #expect(RunRecord.read(Data(copies.utf8)) { _, _ in } == [good])
        }
    }

    /// A name becomes a folder, here and as root on the masters.
    @Test func whatIsNoNameOfARunIsNoRun() throws {
        let data = try RunRecord(run: "../../etc", try Self.events()).data
        var told: [String] = []
        #expect(RunRecord.read(data) { run, cause in told.append("\(run): \(cause)") } == [])
        #expect(told == ["of some name: no run has such a name"])
    }

    // MARK: Copies

    /// Two machines took turns, and one of them lost its last events on the way to the cluster.
    @Test func copiesAreOneHistory() throws {
        let common = try Self.events()
        let first = RunRecord(run: "r", common + [Event(.destroying, at: Self.date(10), step: "drain", text: "pod x")])
        let second = RunRecord(
            run: "r",
            common + [
                Event(.runStarted, at: Self.date(20), title: "Resume", run: "r", plan: try Self.plan()),
                Event(.stepSkipped, at: Self.date(21), step: "save", text: "saved"),
                Event(.stepFinished, at: Self.date(22), step: "drain", text: "drained"),
                Event(.result, at: Self.date(23), text: "done", status: 0),
            ])
        for copies in [[first, second], [second, first], [first, second, first]] {
            let merged = try #require(RunRecord.merged(copies).first)
            #expect(RunRecord.merged(copies).count == 1)
            #expect(merged.state == .done, "what one copy says to be over is over")
            #expect(Set(merged.events) == Set(first.events + second.events))
            #expect(merged.events.first?.plan != nil)
        }
        let heads = [first.head, second.head, first.head]
        #expect(RunHead.merged(heads).map(\.state) == [.done])
    }

    /// However often it is resumed, and killed in the middle: a ConfigMap takes a mebibyte.
    @Test func itStaysSmall() throws {
        var plan = try Self.plan()
        var record = RunRecord(run: "r", try Self.events())
        for number in 0..<1000 {
            plan.madeAt = Self.date(Double(100 + number))
            record.add(Event(.runStarted, at: Self.date(Double(100 + number)), title: "Resume", run: "r", plan: plan))
            for step in ReplacementSteps.make(plan) {
                record.add(Event(.stepStarted, at: Self.date(Double(100 + number)), step: step.id, title: step.title))
                record.add(Event(.stepSkipped, at: Self.date(Double(100 + number)), step: step.id, text: "so"))
            }
        }
        #expect(try record.data.count < 400_000)
        #expect(record.plan == plan, "what was agreed to last")
        #expect(record.events.count { $0.plan != nil } == 2)
        #expect(RunRecord(run: "r", record.events) == record)
    }

    @Test func whatIsAbandonedIsOver() throws {
        var record = RunRecord(run: "r", try Self.events())
        record.add(Event(.runAbandoned, text: "mei on laptop: the disk is broken"))
        #expect(record.state == .abandoned)
        #expect(record.abandonment == "mei on laptop: the disk is broken")
    }

    // MARK: Secrets

    static let inventoryText = RunbookCluster.inventoryText.replacing(
        "ocboot:\n",
        with: """
            ocboot:
              primary_master_node:
                registry_password: hunter2-registry
                proxies: { credentials: [hunter2-a, hunter2-b], port: 1 }
                insecure: false
              master_nodes: { api_token: hunter2-token }

            """)

    static func planWithSecrets() throws -> (Plan, Inventory) {
        let inventory = try Inventory.parse(inventoryText, file: "i.yaml")
        var state = try RunbookCluster.state()
        state.inventory = inventory
        return (try Planner.plan(state, RunbookCluster.request, now: date(0)), inventory)
    }

    @Test func noSecretIsInIt() throws {
        let (plan, inventory) = try Self.planWithSecrets()
        #expect(try #require(plan.ocboot).configuration.contains("hunter2-registry"))
        let events = [
            Event(.runStarted, run: "r", plan: plan),
            Event(.stepFailed, step: "join", text: "ocboot said: db_password: hunter2-said"),
        ]
        let text = String(decoding: try RunRecord(run: "r", events).data, as: UTF8.self)
        #expect(!text.contains("hunter2"))
        // Whoever goes on with it has them in an inventory, and the rest is as it was.
        let completed = plan.withoutSecrets.completed(by: inventory)
        let password = Secret("the-password")
        #expect(
            try OcbootConfiguration.fill(try #require(completed.ocboot).configuration, password, host: "h")
                == OcbootConfiguration.fill(try #require(plan.ocboot).configuration, password, host: "h"))
    }

    @Test func theFenceCommandsArgumentsAreNotInIt() throws {
        var plan = try Self.plan()
        plan.fenceCommand = ["fence-it", "hunter2"]
        #expect(plan.withoutSecrets.fenceCommand == ["fence-it", "••••"])
        let line = "lzx-ocboot-ha-test:   { address: 10.127.100.234, role: master"
        let inventory = try Inventory.parse(
            RunbookCluster.inventoryText.replacing(line, with: "\(line), fence: [fence-it, hunter2]"), file: "i.yaml")
        #expect(plan.withoutSecrets.completed(by: inventory).fenceCommand == ["fence-it", "hunter2"])
    }

    @Test func anInventoryWithoutThemIsToldWhatItLacks() throws {
        let plan = try Self.planWithSecrets().0.withoutSecrets.completed(by: try RunbookCluster.inventory())
        let error = try #require(throws: ClusterError.self) {
            try OcbootConfiguration.fill(try #require(plan.ocboot).configuration, Secret("x"), host: "h")
        }
        #expect(error.cause.contains("'registry_password'"))
    }

    @Test func aPlanWithoutThemIsKeptAsItIs() throws {
        let plan = try Self.plan()
        #expect(plan.withoutSecrets == plan)
        #expect(plan.completed(by: try RunbookCluster.inventory()) == plan)
    }
}
