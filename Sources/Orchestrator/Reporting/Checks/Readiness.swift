public import Cluster
public import Execution
public import Foundation
public import Inventories
public import Planning

/// For each master: could it be replaced if it died now? Decided by the planner itself, on the state as it would be then. Its JSON is a
/// contract: docs/ready.schema.json.
public struct Readiness: KeptReport {
    public static let folder = "ready"
    public static let schemaVersion = 1

    /// One supposed death, one spare.
    public struct Trial: Sendable, Codable {
        public var spare: String
        /// The survivor that takes the VIP over; missing where another host than the dead one holds it.
        public var vipTo: String?
        /// By inventory name, where ocboot would run; missing where the plan would be refused.
        public var primary: String?
        public var lost: [LostClaim]
        /// Steps of the plan, by their ids, in their order.
        public var steps: [String]
        /// None where the plan would be accepted.
        public var refusals: [Refusal]

        public var isAccepted: Bool { refusals.isEmpty }
    }

    /// A claim that would be recreated, empty.
    public struct LostClaim: Sendable, Codable, Hashable {
        /// `NAMESPACE/CLAIM`.
        public var claim: String
        public var data: Inventory.Workload.DataClass
        /// What it holds is healed from the other drives.
        public var isHealed: Bool
    }

    public struct Master: Sendable, Codable {
        public var host: String
        /// Missing where it is not known.
        public var node: String?
        /// With one spare at least its plan would be accepted, whoever takes the VIP over.
        public var ready: Bool
        public var trials: [Trial]
    }

    public struct LastReplacement: Sendable, Codable, Hashable {
        public var run: String
        public var seconds: Double

        public init?(of cluster: String, in store: RunStore) {
            for run in store.runs().reversed() {
                guard let events = try? run.events() else { continue }
                let report = RunReport(run: run.id, events: events)
                guard report.plan?.cluster == cluster, report.status == 0 else { continue }
                (self.run, seconds) = (run.id, report.elapsed)
                return
            }
            return nil
        }
    }

    public struct Change: Sendable, Codable, Hashable {
        public enum Kind: String, Sendable, Codable {
            case newProblem = "new-problem"
            case goneProblem = "gone-problem"
        }
        public var kind: Kind
        /// The master whose replacement it is about, or the cluster.
        public var subject: String
        /// The rule, and why it refuses or refused.
        public var text: String
    }

    public var schemaVersion: Int = Self.schemaVersion
    public var cluster: String
    public var at: Date
    public var ready: Bool
    public var masters: [Master]
    /// What is in the way of all of it, such as an inventory without a spare.
    public var problems: [Refusal]
    /// What to paste on hosts about some of the refusals, in its order; missing where there is nothing.
    public var commands: [Preparation.Command]?
    /// What to add to the inventory's `workloads`; missing where there is nothing.
    public var inventoryLines: [String]?
    /// Each pair of masters that could die at once; missing where no master gave an answer.
    public var twoDeaths: [TwoDeaths]?
    /// The newest snapshot of each place that is known, the newest first.
    public var snapshots: [KnownSnapshot]?
    /// Of this cluster, begun from this machine; missing where there was none.
    public var lastReplacement: LastReplacement?
    /// The newest snapshot on this machine; missing where there is none.
    public var snapshotAt: Date?
    /// When this was asked last; missing where it never was.
    public var since: Date?
    /// What is different from then.
    public var changes: [Change]?
    /// For cron: 0, 2 where a master could not be replaced, 4 where the cluster gave no answer.
    public var status: Int

    /// - Parameters:
    ///   - accepting: claims whose loss would be agreed to, as `--accept-data-loss` names them.
    ///   - here: the newest snapshot on this machine.
    ///   - now: for the answer's date only.
    public init(_ state: ClusterState, accepting: [String] = [], here: KnownSnapshot.Here? = nil, now: Date) {
        cluster = state.inventory.cluster.name
        at = now
        snapshotAt = here?.newest?.at
        let known = state.snapshots(here: here?.newest, at: now)
        snapshots = known.isEmpty ? nil : known
        // The inventory may still name the masters from before the last replacement; the cluster knows the present ones.
        func isMaster(_ host: Inventory.Host) -> Bool { state.node(of: host)?.isControlPlane == true }
        let spares = state.inventory.hosts.filter { $0.role == .spare && !isMaster($0) }
        let hasAnswer = state.cluster.source != nil
        problems = hasAnswer ? [] : state.refusalsWithoutAnswer
        if spares.isEmpty {
            problems.append(
                Refusal(
                    "a-spare-is-there", "the inventory has no spare that is not a master already",
                    advice: "add a machine to its hosts with 'role: spare'"))
        }
        var preparation = Preparation()
        let hosts = state.inventory.hosts.filter { $0.role == .master || isMaster($0) }
        masters = hosts.map { host in
            var trials: [Trial] = []
            if hasAnswer {
                for death in SupposedDeath.all(of: host, state) {
                    let (after, isLost) = (death.applied(to: state), death.lostMajority(in: state))
                    trials += spares.map { spare in
                        guard let isLost else {
                            return Self.trial(of: death, after, with: spare, accepting, now, &preparation)
                        }
                        return Trial(spare: spare.name, vipTo: death.holder, lost: [], steps: [], refusals: [isLost])
                    }
                }
            }
            let bySpare = Dictionary(grouping: trials, by: \.spare).values
            return Master(
                host: host.name, node: state.node(of: host)?.name,
                ready: bySpare.contains { $0.allSatisfy(\.isAccepted) }, trials: trials)
        }
        if !preparation.commands.isEmpty { commands = preparation.commands }
        if !preparation.inventoryLines.isEmpty { inventoryLines = preparation.inventoryLines }
        if hasAnswer {
            twoDeaths = hosts.indices.flatMap { first in
                hosts[(first + 1)...].map { second in
                    TwoDeaths(hosts[first], second, state, snapshots: known) { dead, after in
                        let holder = after.vipHolders.first?.name
                        return Dictionary(
                            uniqueKeysWithValues: spares.map { spare in
                                var unused = Preparation()
                                let death = SupposedDeath(host: dead.name, holder: holder)
                                let trial = Self.trial(of: death, after, with: spare, accepting, now, &unused)
                                return (spare.name, trial.refusals)
                            })
                    }
                }
            }
        }
        let isLost = { (name: String) in
            state.objects.volumes.contains { volume in
                let claim = volume.spec.claimRef
                return [volume.name, claim?.name, "\(claim?.namespace ?? "")/\(claim?.name ?? "")"].contains(name)
            }
        }
        problems += accepting.filter { hasAnswer && !isLost($0) }.map {
            Refusal(
                "names-are-known", "'\($0)' of --accept-data-loss is no claim or volume of this cluster",
                advice: "see what hangs on each master: masterswap inspect NODE")
        }
        ready = problems.isEmpty && masters.allSatisfy(\.ready)
        status = Int((hasAnswer ? ready ? ExitStatus.done : .checkOrStepFailed : .unreachableOrUntrusted).rawValue)
    }

    /// Says what is different from an earlier answer. A refusal is the same one while its master and its rule are: its words carry
    /// figures that change every time.
    public mutating func compare(with last: Readiness) {
        since = last.at
        changes =
            Self.changes(.newProblem, in: problemsBySubject, missingIn: last.problemsBySubject)
            + Self.changes(.goneProblem, in: last.problemsBySubject, missingIn: problemsBySubject)
    }

    private var problemsBySubject: [(subject: String, refusals: [Refusal])] {
        [(cluster, problems)] + masters.map { ($0.host, $0.trials.flatMap(\.refusals)) }
    }

    private static func changes(
        _ kind: Change.Kind, in some: [(subject: String, refusals: [Refusal])],
        missingIn others: [(subject: String, refusals: [Refusal])]
    ) -> [Change] {
        some.flatMap { subject, refusals -> [Change] in
            let known = Set(others.first { $0.subject == subject }?.refusals.map(\.rule) ?? [])
            var told: Set<String> = []
            return refusals.filter { !known.contains($0.rule) && told.insert($0.rule).inserted }.map {
                Change(kind: kind, subject: subject, text: "\($0.rule): \($0.reason)")
            }
        }
    }

    private static func trial(
        of death: SupposedDeath, _ after: ClusterState, with spare: Inventory.Host, _ accepting: [String], _ now: Date,
        _ preparation: inout Preparation
    ) -> Trial {
        // For how long it would be dead is nothing to judge in daylight.
        var request = ReplacementRequest(dead: death.host, replacement: spare.name, notReadyFor: 0)
        let input = try? PlanningInput(after, request)
        // What is on another master is no mistake here.
        let lost = input?.lost ?? []
        request.acceptedLosses = accepting.filter { name in
            lost.contains { [$0.volume.name, $0.claim?.reference, $0.claim?.name].contains(name) }
        }
        var trial = Trial(spare: spare.name, vipTo: death.holder, lost: [], steps: [], refusals: [])
        do {
            let plan = try Planner.plan(after, request, now: now)
            trial.primary = plan.primary.host
            trial.lost = plan.rebuilds.flatMap { rebuild in
                rebuild.claims.map { lost in
                    LostClaim(
                        claim: lost.claim.reference, data: rebuild.data,
                        isHealed: rebuild.heal == .minio && !rebuild.isDataLost)
                }
            }
            trial.steps = ReplacementSteps.make(plan).map(\.id)
        } catch let refused as Refused {
            trial.refusals = refused.refusals
            if let input { preparation.add(input) }
        } catch {
            trial.refusals = [
                Refusal("a-plan-is-made", "\(error)", advice: "see: masterswap plan \(death.host) --with \(spare.name)")
            ]
        }
        return trial
    }
}
