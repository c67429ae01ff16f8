import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting

struct UnlockCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unlock", abstract: "Show who holds the cluster's lock, and release it after confirmation.",
        discussion: """
            A run that was cut off leaves its lock to run out by itself within half a minute. A run that still lives finds its \
            lock gone at its next destructive act, and stops.

            Example:
              masterswap unlock
            """)

    @Flag(name: .shortAndLong, help: "Do not ask; required where there is no terminal.") var yes = false
    @OptionGroup var options: HostOptions

    func run() async throws {
        try await Session.run(options) { [options, yes] session in
            let kubectl = try session.replacement(options.inventory).kubectl(session.inventory.masters)
            let terminal = session.terminal
            func end(_ text: String) {
                if !terminal.isJSON { terminal.print(text) }
                terminal.printEvent(Event(.result, text: text, status: 0))
            }
            guard let holder = try await ClusterLock.holder(kubectl) else { return end("Nobody holds the lock.") }
            terminal.progress("Held by \(holder).")
            terminal.printEvent(Event(.note, text: "Held by \(holder)."))
            if !yes { try await Confirmation.ask("Type 'unlock' to release it: ", expecting: "unlock", terminal) }
            try await ClusterLock.breakLock(kubectl, of: holder)
            end("The lock is released.")
        }
    }
}
