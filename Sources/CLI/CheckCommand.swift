import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Look at every host and at the cluster, in parallel, read-only.",
        discussion: """
            Works with one master dead: that is when it is needed. What is different from the last check of the cluster is told, \
            too (not with --limit, --record or --replay); that one is kept beside the runs.

            Exit status, for cron: 0 where nothing failed (warnings do not count), 2 where a check failed, 4 where a master could \
            not be reached or trusted, 65 where the inventory is wrong. The JSON document has a schema: docs/check.schema.json.

            Examples:
              masterswap check
              masterswap check -i inventory/lab.yaml --output json
              masterswap check --record check.jsonl
              masterswap check --replay check.jsonl
              0 7 * * *  masterswap check -i /etc/masterswap/ha-test.yaml >/tmp/check 2>&1 || mail -s "ha-test" root </tmp/check
            """)

    @OptionGroup var recording: RecordingOptions
    @OptionGroup var limit: LimitOption
    @OptionGroup var options: HostOptions

    func run() async throws {
        let verb = RecordedVerb(
            options: recording, name: "check", arguments: limit.pattern.map { ["--limit", $0] } ?? [])
        try await Session.run(options, verb: verb) { [limit] session in
            var inventory = session.inventory
            inventory.hosts = try session.hosts(limit: limit.pattern)
            // A part of the hosts says nothing of the rest; a recording is told the same way wherever and whenever it is replayed.
            let isWhole = limit.pattern == nil && session.source.isHosts
            let here = isWhole ? KnownSnapshot.Here(of: inventory.cluster.name) : nil
            var report = CheckReport(try await session.observe(inventory), here: here, at: session.now)
            if isWhole {
                let history = ReportHistory()
                if let last = history.last(of: report.cluster, CheckReport.self) { report.compare(with: last) }
                do { try history.keep(report) } catch { session.terminal.say("warning: \(error)") }
            }
            if session.terminal.isJSON {
                try session.terminal.printJSON(report)
            } else {
                CheckView(report: report, terminal: session.terminal).lines.forEach(session.terminal.print)
            }
            if report.status != 0 { throw ExitCode(Int32(report.status)) }
        }
    }
}
