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
    @Flag(help: "Where the old master answers again: stop its kubelet, take its keepalived and etcd manifests away.")
    var fence = false
    @OptionGroup var options: GlobalOptions

    func run() async throws {
        try await Session.run(options) { [options, runName, fence] session in
            let run = try RunStore().find(runName)
            let replacement = session.replacement(options)
            if fence { try await session.fence(try Replacement.plan(of: run).dead.host) }
            let masters = try Replacement.plan(of: run).survivors.compactMap { session.inventory.host(named: $0.host) }
            try await replacement.locked(by: masters) { lock in try await replacement.resume(run, lock: lock) }
        }
    }
}
