import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// From the deletion of a claim to the heal of its drive: what is waited for, in which order, and what stands in the way.
@Suite struct PlacementTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    /// The runbook's cluster after the join, with these of its plan's workloads made again on the new node.
    static func scene(
        placed: (Plan.Rebuild) -> Bool = { _ in true }, change: (inout KubernetesObjects) -> Void = { _ in }
    ) throws -> (plan: Plan, cluster: FakeCluster) {
        var plan = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: Date())
        plan.kubernetes = nil
        var objects = try RunbookCluster.objects(dead: nil)
        objects.nodes.removeFirst()
        objects.nodes.append(RunbookCluster.node(RunbookCluster.spare, RunbookCluster.spareAddress, isReady: true))
        for rebuild in plan.rebuilds where placed(rebuild) {
            for lost in rebuild.claims { place(lost, rebuild, &objects) }
        }
        if let index = objects.deployments.firstIndex(where: { $0.name == "default-influxdb" }) {
            objects.deployments[index].metadata.uid = "new"
        }
        change(&objects)
        let cluster = FakeCluster(objects, members: []) { _, command in
            command.display.contains("drives")
                ? FakeCluster.sections(command, ["drive-0": healing(12, 4096)]) : nil
        }
        return (plan, cluster)
    }

    private static func place(_ lost: Plan.LostClaim, _ rebuild: Plan.Rebuild, _ objects: inout KubernetesObjects) {
        for index in objects.claims.indices where objects.claims[index].uid == lost.claim.uid {
            objects.claims[index].metadata.uid += "-new"
        }
        for index in objects.volumes.indices where objects.volumes[index].name == lost.volume.name {
            objects.volumes[index].spec.nodeAffinity = .init(
                required: .init(nodeSelectorTerms: [
                    .init(matchExpressions: [
                        .init(key: "kubernetes.io/hostname", operator: "In", values: [RunbookCluster.spare])
                    ])
                ]))
        }
        for index in objects.pods.indices where objects.pods[index].spec.claimNames.contains(lost.claim.name) {
            objects.pods[index].spec.nodeName = RunbookCluster.spare
        }
    }

    /// A drive with MinIO's record of a heal that goes on.
    static func healing(_ items: UInt64, _ bytes: UInt64) -> String {
        let record = Record.of(["ItemsHealed": items, "BytesDone": bytes])
        let mark = record.map { String(format: "%02x", $0) }.joined()
        return "mark \(mark)\nformat\n" + String(decoding: DriveProbeTests.format(), as: UTF8.self)
    }

    func step(_ id: String, _ plan: Plan) throws -> any Step {
        try #require(ReplacementSteps.make(plan).first { $0.id == id })
    }

    // MARK: The order

    @Test func theSurvivorsAreOpenWhileMinIOHeals() throws {
        let plan = try Self.scene().plan
        let ids = ReplacementSteps.make(plan).map(\.id)
        #expect(
            Array(ids.drop { $0 != "cordon" }) == [
                "cordon", "rebuild-onecloud-minio-minio", "rebuild-onecloud-monitoring-monitor-minio",
                "rebuild-onecloud-default-influxdb", "uncordon", "heal-onecloud-minio-minio",
                "heal-onecloud-monitoring-monitor-minio", "delete-volumes", "pods-ready", "verify",
            ])
    }

    /// Two critical heals at a time are two risks at a time.
    @Test func criticalDataWaitsForTheHealsBeforeIt() throws {
        var plan = try Self.scene().plan
        plan.rebuilds[1].data = .critical
        let steps = ReplacementSteps.make(plan)
        #expect(
            Array(steps.map(\.id).drop { $0 != "cordon" }) == [
                "cordon", "rebuild-onecloud-minio-minio", "uncordon", "heal-onecloud-minio-minio", "cordon-2",
                "rebuild-onecloud-monitoring-monitor-minio", "rebuild-onecloud-default-influxdb", "uncordon-2",
                "heal-onecloud-monitoring-monitor-minio", "delete-volumes", "pods-ready", "verify",
            ])
        #expect(Set(steps.map(\.id)).count == steps.count)
        plan.rebuilds[0].isDataLost = true
        #expect(!ReplacementSteps.make(plan).contains { $0.id == "cordon-2" }, "nothing of the first can heal")
    }

    /// A run that is resumed hours later must not close the survivors again.
    @Test func nothingIsCordonedWhereAllIsInItsPlace() async throws {
        let (plan, cluster) = try Self.scene()
        let context = try cluster.context(plan, in: folder)
        for id in ["cordon", "rebuild-onecloud-minio-minio", "rebuild-onecloud-default-influxdb", "uncordon"] {
            guard case .satisfied = try await step(id, plan).check(context) else {
                Issue.record("\(id) has something to do")
                continue
            }
        }
        let (open, waiting) = try Self.scene(placed: { $0.reference != "onecloud-monitoring/monitor-minio" })
        let other = try waiting.context(open, in: folder)
        #expect(
            try await step("cordon", open).check(other)
                == .needed("schedulable: \(RunbookCluster.names[1]), \(RunbookCluster.names[2])"))
    }

    // MARK: What stands in the way

    @Test func theSchedulersReasonIsTold() async throws {
        let words = "0/4 nodes are available: 1 Insufficient memory, 3 node(s) were unschedulable."
        let (plan, cluster) = try Self.scene(change: {
            let claim = $0.claims.firstIndex { $0.name == "export-minio-3" }!
            $0.claims[claim].spec.volumeName = nil
            $0.claims[claim].status?.phase = "Pending"
            let pod = $0.pods.firstIndex { $0.name == "minio-3" }!
            $0.pods[pod].spec.nodeName = nil
            $0.pods[pod].status = .init(
                phase: "Pending",
                conditions: [
                    .init(type: "PodScheduled", status: "False", reason: "Unschedulable", message: words)
                ])
        })
        let context = try cluster.context(plan, in: folder, limits: RunContext.Limits(wait: .zero))
        let rebuild = try step("rebuild-onecloud-minio-minio", plan)
        let seen =
            "the new claim export-minio-3 is not Bound, pod minio-3 is Pending, not Ready: the scheduler: \(words)"
        #expect(try await rebuild.check(context) == .needed(seen))
        let placement = Placement(plan: plan, rebuild: plan.rebuilds[0])
        let error = await #expect(throws: ClusterError.self) {
            try await context.wait(for: "it") { () -> RunContext.Poll<Void> in
                .pending(try await placement.missing(context) ?? "")
            }
        }
        #expect(error?.cause == "not so after 0 s: \(seen)")
    }

    @Test(arguments: [
        (
            #"{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"True"}],"containerStatuses":[{"name":"minio","ready":false,"state":{"waiting":{"reason":"ImagePullBackOff","message":"Back-off pulling image \"x\""}}}]}"#,
            #"container minio: ImagePullBackOff: Back-off pulling image "x""#
        ),
        (
            #"{"phase":"Running","containerStatuses":[{"name":"minio","ready":false,"state":{"waiting":{"reason":"CrashLoopBackOff","message":"back-off 5m0s restarting failed container"}}}]}"#,
            "container minio: CrashLoopBackOff: back-off 5m0s restarting failed container"
        ),
        (
            #"{"phase":"Pending","initContainerStatuses":[{"name":"init","ready":false,"state":{"waiting":{"reason":"CreateContainerError"}}}],"containerStatuses":[{"name":"minio","ready":false,"state":{"waiting":{"reason":"PodInitializing"}}}]}"#,
            "container init: CreateContainerError"
        ),
        (
            #"{"phase":"Pending","containerStatuses":[{"name":"minio","ready":false,"state":{"waiting":{"reason":"ContainerCreating"}}}]}"#,
            nil
        ),
        (#"{"phase":"Running","containerStatuses":[{"name":"minio","ready":true,"state":{"running":{}}}]}"#, nil),
    ]) func theKubeletsReasonIsTold(status: String, hindrance: String?) throws {
        var pod = RunbookCluster.pod("minio-0", "onecloud-minio", on: 0, claim: nil, owner: nil, isReady: false)
        pod.status = try JSONDecoder().decode(Pod.Status.self, from: Data(status.utf8))
        #expect(pod.hindrance == hindrance)
    }

    // MARK: Standing still

    @Test func aHealThatStandsStillIsLeftAtWorkWithWhatWasSeenLast() async throws {
        let (plan, cluster) = try Self.scene()
        let limits = RunContext.Limits(healStalled: .zero)
        let context = try cluster.context(plan, in: folder, limits: limits)
        let error = await #expect(throws: ClusterError.self) {
            try await step("heal-onecloud-minio-minio", plan).run(context)
        }
        #expect(error?.code == .waitTimedOut)
        #expect(
            error?.cause.contains(
                "nothing has moved for 0 s; seen last: minio-0: no heal in its log; healed so far: 12 files, 4.0 KiB")
                == true, "\(error?.cause ?? "")")
        #expect(error?.advice.contains("masterswap resume goes on waiting (a longer limit: --heal-stalled)") == true)
        #expect(cluster.acts == [], "a heal is only looked at")
    }

    @Test func whatMovesIsWaitedForBeyondTheLimit() async throws {
        let (plan, cluster) = try Self.scene()
        let context = try cluster.context(plan, in: folder)
        let stall = RunContext.Stall(limit: .milliseconds(40), option: "--join-stalled")
        var looks = 0
        // Twice the limit in all, and never so long without a step forward.
        try await context.wait(for: "ocboot", stall: stall, every: .milliseconds(20)) { () -> RunContext.Poll<Void> in
            looks += 1
            return looks > 8 ? .done(()) : .pending("a line", progress: "\(looks)")
        }
        // What comes and goes is no step forward.
        looks = 0
        let error = await #expect(throws: ClusterError.self) {
            try await context.wait(for: "ocboot", stall: stall, every: .milliseconds(5)) {
                () -> RunContext.Poll<Void> in
                looks += 1
                return .pending("a line", progress: "\(looks % 2)")
            }
        }
        #expect(
            error?.code == .waitTimedOut
                && error?.cause.hasSuffix(" s; seen last: a line") == true)
        let waits = try Journal.events(at: folder.path + "/journal.jsonl").filter { $0.event == .waiting }
        #expect(waits.allSatisfy { $0.limit == 0.04 && $0.still != nil })
    }

    /// Whatever MinIO's record counts: also of a heal that began again, and skips what is there.
    @Test func eachObjectIsAStepForward() throws {
        func mark(_ fields: [String: UInt64], object: String = "a") throws -> String {
            let record = Record.of(fields, texts: ["Bucket": "images", "Object": object])
            return try #require(HealingRecord(record)?.progress?.mark)
        }
        let before: [String: UInt64] = ["ItemsHealed": 12, "BytesDone": 4096]
        #expect(try mark(before) == mark(before))
        for step: [String: UInt64] in [["ItemsHealed": 13], ["BytesDone": 5000], ["ItemsSkipped": 1]] {
            #expect(try mark(before) != mark(before.merging(step) { $1 }))
        }
        #expect(try mark(before) != mark(before, object: "b"))
    }
}
