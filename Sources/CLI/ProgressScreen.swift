import Foundation
import SSH

/// Draws where a run stands: state, size and time in, lines out.
///
/// Every step has its line; under the current one stands what it waits for, and the last of what it said. Where the screen is too
/// low for that, steps far from the current one are folded into one line.
struct ProgressScreen {
    struct Line: Equatable {
        var text: String
        var style: Terminal.Style?

        init(_ text: String, _ style: Terminal.Style? = nil) {
            self.text = text
            self.style = style
        }
    }

    let progress: Progress
    let width: Int
    let height: Int
    let now: Date
    var isInterrupted = false

    /// Of what the current step said, at most so many lines are shown.
    private static let longestTail = 10
    /// On a wide screen the figures stay near what they belong to.
    private static let widestRow = 100
    private static let indent = "      "

    /// Never more than the screen has, less the one that the cursor rests on; none wider than the screen.
    var lines: [Line] {
        let room = max(height - 1, 1)
        var head = [row(progress.title, progress.startedAt.map { clock((progress.endedAt ?? now) - $0) } ?? "", .bold)]
        if isInterrupted, progress.endedAt == nil {
            head.append(Line(fit("Interrupted: ending at a safe point; Ctrl-C once more ends at once"), .red))
        }
        let (important, tail) = details
        // What is waited for, or what failed, always stands; of what was said, some does as long as steps can be folded.
        let wanted = important.count + min(tail.count, max(room / 3, 1))
        let (first, last) = window(room: room - head.count - wanted)
        var body: [Line] = []
        if first > 0 { body.append(Line(fit(" ✓ the first \(first) steps"), .green)) }
        let isFoldedBelow = last < progress.steps.count
        let free = room - head.count - (first > 0 ? 1 : 0) - (last - first) - (isFoldedBelow ? 1 : 0)
        for index in first..<last {
            body.append(stepLine(index))
            if index == currentIndex {
                body += Array(important.prefix(max(free, 0))) + shortened(tail, to: free - important.count)
            }
        }
        if isFoldedBelow { body.append(Line(fit(" · \(progress.steps.count - last) more steps"), .dim)) }
        return Array((head + body).prefix(room))
    }

    private var currentIndex: Int? {
        progress.steps.lastIndex { $0.mark == .current || $0.mark == .failed }
    }

    /// The steps that have a line of their own, when there are so many lines for them.
    private func window(room: Int) -> (first: Int, last: Int) {
        let count = progress.steps.count
        guard count > room else { return (0, count) }
        let middle = currentIndex ?? progress.steps.lastIndex { $0.mark != .pending } ?? 0
        // Two lines go to what is folded above and below; what comes next matters more than what is done.
        let size = max(room - 2, 1)
        let first = max(0, min(middle - size / 3, count - size))
        return (first == 1 ? 0 : first, min(count, first + size))
    }

    private func stepLine(_ index: Int) -> Line {
        let step = progress.steps[index]
        let number = String(index + 1)
        let name =
            " \(step.mark.rawValue) \(String(repeating: " ", count: max(0, 2 - number.count)))\(number) \(step.title)"
        switch step.mark {
        case .pending: return row(name, "", .dim)
        case .current: return row(name, step.startedAt.map { clock(now - $0) } ?? "", .bold)
        case .done: return row(name, String(format: "%.1f s", step.elapsed), .green)
        case .skipped: return row(name, "nothing to do", .dim)
        case .passedOver: return row(name, "passed over", .yellow)
        case .failed: return row(name, "failed", .red)
        }
    }

    /// What stands under the current step: why it failed or what it waits for, and what it said.
    private var details: (important: [Line], tail: [Line]) {
        var important: [Line] = []
        if let failure = progress.failure {
            important += Columns.wrap(TerminalText.line(failure), to: width - Self.indent.count).prefix(4).map {
                Line(Self.indent + $0, .red)
            }
        }
        if let wait = progress.wait {
            important.append(row("\(Self.indent)waiting for \(wait.title)", clock(wait), .yellow))
            // ocboot's last line is the newest of its output already.
            let isTold = progress.tail.last.map { $0.hasPrefix("| ") || $0 == wait.text } ?? false
            if !isTold { important.append(Line(fit(Self.indent + TerminalText.line(wait.text)), .yellow)) }
        } else if let command = progress.command {
            important.append(Line(fit("\(Self.indent)$ \(TerminalText.line(command))"), .yellow))
        }
        return (important, progress.tail.map { Line(fit(Self.indent + TerminalText.line($0)), .dim) })
    }

    /// The newest of what was said, under a line that tells how much is not shown.
    private func shortened(_ tail: [Line], to count: Int) -> [Line] {
        let limit = min(count, Self.longestTail)
        guard tail.count + progress.folded > limit, limit > 1 else { return Array(tail.suffix(max(limit, 0))) }
        let shown = tail.suffix(limit - 1)
        let hidden = progress.folded + tail.count - shown.count
        return [Line(fit("\(Self.indent)… \(hidden) lines before"), .dim)] + shown
    }

    /// Text at the left, cut where it is too long, and a short one at the right end.
    private func row(_ left: String, _ right: String, _ style: Terminal.Style) -> Line {
        guard !right.isEmpty, Columns.width(right) + 12 < width else { return Line(fit(left), style) }
        let rest = min(width, Self.widestRow) - Columns.width(right)
        return Line(Columns.pad(Columns.fit(left, to: rest - 1), to: rest) + right, style)
    }

    /// `0:12 of 15:00`; of what may take hours `1:20:05, still for 2:10 of 30:00`, where it has not moved for a while.
    private func clock(_ wait: Progress.Wait) -> String {
        let since = max(0, now - wait.at)
        let elapsed = clock(wait.elapsed + since)
        guard let still = wait.still.map({ $0 + since }) else { return "\(elapsed) of \(clock(wait.limit))" }
        return still < Self.noticeable ? elapsed : "\(elapsed), still for \(clock(still)) of \(clock(wait.limit))"
    }

    private static let noticeable: TimeInterval = 60

    private func clock(_ seconds: TimeInterval) -> String {
        let whole = max(0, Int(seconds))
        guard whole >= 3600 else { return String(format: "%d:%02d", whole / 60, whole % 60) }
        return String(format: "%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60)
    }

    private func fit(_ text: String) -> String { Columns.fit(text, to: width) }
}

extension Date {
    fileprivate static func - (left: Date, right: Date) -> TimeInterval { left.timeIntervalSince(right) }
}
