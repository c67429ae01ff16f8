import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting

struct ReportCommand: ParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case markdown, html, json
    }

    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Show a run: its steps, times, what was destroyed, before and after.",
        discussion: """
            Examples:
              masterswap report 20261122-0301
              masterswap report 20261122-0301 --format html --out run.html
            """)

    @Argument(help: ArgumentHelp("The run, or the beginning of its name (default: the newest).", valueName: "run"))
    var name: String?
    @Option(help: "markdown, html (one file, for a browser) or json (default: markdown; json with --output json).")
    var format: Format?
    @Option(help: "Write it to this file.") var out: String?
    @OptionGroup var options: GlobalOptions

    func run() throws {
        let terminal = Terminal(options)
        do {
            let run = try RunStore().find(name)
            let events = try run.events()
            let report = RunReport(run: run.id, events: events)
            let text =
                switch format ?? (terminal.isJSON ? .json : .markdown) {
                case .markdown: report.markdown
                case .html: HTMLReport(report, events: events).text
                case .json: try Terminal.document(report) + "\n"
                }
            guard let out else { return terminal.print(String(text.dropLast())) }
            try OutputFile.write(Data(text.utf8), to: out)
            terminal.answer("\(out): written")
        } catch { throw Session.fail(error, terminal) }
    }
}
