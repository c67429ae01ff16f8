import Foundation
import Orchestrator
import Synchronization

/// A run's events as lines: text for people, JSON for programs.
final class RunView: Sendable {
    private let terminal: Terminal
    private struct State {
        var events: [Event] = []
        var number = 0
        var total = 0
    }
    private let state = Mutex(State())

    init(_ terminal: Terminal) {
        self.terminal = terminal
    }

    func show(_ event: Event) {
        if terminal.isJSON, let json = try? EventCoding.encode(event) {
            terminal.print(String(decoding: json, as: UTF8.self))
        }
        let lines = state.withLock { state -> [String] in
            state.events.append(event)
            if let plan = event.plan { state.total = ReplacementSteps.make(plan).count }
            if event.event == .stepStarted { state.number += 1 }
            return self.lines(event, state)
        }
        lines.forEach(terminal.progress)
    }

    private func lines(_ event: Event, _ state: State) -> [String] {
        switch event.event {
        case .runStarted: return ["", terminal.paint("Run \(event.run ?? ""): \(event.title ?? "")", .bold)]
        case .stepStarted:
            let total = state.total > 0 ? "/\(state.total)" : ""
            return [terminal.paint("[\(state.number)\(total)] \(event.title ?? "")", .bold)]
        case .stepBegan: return ["      \(event.text ?? "")"]
        case .waiting:
            let clock = "\(Int(event.elapsed ?? 0)) of \(Int(event.limit ?? 0)) s"
            return [terminal.paint("      … \(event.title ?? ""): \(event.text ?? "") (\(clock))", .dim)]
        case .command: return terminal.isVerbose ? [terminal.paint("      $ \(event.text ?? "")", .dim)] : []
        case .output: return [terminal.paint("      | \(event.text ?? "")", .dim)]
        case .note: return ["      \(event.text ?? "")"]
        case .warning: return [terminal.paint("      warning: \(event.text ?? "")", .yellow)]
        case .destroyed: return ["      - \(event.text ?? "")"]
        case .stepSkipped: return ["      nothing to do: \(event.text ?? "")"]
        case .stepFinished:
            return [
                terminal.paint(String(format: "      done in %.1f s: ", event.elapsed ?? 0), .green)
                    + (event.text ?? "")
            ]
        case .stepFailed: return [terminal.paint("      failed", .red)]
        case .stateBefore, .stateAfter, .destroying: return []
        case .result: return result(event, state)
        }
    }

    private func result(_ event: Event, _ state: State) -> [String] {
        let report = RunReport(run: event.run ?? "", events: state.events)
        var lines: [String] = [""]
        if let before = report.before, let after = report.after {
            var table = Table(["", "BEFORE", "AFTER"])
            table.rows = Comparison.rows(before, after)
            lines += table.lines + [""]
        }
        var table = Table(["STEP", "SECONDS", "WAITING", "OWN", "OUTCOME"])
        func seconds(_ value: Double) -> String { String(format: "%.1f", value) }
        table.rows = report.steps.map {
            [$0.title, seconds($0.elapsed), seconds($0.waited), String(format: "%.2f", $0.own), $0.outcome.rawValue]
        }
        table.rows.append([
            "in all", seconds(report.elapsed), seconds(report.waited), String(format: "%.2f", report.own),
            report.outcome,
        ])
        lines += table.lines + [""]
        if event.status == 0 {
            lines.append(
                terminal.paint("Done and verified.", .green) + " To read it again: masterswap report \(event.run ?? "")"
            )
        } else {
            lines.append(
                terminal.paint("The run has stopped", .red)
                    + " (\(report.outcome)). To go on: masterswap resume \(event.run ?? "")")
        }
        return lines
    }
}
