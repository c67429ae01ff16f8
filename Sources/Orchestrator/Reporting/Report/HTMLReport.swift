import Cluster
public import Execution
import Foundation
import Planning

/// A run as one HTML file: for a phone, a large screen and paper, without a script and without anything from elsewhere.
public struct HTMLReport: Sendable {
    private let report: RunReport
    private let events: [Event]

    public init(_ report: RunReport, events: [Event]) {
        self.report = report
        self.events = events
    }

    public var text: String {
        let title =
            report.plan.map { "\($0.dead.node) replaced with \($0.replacement.node)" } ?? report.recovery?.title
            ?? "Run \(report.run)"
        let sections = [header, timeline, comparison, remaining, destroyed, warnings, commands, log]
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
            <title>\(Self.escape(title))</title>
            <style>
            \(Self.style)
            </style>
            </head>
            <body>
            <main>
            \(sections.filter { !$0.isEmpty }.joined(separator: "\n"))
            </main>
            </body>
            </html>

            """
    }

    /// For text and for attributes in double quotes. Control characters are no HTML, not even escaped.
    static func escape(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            case "\n", "\t": escaped.unicodeScalars.append(scalar)
            default:
                escaped.unicodeScalars.append(scalar.properties.generalCategory == .control ? "\u{FFFD}" : scalar)
            }
        }
        return escaped
    }

    // MARK: Sections

    private var header: String {
        let name =
            report.plan.map { "\($0.cluster): \($0.dead.node) → \($0.replacement.node)" } ?? report.recovery?.title
            ?? "Run \(report.run)"
        let tone = report.status == 0 ? "good" : report.status == nil ? "open" : "bad"
        var facts: [(String, String)] = []
        if let plan = report.plan {
            facts.append(("Dead", "\(plan.dead.node), \(plan.dead.address)"))
            facts.append(("In its place", "\(plan.replacement.node), \(plan.replacement.address)"))
            facts.append(("Primary", plan.primary.node + (plan.promotes ? ", promoted by this run" : ", as before")))
        }
        if let recovery = report.recovery {
            facts += recovery.dead.map { ("Dead", "\($0.node), \($0.address)") }
            facts.append(("The only master", "\(recovery.survivor.node), \(recovery.survivor.address)"))
        }
        if let startedAt = report.startedAt { facts.append(("Began", Self.moment(startedAt))) }
        if let endedAt = report.endedAt { facts.append(("Ended", Self.moment(endedAt))) }
        facts.append(
            (
                "Took",
                "\(Self.duration(report.elapsed)), of which \(Self.duration(report.waited)) waiting for hosts and the cluster, \(Self.duration(report.own)) the tool's own"
            ))
        facts.append(("Run", report.run))
        return """
            <header>
            <p class="outcome \(tone)">\(Self.escape(report.outcome))</p>
            <h1>\(Self.escape(name))</h1>
            \(report.status == 0 ? "" : report.result.map { "<p class=\"result\">\(Self.escape($0))</p>" } ?? "")
            <dl>\(facts.map { "<dt>\($0.0)</dt><dd>\(Self.escape($0.1))</dd>" }.joined(separator: "\n"))</dl>
            </header>
            """
    }

    /// A bar a step, one after the other: a run that was resumed the next day is not drawn a day long.
    private var timeline: String {
        guard !report.steps.isEmpty else { return "" }
        let whole = max(report.elapsed, 0.001)
        var offset = 0.0
        let rows = report.steps.map { step -> String in
            defer { offset += step.elapsed }
            func percent(_ seconds: Double) -> String { String(format: "%.2f%%", seconds / whole * 100) }
            let caption =
                "\(step.title): \(Self.duration(step.elapsed)), \(Self.duration(step.waited)) of it waiting"
            // A bar of a moment is still to be seen.
            return """
                <li class="\(step.outcome.rawValue)">
                <p class="step"><span>\(Self.escape(step.title))</span> <b>\(step.outcome == .done ? Self.duration(step.elapsed) : step.outcome.words)</b></p>
                <svg width="100%" height="12" role="img" aria-label="\(Self.escape(caption))"><title>\(Self.escape(caption))</title>
                <rect class="rail" width="100%" height="12" rx="2"/>
                <rect class="waited" x="\(percent(offset))" style="width:max(\(percent(step.elapsed)),2px)" height="12"/>
                <rect class="own" x="\(percent(offset))" width="\(percent(step.own))" height="12"/></svg>
                \(step.text.map { "<p class=\"seen\">\(Self.escape($0))</p>" } ?? "")
                </li>
                """
        }
        return """
            <section>
            <h2>Steps</h2>
            <p class="legend"><i class="own"></i> the tool's own time <i class="waited"></i> waiting for hosts and the cluster</p>
            <ol class="timeline">
            \(rows.joined(separator: "\n"))
            </ol>
            </section>
            """
    }

    private var comparison: String {
        guard let before = report.before else { return "" }
        guard let after = report.after else {
            return section(
                "Before", Self.table(["", "Before"], Comparison.rows(before, before).map { Array($0.prefix(2)) }))
        }
        return section(
            "Before and after",
            Self.table(["", "Before", "After"], Comparison.rows(before, after)) { $0[1] != $0[2] })
    }

    private var destroyed: String {
        section(
            "Destroyed",
            report.destroyed.isEmpty ? "<p>Nothing.</p>" : Self.list(report.destroyed, "destroyed"))
    }

    private var remaining: String {
        report.remaining.isEmpty ? "" : section("Left to do", Self.list(report.remaining, "remaining"))
    }

    private var warnings: String {
        report.warnings.isEmpty ? "" : section("Warnings", Self.list(report.warnings, "warnings"))
    }

    private var commands: String {
        guard !report.commands.isEmpty else { return "" }
        let titles = Dictionary(report.steps.map { ($0.id, $0.title) }) { first, _ in first }
        let given = events.filter { $0.event == .command }
        let groups = Array(uniqued: given.map { $0.step ?? "" }).map { step -> String in
            let own = Array(uniqued: given.filter { ($0.step ?? "") == step }.compactMap(\.text))
            let lines = own.map(Self.escape)
            return """
                <details><summary>\(Self.escape(titles[step] ?? "Around the steps")) <small>\(own.count)</small></summary>
                <pre>\(lines.joined(separator: "\n"))</pre></details>
                """
        }
        return section(
            "Commands run",
            "<p class=\"hint\">Each once in a step, however often it was retried.</p>\n"
                + groups.joined(separator: "\n"))
    }

    private var log: String {
        let lines = events.compactMap(Self.line)
        return section(
            "Log",
            "<details><summary>\(lines.count) lines</summary>\n<pre>\(lines.joined(separator: "\n"))</pre></details>")
    }

    private static func line(_ event: Event) -> String? {
        let words: String
        switch event.event {
        case .runStarted, .stepStarted: words = "<b>\(escape(event.title ?? ""))</b>"
        case .stepBegan: words = "begins: \(escape(event.text ?? ""))"
        case .waiting: words = "… \(escape(event.title ?? "")): \(escape(event.text ?? ""))"
        case .output: words = "| \(escape(event.text ?? ""))"
        case .note: words = escape(event.text ?? "")
        case .warning: words = "warning: \(escape(event.text ?? ""))"
        case .destroyed: words = "- \(escape(event.text ?? ""))"
        case .stepSkipped: words = "nothing to do: \(escape(event.text ?? ""))"
        case .stepPassedOver: words = "passed over: \(escape(event.text ?? ""))"
        case .stepFinished: words = "done in \(duration(event.elapsed ?? 0)): \(escape(event.text ?? ""))"
        case .stepFailed: words = "failed: \(escape(event.text ?? ""))"
        case .runAbandoned: words = "<b>given up: \(escape(event.text ?? ""))</b>"
        case .result: words = "<b>\(escape(event.text ?? ""))</b>"
        case .stateBefore, .stateAfter, .command, .destroying: return nil
        }
        return "<span>\(clock(event.at))</span> \(words)"
    }

    // MARK: Pieces

    private func section(_ title: String, _ content: String) -> String {
        "<section>\n<h2>\(title)</h2>\n\(content)\n</section>"
    }

    private static func table(
        _ header: [String], _ rows: [[String]], isMarked: ([String]) -> Bool = { _ in false }
    ) -> String {
        let head = header.map { "<th scope=\"col\">\($0)</th>" }.joined()
        let body = rows.map { row in
            let cells = zip(header, row).dropFirst().map { "<td data-name=\"\($0)\">\(escape($1))</td>" }.joined()
            return
                "<tr\(isMarked(row) ? " class=\"changed\"" : "")><th scope=\"row\">\(escape(row[0]))</th>\(cells)</tr>"
        }
        return "<table><thead><tr>\(head)</tr></thead>\n<tbody>\(body.joined(separator: "\n"))</tbody></table>"
    }

    private static func list(_ items: [String], _ kind: String) -> String {
        "<ul class=\"\(kind)\">\(items.map { "<li>\(escape($0))</li>" }.joined(separator: "\n"))</ul>"
    }

    private static func duration(_ seconds: Double) -> String {
        if seconds < 60 { return String(format: "%.1f s", seconds) }
        let whole = Int(seconds.rounded())
        return "\(whole / 60) min \(whole % 60) s"
    }

    private static func moment(_ date: Date) -> String {
        date.formatted(.iso8601.dateTimeSeparator(.space)).replacing("Z", with: " UTC")
    }

    private static func clock(_ date: Date) -> String {
        date.formatted(.iso8601.time(includingFractionalSeconds: false))
    }

    private static let style = """
        :root{color-scheme:light dark;--ink:#1c2330;--soft:#5b6472;--line:#d9dde3;--paper:#fff;--back:#f3f4f6;--own:#2456a6;--wait:#a9c3e8;--good:#1b7a3d;--bad:#b3261e;--open:#8a5a00;--mark:#fff6d6}
        @media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa4b2;--line:#333b47;--paper:#171b21;--back:#0f1216;--own:#8ab4f8;--wait:#3a5580;--good:#2f9e57;--bad:#d9534a;--open:#b8860b;--mark:#2d2a17}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--back);color:var(--ink);font:16px/1.45 system-ui,sans-serif}
        main{max-width:60rem;margin:0 auto;padding:1rem}
        header,section{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:1rem 1.1rem;margin:0 0 1rem}
        h1{font-size:1.35rem;line-height:1.25;margin:.5rem 0;overflow-wrap:anywhere}
        h2{font-size:1.05rem;margin:0 0 .6rem}
        p{margin:.3rem 0}
        .outcome{display:inline-block;margin:0;padding:.15rem .7rem;border-radius:1rem;color:#fff;font-weight:600}
        .outcome.good{background:var(--good)}.outcome.bad{background:var(--bad)}.outcome.open{background:var(--open)}
        .result{color:var(--bad);overflow-wrap:anywhere;white-space:pre-line}
        dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:.6rem 0 0}
        dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
        .legend,.hint,.seen{color:var(--soft);font-size:.85rem}
        .legend i{display:inline-block;width:.8rem;height:.8rem;border-radius:2px;margin:0 .2rem 0 .6rem;vertical-align:-1px}
        .legend i:first-child{margin-left:0}i.own{background:var(--own)}i.waited{background:var(--wait)}
        .timeline{list-style:none;margin:0;padding:0}
        .timeline li{padding:.45rem 0;break-inside:avoid}
        .step{display:flex;justify-content:space-between;gap:1rem;margin:0 0 .2rem}
        .step span{overflow-wrap:anywhere}.step b{white-space:nowrap;font-variant-numeric:tabular-nums}
        .failed b,.unfinished b,.passed-over b{color:var(--bad)}.skipped b{color:var(--soft);font-weight:400}
        svg{display:block}rect.rail{fill:var(--back)}rect.own{fill:var(--own)}rect.waited{fill:var(--wait)}
        .failed rect.waited{fill:var(--bad)}
        .seen{margin:.2rem 0 0;overflow-wrap:anywhere}
        table{width:100%;border-collapse:collapse;font-size:.9rem}
        th,td{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;border-top:1px solid var(--line);overflow-wrap:anywhere}
        thead th{border:0;color:var(--soft);font-weight:400}tbody th{font-weight:600}
        .changed td:last-child{background:var(--mark)}
        ul{margin:0;padding-left:1.1rem}li{overflow-wrap:anywhere}
        .destroyed li{font-family:ui-monospace,monospace;font-size:.82rem;padding:.1rem 0}
        details{border-top:1px solid var(--line);padding:.4rem 0}summary{cursor:pointer;overflow-wrap:anywhere}
        summary small{color:var(--soft)}
        pre{margin:.4rem 0 0;font:.78rem/1.5 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
        pre span{color:var(--soft)}
        @media(max-width:600px){main{padding:.5rem}header,section{padding:.8rem;border-radius:8px}
        dl{grid-template-columns:1fr;gap:0}dd{margin:0 0 .4rem}
        thead{display:none}tbody tr{display:grid;grid-template-columns:1fr 1fr;border-top:1px solid var(--line);padding:.35rem 0}
        tbody th,tbody td{border:0;padding:0 .5rem 0 0}tbody th{grid-column:1/-1}
        td::before{content:attr(data-name);display:block;color:var(--soft);font-size:.75rem}}
        @media print{:root{--ink:#000;--soft:#444;--paper:#fff;--back:#fff;--line:#bbb}body{font-size:11px}
        header,section{border:0;padding:0;margin:0 0 1.2rem}*{print-color-adjust:exact}
        details::details-content{content-visibility:visible;display:block;height:auto}}
        """
}
