import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// The planner on random clusters: what its plans would do to each is played through on the cluster as it really is.
@Suite struct RandomClusterTests {
    /// The optimised build plans a hundred thousand in seconds; the debug build, in which only a developer waits for it, a tenth.
    static let clusters: Int = {
        #if DEBUG
            10_000
        #else
            100_000
        #endif
    }()

    /// What came of many clusters.
    struct Tally: Sendable {
        var plans = 0
        /// Plans by what is special about their cluster.
        var kinds: [World.Kind: Int] = [:]
        /// By the harm, an example.
        var harms: [Harm: String] = [:]
        /// By the one rule that refused, what a plan without it would have done, and how often it would have done nothing.
        var prevented: [String: [Harm: Int]] = [:]
        var inVain: [String: Int] = [:]

        /// Deaths that were supposed, too, and those that were judged otherwise then.
        var supposed = 0
        var supposedOtherwise: [String] = []

        mutating func add(_ other: Tally) {
            supposed += other.supposed
            supposedOtherwise += other.supposedOtherwise
            plans += other.plans
            kinds.merge(other.kinds, uniquingKeysWith: +)
            harms.merge(other.harms) { first, _ in first }
            prevented.merge(other.prevented) { $0.merging($1, uniquingKeysWith: +) }
            inVain.merge(other.inVain, uniquingKeysWith: +)
        }
    }

    /// The other tests share the threads with these, and some of them have a limit of time.
    static func letOthersRun(_ number: Int) async { if number.isMultiple(of: 20) { await Task.yield() } }

    static func plan(_ state: ClusterState, _ request: ReplacementRequest, without rule: String? = nil) throws -> Plan {
        try Planner.plan(
            state, request, now: Date(timeIntervalSince1970: 0), rules: SafetyRules.all.filter { $0.id != rule })
    }

    static func tally(_ count: Int, seed: UInt64) async throws -> Tally {
        var random = SeededGenerator(seed: seed)
        var tally = Tally()
        for number in 0..<count {
            await letOthersRun(number)
            let world = RandomCluster.world(&random)
            let state = world.observation()
            if let supposed = SupposedWorld(world, real: state) {
                tally.supposed += 1
                tally.supposedOtherwise +=
                    supposed.difference.map { ["cluster \(number) of seed \(seed): \($0)"] } ?? []
            }
            guard let input = try? PlanningInput(state, world.request) else { continue }
            let refusing = Set(SafetyRules.all.filter { !$0.refusals(input).isEmpty }.map { $0.id })
            guard refusing.count < 2 else { continue }
            let plan: Plan
            do { plan = try Self.plan(state, world.request, without: refusing.first) } catch is Refused { continue }
            let harms = PlanExecution.harms(of: plan, in: world)
            if let rule = refusing.first {
                for harm in harms.keys { tally.prevented[rule, default: [:]][harm, default: 0] += 1 }
                if harms.isEmpty { tally.inVain[rule, default: 0] += 1 }
                continue
            }
            tally.plans += 1
            for kind in world.kinds(of: plan) { tally.kinds[kind, default: 0] += 1 }
            for (harm, line) in harms where tally.harms[harm] == nil {
                tally.harms[harm] = "cluster \(number) of seed \(seed), line \(line) of PlanExecution.swift"
            }
        }
        return tally
    }

    /// Of several seeds, on all processors; the tests look at the same clusters.
    static let tally = Task {
        try await withThrowingTaskGroup(of: Tally.self) { group in
            let seeds: UInt64 = 16
            for seed in 1...seeds { group.addTask { try await tally(clusters / Int(seeds), seed: seed) } }
            return try await group.reduce(into: Tally()) { $0.add($1) }
        }
    }

    @Test func noPlanDoesHarm() async throws {
        let tally = try await Self.tally.value
        for (harm, example) in tally.harms { Issue.record("\(harm): \(example)") }
        #expect(tally.plans > Self.clusters / 8, "so few plans prove nothing: \(tally.plans)")
        for kind in World.Kind.allCases {
            #expect(tally.kinds[kind, default: 0] > 0, "no plan of \(kind)")
        }
        let kinds = tally.kinds.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        print("\(Self.clusters) random clusters: \(tally.plans) plans; \(kinds)")
    }

    /// Where a rule alone refuses, a plan without it does harm: each rule prevents something that no other one does.
    @Test func everyRulePreventsHarm() async throws {
        let tally = try await Self.tally.value
        for rule in SafetyRules.all {
            let prevented = tally.prevented[rule.id] ?? [:]
            #expect(!prevented.isEmpty, "without \(rule.id) nothing happens")
            let text = prevented.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
            print("without \(rule.id): \(text); nothing \(tally.inVain[rule.id, default: 0])")
        }
    }
}
