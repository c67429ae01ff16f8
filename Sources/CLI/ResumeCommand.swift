import ArgumentParser
import Orchestrator

struct ResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Go on with a run that was cut off; the cluster is asked where it stands.",
        discussion: """
            Examples:
              masterswap resume
              masterswap resume 20261122-0301
            """)

    @Argument(help: ArgumentHelp("The run, or the beginning of its name (default: the newest).", valueName: "run"))
    var runName: String?
    @OptionGroup var options: GlobalOptions

    func run() async throws {
        try await Session.run(options) { [options, runName] session in
            let run = try RunStore().find(runName)
            if RunReport(run: run.id, events: try run.events()).status == 0 {
                let text = "Run \(run.id) is done and verified; there is nothing to resume."
                session.terminal.progress(text)
                return session.terminal.printEvent(Event(.result, text: text, status: 0, run: run.id))
            }
            let plan = try Replacement.plan(of: run)
            let replacement = session.replacement(options, resuming: plan)
            let masters = plan.survivors.compactMap { session.inventory.host(named: $0.host) }
            try await replacement.locked(by: masters) { lock in try await replacement.resume(run, lock: lock) }
        }
    }
}
