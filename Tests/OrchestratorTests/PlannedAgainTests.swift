import Foundation
import Testing

@testable import Cluster
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Until ocboot is started, what is left of a run is planned again.
@Suite struct PlannedAgainTests {
    static let second = "lzx-ocboot-ha-test-5"

    static func plan(_ state: ClusterState, _ request: ReplacementRequest = RunbookCluster.request) throws -> Plan {
        try Planner.plan(state, request, now: Date())
    }

    /// Planned again as a resume does it.
    static func again(
        _ state: ClusterState, _ earlier: Plan, with replacement: String? = nil, accepting losses: [String] = [],
        fences: Bool = false
    ) throws -> Plan {
        try plan(
            state, .init(again: earlier, of: "r", with: replacement, accepting: losses, fences: fences)
        ).continuing(earlier)
    }

    /// The runbook's cluster with a second spare.
    static func stateWithTwoSpares() throws -> ClusterState {
        var state = try RunbookCluster.state()
        state.inventory.hosts.append(
            try #require(
                try Inventory.parse(
                    RunbookCluster.inventoryText.replacing(
                        "\(RunbookCluster.spare): { address: \(RunbookCluster.spareAddress)",
                        with: "\(second): { address: 10.127.100.223"), file: "runbook.yaml"
                ).host(named: second)))
        state.hosts[second] = .reached(HostFacts(hostname: second))
        for name in RunbookCluster.names.dropFirst() {
            guard case .reached(var facts)? = state.hosts[name] else { continue }
            facts.peers["10.127.100.223"] = RunbookCluster.livingView
            state.hosts[name] = .reached(facts)
        }
        return state
    }

    @Test func whereNothingHasMovedNothingIsAskedAgain() throws {
        let state = try RunbookCluster.state()
        let earlier = try Self.plan(state)
        let plan = try Self.again(state, earlier)
        #expect(plan.beyond(earlier) == [])
        #expect(PlanText(plan, state.inventory).added(to: earlier).isEmpty)
    }

    /// Each point at which a run may have been cut off: what is gone was agreed to, and is known from the earlier plan.
    @Test(arguments: [(true, false), (true, true)]) func whatIsGoneIsKnownFromTheEarlierPlan(node: Bool, member: Bool)
        throws
    {
        var state = try RunbookCluster.state()
        let earlier = try Self.plan(state)
        if node { state.cluster.objects.nodes.removeAll { $0.name == RunbookCluster.names[0] } }
        if member {
            state.cluster.members.removeAll { $0.id == RunbookCluster.memberIDs[0] }
            state.cluster.etcd = RunbookCluster.condition(state.cluster.members)
        }
        let plan = try Self.again(state, earlier)
        #expect(plan.dead == earlier.dead)
        #expect(plan.member == earlier.member)
        #expect(plan.rebuilds == earlier.rebuilds)
        #expect(plan.nodeReturned == nil)
        #expect(plan.beyond(earlier) == [])
    }

    @Test func anotherSpareIsSaidAndAskedFor() throws {
        var state = try Self.stateWithTwoSpares()
        let earlier = try Self.plan(state)
        state.hosts[RunbookCluster.spare] = .failed(.init(message: "no answer", sign: .unresponsive))
        #expect(throws: Refused.self) { try Self.again(state, earlier) }
        let plan = try Self.again(state, earlier, with: Self.second)
        #expect(plan.replacement.host == Self.second)
        let lines = PlanText(plan, state.inventory).added(to: earlier).map(\.text)
        #expect(
            lines.contains(
                "  \(Self.second) takes the place of \(RunbookCluster.names[0]), not \(RunbookCluster.spare)"))
        #expect(lines.contains { $0.contains(Self.second) && $0.hasPrefix("Replace ") }, "the whole plan is shown")
    }

    @Test func whatIsLostSinceIsSaidAndAskedFor() throws {
        let state = try RunbookCluster.state()
        var earlier = try Self.plan(state)
        let claim = earlier.rebuilds[0].claims.removeFirst()
        earlier.volumes.removeAll { $0 == claim.volume }
        let news = try Self.again(state, earlier).beyond(earlier)
        #expect(
            news == [
                "the claim \(claim.claim.reference) is deleted, with its volume \(claim.volume.name)",
                "the volume \(claim.volume.name) is deleted",
            ])
    }

    /// Every rule is asked again: here a second survivor has gone since.
    @Test func aRunIsNotResumedWhereARuleForbidsIt() throws {
        var state = try RunbookCluster.state()
        let earlier = try Self.plan(state)
        state.hosts[RunbookCluster.names[2]] = .failed(.init(message: "no answer", sign: .unresponsive))
        state.cluster.members[2].isHealthy = false
        state.cluster.etcd = RunbookCluster.condition(state.cluster.members)
        let refused = try #require(throws: Refused.self) { try Self.again(state, earlier) }
        #expect(refused.refusals.contains { $0.rule == QuorumSurvives.id })
        #expect(!refused.maySettle(whereOldMasterIsSilent: true))
    }

    @Test func theOldMasterThatRegisteredAnewIsToBeDeletedAgain() throws {
        var state = try RunbookCluster.state()
        let earlier = try Self.plan(state)
        let index = try #require(state.cluster.objects.nodes.firstIndex { $0.name == RunbookCluster.names[0] })
        state.cluster.objects.nodes[index].metadata.uid = "another"
        let plan = try Self.again(state, earlier)
        #expect(plan.nodeReturned == true)
        #expect(plan.dead.uid == "another")
        #expect(!PlanText(plan, state.inventory).added(to: earlier).isEmpty)
    }

    /// A claim that was agreed to be lost and is gone by now is no mistyped name; a new one that stands for nothing is.
    @Test func onlyNewConsentsMustStandForSomething() throws {
        let state = try RunbookCluster.state()
        var earlier = try Self.plan(state)
        earlier.acceptedLosses = ["onecloud/gone"]
        #expect(try Self.again(state, earlier).acceptedLosses == ["onecloud/gone"])
        #expect(throws: Refused.self) { try Self.again(state, earlier, accepting: ["onecloud/mistyped"]) }
    }

    /// While the VIP moves, the same question may have another answer in a moment; a living old master is a fact.
    @Test func onlyWhatIsOnItsWayIsAskedAgain() {
        let moving = Refused([Refusal(OneVIPHolder.id, "", advice: "")])
        #expect(moving.maySettle(whereOldMasterIsSilent: false))
        let back = Refused(moving.refusals + [Refusal(NodeIsDead.id, "", advice: "")])
        #expect(!back.maySettle(whereOldMasterIsSilent: false))
        #expect(back.maySettle(whereOldMasterIsSilent: true), "it may just have been switched off")
    }
}
