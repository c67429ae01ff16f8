import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting

/// Where a run stands, kept up by its events: all that the live screen shows.
struct Progress {
    enum Mark: String {
        case pending = "·"
        case current = "▶"
        case done = "✓"
        case skipped = "-"
        case passedOver = "!"
        case failed = "✗"
    }

    struct Step {
        var id: String
        var title: String
        var mark = Mark.pending
        var startedAt: Date?
        var elapsed = 0.0
    }

    struct Wait {
        var title: String
        var text: String
        var at: Date
        var elapsed: Double
        var limit: Double
        /// Since something moved in it last, where that is what `limit` is of.
        var still: Double?
    }

    private(set) var title = ""
    private(set) var startedAt: Date?
    private(set) var endedAt: Date?
    private(set) var steps: [Step] = []
    private(set) var wait: Wait?
    /// What a host was given to do last, `HOST: COMMAND`: where nothing else is waited for, its end is.
    private(set) var command: String?
    /// What the current step said last, the newest at the end.
    private(set) var tail: [String] = []
    /// How many lines it said before those.
    private(set) var folded = 0
    private(set) var failure: String?
    private(set) var warnings: [String] = []

    /// - Parameters:
    ///   - plan: known beforehand where a run is resumed.
    ///   - recovery: the same of a recovery.
    init(plan: Plan? = nil, recovery: RecoveryPlan? = nil) {
        take(plan.map(ReplacementSteps.make) ?? recovery.map(RecoverySteps.make) ?? [])
    }

    private mutating func take(_ steps: [any Execution.Step]) {
        self.steps = steps.map { Step(id: $0.id, title: $0.title) }
    }

    mutating func note(_ event: Event) {
        switch event.event {
        case .runStarted:
            title = event.title ?? ""
            startedAt = event.at
            if let steps = event.plannedSteps { take(steps) }
        case .stepStarted:
            if !steps.contains(where: { $0.id == event.step }) {
                steps.append(Step(id: event.step ?? "", title: event.title ?? ""))
            }
            mark(event, .current)
            tail = []
            folded = 0
            wait = nil
            command = nil
        case .stepBegan, .note: tell(event.text ?? "")
        case .output: tell("| " + (event.text ?? ""))
        case .destroyed: tell("- " + (event.text ?? ""))
        case .warning:
            warnings.append(event.text ?? "")
            tell("warning: " + (event.text ?? ""))
        case .waiting:
            wait = Wait(
                title: event.title ?? "", text: event.text ?? "", at: event.at, elapsed: event.elapsed ?? 0,
                limit: event.limit ?? 0, still: event.still)
        case .stepFinished: mark(event, .done)
        case .stepSkipped: mark(event, .skipped)
        case .stepPassedOver: mark(event, .passedOver)
        case .stepFailed:
            mark(event, .failed)
            failure = event.text
        case .result:
            endedAt = event.at
            wait = nil
        case .command: command = event.text
        case .destroying, .stateBefore, .stateAfter, .runAbandoned: break
        }
    }

    private mutating func mark(_ event: Event, _ mark: Mark) {
        guard let index = steps.firstIndex(where: { $0.id == event.step }) else { return }
        steps[index].mark = mark
        if mark == .current {
            steps[index].startedAt = event.at
        } else {
            steps[index].elapsed = event.elapsed ?? 0
            wait = nil
            command = nil
        }
    }

    /// As many lines as a tall screen can show, and no more.
    private mutating func tell(_ text: String) {
        var line = text.trimmingCharacters(in: .whitespacesAndNewlines)
        // Ansible underlines each task's name with asterisks up to the screen's end.
        if line.hasSuffix("***") {
            line = line.trimmingCharacters(in: CharacterSet(charactersIn: "* "))
        }
        guard !line.isEmpty, line != "|" else { return }
        tail.append(line)
        guard tail.count > 20 else { return }
        tail.removeFirst()
        folded += 1
    }
}

extension Event {
    /// Of the plan that it carries; `nil` where it carries none.
    var plannedSteps: [any Execution.Step]? {
        plan.map(ReplacementSteps.make) ?? recovery.map(RecoverySteps.make)
    }
}
