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
        #expect(refusals[0].reason.contains("is alive by what \(Self.second): it answers ping"))
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

    // MARK: What can be replaced at all

    static let worker = "worker-1"

    func stateWithWorker(at address: String = "10.127.100.50") throws -> ClusterState {
        var state = try RunbookCluster.state(isDead: false)
        var node = RunbookCluster.node(Self.worker, address, isReady: false, age: 3)
        node.metadata.labels = ["kubernetes.io/hostname": Self.worker]
        state.cluster.objects.nodes.append(node)
        return state
    }

    @Test(arguments: [worker, "10.127.100.50"]) func aWorkerIsNotReplaced(reference: String) throws {
        let request = ReplacementRequest(dead: reference, replacement: RunbookCluster.spare)
        let refusals = try refusals(stateWithWorker(), request)
        #expect(refusals.map(\.rule) == ["node-is-a-master"])
        #expect(refusals[0].reason.contains("worker-1 is a worker"))
        #expect(refusals[0].advice.contains("kubectl drain") && refusals[0].advice.contains("add-node"))
        #expect(!refusals[0].advice.contains("role: master"))
    }

    @Test func aWorkerThatTheInventoryNamesIsNotReplacedEither() throws {
        var state = try stateWithWorker()
        for role in [Inventory.Role.spare, .master] {
            let ssh = state.inventory.hosts[0].ssh
            state.inventory.hosts = Array(state.inventory.hosts.prefix(4))
            state.inventory.hosts.append(
                .init(name: Self.worker, address: "10.127.100.50", role: role, ssh: ssh))
            state.hosts[Self.worker] = .failed(.init(message: "\(Self.worker): no answer", sign: .unresponsive))
            let request = ReplacementRequest(dead: Self.worker, replacement: RunbookCluster.spare)
            #expect(try refusals(state, request).map(\.rule) == ["node-is-a-master"], "\(role)")
            #expect(try !advice(state, .hostUnreachable, Self.worker).contains("masterswap plan"))
            #expect(try advice(state, .nodeNotReady, Self.worker).contains("add-node"))
        }
    }

    @Test func aSpareIsNotReplaced() throws {
        var state = try RunbookCluster.state(isDead: false)
        let ssh = state.inventory.hosts[3].ssh
        state.inventory.hosts.append(.init(name: "spare-2", address: "10.127.100.60", role: .spare, ssh: ssh))
        state.hosts["spare-2"] = .reached(HostFacts(hostname: "spare-2"))
        state.hosts[RunbookCluster.spare] = .failed(.init(message: "\(RunbookCluster.spare): x", sign: .unresponsive))
        for dead in [RunbookCluster.spare, "10.127.100.224"] {
            let request = ReplacementRequest(dead: dead, replacement: "spare-2")
            #expect(try refusals(state, request).map(\.rule) == ["node-is-a-master"])
        }
        for name in RunbookCluster.names {
            var facts = try #require(state.hosts[name]?.facts)
            facts.peers[RunbookCluster.spareAddress] = RunbookCluster.silentView
            state.hosts[name] = .reached(facts)
        }
        let advice = try advice(state, .hostUnreachable, RunbookCluster.spare)
        #expect(advice.contains("it is a spare") && !advice.contains("masterswap plan"))
        // Named as its own replacement, it is no more a master.
        let itself = ReplacementRequest(dead: "spare-2", replacement: "spare-2")
        state.inventory = state.inventory.preparing(itself)
        #expect(try refusals(state, itself).contains { $0.rule == "node-is-a-master" })
    }

    /// It was replaced long ago, and nobody changed the inventory: the cluster is whole without it.
    @Test(arguments: [Inventory.Role.spare, .master]) func aMasterThatWasReplacedAlreadyIsNotReplaced(
        successor: Inventory.Role
    ) throws {
        var state = try RunbookCluster.state(isDead: false)
        let old = "old-master"
        state.inventory.hosts.append(
            .init(name: old, address: "10.127.100.60", role: .master, ssh: state.inventory.hosts[0].ssh))
        state.inventory.hosts[2].role = successor
        state.hosts[old] = .failed(.init(message: "\(old): no answer", sign: .unresponsive))
        for name in RunbookCluster.names {
            var facts = try #require(state.hosts[name]?.facts)
            facts.peers["10.127.100.60"] = RunbookCluster.silentView
            state.hosts[name] = .reached(facts)
        }
        let refusals = try refusals(state, .init(dead: old, replacement: RunbookCluster.spare))
        #expect(refusals.map(\.rule) == ["node-is-a-master"])
        #expect(refusals.first?.advice.contains("take old-master out of the inventory") == true)
        let advice = try advice(state, .hostUnreachable, old)
        #expect(advice.contains("take old-master out of the inventory") && !advice.contains("masterswap plan"))
        let told = Readiness(state, now: .now).masters.first { $0.host == old }
        #expect(told?.ready == false)
    }

    /// Steps 2 and 3 of the runbook were done by hand, in part or all.
    @Test func whatIsLeftOfAMasterIsStillReplaced() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes.removeFirst()
        #expect(try refusals(state).isEmpty, "its member and its entry are left")
        state.inventory.hosts[0].role = .spare
        #expect(try refusals(state).isEmpty, "its member is left")
        state.inventory.hosts[0].role = .master
        state.cluster.members.removeFirst()
        #expect(try refusals(state).isEmpty, "its entry is left")
        state.inventory.hosts[0].role = .spare
        #expect(try refusals(state).map(\.rule) == ["node-is-a-master"], "nothing is left")
        // A node of the control plane whose labels somebody took away has its member.
        var bare = try RunbookCluster.state()
        bare.cluster.objects.nodes[0].metadata.labels = ["kubernetes.io/hostname": Self.dead]
        #expect(try refusals(bare).isEmpty)
    }

    /// The dead one's own machine, installed again, when node and member are gone: by the file it was a master.
    @Test func aMasterThatIsInstalledAgainIsStillOneByTheFile() throws {
        let request = ReplacementRequest(dead: Self.dead, replacement: Self.dead)
        var state = try RunbookCluster.state()
        state.inventory = state.inventory.preparing(request)
        state.cluster.objects.nodes.removeFirst()
        state.cluster.members.removeFirst()
        var facts = HostFacts(hostname: Self.dead)
        facts.machineID = "new"
        state.hosts[Self.dead] = .reached(facts)
        #expect(try refusals(state, request).isEmpty)
    }

    // MARK: What `check` suggests

    @Test func checkSuggestsAReplacementWhereEverySignSaysSo() throws {
        let state = try RunbookCluster.state()
        let expected = "masterswap plan \(Self.dead) --with SPARE"
        #expect(try advice(state, .hostUnreachable).hasSuffix("if it is dead for good: \(expected)"))
        #expect(try advice(state, .nodeNotReady).hasSuffix("if it is dead for good: \(expected)"))
    }

    /// What the advice is where something speaks against it; none of it names `masterswap plan` as the next thing to do.
    @Test func checkSuggestsNoneOtherwise() throws {
        func isSuggested(_ state: ClusterState) throws -> Bool {
            try advice(state, .hostUnreachable).contains("if it is dead for good: masterswap plan")
        }
        #expect(try isSuggested(RunbookCluster.state()))
        var healthy = try RunbookCluster.state()
        healthy.cluster.members[0].isHealthy = true
        #expect(try !isSuggested(healthy))
        #expect(try advice(healthy, .hostUnreachable).contains("its etcd member is healthy"))
        #expect(try !isSuggested(notReady(since: time(60))))
        #expect(try advice(notReady(since: time(60)), .hostUnreachable).contains("once it has been NotReady for 5 min"))
        #expect(try !isSuggested(state(.unresponsive, Self.dropped, Self.dropped)))
        var silent = try RunbookCluster.state()
        silent.cluster = ClusterObservation()
        #expect(try !isSuggested(silent))
    }

    /// An overloaded machine on which this tool runs: three masters that live, and none of them is reached.
    @Test func checkSuggestsNoneWhereNobodyIsReached() throws {
        var state = try RunbookCluster.state(isDead: false)
        state.cluster = ClusterObservation()
        for name in RunbookCluster.names {
            state.hosts[name] = .failed(.init(message: "\(name): connect: no answer within 10 s", sign: .unresponsive))
        }
        for finding in CheckReport(state, at: now).findings { #expect(!finding.advice.contains("masterswap plan")) }
        #expect(try advice(state, .hostUnreachable).contains("this machine's own network"))
    }

    @Test func aMasterThatAnswersAndIsNotReadyIsLookedAt() throws {
        var state = try RunbookCluster.state(isDead: false)
        state.cluster.objects.nodes[1] = RunbookCluster.node(
            Self.second, RunbookCluster.addresses[1], isReady: false, age: 1)
        #expect(
            try advice(state, .nodeNotReady, Self.second)
                == "its host answers: look at the kubelet there: journalctl -u kubelet")
    }

    // MARK: While a run lasts

    /// The old master is not reached from here; what the survivors see of it decides.
    func watch(
        _ cause: String, peers: String?, addresses: [String]? = nil, firstLookLimit: Duration = .seconds(600)
    ) throws -> DeadMasterWatch {
        var planned = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: now)
        planned.dead.addresses = addresses
        let plan = planned
        let remotes = Remotes { host in
            AnsweringRemote(name: host.name) { command in
                if host.name == plan.dead.host {
                    throw SSHError(.unreachable, host: host.name, operation: "connect", cause: cause)
                }
                if command.arguments.first == "ip" {
                    return FakeCluster.output(
                        host.name == Self.second ? "2: br0 inet 10.127.100.102/32" : "2: br0 inet 10.0.0.2/24")
                }
                return peers.flatMap { FakeCluster.sections(command, ["peers": $0]) } ?? FakeCluster.failure("sh: no")
            }
        }
        return try #require(
            DeadMasterWatch.start(
                plan, try RunbookCluster.inventory(), remotes, every: .milliseconds(1), firstLookLimit: firstLookLimit,
                pause: .zero))
    }

    static let noARP = #"""
        0 tcp 22 1 No route to host
        0 tcp 6443 1 No route to host
        0 tcp 10250 124
        0 tcp 2380 124
        0 route 10.127.100.234 dev eth0 src 10.127.100.229 uid 0 \    cache
        0 neigh 10.127.100.234 dev eth0 FAILED
        """#

    @Test func theRunGoesOnWhileTheSurvivorsSeeNothingEither() async throws {
        for (cause, peers) in [
            ("No route to host", Self.noARP), ("no answer within 3 s", Self.noARP), ("no answer within 3 s", nil),
        ] {
            let watch = try watch(cause, peers: peers)
            try await watch.assertDead()
            watch.stop()
        }
    }

    @Test func theRunStopsWhereASurvivorSeesTheOldMaster() async throws {
        for cause in ["No route to host", "no answer within 3 s"] {
            let watch = try watch(cause, peers: "0 tcp 22 0")
            let error = try #require(await #expect(throws: ClusterError.self) { try await watch.assertDead() })
            #expect(error.cause.contains("it is back: it does not answer here, but"))
            #expect(error.cause.contains("its port 22 accepts connections"))
            watch.stop()
        }
    }

    /// The new host may have an address that the dead one had, and answers there.
    @Test func anAddressThatAnotherMachineHasByNowIsNoSignOfLife() async throws {
        let peers = Self.noARP + "\n1 ping answered"
        let watch = try watch("no answer within 3 s", peers: peers, addresses: [RunbookCluster.spareAddress])
        try await watch.assertDead()
        watch.stop()
        let living = try self.watch("no answer within 3 s", peers: peers, addresses: ["172.16.0.1"])
        await #expect(throws: ClusterError.self) { try await living.assertDead() }
        living.stop()
    }

    /// A firewall that rejects us alone gives "No route to host", too.
    @Test func noRouteFromHereIsNotTakenForDeathWithoutASurvivor() async throws {
        let watch = try watch("No route to host", peers: nil, firstLookLimit: .milliseconds(20))
        let error = try #require(await #expect(throws: ClusterError.self) { try await watch.assertDead() })
        #expect(error.cause.contains("nothing can be seen of it"))
        watch.stop()
    }
}
