import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What can be replaced at all, what `check` suggests, and what is seen while a run lasts.
extension WhoIsDeadTests {
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
