import Foundation
import SSH
import Synchronization
import Testing

@testable import Cluster
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// `resume --skip STEP --because WHY`: a step that cannot come to its end is no end of the run.
@Suite struct PassedOverTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    static let then = "2026-11-22T03:01:00Z"
    static let minio = "onecloud-minio-minio"

    static func plan() throws -> Plan {
        var plan = try LostLockTests.plan()
        plan.nodeReturned = true
        return plan
    }

    /// Waits in vain.
    struct Stuck: Step {
        let id = "stuck"
        let title = "Stuck"
        let reason = ""
        let effects: [Effect] = []
        let estimate = 0
        var leftUndone: String? = "all of it"
        var isSatisfied = false

        func check(_ context: RunContext) async throws -> StepStatus {
            isSatisfied ? .satisfied("so") : .needed("not so")
        }
        func run(_ context: RunContext) async throws {
            throw ClusterError(.waitTimedOut, host: "h", operation: "wait", cause: "not so", advice: "look")
        }
    }

    private func events(_ step: any Step) async throws -> [Event] {
        let path = folder.path + "/j-\(UUID().uuidString)"
        let plan = try Self.plan()
        let context = RunContext(
            plan: plan, inventory: try RunbookCluster.inventory(), remotes: Remotes { _ in LocalRemote(shell: "sh") },
            run: .init(id: "r", directory: folder.path), journal: try Journal(path: path), lock: nil, watch: nil,
            limits: .init(), databasePassword: { Secret("x") }, emit: { _ in })
        _ = try? await Runner([step], context).run()
        return try Journal.events(at: path)
    }

    @Test func itIsNotRunAndItsReasonIsKept() async throws {
        let events = try await events(PassedOver(step: Stuck(), because: "no disk"))
        #expect(events.map(\.event) == [.stepStarted, .stepPassedOver])
        #expect(events.last?.text == "no disk")
        let record = RunRecord(run: "r", events)
        #expect(record.events.contains { $0.event == .stepPassedOver && $0.text == "no disk" })
    }

    @Test func whatIsDoneAllTheSameIsToldSo() async throws {
        let events = try await events(PassedOver(step: Stuck(isSatisfied: true), because: "no disk"))
        #expect(events.map(\.event) == [.stepStarted, .stepSkipped])
    }

    @Test func aWaitInVainNamesTheWayPastIt() async throws {
        let failed = try await events(Stuck()).last
        #expect(failed?.event == .stepFailed)
        #expect(
            failed?.text?.hasSuffix("masterswap resume r --skip stuck --because WHY") == true, "\(failed?.text ?? "")")
        let never = try await events(Stuck(leftUndone: nil)).last
        #expect(never?.text?.contains("--skip") == false, "it is never passed over")
    }

    /// etcd's quorum, the join, the VIP, the nodes that are closed, and the last look.
    @Test func whatOthersRestOnIsNeverPassedOver() throws {
        let may = ReplacementSteps.make(try Self.plan()).filter { $0.leftUndone != nil }.map(\.id)
        #expect(
            may == [
                "drain", "rebuild-\(Self.minio)", "rebuild-onecloud-monitoring-monitor-minio",
                "rebuild-onecloud-default-influxdb", "heal-\(Self.minio)", "heal-onecloud-monitoring-monitor-minio",
                "delete-volumes", "pods-ready",
            ])
    }

    @Test func withARebuildGoesItsHealAndItsVolumesStay() throws {
        let before = try Self.plan()
        let plan = before.passing(over: "heal-\(Self.minio)", because: "at first").passing(
            over: "rebuild-\(Self.minio)", because: "no room")
        #expect(plan.passedOver?.map(\.step) == ["rebuild-\(Self.minio)", "heal-\(Self.minio)"])
        #expect(plan.passedOver?.allSatisfy { $0.because == "no room" } == true, "the last reason counts")
        let passed = ReplacementSteps.make(plan).filter { $0 is PassedOver }
        #expect(passed.map(\.id) == ["rebuild-\(Self.minio)", "heal-\(Self.minio)"])
        #expect(passed.flatMap(\.effects) == [])
        let minio = try #require(before.rebuilds.first { $0.name == "minio" })
        let left = Set(minio.claims.map(\.volume.uid))
        #expect(!left.isEmpty && plan.volumesToDelete == before.volumes.filter { !left.contains($0.uid) })
        #expect(before.passing(over: "heal-\(Self.minio)", because: "x").volumesToDelete == before.volumes)
    }

    @Test func aLaterResumeStillPassesItOver() throws {
        let before = try Self.plan().passing(over: "heal-\(Self.minio)", because: "x")
        #expect(try Self.plan().continuing(before).passedOver == before.passedOver)
        var other = try Self.plan()
        other.replacement.host = "another-spare"
        #expect(other.continuing(before).passedOver == nil, "nothing of it is known yet")
        let text = PlanText(before, try RunbookCluster.inventory())
        let old = text.added(to: before).map(\.text)
        #expect(!old.contains("Steps to be passed over, to confirm:"))
        let changed = PlanText(before.passing(over: "heal-\(Self.minio)", because: "y"), try RunbookCluster.inventory())
        #expect(changed.added(to: before).contains { $0.text.contains("Passed over: y") }, "a new reason is confirmed")
        let news = text.added(to: try Self.plan()).map(\.text)
        #expect(news.contains("Steps to be passed over, to confirm:"))
        #expect(news.contains { $0.contains("Passed over: x; what that leaves: until MinIO has healed them") })
    }

    /// A pod that crashes for ever is named, with its workload or without; of one that is given up nothing is expected.
    @Test func ofWhatIsGivenUpNoPodIsExpected() async throws {
        func missing(_ plan: Plan) async throws -> [String] {
            let (_, cluster) = try PlacementTests.scene(change: { objects in
                for index in objects.pods.indices where objects.pods[index].name == "minio-0" {
                    objects.pods[index].status?.containerStatuses?[0].ready = false
                }
            })
            let context = try cluster.context(plan, in: folder)
            return try await PodsReadyStep(plan: plan).missing(context.kubectl().objects(), context)
        }
        var plan = try PlacementTests.scene().plan
        let told = try await missing(plan)
        #expect(told.contains { $0.hasPrefix("on \(RunbookCluster.spare) pod minio-0 is ") }, "\(told)")
        #expect(told.contains { $0.hasPrefix("no Ready pod mounts onecloud-minio/export-minio-0") }, "\(told)")
        plan = plan.passing(over: "heal-\(Self.minio)", because: "x")
        #expect(try await missing(plan) == [])
    }

    @Test func theReportSaysWhatWasPassedOverAndWhatThatLeaves() throws {
        let plan = try Self.plan().passing(over: "heal-\(Self.minio)", because: "its disk | is on order")
        let step = try #require(plan.rebuilds.first?.healID)
        let events = [
            Event(.runStarted, title: "Replace", run: "r", plan: plan),
            Event(.stepStarted, step: step, title: "See it healed"),
            Event(.stepFailed, step: step, title: "See it healed", text: "no", elapsed: 3, waited: 2),
            Event(.stepStarted, step: step, title: "See it healed"),
            Event(
                .stepPassedOver, step: step, title: "See it healed", text: "its disk | is on order", elapsed: 0,
                waited: 0),
            Event(.result, text: "done and verified, but for what was passed over: \(step)", status: 0, run: "r"),
        ]
        let report = RunReport(run: "r", events: events)
        #expect(report.steps.map(\.outcome) == [.passedOver])
        #expect(
            report.remaining.first?.contains("was passed over; what that leaves: until MinIO has healed them") == true)
        #expect(report.outcome == "done in part")
        #expect(report.remaining.contains { $0.hasPrefix("Keep the disk of \(RunbookCluster.names[0]) as it is") })
        #expect(!report.remaining.contains { $0.contains("erase") }, "it may hold the last copy")
        #expect(
            report.markdown.contains("| See it healed | passed over | 0.0 | 0.0 | 0.0 | its disk \\| is on order |"))
        #expect(HTMLReport(report, events: events).text.contains("<b>passed over</b>"))
    }

    /// A step that was done and fails later, for another reason, is not done.
    @Test func whatFailsAgainIsNotDone() {
        let events = [
            Event(.stepStarted, step: "a", title: "A"),
            Event(.stepFinished, step: "a", title: "A", text: "so", elapsed: 9, waited: 1),
            Event(.stepStarted, step: "a", title: "A"),
            Event(.stepFailed, step: "a", title: "A", text: "not so any more", elapsed: 3, waited: 2),
        ]
        #expect(RunReport(run: "r", events: events).steps.map(\.outcome) == [.failed])
        let passed =
            events + [
                Event(.stepStarted, step: "a", title: "A"), Event(.stepPassedOver, step: "a", title: "A", text: "x"),
            ]
        #expect(RunReport(run: "r", events: passed).steps.map(\.outcome) == [.passedOver])
    }

    @Test func whatPassingOverARebuildLeavesIsTold() throws {
        func left(_ plan: Plan, _ name: String) -> String {
            ReplacementSteps.make(plan).first { $0.id.hasPrefix("rebuild-") && $0.id.hasSuffix(name) }?.leftUndone ?? ""
        }
        var plan = try Self.plan()
        #expect(left(plan, "minio-minio").contains("two of its drives may come to share a node"))
        #expect(left(plan, "influxdb").contains("recreated by the operator after you delete the deployment"))
        #expect(!left(plan, "influxdb").contains("drives"))
        #expect(left(plan, "influxdb").contains("and their pods Pending"))
        plan.replacement.node = plan.dead.node
        #expect(left(plan, "influxdb").contains("their pods start on empty ones"))
        plan.rebuilds[1].data = .critical
        let heal = try #require(ReplacementSteps.make(plan).first { $0.id == "heal-\(Self.minio)" })
        #expect(heal.leftUndone?.contains("the run goes on to rebuild onecloud-monitoring/monitor-minio") == true)
    }

    // MARK: A finalizer that never goes away

    /// A pod of the deleted node that a finalizer keeps is an object alone.
    @Test func aPodThatAFinalizerKeepsHoldsNothingUp() async throws {
        var plan = try Lost.plan(try RunbookCluster.state())
        plan.kubernetes = nil
        func scene(_ change: (inout ObjectMeta) -> Void) throws -> RunContext {
            var objects = try RunbookCluster.objects(dead: 0)
            objects.nodes.removeFirst()
            objects.pods.removeAll { $0.nodeName == RunbookCluster.names[0] && $0.name != "minio-0" }
            for index in objects.pods.indices where objects.pods[index].name == "minio-0" {
                change(&objects.pods[index].metadata)
            }
            return try FakeCluster(objects).context(plan, in: folder)
        }
        let step = DeleteNodeStep(plan: plan)
        let held = try scene { ($0.deletionTimestamp, $0.finalizers) = (Self.then, ["example.org/never"]) }
        #expect(try await step.check(held) == .satisfied("the node is gone; finalizers keep 1 of its pods"))
        let told = try Journal.events(at: folder.path + "/journal.jsonl").filter { $0.event == .warning }.map(\.text)
        #expect(
            told == ["left behind as an object: pod onecloud-minio/minio-0, kept by its finalizers example.org/never"])
        let untold = try scene { $0.finalizers = ["example.org/never"] }
        #expect(try await step.check(untold) == .needed("1 pods of it are left"), "it was not told to go yet")
        let slow = try scene { $0.deletionTimestamp = Self.then }
        #expect(try await step.check(slow) == .needed("1 pods of it are left"), "nothing but time keeps it")
    }
}
