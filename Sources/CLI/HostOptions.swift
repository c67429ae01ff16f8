import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting
import SSH

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

/// What every verb takes that asks hosts.
struct HostOptions: ParsableArguments {
    @OptionGroup var inventory: InventoryOption
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var log: LogOptions
    @OptionGroup var global: GlobalOptions
}

struct InventoryOption: ParsableArguments {
    @Option(
        name: [.customShort("i"), .customLong("inventory")],
        help: "The inventory (default: $MASTERSWAP_INVENTORY, then inventory/hosts.yaml).")
    var file: String?

    /// As they were given.
    var words: [String] { file.map { ["-i", $0] } ?? [] }

    var path: String {
        if let file { return file }
        let named = ProcessInfo.processInfo.environment["MASTERSWAP_INVENTORY"] ?? ""
        return named.isEmpty ? "inventory/hosts.yaml" : named
    }
}

struct ConnectionOptions: ParsableArguments {
    @Option(help: "Hosts talked to at the same time.")
    var concurrency: Int = 64

    @Option(help: "Seconds for dial, handshake and authentication.")
    var connectTimeout: Int = 10

    @Option(help: "Seconds for a look at a host, and for a command of exec.")
    var commandTimeout: Int = 60

    @Option(
        name: .customLong("accept-host-key"),
        help: ArgumentHelp(
            "Trust this key of a host that no known_hosts file names, and add it there.",
            valueName: "host=sha256:..."))
    var acceptedHostKeys: [AcceptedHostKey] = []

    @Option(
        name: .customLong("replace-host-key"),
        help: ArgumentHelp(
            "Trust this key of a host that was reinstalled; it replaces the old ones in known_hosts.",
            valueName: "host=sha256:..."))
    var replacedHostKeys: [ReplacedHostKey] = []

    @Flag(help: "Ask for the sudo password of hosts with 'become: sudo'; without it sudo must not want one.")
    var askSudoPassword = false

    func validate() throws {
        try check("--concurrency", concurrency)
        try check("--connect-timeout", connectTimeout)
        try check("--command-timeout", commandTimeout)
    }
}

/// What `check` and `exec` share.
struct LimitOption: ParsableArguments {
    @Option(
        name: .customLong("limit"),
        help: "Only hosts whose name matches this pattern (* and ?), or one of several with commas.")
    var pattern: String?
}

/// - Throws: `ValidationError` for a number that is no count of seconds or hosts.
func check(_ name: String, _ value: Int) throws {
    guard (1...86400).contains(value) else {
        throw ValidationError("\(name) must be from 1 to 86400, not \(value)")
    }
}
