import ArgumentParser
import Orchestrator

struct InventoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inventory", abstract: "Look after the inventory file.", subcommands: [Check.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check",
            abstract: "Read the inventory and name every mistake in it, with its line; asks no host.",
            discussion: """
                Example:
                  masterswap inventory check -i inventory/lab.yaml
                """)

        @OptionGroup var options: GlobalOptions

        func run() throws {
            let terminal = Terminal(options)
            do {
                let inventory = try Inventory.read(options.inventoryPath)
                terminal.print(
                    "\(options.inventoryPath): cluster \(inventory.cluster.name), \(inventory.masters.count) masters, \(inventory.hosts.count - inventory.masters.count) spare, \(inventory.workloads.count) workload rules: no mistake found"
                )
            } catch { throw Session.fail(error, terminal) }
        }
    }
}
