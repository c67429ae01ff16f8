public import Foundation

/// For each master: could it be replaced if it died now? Decided by the planner itself, on the state as it would be then. Its JSON is a
/// contract: docs/ready.schema.json.
public struct Readiness: Sendable, Codable {
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

    /// A claim that would be made again, empty.
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

    public var schemaVersion = 1
    public var cluster: String
    public var at: Date
    public var ready: Bool
    public var masters: [Master]
    /// What is in the way of all of it, such as an inventory without a spare.
    public var problems: [Refusal]
    /// For cron: 0, 2 where a master could not be replaced, 4 where the cluster gave no answer.
    public var status: Int

    /// - Parameters:
    ///   - accepting: claims whose loss would be agreed to, as `--accept-data-loss` names them.
    ///   - now: for the answer's date only.
    public init(_ state: ClusterState, accepting: [String] = [], now: Date) {
        cluster = state.inventory.cluster.name
        at = now
        let spares = state.inventory.hosts.filter { $0.role == .spare && state.node(of: $0) == nil }
        let hasAnswer = state.cluster.source != nil
        problems = hasAnswer ? [] : state.refusalsWithoutAnswer
        if spares.isEmpty {
            problems.append(
                Refusal(
                    "a-spare-is-there", "the inventory has no spare that is not a node already",
                    advice: "add a machine to its hosts with 'role: spare'"))
        }
        masters = state.inventory.masters.map { host in
            var trials: [Trial] = []
            if hasAnswer {
                for death in SupposedDeath.all(of: host, state) {
                    let after = death.applied(to: state)
                    trials += spares.map { Self.trial(of: death, after, with: $0, accepting, now) }
                }
            }
            let bySpare = Dictionary(grouping: trials, by: \.spare).values
            return Master(
                host: host.name, node: state.node(of: host)?.name,
                ready: bySpare.contains { $0.allSatisfy(\.isAccepted) }, trials: trials)
        }
        ready = problems.isEmpty && masters.allSatisfy(\.ready)
        status = Int((hasAnswer ? ready ? ExitStatus.done : .checkOrStepFailed : .unreachableOrUntrusted).rawValue)
    }

    private static func trial(
        of death: SupposedDeath, _ after: ClusterState, with spare: Inventory.Host, _ accepting: [String], _ now: Date
    ) -> Trial {
        // For how long it would be dead is nothing to judge in daylight.
        var request = ReplacementRequest(dead: death.host, replacement: spare.name, notReadyFor: 0)
        // What is on another master is no mistake here.
        let lost = (try? Proposal(after, request))?.lost ?? []
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
        } catch {
            trial.refusals = [
                Refusal("a-plan-is-made", "\(error)", advice: "see: masterswap plan \(death.host) --with \(spare.name)")
            ]
        }
        return trial
    }
}
