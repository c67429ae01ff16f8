import ArgumentParser
import Foundation
import Orchestrator
import SSH

enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text, json
}

/// `HOST=SHA256:…`, as the error about an unknown host prints it.
struct AcceptedHostKey: ExpressibleByArgument {
    let acceptance: HostKeyAcceptance

    init?(argument: String) {
        guard let acceptance = HostKeyAcceptance(argument) else { return nil }
        self.acceptance = acceptance
    }
}

/// `HOST=SHA256:…`, as the error about a changed key prints it.
struct ReplacedHostKey: ExpressibleByArgument {
    let acceptance: HostKeyAcceptance

    init?(argument: String) {
        guard let acceptance = HostKeyAcceptance(argument, replacing: true) else { return nil }
        self.acceptance = acceptance
    }
}

/// What every verb takes.
struct GlobalOptions: ParsableArguments {
    @Option(
        name: [.customShort("i"), .customLong("inventory")],
        help: "The inventory (default: inventory/hosts.yaml, then $MASTERSWAP_INVENTORY).")
    var inventoryFile: String?

    @Option(help: "text, or json for scripts.")
    var output: OutputFormat = .text

    @Option(help: "Only hosts whose name matches this pattern (* and ?), or one of several with commas.")
    var limit: String?

    @Option(help: "Hosts talked to at the same time.")
    var concurrency: Int = 64

    @Option(help: "Seconds for dial, handshake and authentication.")
    var connectTimeout: Int = 10

    @Option(help: "Seconds for one remote command.")
    var commandTimeout: Int = 60

    @Option(help: "Seconds for the drain of the dead node.")
    var drainTimeout: Int = 30

    @Option(help: "Seconds for each single wait of a run.")
    var waitTimeout: Int = 900

    @Option(
        name: .customLong("accept-host-key"),
        help: ArgumentHelp(
            "Let the key of a host in that no known_hosts file names; it is written there.",
            valueName: "host=sha256:..."))
    var acceptedHostKeys: [AcceptedHostKey] = []

    @Option(
        name: .customLong("replace-host-key"),
        help: ArgumentHelp(
            "Let the changed key of a host in that was reinstalled; it takes the place of the old ones in known_hosts.",
            valueName: "host=sha256:..."))
    var replacedHostKeys: [ReplacedHostKey] = []

    @Flag(help: "Ask for the sudo password of hosts with 'become: sudo'; without it sudo must not want one.")
    var askSudoPassword = false

    @Flag(name: [.customShort("v"), .customLong("verbose")], help: "Say more: the commands that hosts are given.")
    var isVerbose = false

    @Flag(name: .customLong("no-color"), help: "No colors (also: NO_COLOR).")
    var noColor = false

    func validate() throws {
        for (name, value) in [
            ("--concurrency", concurrency), ("--connect-timeout", connectTimeout),
            ("--command-timeout", commandTimeout),
            ("--drain-timeout", drainTimeout), ("--wait-timeout", waitTimeout),
        ] where !(1...86400).contains(value) {
            throw ValidationError("\(name) must be from 1 to 86400, not \(value)")
        }
    }

    var inventoryPath: String {
        if let inventoryFile { return inventoryFile }
        let usual = "inventory/hosts.yaml"
        if FileManager.default.fileExists(atPath: usual) { return usual }
        return ProcessInfo.processInfo.environment["MASTERSWAP_INVENTORY"].flatMap { $0.isEmpty ? nil : $0 } ?? usual
    }
}
