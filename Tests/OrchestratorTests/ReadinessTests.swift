import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What is said in daylight about a master's death is what the planner says once it has died.
@Suite struct ReadinessTests {
    static func state(_ recording: String) async throws -> ClusterState {
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

    // MARK: Two deaths at once

    private func pairs(_ readiness: Readiness) -> [[String]: TwoDeaths] {
        Dictionary(uniqueKeysWithValues: (readiness.twoDeaths ?? []).map { ($0.hosts, $0) })
    }

    /// The lab's drives: two of each MinIO on the first master, one on each of the others; two of four may be lost.
    @Test func ofThreeMastersTwoAreOneTooMany() async throws {
        let state = try await Self.state("healthy")
        let names = state.inventory.masters.map(\.name)
        let readiness = Readiness(state, now: .now)
        let pairs = pairs(readiness)
        #expect(pairs.count == 3 && pairs.values.allSatisfy { $0.keepsMajority == false && $0.isRecoverable })
        #expect(pairs[[names[0], names[1]]]?.survivors == [names[2]])
        let lost = pairs[[names[0], names[1]]]?.lostData
        #expect(lost?.map(\.workload) == ["onecloud-minio/minio", "onecloud-monitoring/monitor-minio"])
        #expect(lost?.allSatisfy { $0.lost == 3 && $0.size == 4 && $0.mayBeLost == 2 } == true)
        #expect(pairs[[names[1], names[2]]]?.lostData == [], "two of four drives")
        #expect(readiness.status == 0, "it is told, and no reason to get up")
    }

    /// What nothing heals is lost with the first volume; those of both are counted.
    @Test func dataThatNothingHealsIsLostWithEither() async throws {
        var state = try await Self.state("healthy")
        let index = try #require(state.inventory.workloads.firstIndex { $0.namespace == "onecloud-minio" })
        state.inventory.workloads[index].rule = .rebuild(.critical, heal: nil, recreatedBy: nil)
        let names = state.inventory.masters.map(\.name)
        let lost = pairs(Readiness(state, now: .now))[[names[0], names[1]]]?.lostData.first
        #expect(lost == .init(workload: "onecloud-minio/minio", data: .critical, lost: 3, size: 4, mayBeLost: 0))
    }

    @Test func whatCannotBeKnownOfTheDrivesIsNotCalledSafe() async throws {
        var state = try await Self.state("healthy")
        for index in state.cluster.objects.statefulSets.indices
        where state.cluster.objects.statefulSets[index].namespace == "onecloud-minio" {
            let containers = state.cluster.objects.statefulSets[index].spec.template?.spec.containers?.indices
            for container in containers ?? 0..<0 {
                state.cluster.objects.statefulSets[index].spec.template?.spec.containers?[container].env = [
                    .init(name: "MINIO_STORAGE_CLASS_STANDARD", value: "much")
                ]
            }
        }
        let names = state.inventory.masters.map(\.name)
        let pair = pairs(Readiness(state, now: .now))[[names[1], names[2]]]
        #expect(pair?.unknownData == ["onecloud-minio/minio"])
    }

    @Test func aSnapshotOnADeadMasterIsNone() async throws {
        var state = try await Self.state("healthy")
        let names = state.inventory.masters.map(\.name)
        state.change(names[0]) { $0.snapshots = [.init(path: "/var/backups/a.db", at: Date(timeIntervalSince1970: 1))] }
        var here = KnownSnapshotTests.nothingHere
        #expect(pairs(Readiness(state, here: here, now: .now))[[names[0], names[1]]]?.snapshots == [])
        here.newest = KnownSnapshot(path: "/s", at: Date(timeIntervalSince1970: 2))
        let readiness = Readiness(state, here: here, now: .now)
        #expect(readiness.snapshots?.map(\.path) == ["/s", "/var/backups/a.db"])
        #expect(readiness.snapshotAt == here.newest?.at)
        let pairs = pairs(readiness)
        #expect(pairs[[names[0], names[1]]]?.snapshots.map(\.path) == ["/s"])
        #expect(pairs[[names[1], names[2]]]?.snapshots.map(\.path) == ["/s", "/var/backups/a.db"])
        let mistakes = Schema.mistakes(in: try CheckTests.json(readiness), try CheckTests.schema("ready"), at: "")
        #expect(mistakes == [])
    }

    /// A third one is dead already: nobody would be left.
    @Test func withoutASurvivorASnapshotIsAllThereIs() async throws {
        let state = try await Self.state("dead-primary")
        let names = state.inventory.masters.map(\.name)
        let pair = try #require(pairs(Readiness(state, now: .now))[[names[1], names[2]]])
        #expect(pair.survivors == [] && !pair.isRecoverable)
        #expect(pair.lostData.first?.lost == 4)
        var here = KnownSnapshotTests.nothingHere
        here.newest = KnownSnapshot(path: "/s", at: .now)
        #expect(pairs(Readiness(state, here: here, now: .now))[[names[1], names[2]]]?.isRecoverable == true)
    }

    @Test func ofFiveMastersTwoMayDie() async throws {
        var state = try await Self.state("five-healthy")
        let names = state.inventory.masters.map(\.name)
        var pairs = pairs(Readiness(state, now: .now))
        #expect(pairs.count == 10 && pairs.values.allSatisfy { $0.keepsMajority == true && $0.isRecoverable })
        let rules = Set(pairs[[names[1], names[4]]]?.refusals.map(\.rule) ?? [])
        #expect(rules == [QuorumSurvives.id], "this etcd adds no member beside one that is down")
        // With one that does, and a kubeadm that joins nevertheless.
        for index in state.cluster.etcd.statuses?.indices ?? 0..<0 {
            state.cluster.etcd.statuses?[index].version = "3.6.11"
        }
        for index in state.cluster.objects.nodes.indices {
            state.cluster.objects.nodes[index].status?.nodeInfo?.kubeletVersion = "v1.37.0"
        }
        pairs = self.pairs(Readiness(state, now: .now))
        #expect(pairs[[names[1], names[4]]]?.replaceable == [names[1], names[4]])
        #expect(pairs[[names[1], names[4]]]?.refusals == [])
    }

    /// etcd's members are not known: neither is what two deaths do to it.
    @Test func withoutMembersNothingIsSaidOfTheMajority() async throws {
        var state = try await Self.state("healthy")
        state.cluster.members = []
        let pairs = try #require(Readiness(state, now: .now).twoDeaths)
        #expect(pairs.allSatisfy { $0.keepsMajority == nil && $0.survivors == [] })
    }

    // MARK: Clusters that are not as the inventory or the first look says

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
        let tally = try await RandomClusterTests.tally.value
        for difference in tally.supposedOtherwise { Issue.record("\(difference)") }
        #expect(tally.supposed > RandomClusterTests.clusters / 4, "so few prove nothing: \(tally.supposed)")
    }
}
