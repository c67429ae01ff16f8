import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting

struct RunsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runs", abstract: "List the runs that were begun from this machine.",
        discussion: """
            Examples:
              masterswap runs
              masterswap runs --output json
            """)

    @OptionGroup var options: GlobalOptions

    func run() throws {
        let terminal = Terminal(options)
        let store = RunStore()
        let reports = store.runs().map { run in
            do { return RunReport(run: run.id, events: try run.events()) } catch {
                terminal.say("\(error)")
                return RunReport(run: run.id, events: [])
            }
        }
        if terminal.isJSON { return try terminal.printJSON(reports) }
        guard !reports.isEmpty else { return terminal.print("No run yet, under \(store.root).") }
        var table = Table(["RUN", "BEGAN", "CLUSTER", "DEAD", "WITH", "OUTCOME", "SECONDS"])
        table.rows = reports.map { report in
            [
                report.run, report.startedAt?.formatted(.iso8601) ?? "-",
                report.plan?.cluster ?? report.recovery?.cluster ?? "-",
                report.plan?.dead.node ?? report.recovery?.dead.map(\.node).joined(separator: ", ") ?? "-",
                report.plan?.replacement.node ?? (report.recovery == nil ? "-" : "a recovery"), report.outcome,
                String(format: "%.0f", report.elapsed),
            ]
        }
        terminal.lines(table).forEach(terminal.print)
    }
}
