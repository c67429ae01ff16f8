import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// The dead master's own machine, reinstalled, takes its place: same inventory entry, name and address.
@Suite struct SameMachineTests {
    static let dead = RunbookCluster.names[0]
    let request = ReplacementRequest(dead: dead, replacement: dead)

    /// The first master is dead as a node and answers as a bare machine.
    func state(_ change: (inout HostFacts) -> Void = { _ in }) throws -> ClusterState {
        var state = try RunbookCluster.state()
        state.inventory = state.inventory.preparing(request)
        state.cluster.objects.nodes[0].status?.nodeInfo?.machineID = "old"
        var facts = HostFacts(hostname: Self.dead)
        facts.machineID = "new"
        change(&facts)
        state.hosts[Self.dead] = .reached(facts)
        return state
    }

    func refusals(_ state: ClusterState) -> [String] {
        do {
            _ = try Planner.plan(state, request, now: Date())
            return []
        } catch { return (error as? Refused)?.refusals.map(\.rule) ?? ["\(error)"] }
    }

    @Test func aBareOneIsPlannedWith() throws {
        let plan = try Planner.plan(try state(), request, now: Date())
        #expect(plan.reusesName)
        #expect(plan.dead.uid == "uid-cluster-\(Self.dead)")
        #expect(plan.member?.id == RunbookCluster.memberIDs[0])
        #expect(plan.cordons == ["lzx-ocboot-ha-test-2", "lzx-ocboot-ha-test-3"])
        let lines = PlanText(plan, try RunbookCluster.inventory()).lines
        #expect(lines[0].text.hasSuffix("the same machine, reinstalled"))
        #expect(!(try state().liveMasters.map(\.name).contains(Self.dead)), "it has no kubectl to ask with")
    }

    @Test func theOldMasterIsNotTakenForANewOne() throws {
        #expect(refusals(try state { $0.kubeletRuns = true }).contains("node-is-dead"))
        #expect(
            refusals(try state { $0.clusterTraces = ["/var/lib/etcd/member"] }) == [
                "node-is-dead", "replacement-is-bare",
            ])
        #expect(refusals(try state { $0.machineID = "old" }) == ["node-is-dead"])
        #expect(refusals(try state { $0.machineID = nil }) == ["node-is-dead"], "nothing tells it from the old one")
        #expect(
            refusals(try state { $0.addresses = [.init(interface: "br0", address: "10.127.100.102")] }).contains(
                "node-is-dead"))
        var ready = try state()
        ready.cluster.objects.nodes[0] = RunbookCluster.node(Self.dead, RunbookCluster.addresses[0], isReady: true)
        #expect(refusals(ready) == ["node-is-dead"])
        var healthy = try state()
        healthy.cluster.members[0].isHealthy = true
        #expect(refusals(healthy) == ["node-is-dead"])
    }

    @Test func itHasToBeUp() throws {
        var state = try state()
        state.hosts[Self.dead] = .failed(.init(message: "no route to host", sign: .noRoute))
        #expect(refusals(state).contains("node-is-dead"))
    }

    @Test func aHostThatAnswersIsAliveWhereASpareIsNamed() throws {
        #expect(
            throws: Refused.self, performing: { try Planner.plan(try state(), RunbookCluster.request, now: Date()) })
    }

    @Test func onlyTheDeadOnesOwnEntryCountsAsSpare() throws {
        let inventory = try RunbookCluster.inventory()
        let second = RunbookCluster.names[1]
        #expect(inventory.preparing(ReplacementRequest(dead: Self.dead, replacement: second)) == inventory)
        #expect(
            inventory.preparing(ReplacementRequest(dead: "10.127.100.234", replacement: Self.dead)).hosts[0].role
                == .spare)
    }

    // MARK: After the join, the name stands for the new node

    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    func plan() throws -> Plan {
        var plan = try Planner.plan(try state(), request, now: Date())
        plan.kubernetes = nil
        return plan
    }

    /// The cluster after the join: a node of the old name with a UID of its own, its pods on it, a new member at the address.
    func joined(
        at address: String = RunbookCluster.addresses[0], configurationIsLeft: Flag = Flag()
    ) throws -> FakeCluster {
        var objects = try RunbookCluster.objects(dead: 0)
        objects.nodes[0] = RunbookCluster.node(Self.dead, address, isReady: true, age: 9)
        objects.nodes[0].metadata.uid = "uid-new"
        var members = try RunbookCluster.state().cluster.members
        members[0] = EtcdMember(
            id: "77", name: Self.dead, peerURLs: ["https://\(address):2380"], clientURLs: ["https://\(address):2379"],
            isHealthy: true)
        let status = """
            apiEndpoints:
              \(Self.dead):
                advertiseAddress: \(address)
                bindPort: 6443
            """
        let map = ConfigMap(
            metadata: RunbookCluster.meta("kubeadm-config", "kube-system"), data: ["ClusterStatus": status])
        return FakeCluster(objects, members: members, configMap: map) { _, command in
            if command.display.hasPrefix("test -e ") {
                return configurationIsLeft.isSet ? FakeCluster.output("") : FakeCluster.failure("")
            }
            if command.display.hasPrefix("rm -f ") { configurationIsLeft.clear() }
            return nil
        }
    }

    /// A run that was cut off after ocboot's end and before its configuration was removed.
    @Test func theDatabasePasswordIsNotLeftOnThePrimary() async throws {
        let left = Flag()
        left.set()
        let cluster = try joined(configurationIsLeft: left)
        let plan = try plan()
        let context = try cluster.context(plan, in: folder)
        let step = JoinStep(plan: plan)
        guard case .needed = try await step.check(context) else {
            Issue.record("the configuration is left, and nothing would be done")
            return
        }
        try await step.run(context)
        #expect(!left.isSet)
        #expect(!cluster.asked.contains { $0.contains("start ") }, "ocboot is not started again")
        guard case .satisfied = try await step.verify(context) else {
            Issue.record("not satisfied")
            return
        }
    }

    @Test func aResumeAfterTheJoinTakesNothingOfTheNewNodeApart() async throws {
        let plan = try plan()
        let cluster = try joined()
        let context = try cluster.context(plan, in: folder)
        let steps: [any Step] = [
            DrainStep(plan: plan), DeleteNodeStep(plan: plan), RemoveMemberStep(plan: plan),
            CleanClusterStatusStep(plan: plan), JoinStep(plan: plan), NodeReadyStep(plan: plan),
        ]
        for step in steps {
            guard case .satisfied = try await step.check(context) else {
                Issue.record("\(step.id) would act")
                continue
            }
        }
        #expect(cluster.acts == [])
        #expect(cluster.objects.pods.contains { $0.nodeName == Self.dead }, "there is something that could be deleted")
    }

    @Test func aThirdNodeOfThatNameStopsTheRun() async throws {
        let plan = try plan()
        let context = try joined(at: "10.127.100.99").context(plan, in: folder)
        await #expect(throws: ClusterError.self) { try await DeleteNodeStep(plan: plan).check(context) }
        await #expect(throws: ClusterError.self) { try await JoinStep(plan: plan).check(context) }
    }

    @Test func theDeadNodeIsNotTakenForTheNewOne() async throws {
        let plan = try plan()
        let state = try state()
        let cluster = FakeCluster(state.objects, members: state.cluster.members)
        let context = try cluster.context(plan, in: folder)
        #expect(try await JoinStep(plan: plan).check(context) == .needed("\(Self.dead) is no node yet"))
        #expect(try await NodeReadyStep(plan: plan).check(context) == .needed("\(Self.dead) is no node yet"))
        guard case .needed = try await DeleteNodeStep(plan: plan).check(context) else {
            Issue.record("the dead node is still there")
            return
        }
    }

    @Test func aPodOnTheNewNodeThatHoldsALostClaimIsDeletedByItsUID() async throws {
        let plan = try plan()
        let cluster = try joined()
        let lost = plan.rebuilds[0].claims[0]
        let context = try cluster.context(plan, in: folder)
        try await ReplacementNode.evictHolders(of: lost, plan, context)
        #expect(cluster.acts == [], "the claim is not on its way out")
        try await context.delete(lost.claim)
        #expect(cluster.objects.claim("onecloud-minio", lost.claim.name) != nil, "a pod holds it")
        try await ReplacementNode.evictHolders(of: lost, plan, context)
        #expect(cluster.acts.count == 2)
        #expect(cluster.acts[1].hasSuffix("delete --raw /api/v1/namespaces/onecloud-minio/pods/minio-0 -f -"))
        #expect(!cluster.objects.pods.contains { $0.name == "minio-0" })
    }
}
