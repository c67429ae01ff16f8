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

/// A run whose lock was taken over stops before its next act, in whatever step it is.
@Suite struct LostLockTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    static let all = [
        "save", "fence", "drain", "delete-node", "remove-member", "clean-cluster-status", "clean-failed-join", "vip",
        "join", "node-ready", "promote", "cordon", "rebuild-onecloud-minio-minio",
        "rebuild-onecloud-monitoring-monitor-minio", "rebuild-onecloud-default-influxdb", "uncordon",
        "heal-onecloud-minio-minio", "heal-onecloud-monitoring-monitor-minio", "delete-volumes", "pods-ready",
        "verify",
    ]

    /// The runbook's replacement with every step that there is.
    static func plan() throws -> Plan {
        var plan = try Planner.plan(try FailedJoinTests().state(), RunbookCluster.request, now: Date())
        plan.kubernetes = nil
        plan.fences = true
        plan.hasStaleClusterStatus = true
        return plan
    }

    /// A cluster in which each step has something to do, and a lock of it that was taken over after some questions.
    struct Scene {
        let step: any Step
        let cluster: FakeCluster
        let context: RunContext

        init(_ id: String, in folder: TemporaryFolder, lockLasts questions: Int) async throws {
            let plan = try LostLockTests.plan()
            step = try #require(ReplacementSteps.make(plan).first { $0.id == id })
            let isJoinCut = id == "clean-failed-join"
            let state = try isJoinCut ? FailedJoinTests().state() : RunbookCluster.state()
            var objects = state.objects
            // A node that an earlier run cordoned; the API server has no word of its cordon yet.
            objects.nodes[2].metadata.annotations = [Node.cordonAnnotation: "r"]
            if id.hasPrefix("rebuild") || id == "delete-volumes" {
                objects.pods.removeAll { $0.nodeName == RunbookCluster.names[0] }
            }
            if id == "delete-volumes" {
                let lost = Set(plan.rebuilds.flatMap(\.claims).map(\.claim.uid))
                objects.claims.removeAll { lost.contains($0.uid) }
            }
            let lease = LeaseOfARun(lasts: questions)
            let isFenced = Flag()
            let cluster = FakeCluster(objects, members: state.cluster.members, configMap: Self.clusterStatus) {
                host, command in
                if let answer = try lease.answer(command) { return answer }
                if command.display.hasPrefix("stop the kubelet") { isFenced.set() }
                if command.display == "look what runs there" {
                    return FakeCluster.output(isFenced.isSet ? "" : "etcd runs, process 7\n")
                }
                return Self.answer(host, command, isJoinCut: isJoinCut)
            }
            let kubectl = Kubectl(
                [.init(remote: FakeCluster.Target(name: "lock", cluster: cluster))], distribution: .kubeadm)
            let lock = try await ClusterLock.acquire(kubectl, clock: LockTests.Watch().clock) { _ in }
            lease.begin()
            self.cluster = cluster
            context = try cluster.context(plan, in: folder, limits: .init(wait: .zero, healStalled: .zero), lock: lock)
        }

        private static var clusterStatus: ConfigMap {
            let lines = RunbookCluster.names.map { "  \($0):\n    advertiseAddress: 10.0.0.1\n    bindPort: 6443\n" }
            return ConfigMap(
                metadata: RunbookCluster.meta("kubeadm-config", "kube-system"),
                data: ["ClusterStatus": "apiEndpoints:\n" + lines.joined()])
        }

        private static func answer(_ host: String, _ command: Command, isJoinCut: Bool) -> CommandResult? {
            switch command.display {
            case "sha256sum /etc/kubernetes/pki/ca.crt": return FakeCluster.output("ours  ca.crt")
            case let read where read.hasPrefix("read /etc/kubernetes/manifests/keepalived"):
                return FakeCluster.output(RunbookCluster.manifest(1))
            case "look at MinIO's drives":
                return FakeCluster.sections(
                    command, ["drive-0": "format\n" + String(decoding: DriveProbeTests.format(), as: UTF8.self)])
            default: break
            }
            guard isJoinCut, host == RunbookCluster.spare else { return nil }
            return FakeCluster.sections(
                command,
                [
                    "hostname": RunbookCluster.spare, "authority": "ours",
                    "traces": FailedJoinTests.halfWritten.joined(separator: "\n"),
                ])
        }
    }

    /// The Lease, which is another run's once it was looked at so many times.
    final class LeaseOfARun: Sendable {
        private let server = ClusterLockTests.LeaseServer()
        private let left: Mutex<Int?> = Mutex(nil)
        private let questions: Int

        init(lasts questions: Int) { self.questions = questions }

        /// The lock is taken: from here on the questions count.
        func begin() { left.withLock { $0 = questions } }

        func answer(_ command: Command) throws -> CommandResult? {
            let isRead = command.display.hasPrefix("kubectl get lease")
            guard isRead || command.display.hasSuffix(" -f -") && !command.display.contains(" delete ") else {
                return nil
            }
            let isOver = left.withLock { left in
                guard isRead, let now = left else { return false }
                left = now - 1
                return now <= 0
            }
            if isOver { server.lease.withLock { $0 = LockTests.lease(fencingNumber: 2) } }
            return try server.answer(command)
        }
    }

    @Test func noStepIsLeftOut() throws {
        #expect(ReplacementSteps.make(try Self.plan()).map(\.id) == Self.all)
    }

    /// Lost before the step, which is asked about right before it runs.
    @Test(arguments: all) func nothingIsDoneAfterTheLockIsLost(id: String) async throws {
        let scene = try await Scene(id, in: folder, lockLasts: 0)
        guard case .needed = try await scene.step.check(scene.context) else {
            Issue.record("\(id) has nothing to do")
            return
        }
        await #expect(throws: Locked.self) { try await Runner([scene.step], scene.context).run() }
        #expect(scene.cluster.acts == [])
    }

    /// Those that take something away ask by themselves, before each thing that they take.
    static let destructive = [
        "fence", "delete-node", "remove-member", "clean-failed-join", "rebuild-onecloud-minio-minio",
        "rebuild-onecloud-monitoring-monitor-minio", "rebuild-onecloud-default-influxdb", "delete-volumes",
    ]

    /// Lost in the middle of the step. The runner's question is the first; each one after it allows one thing.
    @Test(arguments: destructive, 1...4) func eachThingThatIsTakenAwayIsAskedAbout(id: String, questions: Int)
        async throws
    {
        let scene = try await Scene(id, in: folder, lockLasts: questions)
        do {
            // One that had one thing to take, and took it, ends well.
            try await Runner([scene.step], scene.context).run()
            #expect(questions > 1)
        } catch {
            #expect(questions > 1 || error is Locked, "\(error)")
        }
        let taken = scene.cluster.acts
        #expect(taken.count <= questions - 1, "\(taken)")
    }

    /// The same cluster and a lock that lasts: there is something to release.
    @Test(arguments: destructive) func withTheLockItActs(id: String) async throws {
        let scene = try await Scene(id, in: folder, lockLasts: .max)
        // The fake makes nothing again, so that the step waits in vain.
        try? await scene.step.run(scene.context)
        #expect(scene.cluster.acts != [])
    }
}
