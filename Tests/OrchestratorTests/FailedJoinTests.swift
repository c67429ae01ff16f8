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

/// A join that failed half-way: recognised by host, etcd and nodes together, and cleaned only where all three say so.
@Suite struct FailedJoinTests {
    static let address = "10.127.100.224"
    static let halfWritten = [
        "/etc/kubernetes/kubelet.conf", "/var/lib/etcd/member", "/etc/kubernetes/manifests/kube-apiserver.yaml",
    ]
    static let unstarted = EtcdMember(id: "abc", name: "", peerURLs: ["https://\(address):2380"], clientURLs: [])

    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    /// The runbook's cluster after the dead one was taken out and the spare's join was cut off.
    func state(
        traces: [String] = halfWritten, member: EtcdMember? = unstarted, isNode: Bool = true,
        _ change: (inout HostFacts) -> Void = { _ in }
    ) throws -> ClusterState {
        var state = try RunbookCluster.state()
        for name in RunbookCluster.names.dropFirst() {
            var facts = try #require(state.hosts[name]?.facts)
            facts.caCertificateSHA256 = "ours"
            state.hosts[name] = .reached(facts)
        }
        var facts = try #require(state.hosts[RunbookCluster.spare]?.facts)
        facts.clusterTraces = traces
        facts.caCertificateSHA256 = "ours"
        facts.listening = [22, 6443, 10250]
        change(&facts)
        state.hosts[RunbookCluster.spare] = .reached(facts)
        if let member { state.cluster.members.append(member) }
        if isNode {
            var node = RunbookCluster.node(RunbookCluster.spare, Self.address, isReady: true, age: 9)
            node.metadata.labels = ["kubernetes.io/hostname": RunbookCluster.spare]
            state.cluster.objects.nodes.append(node)
        }
        return state
    }

    /// What is refused where the member that never started is not one of a failed join: it counts for the quorum then.
    static let refused: Set<String> = ["replacement-is-bare", "members-have-nodes", "quorum-survives"]

    func refusals(_ state: ClusterState) -> Set<String> {
        do {
            _ = try Planner.plan(state, RunbookCluster.request, now: Date())
            return []
        } catch { return Set((error as? Refused)?.refusals.map(\.rule) ?? ["\(error)"]) }
    }

    /// The new host has the name of a living worker, so that its kubelet could never register: that node is not what its join left.
    @Test func aLivingNodeOfTheSameNameIsNotCleanedAway() throws {
        let traces = ["/etc/kubernetes/kubelet.conf", "/etc/kubernetes/manifests/kube-apiserver.yaml"]
        var state = try state(traces: traces, member: nil, isNode: false) { $0.hostname = "Worker-1" }
        var worker = RunbookCluster.node("worker-1", "10.127.100.50", isReady: true)
        worker.metadata.labels = ["kubernetes.io/hostname": "worker-1"]
        state.cluster.objects.nodes.append(worker)
        let input = try PlanningInput(state, RunbookCluster.request)
        #expect(input.failedJoin.found != nil)
        #expect(input.failedJoin.found?.node == nil)
        #expect(refusals(state) == ["replacement-is-bare"])
    }

    @Test func itIsRecognisedAndShown() throws {
        let plan = try Planner.plan(try state(), RunbookCluster.request, now: Date())
        #expect(plan.failedJoin?.member?.id == "abc")
        #expect(plan.failedJoin?.node?.uid == "uid-cluster-\(RunbookCluster.spare)")
        #expect(plan.failedJoin?.traces == Self.halfWritten)
        #expect(plan.survivors.map(\.node) == ["lzx-ocboot-ha-test-2", "lzx-ocboot-ha-test-3"])
        let steps = ReplacementSteps.make(plan).map(\.id)
        let index = try #require(steps.firstIndex(of: "clean-failed-join"))
        #expect(steps[index + 1] == "vip", "before the join, and before a half-joined keepalived is in the way")
        let lines = PlanText(plan, try RunbookCluster.inventory()).lines.map(\.text)
        for wanted in [
            "- etcd member abc, never started", "- node lzx-ocboot-ha-test-4 (uid", "by kubeadm reset: /etc/kubernetes",
        ] {
            #expect(lines.contains { $0.contains(wanted) }, "\(wanted)")
        }
    }

    @Test func aBareHostHasNone() throws {
        let plan = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: Date())
        #expect(plan.failedJoin == nil)
        #expect(!ReplacementSteps.make(plan).contains { $0.id == "clean-failed-join" })
    }

    @Test func theMemberAloneIsEnoughAndSoIsTheFirstManifest() throws {
        let wiped = try Planner.plan(try state(traces: [], isNode: false), RunbookCluster.request, now: Date())
        #expect(wiped.failedJoin == FailedJoin(traces: [], member: wiped.failedJoin?.member, node: nil))
        let manifest = "/etc/kubernetes/manifests/keepalived.yaml"
        let keepalived = try state(traces: [manifest], member: nil, isNode: false) { facts in
            facts.caCertificateSHA256 = nil
            facts.keepalived = (try? KeepalivedManifest(RunbookCluster.manifest(1))).map { .manifest($0) } ?? .absent
        }
        #expect(
            try Planner.plan(keepalived, RunbookCluster.request, now: Date()).failedJoin?.traces == [manifest])
        let noneOfOurs = try state(traces: [manifest], member: nil, isNode: false) { $0.caCertificateSHA256 = nil }
        #expect(refusals(noneOfOurs) == ["replacement-is-bare"])
    }

    @Test func whatIsNoFailedJoinIsNeverCleaned() throws {
        #expect(refusals(try state { $0.caCertificateSHA256 = "another" }) == Self.refused)
        #expect(refusals(try state { $0.caCertificateSHA256 = nil }) == Self.refused)
        var started = Self.unstarted
        started.name = RunbookCluster.spare
        started.clientURLs = ["https://\(Self.address):2379"]
        started.isHealthy = true
        #expect(refusals(try state(member: started)).contains("replacement-is-bare"))
        var master = try state()
        master.cluster.objects.nodes[3].metadata.labels?["node-role.kubernetes.io/master"] = ""
        #expect(refusals(master).contains("replacement-is-bare"))
        #expect(refusals(try state(member: nil)) == ["replacement-is-bare"], "etcd data of a former master")
        #expect(
            refusals(try state(traces: ["/etc/kubernetes/kubelet.conf"], member: nil)) == ["replacement-is-bare"],
            "a worker")
        var elsewhere = Self.unstarted
        elsewhere.peerURLs = ["https://10.127.100.99:2380"]
        #expect(refusals(try state(member: elsewhere)) == Self.refused)
    }

    // MARK: The step

    /// The cluster after the dead one was taken out, with a spare that answers with these facts until it is reset.
    func cluster(_ state: ClusterState) -> FakeCluster {
        let isReset = Flag()
        return FakeCluster(state.objects, members: state.cluster.members) { host, command in
            if command.display.hasPrefix("kubeadm reset") { isReset.set() }
            if command.display == "sha256sum /etc/kubernetes/pki/ca.crt" { return FakeCluster.output("ours  ca.crt") }
            guard host == RunbookCluster.spare else { return nil }
            return FakeCluster.sections(
                command,
                [
                    "hostname": RunbookCluster.spare, "authority": isReset.isSet ? "" : "ours",
                    "traces": isReset.isSet ? "" : Self.halfWritten.joined(separator: "\n"),
                ])
        }
    }

    func agreed() throws -> (Plan, CleanFailedJoinStep) {
        var plan = try Planner.plan(try state(), RunbookCluster.request, now: Date())
        plan.kubernetes = nil
        return (plan, CleanFailedJoinStep(plan: plan, agreed: try #require(plan.failedJoin)))
    }

    @Test func itTakesNodeMemberAndDiskAway() async throws {
        let (plan, step) = try agreed()
        let cluster = cluster(try state())
        let context = try cluster.context(plan, in: folder)
        guard case .needed = try await step.check(context) else {
            Issue.record("nothing to do")
            return
        }
        try await step.run(context)
        guard case .satisfied = try await step.verify(context) else {
            Issue.record("something is left")
            return
        }
        #expect(cluster.objects.node(RunbookCluster.spare) == nil)
        #expect(cluster.members.map(\.id) == RunbookCluster.memberIDs)
        let acts = cluster.asked.filter {
            $0.contains("stop kubelet") || $0.contains("delete") || $0.contains("remove") || $0.contains("reset")
        }
        #expect(
            acts.map { String($0.prefix { $0 != "," }) } == [
                "lzx-ocboot-ha-test-4: systemctl stop kubelet",
                "lzx-ocboot-ha-test-2: kubectl delete --raw /api/v1/nodes/lzx-ocboot-ha-test-4 -f -",
                "lzx-ocboot-ha-test-2: etcdctl member remove abc", "lzx-ocboot-ha-test-4: kubeadm reset -f",
            ])
    }

    @Test func whatWasNotAgreedToIsNotTouched() async throws {
        let (plan, step) = try agreed()
        for change: @Sendable (inout FakeCluster.State) -> Void in [
            { $0.members[3].id = "def" },
            {
                $0.members[3].name = RunbookCluster.spare
                $0.members[3].clientURLs = ["https://x:2379"]
            },
            { $0.objects.nodes[3].metadata.uid = "another" },
            { $0.objects.nodes[3].metadata.labels?["node-role.kubernetes.io/control-plane"] = "" },
        ] {
            let cluster = cluster(try state())
            cluster.state.withLock { change(&$0) }
            let context = try cluster.context(plan, in: TemporaryFolder())
            await #expect(throws: ClusterError.self) { try await step.run(context) }
            #expect(cluster.acts == [])
            #expect(!cluster.asked.contains { $0.contains("kubeadm reset") || $0.contains("systemctl") })
        }
    }

    @Test func ocbootAtWorkIsLeftAlone() async throws {
        let (plan, step) = try agreed()
        let cluster = FakeCluster(try state().objects, members: try state().cluster.members) { _, command in
            if command.display == "look for ocboot at work" {
                return FakeCluster.output("/var/lib/masterswap/x/join-1")
            }
            if command.display.hasPrefix("follow") { return FakeCluster.output("running\n") }
            return nil
        }
        await #expect(throws: ClusterError.self) { try await step.run(try cluster.context(plan, in: folder)) }
        #expect(cluster.acts == [])
    }
}
