import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// A master is taken for dead only by every sign: our connection, each survivor's view, the node's age as NotReady, its member.
@Suite struct WhoIsDeadTests {
    static let (dead, second, third) = (RunbookCluster.names[0], RunbookCluster.names[1], RunbookCluster.names[2])
    let now = Date(timeIntervalSince1970: 1_650_000_000)

    func refusals(_ state: ClusterState, _ request: ReplacementRequest = RunbookCluster.request) throws -> [Refusal] {
        do {
            _ = try Planner.plan(state, request, now: now)
            return []
        } catch let refused as Refused { return refused.refusals }
    }

    /// The runbook's cluster, with what the first master's failure and the survivors' views are.
    func state(_ sign: ClusterState.HostFailure.Sign = .unresponsive, _ views: PeerView?...) throws -> ClusterState {
        var state = try RunbookCluster.state()
        state.hosts[Self.dead] = .failed(.init(message: "\(Self.dead): connect: no answer", sign: sign))
        for (survivor, view) in zip([Self.second, Self.third], views) {
            var facts = try #require(state.hosts[survivor]?.facts)
            facts.peers[RunbookCluster.addresses[0]] = view
            state.hosts[survivor] = .reached(facts)
        }
        return state
    }

    func advice(_ state: ClusterState, _ code: CheckReport.Code, _ subject: String = dead) throws -> String {
        let findings = CheckReport(state, at: now).findings
        return try #require(findings.first { $0.code == code && $0.subject == subject }, "\(findings)").advice
    }

    // MARK: Our own connection

    @Test func onlyWhatDoesNotAnswerAtAllMayBeDead() {
        func sign(_ code: SSHError.Code, _ cause: String = "x") -> ClusterState.HostFailure.Sign {
            ClusterState.HostFailure(SSHError(code, host: "a", operation: "connect", cause: cause)).sign
        }
        #expect(sign(.unreachable, "no answer within 10 s") == .unresponsive)
        #expect(sign(.unreachable, "the jump host could not open it: Connection timed out") == .unresponsive)
        for cause in ["No route to host", "Network is unreachable", "Host is unreachable", "Host is down"] {
            #expect(sign(.unreachable, cause) == .noRoute, "\(cause)")
        }
        #expect(sign(.unreachable, "Connection refused") == .alive, "its kernel is alive, and so may its containers be")
        #expect(sign(.unreachable, "Operation not permitted") == .inconclusive, "a firewall of this machine's own")
        for code in [
            SSHError.Code.handshakeFailed, .authenticationFailed, .timedOut, .hostKeyUnknown, .hostKeyMismatch,
            .connectionLost, .outcomeUnknown,
        ] {
            #expect(sign(code, "no answer within 10 s") == .alive, "\(code): it accepted the connection")
        }
        for code in [SSHError.Code.jumpFailed, .unresolved, .invalidEndpoint, .cancelled, .libraryFault] {
            #expect(sign(code, "No route to host") == .inconclusive, "\(code)")
        }
        #expect(ClusterState.HostFailure(CancellationError()).sign == .inconclusive)
        let unread = ClusterError(.badOutput, host: "a", operation: "look", cause: "x", advice: "y")
        #expect(ClusterState.HostFailure(unread, of: "a").sign == .alive)
    }

    /// A jump host that does not let us in says nothing about the host behind it.
    @Test func whatAJumpHostDoesIsNoSignOfTheHostBehindIt() {
        let error = SSHError(.authenticationFailed, host: "jump", operation: "connect", cause: "no key was accepted")
        #expect(ClusterState.HostFailure(error, of: "a").sign == .inconclusive)
        #expect(ClusterState.HostFailure(error, of: "jump").sign == .alive)
    }

    // MARK: A firewall that rejects with icmp-host-prohibited

    /// "connect to 10.66.0.13 port 22: No route to host", from the admin's machine only.
    @Test func noRouteToHostSeenFromHereAloneIsNoDeath() throws {
        let error = SSHError(.unreachable, host: Self.dead, operation: "connect", cause: "No route to host")
        var state = try state(.noRoute, RunbookCluster.livingView, RunbookCluster.livingView)
        state.hosts[Self.dead] = .failed(.init(error, of: Self.dead))
        let refusals = try refusals(state)
        #expect(refusals.map(\.rule) == ["node-is-dead", "node-is-dead"])
        #expect(refusals[0].reason.contains("is alive, seen from \(Self.second): it answers ping"))
        #expect(refusals.allSatisfy { $0.advice.hasPrefix("a master that is alive is not replaced") }, "\(refusals)")
        #expect(try !advice(state, .hostUnreachable).contains("masterswap plan"))
    }

    /// The same reject towards the survivors: ARP is answered, so it is alive.
    @Test func aFirewallThatRejectsEverybodyIsNoDeath() throws {
        let rejects = PeerView(attempts: [22: .rejected, 6443: .rejected], neighbour: "REACHABLE")
        let state = try state(.noRoute, rejects, rejects)
        #expect(try refusals(state).map(\.rule) == ["node-is-dead", "node-is-dead"])
        #expect(try !advice(state, .hostUnreachable).contains("masterswap plan"))
    }

    @Test func noRouteToHostWithoutAnAnswerToARPAnywhereIsDeath() throws {
        let view = PeerView(attempts: [22: .rejected, 6443: .rejected], neighbour: "FAILED")
        #expect(try refusals(state(.noRoute, view, view)).isEmpty)
    }

    // MARK: The survivors' views

    static let dropped = PeerView(attempts: [22: .unanswered], neighbour: "REACHABLE")
    static let refused = PeerView(attempts: [22: .refused])

    /// Every survivor looked, none saw it alive, and one at least is sure.
    @Test(
        arguments: [
            ([RunbookCluster.silentView, RunbookCluster.silentView], true),
            ([RunbookCluster.silentView, dropped], true),
            ([RunbookCluster.silentView, RunbookCluster.livingView], false),
            ([refused, RunbookCluster.silentView], false),
            ([RunbookCluster.silentView, nil], false), ([nil, nil], false),
            ([dropped, dropped], false), ([dropped, RunbookCluster.livingView], false),
        ] as [([PeerView?], Bool)], [ClusterState.HostFailure.Sign.unresponsive, .noRoute])
    func theSurvivorsMustAgree(views: ([PeerView?], isDead: Bool), own: ClusterState.HostFailure.Sign) throws {
        let state = try state(own, views.0[0], views.0[1])
        let refusals = try refusals(state)
        #expect(refusals.isEmpty == views.isDead, "\(refusals)")
        #expect(refusals.allSatisfy { $0.rule == "node-is-dead" })
    }

    @Test func eachViewIsNamedInTheRefusal() throws {
        let unclear = try refusals(state(.unresponsive, Self.dropped, Self.dropped))
        #expect(unclear.count == 1)
        #expect(unclear[0].reason.contains("\(Self.second): no port answers, and its neighbour entry is REACHABLE"))
        #expect(unclear[0].reason.contains("\(Self.third): no port answers"))
        let untold = try refusals(state(.unresponsive, RunbookCluster.silentView, nil))
        #expect(untold.map(\.reason) == ["\(Self.third) did not tell whether it sees \(Self.dead)"])
    }

    /// Whatever the survivors see, a host that answers here, or that nothing is known of from here, is not dead.
    @Test(arguments: [ClusterState.HostFailure.Sign.alive, .inconclusive])
    func ourOwnConnectionCountsToo(sign: ClusterState.HostFailure.Sign) throws {
        let state = try state(sign, RunbookCluster.silentView, RunbookCluster.silentView)
        #expect(try refusals(state).map(\.rule) == ["node-is-dead"])
        #expect(try !advice(state, .hostUnreachable).contains("masterswap plan"))
    }

    // MARK: NotReady, and for how long

    func notReady(since: String?, clock: Date? = Self.clock, offsets: [TimeInterval] = [0, 0]) throws -> ClusterState {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes[0].status?.conditions?[0].lastTransitionTime = since
        state.cluster.clock = clock
        for (name, offset) in zip([Self.second, Self.third], offsets) {
            var facts = try #require(state.hosts[name]?.facts)
            facts.clockOffset = offset
            state.hosts[name] = .reached(facts)
        }
        return state
    }

    static let clock = Date(timeIntervalSince1970: 1_649_841_000)
    func time(_ secondsAgo: Double) -> String { (Self.clock - secondsAgo).formatted(.iso8601) }

    @Test(arguments: [(300, true), (299, false), (0, false), (86400, true), (-60, false)])
    func aNodeMustHaveBeenNotReadyForFiveMinutes(age: Int, isDead: Bool) throws {
        let refusals = try refusals(notReady(since: time(Double(age))))
        #expect(refusals.isEmpty == isDead, "\(refusals)")
        #expect(refusals.allSatisfy { $0.rule == "node-is-dead" })
    }

    @Test func theOperatorMaySayForHowLong() throws {
        var request = RunbookCluster.request
        #expect(request.notReadyFor == 300)
        request.notReadyFor = 60
        #expect(try refusals(notReady(since: time(61)), request).isEmpty)
        #expect(try refusals(notReady(since: time(59)), request).count == 1)
        request.notReadyFor = 0
        #expect(try refusals(notReady(since: nil, clock: nil), request).isEmpty, "nothing is asked for")
    }

    /// Unknown is refused, not assumed.
    @Test func anAgeThatCannotBeToldIsRefused() throws {
        for state in [
            try notReady(since: nil), try notReady(since: "yesterday"), try notReady(since: time(3600), clock: nil),
        ] {
            let refusals = try refusals(state)
            #expect(refusals.map(\.rule) == ["node-is-dead"])
            #expect(refusals[0].reason.contains("for how long is not known"))
            #expect(refusals[0].advice.contains("--not-ready-for 0"))
        }
    }

    /// A survivor's clock is an hour fast and the API server was asked by way of it: by the other one it is ten seconds.
    @Test func theSlowestClockOfTheSurvivorsCounts() throws {
        let state = try notReady(since: time(3610), offsets: [3600, 0])
        #expect(state.cluster.source == Self.second)
        #expect(state.notReadyAge(of: state.objects.nodes[0]) == .known(10))
        #expect(try refusals(state).contains { $0.rule == "node-is-dead" })
        // This machine's clock is off by an hour, and all of theirs agree: it plays no part.
        let agreed = try notReady(since: time(3610), offsets: [3600, 3600])
        #expect(agreed.notReadyAge(of: agreed.objects.nodes[0]) == .known(3610))
    }

    /// Any master may have written the time down, the one whose clock could not be read as well.
    @Test(arguments: [Self.second, Self.third]) func aClockThatCouldNotBeReadLeavesTheAgeUnknown(host: String) throws {
        var state = try notReady(since: time(3600))
        state.change(host) { $0.clockOffset = nil }
        #expect(state.notReadyAge(of: state.objects.nodes[0]) == .unknown("the clock of \(host) could not be read"))
        #expect(try refusals(state).contains { $0.rule == "node-is-dead" })
    }

    @Test func aDeletedNodeHasNoAge() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes.removeFirst()
        state.cluster.clock = nil
        #expect(try refusals(state).isEmpty)
    }

    @Test func theAgeIsShown() throws {
        let plan = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: now)
        #expect(
            plan.signsOfDeath == [
                "NotReady for 12 min", "it does not answer here", "\(Self.second): it does not answer ARP",
                "\(Self.third): it does not answer ARP", "etcd member 14da7b338b44eee0 is not healthy",
            ])
        let text = PlanText(plan, try RunbookCluster.inventory()).lines.map(\.text)
        #expect(text.contains { $0.contains("taken for dead: NotReady for 12 min; it does not answer here") })
        let finding = CheckReport(try RunbookCluster.state(), at: now).findings.first { $0.code == .nodeNotReady }
        #expect(finding?.text == "NotReady for 12 min")
    }

    /// A plan that was saved is still the same one later, by other words about the same death.
    @Test func aSavedPlanStaysCurrentWhileTheAgeGrows() throws {
        let saved = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: now)
        var state = try RunbookCluster.state()
        state.cluster.clock?.addTimeInterval(3600)
        let later = try Planner.plan(state, RunbookCluster.request, now: now)
        #expect(saved.signsOfDeath != later.signsOfDeath)
        let inventory = try RunbookCluster.inventory()
        #expect(PlanIsCurrent.refusals(saved, later) { PlanText($0, inventory).lines.map(\.text) }.isEmpty)
    }

    @Test func ageIsToldInWords() {
        #expect(
            [0, 119, 120, 7199, 7200, 172_799, 172_800].map(NotReadyAge.words) == [
                "0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days",
            ])
    }

    /// The probe's own clock, and a Ready condition as the API server prints it.
    @Test func theClockAndTheTimeAreRead() throws {
        let text = """
            {"kind":"List","items":[{"kind":"Node","metadata":{"name":"a","uid":"u"},"status":{"conditions":[{"type":"Ready",
            "status":"Unknown","lastHeartbeatTime":"2026-11-22T22:10:00Z","lastTransitionTime":"2026-11-22T22:12:13Z",
            "reason":"NodeStatusUnknown","message":"Kubelet stopped posting node status."}]}}]}
            """
        let sections = [
            "objects": SectionedScript.Section(output: Data(text.utf8), status: 0),
            "clock": .init(output: Data("1795386000\n".utf8), status: 0),
        ]
        let probe = ClusterProbe(try RunbookCluster.inventory())
        let cluster = try probe.observation(sections, host: "b")
        #expect(cluster.clock == Date(timeIntervalSince1970: 1_795_386_000))
        #expect(cluster.objects.nodes[0].readyCondition?.lastTransitionTime == "2026-11-22T22:12:13Z")
        #expect(try probe.observation(["objects": sections["objects"]!], host: "b").clock == nil)
    }
}
