import Foundation
import Testing

@testable import Orchestrator

/// What is said in daylight about a master's death is what the planner says once it has died.
@Suite struct ReadinessTests {
    private static func state(_ recording: String) async throws -> ClusterState {
        let file = DocumentationTests.root.appendingPathComponent("Tests/Recordings/\(recording).jsonl").path
        let replay = Replay(try Recording(contentsOf: file), path: file, program: "test")
        let state = await Observer(try replay.inventory(), replay.remotes, isOrdered: true).observe()
        try replay.check()
        return state
    }

    @Test(arguments: [("healthy", 3), ("five-healthy", 5)]) func eachMasterOfAHealthyLabCouldBeReplaced(
        recording: String, masters: Int
    ) async throws {
        let readiness = Readiness(try await Self.state(recording), now: .now)
        #expect(readiness.ready && readiness.status == 0, "\(readiness)")
        #expect(readiness.masters.count == masters)
        for master in readiness.masters {
            // Only the primary holds the VIP, which each of the others may get.
            let isPrimary = master.host == readiness.masters[0].host
            #expect(master.trials.map(\.vipTo).compactMap(\.self).count == (isPrimary ? masters - 1 : 0))
            #expect(master.trials.allSatisfy { $0.primary == ($0.vipTo ?? readiness.masters[0].host) })
        }
    }

    /// The lab as it was when all were well, and after its primary's power was cut.
    @Test func whatWasSaidOfThePrimaryIsWhatIsPlannedOnceItIsDead() async throws {
        let (healthy, dead) = (try await Self.state("healthy"), try await Self.state("dead-primary"))
        let readiness = Readiness(healthy, now: .now)
        let primary = readiness.masters[0]
        let request = ReplacementRequest(
            dead: primary.host, replacement: try #require(primary.trials.first?.spare), notReadyFor: 0)
        let plan = try Planner.plan(dead, request, now: .now)
        let trial = try #require(primary.trials.first { $0.vipTo == plan.primary.host })
        #expect(trial.primary == plan.primary.host)
        #expect(trial.steps == ReplacementSteps.make(plan).map(\.id))
        #expect(trial.lost.map(\.claim) == plan.rebuilds.flatMap(\.claims).map(\.claim.reference))
        #expect(trial.refusals.isEmpty)
    }

    /// Each with what is in the way of every replacement, or of some.
    @Test func whatIsInTheWayIsToldBefore() async throws {
        func refused(_ change: (inout ClusterState) -> Void) async throws -> [String: Set<String>] {
            var state = try await Self.state("healthy")
            change(&state)
            let readiness = Readiness(state, now: .now)
            #expect(!readiness.ready && readiness.status == 2)
            return Dictionary(
                uniqueKeysWithValues: readiness.masters.map { master in
                    (master.host, Set(master.trials.flatMap(\.refusals).map(\.rule)))
                })
        }
        func change(_ state: inout ClusterState, _ host: String, _ change: (inout HostFacts) -> Void) {
            guard case .reached(var facts)? = state.hosts[host] else { return }
            change(&facts)
            state.hosts[host] = .reached(facts)
        }
        let healthy = try await Self.state("healthy")
        let masters = healthy.inventory.masters.map(\.name)
        let spare = try #require(healthy.inventory.hosts.first { $0.role == .spare })
        // One that only the others' replacement would run into.
        var told = try await refused { change(&$0, masters[0]) { $0.ocboot = nil } }
        #expect(told[masters[0]] == [])
        #expect(told[masters[1]] == ["ocboot-matches"] && told[masters[2]] == ["ocboot-matches"])
        told = try await refused { change(&$0, masters[1]) { $0.ocboot = nil } }
        #expect(told[masters[0]] == ["ocboot-matches"], "the VIP may go there")
        #expect(told[masters[1]] == [] && told[masters[2]] == [])
        told = try await refused { change(&$0, spare.name) { $0.clusterTraces = ["/etc/kubernetes/kubelet.conf"] } }
        #expect(told.values.allSatisfy { $0 == ["replacement-is-bare"] })
        told = try await refused { change(&$0, masters[2]) { $0.clockOffset = 900 } }
        #expect(told[masters[2]] == [] && told[masters[0]]?.isEmpty == false)
        told = try await refused { $0.inventory.workloads = [] }
        #expect(told.values.contains { $0.contains("claims-have-rules") })
        told = try await refused { state in
            change(&state, masters[0]) { $0.deniedLogins = [spare.address: "Permission denied"] }
        }
        #expect(told[masters[0]] == [] && told[masters[1]]?.isEmpty == false)
    }

    @Test func withoutASpareOrAnAnswerNothingIsReady() async throws {
        var state = try await Self.state("healthy")
        state.inventory.hosts.removeAll { $0.role == .spare }
        #expect(Readiness(state, now: .now).problems.map(\.rule) == ["a-spare-is-there"])
        let mistyped = Readiness(
            try await Self.state("healthy"), accepting: ["onecloud-minio/export-minio-77"], now: .now)
        #expect(mistyped.problems.map(\.rule) == ["names-are-known"] && mistyped.status == 2)
        state = try await Self.state("healthy")
        state.cluster.source = nil
        let readiness = Readiness(state, now: .now)
        #expect(
            readiness.status == 4 && !readiness.problems.isEmpty && readiness.masters.allSatisfy { $0.trials.isEmpty })
    }

    @Test func whatIsDifferentFromTheLastTimeIsTold() async throws {
        let folder = try TemporaryFolder()
        let history = ReportHistory(RunStore(environment: ["MASTERSWAP_STATE": folder.path]))
        let before = Readiness(try await Self.state("healthy"), now: Date(timeIntervalSince1970: 0))
        #expect(history.last(of: before.cluster, Readiness.self)?.at == nil)
        try history.keep(before)
        let last = try #require(history.last(of: before.cluster, Readiness.self))
        var same = Readiness(try await Self.state("healthy"), now: .now)
        same.compare(with: last)
        #expect(same.changes == [] && same.since == before.at)
        var state = try await Self.state("healthy")
        let spare = try #require(state.inventory.hosts.first { $0.role == .spare })
        state.hosts[spare.name] = .failed(.init(message: "\(spare.name): no answer", sign: .unresponsive))
        var worse = Readiness(state, now: .now)
        worse.compare(with: last)
        #expect(worse.changes?.allSatisfy { $0.kind == .newProblem } == true)
        #expect(Set(worse.changes?.map(\.subject) ?? []) == Set(worse.masters.map(\.host)))
        var better = Readiness(try await Self.state("healthy"), now: .now)
        better.compare(with: worse)
        #expect(better.changes?.count == worse.changes?.count)
        #expect(better.changes?.allSatisfy { $0.kind == .goneProblem } == true)
        let mistakes = Schema.mistakes(in: try CheckTests.json(worse), try CheckTests.schema("ready"), at: "")
        #expect(mistakes == [])
    }

    @Test func theDocumentIsAsItsSchemaSays() async throws {
        var alone = try await Self.state("healthy")
        alone.inventory.hosts.removeAll { $0.role == .spare }
        for state in [try await Self.state("healthy"), try await Self.state("dead-primary"), alone] {
            let mistakes = Schema.mistakes(
                in: try CheckTests.json(Readiness(state, now: .now)), try CheckTests.schema("ready"), at: "")
            #expect(mistakes == [])
        }
    }

    // MARK: What a fresh eye found

    /// The inventory says what was before the last replacement: masters are those of the cluster.
    @Test func aMasterThatTheInventoryCallsASpareIsTriedToo() async throws {
        var state = try await Self.state("healthy")
        let index = try #require(state.inventory.hosts.lastIndex { $0.role == .master })
        state.inventory.hosts[index].role = .spare
        let readiness = Readiness(state, now: .now)
        #expect(readiness.masters.count == 3)
        #expect(!readiness.masters.contains { $0.trials.contains { $0.spare == state.inventory.hosts[index].name } })
    }

    /// A second address is asked about only of a host that does not answer.
    @Test func aSecondAddressOfANodeIsNoReasonToRefuse() async throws {
        var state = try await Self.state("healthy")
        for index in state.cluster.objects.nodes.indices {
            state.cluster.objects.nodes[index].status?.addresses?.append(
                .init(type: "InternalIP", address: "fd00::\(index + 10)"))
        }
        #expect(Readiness(state, now: .now).ready)
    }

    @Test func aVIPThatNobodyHoldsIsSupposedNowhere() async throws {
        var state = try await Self.state("healthy")
        for (name, observation) in state.hosts {
            guard case .reached(var facts) = observation else { continue }
            facts.addresses?.removeAll { $0.address == state.inventory.cluster.vip }
            state.hosts[name] = .reached(facts)
        }
        let readiness = Readiness(state, now: .now)
        #expect(readiness.masters.allSatisfy { !$0.ready && $0.trials.allSatisfy { $0.vipTo == nil } })
        let reasons = readiness.masters.flatMap(\.trials).flatMap(\.refusals).map(\.reason)
        #expect(reasons.allSatisfy { $0.contains("no master holds the VIP") }, "\(reasons)")
    }

    /// What is well is not said to be broken.
    @Test func whichMemberIsDownIsNamed() async throws {
        var state = try await Self.state("healthy")
        let down = try #require(state.cluster.members.indices.last)
        state.cluster.members[down].isHealthy = false
        let name = state.cluster.members[down].name
        let refusals = Readiness(state, now: .now).masters.flatMap(\.trials).flatMap(\.refusals)
        let quorum = refusals.filter { $0.rule == QuorumSurvives.id }
        #expect(
            !quorum.isEmpty
                && quorum.allSatisfy { $0.advice.contains("'\(name)'") && $0.reason.contains("1 of 3 members healthy") },
            "\(quorum)")
    }

    /// A join that failed half-way is what `plan` cleans up.
    @Test func aSpareThatIsHalfJoinedIsJudgedByThePlanner() async throws {
        let readiness = Readiness(try await Self.state("half-joined"), now: .now)
        #expect(!readiness.problems.contains { $0.rule == "a-spare-is-there" })
        #expect(readiness.masters.allSatisfy { !$0.trials.isEmpty })
    }

    // MARK: Random clusters

    /// A random cluster in which a master died is brought to life again; its death, supposed, gives what is said of the real one.
    @Test func aSupposedDeathIsJudgedAsTheRealOne() async throws {
        let seeds: UInt64 = 8
        let compared = try await withThrowingTaskGroup(of: Int.self) { group in
            for seed in 1...seeds {
                group.addTask { try await Self.compare(RandomClusterTests.clusters / Int(seeds), seed: 100 + seed) }
            }
            return try await group.reduce(into: 0) { $0 += $1 }
        }
        #expect(compared > RandomClusterTests.clusters / 4, "so few prove nothing: \(compared)")
    }

    private static func compare(_ count: Int, seed: UInt64) async throws -> Int {
        var random = SeededGenerator(seed: seed)
        var compared = 0
        for number in 0..<count {
            await RandomClusterTests.letOthersRun(number)
            let world = RandomCluster.world(&random)
            guard let (living, death) = world.beforeTheDeath else { continue }
            var request = world.request
            request.notReadyFor = 0
            // Which node the host is must be known in daylight.
            let seen = living.observation()
            guard let host = seen.inventory.host(named: death.host), seen.node(of: host) != nil else { continue }
            let real = Verdict(world.observation(), request)
            let applied = death.applied(to: seen)
            // In some worlds nobody is left who could be asked, and the random observation asks nevertheless.
            guard applied.cluster.source != nil else { continue }
            let supposed = Verdict(applied, request)
            compared += 1
            if death.lostMajority(in: seen) != nil, real.refusals.isEmpty {
                Issue.record("cluster \(number) of seed \(seed): no majority was supposed, and it was \(real)")
            }
            if real != supposed {
                Issue.record("cluster \(number) of seed \(seed): supposed \(supposed), and it was \(real)")
            }
        }
        return compared
    }

    private struct Verdict: Equatable {
        var refusals: Set<String> = []
        var primary: String?
        var member: String?
        var claims: [String] = []
        var steps: [String] = []

        init(_ state: ClusterState, _ request: ReplacementRequest) {
            do {
                let plan = try Planner.plan(state, request, now: Date(timeIntervalSince1970: 0))
                primary = plan.primary.host
                member = plan.member?.id
                claims = plan.rebuilds.flatMap(\.claims).map(\.claim.reference)
                steps = ReplacementSteps.make(plan).map(\.id)
            } catch let refused as Refused {
                refusals = Set(refused.refusals.map(\.rule))
            } catch {
                refusals = ["\(error)"]
            }
        }
    }
}

extension World {
    /// The same world with the dead master alive, and its death; `nil` where it was no plain death of a master.
    fileprivate var beforeTheDeath: (World, SupposedDeath)? {
        let machine = machines[victim]
        guard machine.role == .master, !machine.isUp, machine.power == .off, !machine.host.isEmpty,
            machine.isHiddenBy == nil, machine.firewall == .open, requested == victim, !request.fences,
            machines.count(where: { $0.host == machine.host }) == 1, let node = node(of: victim),
            members.contains(where: { $0.machine == victim }),
            // What is seen is what is: a probe that fails in one of the two looks says nothing of the planner.
            !etcdIsUnread, !members.contains(where: { $0.looksUnhealthy || $0.givesNoStatus }),
            // Some worlds have a second member at the dead machine, which runs on.
            !members.contains(where: { $0.machine == nil })
        else { return nil }
        var living = self
        living.machines[victim].power = .on
        living.machines[victim].notReadyFor = nil
        for index in living.members.indices where living.members[index].machine == victim {
            living.members[index].runs = true
        }
        for index in living.objects.nodes.indices where living.objects.nodes[index].uid == node.uid {
            living.objects.nodes[index].status?.conditions = [
                .init(type: "Ready", status: "True", lastTransitionTime: "2022-04-01T00:00:00Z")
            ]
        }
        // Every other one keeps the VIP, so that it need not move; or the dead one had it.
        let holders = machines.indices.filter { machines[$0].holdsVIP }
        guard holders.count == 1, holders[0] != victim, number(of: machine) % 2 == 0 else {
            return (living, SupposedDeath(host: machine.host, holder: nil))
        }
        living.machines[holders[0]].holdsVIP = false
        living.machines[victim].holdsVIP = true
        return (living, SupposedDeath(host: machine.host, holder: machines[holders[0]].host))
    }

    private func number(of machine: Machine) -> Int { machine.id.utf8.reduce(0) { $0 + Int($1) } }
}
