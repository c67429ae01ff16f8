import ArgumentParser
import Foundation
import Orchestrator

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Look at every host and at the cluster, in parallel, read-only.",
        discussion: """
            Works with one master dead: that is when it is needed. Ends with 0, with 2 where a check failed, with 4 where a \
            master could not be reached or trusted.

            Examples:
              masterswap check
              masterswap check -i inventory/lab.yaml --output json
            """)

    @OptionGroup var options: GlobalOptions

    func run() async throws {
        try await Session.run(options) { [options] session in
            var inventory = session.inventory
            inventory.hosts = try session.hosts(limit: options.limit)
            let report = CheckReport(await session.observe(inventory), at: Date())
            if session.terminal.isJSON {
                try session.terminal.printJSON(report)
            } else {
                CheckView(report: report, terminal: session.terminal).lines.forEach(session.terminal.print)
            }
            if report.status != 0 { throw ExitCode(Int32(report.status)) }
        }
    }
}
