public import Execution
public import Foundation
public import Planning

/// A run told from its journal: what `runs` lists and `report` prints.
public struct RunReport: Sendable, Codable {
    public struct Step: Sendable, Codable {
        public enum Outcome: String, Sendable, Codable {
            case done, skipped, failed, unfinished
            case passedOver = "passed-over"

            var words: String { self == .passedOver ? "passed over" : rawValue }
        }
        public var id: String
        public var title: String
        public var outcome: Outcome
        public var text: String?
        public var startedAt: Date?
        /// Seconds in all, and of them those in which a host or the cluster was waited for.
        public var elapsed: Double
        public var waited: Double

        public var own: Double { max(0, elapsed - waited) }
    }

    public enum Place: String, Sendable, Codable {
        case here, cluster, both
    }

    public var run: String
    public var title: String?
    public var plan: Plan?
    /// Of a recovery, in place of `plan`.
    public var recovery: RecoveryPlan?
    public var startedAt: Date?
    public var endedAt: Date?
    /// The exit status; `nil` where the run never ended.
    public var status: Int?
    public var result: String?
    /// Who gave it up, and why; `nil` where nobody did.
    public var abandoned: String?
    /// Where it is known: `here`, `cluster` or `both`; `nil` where that was not looked at.
    public var place: Place?
    /// In order; a step of a resumed run stands where it was last begun.
    public var steps: [Step]
    public var destroyed: [String]
    /// `HOST: COMMAND`, in the order in which they were first given.
    public var commands: [String]
    public var warnings: [String]
    /// What was written into the inventory's file at the end; `nil` where nothing was.
    public var inventoryUpdate: String?
    public var before: ClusterSummary?
    public var after: ClusterSummary?

    public init(run: String, events: [Event]) {
        self.run = run
        steps = []
        destroyed = []
        commands = []
        warnings = []
        for event in events {
            switch event.event {
            case .runStarted:
                title = title ?? event.title
                plan = event.plan ?? plan
                recovery = recovery ?? event.recovery
                startedAt = startedAt ?? event.at
                status = nil
            case .stateBefore: before = before ?? event.state
            case .stateAfter: after = event.state
            case .stepStarted:
                steps.removeAll { $0.id == event.step && $0.outcome != .done }
                if !steps.contains(where: { $0.id == event.step }) {
                    steps.append(
                        Step(
                            id: event.step ?? "", title: event.title ?? "", outcome: .unfinished, startedAt: event.at,
                            elapsed: 0, waited: 0))
                }
            case .stepFinished: end(event, .done)
            case .stepSkipped: end(event, .skipped)
            case .stepPassedOver: end(event, .passedOver)
            case .stepFailed: end(event, .failed)
            case .destroyed: if let text = event.text { destroyed.append(text) }
            case .command: if let text = event.text, !commands.contains(text) { commands.append(text) }
            case .warning: if let text = event.text { warnings.append(text) }
            case .result:
                status = event.status
                result = event.text
                endedAt = event.at
            case .note where event.title == InventoryUpdate.title: inventoryUpdate = event.text
            case .runAbandoned: abandoned = event.text ?? ""
            case .stepBegan, .destroying, .waiting, .output, .note: break
            }
        }
    }

    private mutating func end(_ event: Event, _ outcome: Step.Outcome) {
        // A step that a resumed run found done keeps the figures of the run that did it.
        guard let index = steps.firstIndex(where: { $0.id == event.step }),
            steps[index].outcome != .done || outcome != .skipped
        else { return }
        steps[index].outcome = outcome
        steps[index].text = event.text
        steps[index].elapsed = event.elapsed ?? 0
        steps[index].waited = event.waited ?? 0
    }

    public var elapsed: Double { steps.reduce(0) { $0 + $1.elapsed } }
    public var waited: Double { steps.reduce(0) { $0 + $1.waited } }
    public var own: Double { steps.reduce(0) { $0 + $1.own } }

    public var outcome: String {
        if abandoned != nil, status != 0 { return "given up" }
        return switch status {
        case nil: "not ended"
        case 0: steps.contains { $0.outcome == .passedOver } ? "done in part" : "done"
        case let status?: ExitStatus(rawValue: Int32(status)).map { "\($0)" } ?? "status \(status)"
        }
    }
}
