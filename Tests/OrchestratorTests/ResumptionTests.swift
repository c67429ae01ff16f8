import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What a resume finds beside the plan that was agreed to.
@Suite struct ResumptionTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    /// A run of the runbook's plan whose first event is on the disk.
    func run() throws -> RunStore.Run {
        let run = RunStore.Run(id: "r", directory: folder.path)
        var plan = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: Date())
        plan.kubernetes = KubernetesVersion(1, 20)
        try Journal(path: run.journalPath).append(Event(.runStarted, run: run.id, plan: plan))
        return run
    }

    func resumption(
        fence: Bool = false, hasRunOcboot: Bool = true, ocboot: String = "ended 2", nodeNow: String? = nil,
        isDead: @escaping @Sendable () -> SSHError? = {
            SSHError(
                .unreachable, host: RunbookCluster.names[0], operation: "connect", cause: "no answer within 10 s")
        }
    ) async throws -> Plan {
        var state = try FailedJoinTests().state()
        var node = state.cluster.objects.nodes.removeFirst()
        if let nodeNow {
            node.metadata.uid = nodeNow
            state.cluster.objects.nodes.append(node)
        }
        state.cluster.members.removeFirst()
        let cluster = FakeCluster(state.objects, members: state.cluster.members) { host, command in
            if host == RunbookCluster.names[0] {
                if let error = isDead() { throw error }
                return FakeCluster.output("")
            }
            switch command.display {
            case "look for ocboot at work": return FakeCluster.output("/var/lib/masterswap/r/join-1\n")
            case "look for ocboot's runs": return hasRunOcboot ? FakeCluster.output("") : FakeCluster.failure("")
            case "sha256sum /etc/kubernetes/pki/ca.crt": return FakeCluster.output("ours  ca.crt")
            case let follow where follow.hasPrefix("follow"): return FakeCluster.output(ocboot + "\n")
            default:
                guard host == RunbookCluster.spare else { return nil }
                return FakeCluster.sections(
                    command,
                    [
                        "hostname": RunbookCluster.spare, "authority": "ours",
                        "traces": FailedJoinTests.halfWritten.joined(separator: "\n"),
                    ])
            }
        }
        let replacement = Replacement(
            inventory: try RunbookCluster.inventory(),
            remotes: Remotes { FakeCluster.Target(name: $0.name, cluster: cluster) }, store: RunStore(),
            limits: .init(),
            databasePassword: { Secret("x") }, emit: { _ in })
        let plan = try await replacement.resumption(of: try run(), fence: fence)
        #expect(cluster.acts == [], "it only looks")
        return plan
    }

    @Test func aFailedJoinIsFoundAndAskedAbout() async throws {
        let plan = try await resumption()
        #expect(plan.failedJoin?.member?.id == "abc")
        #expect(plan.fences == nil)
        let lines = PlanText(plan, try RunbookCluster.inventory()).added(to: plan).map(\.text)
        #expect(lines.contains { $0.contains("- etcd member abc, never started") })
        #expect(ReplacementSteps.make(plan).contains { $0.id == "clean-failed-join" })
    }

    @Test func ocbootAtWorkIsNoFailedJoin() async throws {
        #expect(try await resumption(ocboot: "running").failedJoin == nil)
        #expect(try await resumption(hasRunOcboot: false).failedJoin == nil, "this run has not joined anything yet")
    }

    /// What the join of a first spare had begun says nothing of another one's.
    @Test func aJoinIsBegunForOneSpare() throws {
        let run = try run()
        let journal = try Journal(path: run.journalPath)
        try journal.append(Event(.stepBegan, step: "join", text: "no node"))
        #expect(try Replacement.hasBegunJoin(run))
        var plan = try Replacement.plan(of: run)
        try journal.append(Event(.runStarted, plan: plan))
        #expect(try Replacement.hasBegunJoin(run), "resumed with the same one")
        plan.replacement.host = "another-spare"
        try journal.append(Event(.runStarted, plan: plan))
        #expect(try !Replacement.hasBegunJoin(run))
        try journal.append(Event(.stepBegan, step: "join", text: "no node"))
        #expect(try Replacement.hasBegunJoin(run))
    }

    /// With a master that has joined, another spare would make four.
    @Test(arguments: [(true, true), (false, false)])
    func anotherSpareIsRefusedWhereTheFirstHasJoined(isMaster: Bool, isRefused: Bool) async throws {
        var objects = try RunbookCluster.state().objects
        var node = RunbookCluster.node(RunbookCluster.spare, RunbookCluster.spareAddress, isReady: true)
        if !isMaster { node.metadata.labels = [:] }
        objects.nodes.append(node)
        let cluster = FakeCluster(objects)
        let replacement = Replacement(
            inventory: try RunbookCluster.inventory(),
            remotes: Remotes { FakeCluster.Target(name: $0.name, cluster: cluster) }, store: RunStore(),
            limits: .init(),
            databasePassword: { Secret("x") }, emit: { _ in })
        let run = try run()
        let plan = try Replacement.plan(of: run)
        #expect(try !Replacement.hasBegunJoin(run))
        var refusal: ClusterError?
        do { try await replacement.refuseOtherSpare(than: plan, run) } catch let error as ClusterError {
            refusal = error
        }
        #expect((refusal?.cause.contains("has joined as a master") == true) == isRefused)
        #expect(cluster.acts == [])
    }

    /// It was on for a while, after its node was deleted, and is off again.
    @Test func aNodeThatRegisteredAnewIsToBeDeletedAndAskedAbout() async throws {
        let plan = try await resumption(nodeNow: "another")
        #expect(plan.dead.uid == "another")
        let lines = PlanText(plan, try RunbookCluster.inventory()).added(to: plan).map(\.text)
        #expect(lines.contains { $0.contains("- node lzx-ocboot-ha-test (uid another)") })
        #expect(try await resumption().nodeReturned == nil)
        let fenced = try await resumption(fence: true, nodeNow: "another", isDead: { nil })
        #expect(fenced.nodeReturned == nil, "the fence does it")
        #expect(fenced.dead.uid != "another")
    }

    /// While a run goes on nothing is deleted that was not agreed to.
    @Test func aNodeThatRegistersAnewDuringARunStopsIt() async throws {
        var objects = try FailedJoinTests().state().objects
        objects.nodes[0].metadata.uid = "another"
        let cluster = FakeCluster(objects)
        let plan = try Replacement.plan(of: try run())
        let context = try cluster.context(plan, in: folder)
        for step in [DrainStep(plan: plan), DeleteNodeStep(plan: plan)] as [any Step] {
            let error = try #require(await #expect(throws: ClusterError.self) { try await step.check(context) })
            #expect(error.cause.contains("the old master was back"))
        }
        #expect(cluster.acts == [])
    }

    @Test func anOldMasterThatAnswersIsFencedOnlyWhereAskedFor() async throws {
        #expect(try await resumption(isDead: { nil }).fences == nil)
        #expect(try await resumption(fence: true, isDead: { nil }).fences == true)
        #expect(try await resumption(fence: true).fences == nil, "there is nothing to fence")
        await #expect(throws: SSHError.self) {
            try await resumption(
                fence: true,
                isDead: {
                    SSHError(
                        .authenticationFailed, host: RunbookCluster.names[0], operation: "log in", cause: "no key")
                })
        }
        await #expect(throws: SSHError.self, "the jump host is silent, not the old master") {
            try await resumption(
                fence: true,
                isDead: { SSHError(.unreachable, host: "jump", operation: "connect", cause: "no answer within 10 s") })
        }
    }

    /// Refused with the difference, before any host is asked.
    @Test(arguments: [
        ("name: ha-test", "name: hb-test", "cluster 'ha-test' is 'hb-test' here"),
        ("vip: 10.127.100.102", "vip: 10.127.100.103", "VIP 10.127.100.102 is 10.127.100.103 here"),
        ("address: 10.127.100.224", "address: 10.127.100.225", "at 10.127.100.224 is at 10.127.100.225 here"),
        ("onecloud_version: v3.8.8", "onecloud_version: v3.9.0", "release v3.8.8 is v3.9.0 here"),
        ("  lzx-ocboot-ha-test-3:", "  another:", "lzx-ocboot-ha-test-3 at 10.127.100.226 is not here"),
    ])
    func anotherInventoryIsRefused(old: String, new: String, difference: String) throws {
        let text = RunbookCluster.inventoryText.replacing(old, with: new)
        let replacement = Replacement(
            inventory: try Inventory.parse(text, file: "other.yaml"), remotes: Remotes { throw Unasked(name: $0.name) },
            store: RunStore(), limits: .init(), databasePassword: { Secret("x") }, emit: { _ in })
        let run = try run()
        let refused = try #require(throws: Refused.self) {
            try replacement.refuseOtherInventory(try Replacement.plan(of: run), run)
        }
        #expect(refused.refusals.map(\.rule) == ["same-inventory"])
        #expect(refused.refusals[0].reason.contains(difference))
    }

    private struct Unasked: Error { var name: String }
}
