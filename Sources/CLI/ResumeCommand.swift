import ArgumentParser
import Cluster
import Drafting
import Execution
import Inventories
import Planning
import Reporting

struct ResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Go on with a run that was cut off; the cluster is asked where it stands.",
        discussion: """
            Examples:
              masterswap resume
              masterswap resume 20261122-0301
              masterswap resume --fence        the old master is back: stop what it runs, then go on
            """)

    @Argument(help: ArgumentHelp("The run, or the beginning of its name (default: the newest).", valueName: "run"))
    var runName: String?
    @OptionGroup var fencing: FenceOptions
    @Flag(
        name: .shortAndLong,
        help: "Do not ask before fencing, or cleaning up after a failed join; required where there is no terminal.")
    var yes = false
    @OptionGroup var wait: WaitOption
    @OptionGroup var options: HostOptions

    func run() async throws {
        try await Session.run(options) { [options, wait, runName, fence = fencing.fence, yes] session in
            let run = try RunStore().find(runName)
            if RunReport(run: run.id, events: try run.events()).status == 0 {
                let text = "Run \(run.id) is done and verified; there is nothing to resume."
                session.terminal.progress(text)
                return session.terminal.printEvent(Event(.result, text: text, status: 0, run: run.id))
            }
            if let plan = try Recovery.plan(of: run) {
                guard !fence else {
                    throw ValidationError("--fence: run \(run.id) is a recovery, which fences nobody")
                }
                let recovery = session.recovery(wait, resuming: plan)
                try recovery.refuseOtherInventory(plan, run)
                return try await recovery.locked(on: plan.survivor.host) { lock in
                    try await recovery.resume(run, plan: plan, lock: lock)
                }
            }
            let planned = try Replacement.plan(of: run)
            let replacement = session.replacement(options.inventory, wait, resuming: planned)
            try replacement.refuseOtherInventory(planned, run)
            let masters = planned.survivors.compactMap { session.inventory.host(named: $0.host) }
            try await replacement.locked(by: masters) { lock in
                let plan = try await replacement.resumption(of: run, fence: fence)
                let added = PlanText(plan, session.inventory).added
                if !added.isEmpty {
                    added.flatMap(session.terminal.lines).forEach(session.terminal.progress)
                    if !yes { try await Confirmation.askForName(plan, session.terminal) }
                }
                try await session.replacement(options.inventory, wait, resuming: plan).resume(
                    run, plan: plan, lock: lock)
            }
        }
    }
}
