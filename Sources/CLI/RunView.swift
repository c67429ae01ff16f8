import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting
import Synchronization

/// A run's events: a screen that fills in on a person's terminal, lines elsewhere, JSON for programs.
final class RunView: Sendable {
    private let terminal: Terminal
    private let isLive: Bool
    private struct State {
        var events: [Event] = []
        var number = 0
        var total = 0
        var progress: Progress
        /// Redraws every second, for the clocks and after a change of the screen's size.
        var ticker: Task<Void, Never>?
    }
    private let state: Mutex<State>

    /// - Parameters:
    ///   - plan: known beforehand where a run is resumed.
    ///   - recovery: the same of a recovery.
    init(_ terminal: Terminal, plan: Plan? = nil, recovery: RecoveryPlan? = nil) {
        self.terminal = terminal
        isLive = terminal.isLive
        let progress = Progress(plan: plan, recovery: recovery)
        state = Mutex(State(total: progress.steps.count, progress: progress))
    }

    func show(_ event: Event) {
        if event.event == .runStarted { Interrupt.isActing = true }
        if event.event == .result { Interrupt.isActing = false }
        terminal.printEvent(event)
        let lines = state.withLock { state -> [String] in
            state.events.append(event)
            if let steps = event.plannedSteps { state.total = steps.count }
            if event.event == .stepStarted { state.number += 1 }
            return self.lines(event, state)
        }
        if isLive { showLive(event, lines) } else { lines.forEach(terminal.progress) }
    }

    /// - Parameter lines: what is shown where there is no screen; those of the result stand under it.
    private func showLive(_ event: Event, _ lines: [String]) {
        let isRunning = state.withLock { state in
            state.progress.note(event)
            if event.event == .runStarted { state.ticker = ticker() }
            if event.event == .result {
                state.ticker?.cancel()
                state.ticker = nil
            }
            return state.ticker != nil
        }
        if isRunning { return draw() }
        guard event.event == .result else { return lines.forEach(terminal.progress) }
        draw(isLast: true)
        let warnings = state.withLock { $0.progress.warnings }
        (warnings.map { terminal.paint("warning: \($0)", .yellow) } + lines).forEach(terminal.progress)
    }

    private func ticker() -> Task<Void, Never> {
        Task { [weak self] in
            while !Task.isCancelled {
                self?.draw()
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    private func draw(isLast: Bool = false) {
        guard let size = LiveScreen.size(of: STDOUT_FILENO) else { return }
        // Under the lock, so that an older picture is never drawn over a newer one.
        state.withLock { state in
            guard isLast || state.ticker != nil else { return }
            let screen = ProgressScreen(
                progress: state.progress, width: size.width, height: size.height, now: Date(),
                isInterrupted: Interrupt.isHeard)
            Terminal.screen.draw(
                screen.lines.map { line in line.style.map { terminal.paint(line.text, $0) } ?? line.text }, size: size)
            if isLast { Terminal.screen.end() }
        }
    }

    private func lines(_ event: Event, _ state: State) -> [String] {
        switch event.event {
        case .runStarted: return ["", terminal.paint("Run \(event.run ?? ""): \(event.title ?? "")", .bold)]
        case .stepStarted:
            let total = state.total > 0 ? "/\(state.total)" : ""
            return [terminal.paint("[\(state.number)\(total)] \(event.title ?? "")", .bold)]
        case .stepBegan: return ["      \(event.text ?? "")"]
        case .waiting:
            let limit = "of \(Int(event.limit ?? 0)) s"
            let elapsed = Int(event.elapsed ?? 0)
            let clock = event.still.map { "\(elapsed) s, still for \(Int($0)) \(limit)" } ?? "\(elapsed) \(limit)"
            return [terminal.paint("      … \(event.title ?? ""): \(event.text ?? "") (\(clock))", .dim)]
        case .output: return [terminal.paint("      | \(event.text ?? "")", .dim)]
        case .note, .runAbandoned: return ["      \(event.text ?? "")"]
        case .warning: return [terminal.paint("      warning: \(event.text ?? "")", .yellow)]
        case .destroyed: return ["      - \(event.text ?? "")"]
        case .stepSkipped: return ["      nothing to do: \(event.text ?? "")"]
        case .stepPassedOver: return [terminal.paint("      passed over: \(event.text ?? "")", .yellow)]
        case .stepFinished:
            return [
                terminal.paint(String(format: "      done in %.1f s: ", event.elapsed ?? 0), .green)
                    + (event.text ?? "")
            ]
        case .stepFailed: return [terminal.paint("      failed", .red)]
        case .command, .stateBefore, .stateAfter, .destroying: return []
        case .result:
            let report = RunReport(run: event.run ?? "", events: state.events)
            return OutcomeView(report: report, terminal: terminal, isLive: isLive).lines
        }
    }
}

/// What stands under a run that has ended: before and after, the times, and what to type next.
struct OutcomeView {
    let report: RunReport
    let terminal: Terminal
    /// The screen above has the steps already.
    let isLive: Bool

    var lines: [String] {
        var lines: [String] = [""]
        if let before = report.before, let after = report.after {
            lines += ComparisonView(rows: Comparison.rows(before, after)).lines(width: terminal.width) + [""]
        }
        func seconds(_ value: Double) -> String { String(format: "%.1f", value) }
        if isLive {
            let own = String(format: "%.2f", report.own)
            lines += ["\(seconds(report.elapsed)) s in steps, of which \(own) s were the tool's own.", ""]
        } else {
            var table = Table(["STEP", "SECONDS", "WAITING", "OWN", "OUTCOME"])
            table.rows = report.steps.map {
                [
                    $0.title, seconds($0.elapsed), seconds($0.waited), String(format: "%.2f", $0.own),
                    $0.outcome.rawValue,
                ]
            }
            table.rows.append([
                "in all", seconds(report.elapsed), seconds(report.waited), String(format: "%.2f", report.own),
                report.outcome,
            ])
            lines += table.lines + [""]
        }
        if report.status == 0 {
            if let update = report.inventoryUpdate { lines += terminal.lines("", update, style: .bold) + [""] }
            if !report.remaining.isEmpty {
                lines += [terminal.paint("Left to do:", .bold)]
                lines += report.remaining.flatMap { terminal.lines("- ", $0, style: .bold) } + [""]
            }
            let passed = report.steps.filter { $0.outcome == .passedOver }.map(\.id)
            let exception = passed.isEmpty ? "" : ", but for what was passed over: \(passed.joined(separator: ", "))"
            return lines
                + terminal.lines(
                    "Done and verified\(exception). ", "To read it again: masterswap report \(report.run)",
                    style: .green)
        }
        return lines
            + terminal.lines(
                "The run has stopped. ", "To go on: masterswap resume \(report.run)", style: .red)
    }
}

/// Before and after: a table where it fits, else what is different, each in lines of its own.
struct ComparisonView {
    /// What, before, after.
    let rows: [[String]]

    /// - Parameter width: of the screen; `nil` where there is none.
    func lines(width: Int?) -> [String] {
        var table = Table(["", "BEFORE", "AFTER"])
        table.rows = rows
        guard let width, table.lines.contains(where: { Columns.width($0) > width }) else { return table.lines }
        let different = rows.filter { $0[1] != $0[2] }
        return ["BEFORE → AFTER"] + different.flatMap { ["\($0[0])", "    \($0[1]) → \($0[2])"] }
            + (different.count < rows.count ? ["\(rows.count - different.count) more are as they were"] : [])
    }
}
