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

/// What earlier failures leave behind: a learner of a failed join, an entry in ClusterStatus, a static pod of before an edit, an
/// etcdctl without `snapshot status`.
@Suite struct LeftoversTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    // MARK: kubeadm#2997, #3269: a join that fails after `member add --learner`

    static let learner =
        #"{"members":[{"ID":11,"name":"","peerURLs":["https://10.127.100.224:2380"],"isLearner":true}]}"#

    func afterFailedJoin() throws -> ClusterState {
        var state = try FailedJoinTests().state(member: nil)
        state.cluster.members += try EtcdOutput.members(Data(Self.learner.utf8))
        return state
    }

    @Test func aLearnerOfAFailedJoinIsSeenNamedAndCleaned() async throws {
        let state = try afterFailedJoin()
        var plan = try FieldCluster.plan(state)
        plan.kubernetes = nil
        let left = try #require(plan.failedJoin)
        #expect(left.member == .init(id: "b", name: "", peerURLs: ["https://10.127.100.224:2380"]))
        let step = CleanFailedJoinStep(plan: plan, agreed: left)
        #expect(step.effects.contains(.destroys("etcd member b, never started, at https://10.127.100.224:2380")))
        let cluster = try FailedJoinTests().cluster(state)
        let context = try cluster.context(plan, in: folder)
        try await step.run(context)
        #expect(cluster.asked.contains { $0.hasSuffix("etcdctl member remove b") })
        #expect(cluster.members.map(\.id) == RunbookCluster.memberIDs)
    }

    @Test func aLearnerElsewhereIsNotCleaned() throws {
        var state = try afterFailedJoin()
        state.cluster.members[3].peerURLs = ["https://10.127.100.99:2380"]
        let refusals = FieldCluster.refusals(state)
        #expect(
            refusals.contains {
                $0.rule == "members-have-nodes" && $0.reason.contains("member b at 10.127.100.99 is a learner")
            })
    }

    // MARK: kubeadm#1300: ClusterStatus keeps the dead node

    @Test func theEntryOfADeadNodeIsFoundAndTakenOut() throws {
        var state = try RunbookCluster.state()
        #expect(!(try FieldCluster.plan(state).hasStaleClusterStatus))
        state.cluster.clusterStatus = ClusterState.clusterStatus([
            (RunbookCluster.names[0], "10.127.100.234"), (RunbookCluster.names[1], "10.127.100.229"),
        ])
        let plan = try FieldCluster.plan(state)
        #expect(plan.hasStaleClusterStatus)
        #expect(ReplacementSteps.make(plan).contains { $0.id == "clean-cluster-status" })
        let status = try #require(state.cluster.clusterStatus)
        #expect(status.removing(RunbookCluster.names[0])?.contains("10.127.100.234") == false)
        #expect(status.names(at: "10.127.100.234") == [RunbookCluster.names[0]])
    }

    // MARK: kubernetes#104648: the kubelet does not restart an edited static pod

    /// keepalived's processes as they are on the primary: with the manifest of before the edit, or of after it.
    func primary(_ plan: Plan, restarts: Bool) throws -> (FakeCluster, edited: Flag) {
        let edited = Flag()
        let (old, new) = try (RunbookCluster.manifest(1), KeepalivedManifest(RunbookCluster.manifest(1)).promoted())
        let cluster = FakeCluster(try RunbookCluster.objects(dead: 0)) { host, command in
            switch command.display {
            case "read /etc/kubernetes/manifests/keepalived.yaml": return FakeCluster.output(edited.isSet ? new : old)
            case "look at keepalived's environment":
                let isNew = edited.isSet && restarts
                return FakeCluster.output(
                    isNew
                        ? "KEEPALIVED_STATE=MASTER\nKEEPALIVED_PRIORITY=100\n"
                        : "KEEPALIVED_STATE=BACKUP\nKEEPALIVED_PRIORITY=90\n")
            case "ip -o -4 addr":
                return FakeCluster.output(
                    host == plan.primary.host ? "2: br0    inet 10.127.100.102/32 scope global br0\n" : "")
            default: return nil
            }
        }
        return (cluster, edited)
    }

    @Test func anOldContainerIsWaitedForWithALimitAndAdvice() async throws {
        let plan = try FieldCluster.plan(try RunbookCluster.state())
        let (cluster, edited) = try primary(plan, restarts: false)
        let context = try cluster.context(plan, in: folder, limits: .init(wait: .milliseconds(10)))
        let step = PromoteStep(plan: plan)
        edited.set()
        #expect(try await step.check(context) == .needed("the old container still runs"))
        let error = await #expect(throws: ClusterError.self) { try await step.run(context) }
        #expect(error?.code == .waitTimedOut)
        #expect(error?.cause.contains("the old container still runs") == true)
        #expect(error?.advice.contains("systemctl restart kubelet") == true)
        #expect(!cluster.asked.contains { $0.contains("systemctl") }, "it is advised, never done")
    }

    @Test func aContainerThatTookTheEditUpIsSeen() async throws {
        let plan = try FieldCluster.plan(try RunbookCluster.state())
        let (cluster, edited) = try primary(plan, restarts: true)
        let context = try cluster.context(plan, in: folder)
        let step = PromoteStep(plan: plan)
        #expect(try await step.check(context) == .needed("its manifest says BACKUP, priority 90"))
        edited.set()
        guard case .satisfied = try await step.check(context) else {
            Issue.record("it runs as it was edited")
            return
        }
    }

    // MARK: etcd#13809: etcdctl 3.6 has no `snapshot status`

    @Test func etcdutlIsAskedWhereEtcdctlKnowsNoStatus() async throws {
        let remote = KubectlTests.ScriptedRemote("a") { command in
            command.display.hasPrefix("etcdutl")
                ? KubectlTests.output(#"{"hash":1,"revision":7,"totalKey":900,"totalSize":20480}"#)
                : KubectlTests.failure(#"Error: unknown command "status" for "etcdctl snapshot""#)
        }
        let kubectl = Kubectl([.init(remote: remote)], distribution: .kubeadm)
        let status = try await Etcdctl(kubectl, node: "a", distribution: .kubeadm).snapshotStatus("/s.db")
        #expect(status.totalKey == 900)
        #expect(remote.displays == ["etcdctl snapshot status /s.db -w json", "etcdutl snapshot status /s.db -w json"])
    }
}
