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

/// Five masters: one is dead, and a second one that is not whole is left aside where that is safe from the plan to the end.
@Suite struct FiveMastersTests {
    static let fourth = FieldCluster.master(4).name
    static let fifth = FieldCluster.master(5).name

    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    func rules(_ state: ClusterState) -> [String] { FieldCluster.refusals(state).map(\.rule) }

    /// The fourth one's member is not healthy.
    func unhealthy(answers: Bool, etcd: String = "3.4.23", kubernetes: String = "v1.20.15") throws -> ClusterState {
        var state = try FieldCluster.state()
        state.cluster.members[3].isHealthy = false
        state.cluster.etcd = RunbookCluster.condition(state.cluster.members, version: etcd)
        if answers {
            state.cluster.etcd.statuses?.append(
                EtcdStatus(
                    memberID: state.cluster.members[3].id, version: etcd, leader: RunbookCluster.memberIDs[1],
                    raftIndex: 90_000))
        }
        for index in state.cluster.objects.nodes.indices {
            state.cluster.objects.nodes[index].status?.nodeInfo?.kubeletVersion = kubernetes
        }
        return state
    }

    func notReady(_ state: inout ClusterState, _ number: Int) {
        state.cluster.objects.nodes[number - 1].status?.conditions?[0].status = "Unknown"
    }

    @Test func oneDeadOfFiveIsReplaced() throws {
        let plan = try FieldCluster.plan(try FieldCluster.state())
        #expect(plan.survivors.count == 4 && plan.unsound == nil)
        #expect(plan.cordons.count == 4)
        #expect(plan.primary.node == RunbookCluster.names[1])
    }

    @Test func aSecondOneThatIsNotReadyIsLeftAside() throws {
        var state = try FieldCluster.state()
        notReady(&state, 4)
        let plan = try FieldCluster.plan(state)
        #expect(plan.survivors.map(\.node) == [RunbookCluster.names[1], RunbookCluster.names[2], Self.fifth])
        #expect(plan.unsound?.map(\.node) == [Self.fourth])
        #expect(plan.unsound?[0].reasons == ["\(Self.fourth) is not Ready"])
        let text = PlanText(plan, state.inventory)
        #expect(text.lines.contains { $0.kind == .warning && $0.text.contains("\(Self.fourth) is not whole") })
        #expect(text.summary.contains { $0.kind == .warning && $0.text.contains(Self.fourth) })
        notReady(&state, 5)
        #expect(rules(state) == ["survivors-are-sound", "survivors-are-sound"], "two of four are too many")
    }

    @Test func aSecondOneWhoseEtcdIsSlowIsLeftAside() throws {
        let plan = try FieldCluster.plan(try unhealthy(answers: true))
        #expect(plan.unsound?.map(\.memberID) == ["4aaa"])
        #expect(plan.unsound?[0].reasons == ["its etcd member 4aaa is not healthy"])
    }

    /// Tried with real programs: with one of four members killed, etcd 3.4.23 and 3.5.16 refuse `member add`
    /// ("etcdserver: unhealthy cluster"), and 3.5.30 takes the member. kubeadm asks every listed member up to 1.36.
    @Test func aMemberThatIsDownIsRefusedWhereTheJoinWouldBe() throws {
        for (etcd, kubernetes, cause) in [
            ("3.4.23", "v1.20.15", "etcd 3.4.23 adds none"), ("3.5.16", "v1.37.0", "etcd 3.5.16 adds none"),
            ("3.5.30", "v1.34.1", "kubeadm v1.34.1 joins no master"),
        ] {
            let refusals = FieldCluster.refusals(try unhealthy(answers: false, etcd: etcd, kubernetes: kubernetes))
            #expect(refusals.map(\.rule) == ["quorum-survives"])
            #expect(refusals[0].reason.contains(cause), "\(refusals[0].reason)")
            #expect(refusals[0].advice.contains("bring it back first"))
        }
        let plan = try FieldCluster.plan(try unhealthy(answers: false, etcd: "3.5.30", kubernetes: "v1.37.0"))
        #expect(plan.unsound?.map(\.node) == [Self.fourth])
    }

    @Test(arguments: [
        ("3.3.25", false), ("3.4.23", false), ("3.4.99", false), ("3.5.29", false), ("3.5.30", true), ("3.6.0", false),
        ("3.6.11", true), ("3.7.0", true), ("4.0.0", true),
    ]) func whichEtcdAddsAMemberBesideOneThatIsDown(version: String, does: Bool) throws {
        #expect(try #require(EtcdVersion(version)).addsMemberBesideOneThatIsDown == does)
    }

    /// What the advice leads to: the second dead one's member is taken out by hand, then this one is replaced.
    @Test func aSecondDeadOneWithoutItsMemberIsLeftAside() throws {
        var state = try FieldCluster.state()
        notReady(&state, 4)
        state.hosts[Self.fourth] = .failed(.init(message: "\(Self.fourth): connect: no answer", sign: .unresponsive))
        state.cluster.members.remove(at: 3)
        let plan = try FieldCluster.plan(state)
        #expect(plan.unsound?.map(\.node) == [Self.fourth])
        #expect(plan.unsound?[0].reasons.contains("it has no etcd member") == true)
    }

    @Test func oneThatOnlyThisMachineCannotSeeIsRefused() throws {
        var state = try FieldCluster.state()
        state.hosts[Self.fourth] = .failed(.init(message: "\(Self.fourth): connect: no answer", sign: .unresponsive))
        #expect(rules(state) == ["survivors-are-sound"], "it is Ready, and may hold the VIP")
        notReady(&state, 4)
        #expect(Set(rules(state)) == ["survivors-are-sound"], "its member is healthy: it lives")
        state.hosts[Self.fourth] = .failed(.init(message: "authentication failed", sign: .alive))
        #expect(rules(state) == ["survivors-are-sound", "survivors-are-sound"])
    }

    @Test func anUnsoundMasterThatHoldsTheVIPIsRefused() throws {
        var state = try FieldCluster.state()
        notReady(&state, 4)
        let vip = HostFacts.Address(interface: "br0", address: "10.127.100.102")
        state.change(RunbookCluster.names[1]) { $0.addresses?.removeAll { $0 == vip } }
        state.change(Self.fourth) { $0.addresses?.append(vip) }
        #expect(rules(state).contains("one-vip-holder"))
    }

    @Test func anUnsoundMasterThatIsKeepalivedsMASTERIsRefused() throws {
        var state = try FieldCluster.state()
        notReady(&state, 4)
        let manifest = try KeepalivedManifest(RunbookCluster.manifest(0))
        state.change(Self.fourth) { $0.keepalived = .manifest(manifest) }
        #expect(rules(state).contains("survivors-are-sound"))
    }

    @Test func ofThreeNoneIsLeftAside() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes[2].status?.conditions?[0].status = "Unknown"
        #expect(rules(state) == ["survivors-are-sound"])
        state = try RunbookCluster.state()
        state.cluster.members[2].isHealthy = false
        #expect(rules(state) == ["quorum-survives"])
    }

    /// Three of four members are healthy: enough after the removal of a fifth, and too few where only four are to be.
    @Test func theQuorumHoldsWhileTheNewMemberJoins() throws {
        var state = try FieldCluster.state(masters: 4)
        state.cluster.members[3].isHealthy = false
        state.cluster.etcd = RunbookCluster.condition(state.cluster.members)
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["quorum-survives"])
        #expect(
            refusals[0].reason.contains(
                "while the new member joins etcd has 4 voting members, of which 3 must be healthy; 2 are"))
    }

    /// A node's controller writes nothing about containers: of a pod on a node that is not Ready the last word stays as it was.
    @Test func aReplicaOnOneThatIsLeftAsideIsNotReady() throws {
        var state = try FieldCluster.state()
        let pod = try #require(state.objects.pods.firstIndex { $0.name == "minio-2" })
        let (volume, name) = ("pvc-onecloud-minio-export-minio-2", Self.fourth)
        state.cluster.objects.pods[pod].spec.nodeName = name
        state.change(volume: volume) {
            $0.spec.nodeAffinity = Lost.affinity([Lost.requirement("kubernetes.io/hostname", "In", [name])])
        }
        #expect(rules(state).isEmpty)
        notReady(&state, 4)
        #expect(state.objects.pods[pod].isReady, "so its containers say")
        #expect(rules(state) == ["other-replicas-healthy"])
    }

    // MARK: The steps

    /// The cluster after the join: the new member healthy, the fourth one still ill.
    func joined(_ plan: Plan, _ state: ClusterState) -> FakeCluster {
        var objects = state.objects
        objects.nodes.removeFirst()
        objects.nodes.append(RunbookCluster.node(RunbookCluster.spare, "10.127.100.224", isReady: true, age: 9))
        objects.pods = []
        objects.claims = []
        objects.volumes = []
        var members = Array(state.cluster.members.dropFirst())
        members.append(
            EtcdMember(
                id: "new", name: RunbookCluster.spare, peerURLs: ["https://10.127.100.224:2380"],
                clientURLs: ["https://10.127.100.224:2379"], isHealthy: true))
        members[members.count - 1].id = "77"
        return FakeCluster(objects, members: members) { host, command in
            guard command.display == "ip -o -4 addr" else { return nil }
            return FakeCluster.output(
                host == plan.primary.host ? "2: br0    inet 10.127.100.102/32 scope global br0\n" : "")
        }
    }

    @Test func noStepWaitsForTheOneThatIsLeftAside() async throws {
        let state = try unhealthy(answers: true)
        var plan = try FieldCluster.plan(state)
        plan.kubernetes = nil
        plan.rebuilds = []
        plan.volumes = []
        plan.promotes = false
        let cluster = joined(plan, state)
        let context = try cluster.context(
            plan, in: folder, limits: .init(wait: .milliseconds(10)), inventory: state.inventory)
        #expect(try await NodeReadyStep(plan: plan).check(context) == .satisfied("Ready, 4 healthy etcd members"))
        guard case .satisfied = try await RemoveMemberStep(plan: plan).verify(context) else {
            Issue.record("the removal is not seen")
            return
        }
        // Whoever the plan does not leave aside is waited for.
        cluster.state.withLock { $0.members[0].isHealthy = false }
        #expect(try await NodeReadyStep(plan: plan).check(context) != .satisfied("Ready, 4 healthy etcd members"))
    }

    @Test func theConfigurationOfTheJoinNamesAWholeMaster() throws {
        var state = try FieldCluster.state(dead: 1)
        notReady(&state, 4)
        let plan = try FieldCluster.plan(
            state, ReplacementRequest(dead: RunbookCluster.names[1], replacement: RunbookCluster.spare))
        #expect(plan.primary.node == RunbookCluster.names[0])
        let text = try #require(plan.ocboot).configuration
        #expect(text.contains("hostname: \"10.127.100.234\"") && text.contains("hostname: \"10.127.100.224\""))
        #expect(!text.contains("10.127.100.4\""))
    }
}
