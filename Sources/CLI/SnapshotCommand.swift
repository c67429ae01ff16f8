import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting

struct SnapshotCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot",
        abstract: "Save an etcd snapshot, and what a restore needs beside it, on this machine.",
        discussion: """
            The snapshot is taken of one healthy member, verified there and here. Beside it are kubeadm-config and, of every master \
            that answers, its certificates, with the CA's key, its manifests and its configuration: all of it is as secret as \
            the cluster itself, and only its owner can read it. Nothing of it stays on the masters.

            Examples:
              masterswap snapshot
              masterswap snapshot --keep 60
              0 */12 * * *  masterswap snapshot -i /etc/masterswap/ha-test.yaml >/tmp/snapshot 2>&1 || mail -s "ha-test" root </tmp/snapshot
            """)

    @Option(help: "How many snapshots of this cluster to keep, the new one among them; older ones are deleted.")
    var keep = 14
    @OptionGroup var options: HostOptions

    func validate() throws {
        guard (1...10_000).contains(keep) else { throw ValidationError("--keep must be from 1 to 10000, not \(keep)") }
    }

    func run() async throws {
        try await Session.run(options) { [keep] session in
            let backup = ClusterBackup(try await session.observe(), session.remotes)
            let (snapshot, deleted) = try await backup.run(keep: keep)
            let terminal = session.terminal
            if terminal.isJSON { return try terminal.printJSON(snapshot) }
            let content = snapshot.revision.flatMap { revision in
                snapshot.keys.map { " at revision \(revision), \($0) keys" }
            }
            terminal.print(
                "\(snapshot.directory): etcd\(content ?? ""), \(snapshot.bytes >> 10) KiB, verified; taken of \(snapshot.host), with the certificates and manifests of \(snapshot.masters.joined(separator: ", "))"
            )
            for directory in deleted { terminal.say("deleted: \(directory)") }
        }
    }
}
