import ArgumentParser

@main
struct Masterswap: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "masterswap",
        abstract: "Replaces a dead master of a three-master Kubernetes cluster, over SSH, from your own machine.",
        discussion: """
            Look at the cluster, see what would be done, do it:
              masterswap check
              masterswap plan NODE --with SPARE
              masterswap replace NODE --with SPARE

            Exit status: 0 done and verified, 1 a fault of the program, 2 a check or a step failed, 3 refused by a safety \
            rule, 4 a needed host could not be reached or trusted, 5 cancelled by the operator, 6 another run holds the \
            lock, 64 usage, 65 the inventory is wrong, 130 interrupted.
            """,
        version: "0.1.0",
        subcommands: [
            CheckCommand.self, ReadyCommand.self, InspectCommand.self, PlanCommand.self, ReplaceCommand.self,
            RecoverCommand.self, ResumeCommand.self,
            SnapshotCommand.self, RunsCommand.self, ReportCommand.self, ExecCommand.self, InventoryCommand.self,
            UnlockCommand.self,
        ])
}
