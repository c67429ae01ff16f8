import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Logging
import Planning
import Reporting
import SSH

struct InventoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inventory", abstract: "Check the inventory file, or write a first one.",
        subcommands: [Check.self, Init.self, Import.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check",
            abstract: "Read the inventory and name every mistake in it, with its line and what to write; asks no host.",
            discussion: """
                Ends with 0, or with 65 where there is a mistake or something is still to be filled in.

                Example:
                  masterswap inventory check -i inventory/lab.yaml
                """)

        @OptionGroup var inventory: InventoryOption
        @OptionGroup var options: GlobalOptions

        func run() throws {
            let terminal = Terminal(options)
            do {
                let inventory = try Inventory.read(self.inventory.path)
                let spares = inventory.hosts.count - inventory.masters.count
                terminal.answer(
                    "\(self.inventory.path): cluster \(inventory.cluster.name), \(inventory.masters.count) masters, \(spares) spare, \(inventory.workloads.count) workload rules: no mistake found"
                )
            } catch { throw Session.fail(error, terminal) }
        }
    }

    struct Init: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "init",
            abstract: "Write the inventory of a live cluster, by way of one of its masters; read-only.",
            discussion: """
                One master that is well and that your ssh_config reaches is enough. The spare machine and where the database's \
                password is kept are for you to fill in: 'masterswap inventory check' names those lines.

                Examples:
                  masterswap inventory init --host 10.127.100.234 --user root --out inventory/hosts.yaml
                  masterswap inventory init --host my-master --out -
                """)

        @Option(help: "A master that is well: an address, or a name that your ssh_config knows.")
        var host: String
        @Option(help: "The user to log in as (default: ssh_config's).") var user: String?
        @Flag(help: "Commands there are run as root by sudo (become: sudo).") var sudo = false
        @OptionGroup var target: Target
        @OptionGroup var options: HostOptions

        func run() async throws {
            let terminal = Terminal(options)
            let target = try target.checked(options.inventory, terminal)
            let logger: Logger?
            do { logger = try options.log.logger(terminal) } catch { throw Session.fail(error, terminal) }
            let password = options.connection.askSudoPassword ? terminal.askSecret("sudo password: ") : nil
            let pool = Session.pool(options.connection, terminal)
            let survey = ClusterSurvey(
                .init(host: host, user: user, become: sudo ? .sudo : .none), sudoPassword: password,
                connect: { endpoint in
                    let remote = pool.remote(endpoint)
                    return logger.map { remote.logging(to: $0) } ?? remote
                })
            do {
                try await Interrupt.cancelling { try target.write(try await survey.run(), terminal) }
                await pool.close()
            } catch {
                await pool.close()
                throw Session.fail(error, terminal)
            }
        }
    }

    struct Import: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "import", abstract: "Write an inventory from an ocboot configuration file; asks no host.",
            discussion: """
                Passwords in that file are not copied. Rules for workloads come from the cluster alone: 'inventory init'.

                Example:
                  masterswap inventory import /root/ocboot/config-k8s-ha.yml --out inventory/hosts.yaml
                """)

        @Argument(help: ArgumentHelp("What ocboot's run.py was given.", valueName: "ocboot-config")) var file: String
        @OptionGroup var target: Target
        @OptionGroup var inventory: InventoryOption
        @OptionGroup var options: GlobalOptions

        func run() throws {
            let terminal = Terminal(options)
            do {
                let target = try target.checked(inventory, terminal)
                try target.write(InventoryDraft(OcbootFile.read(file)), terminal)
            } catch let exit as ExitCode { throw exit } catch { throw Session.fail(error, terminal) }
        }
    }

    /// Where a draft goes.
    struct Target: ParsableArguments {
        @Option(help: "The file to write, or - for standard output (default: the inventory that -i names).") var out:
            String?
        @Flag(help: "Write over a file that is there.") var force = false

        /// Looks first, so that nobody waits for a draft that has no place to go.
        func checked(_ inventory: InventoryOption, _ terminal: Terminal) throws -> Place {
            let path = out ?? inventory.path
            let place = Place(path: path == "-" ? nil : (path as NSString).expandingTildeInPath)
            guard let path = place.path, !force, FileManager.default.fileExists(atPath: path) else { return place }
            throw Session.fail(
                ClusterError(
                    .localFile, host: "this machine", operation: "write \(path)", cause: "it is there already",
                    advice: "name another file with --out, or add --force to write over it"), terminal)
        }
    }

    struct Place: Sendable {
        /// `nil` for standard output.
        var path: String?

        func write(_ draft: InventoryDraft, _ terminal: Terminal) throws {
            guard let path else { return terminal.print(String(draft.text.dropLast())) }
            let folder = (path as NSString).deletingLastPathComponent
            if !folder.isEmpty {
                // What is wrong with the folder, writing into it tells.
                try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            }
            try OutputFile.write(Data(draft.text.utf8), to: path)
            terminal.answer(
                "\(path): \(draft.hosts.count) masters, VIP \(draft.vip ?? "not known"), \(draft.rules.count) workload rules"
            )
            for remark in draft.remarks { terminal.say("note: \(TerminalText.sanitize(remark))") }
            for item in draft.undecided {
                terminal.say("to decide: \(item.namespace) \(item.owner): \(item.claims.joined(separator: ", "))")
            }
            // The reader itself says what is left to do, in the words that `inventory check` has.
            do { _ = try Inventory.read(path) } catch let error as InventoryError { terminal.say("\(error)") }
            terminal.say("next: fill in those lines, then: masterswap inventory check -i \(path)")
        }
    }
}
