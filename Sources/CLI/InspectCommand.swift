import ArgumentParser
import Cluster
import Drafting
import Execution
import Inventories
import Planning
import Reporting

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show a node's volumes, their claims, pods and owners, and what would be done to each.",
        discussion: """
            Volumes are found by their node affinity and the nodes' labels, never by names. A node that was deleted by hand is known by what
            it left: its etcd member, kubeadm's ClusterStatus, its volumes.

            Example:
              masterswap inspect lzx-ocboot-ha-test
            """)

    @Argument(help: "An inventory name, a node name or an address.") var node: String
    @OptionGroup var recording: RecordingOptions
    @OptionGroup var options: HostOptions

    func run() async throws {
        let verb = RecordedVerb(options: recording, name: "inspect", arguments: [node])
        try await Session.run(options, verb: verb) { [node] session in
            let state = try await session.observe()
            let inspection = try Inspection(state, of: node)
            if session.terminal.isJSON { return try session.terminal.printJSON(inspection) }
            InspectView(inspection: inspection, terminal: session.terminal).lines.forEach(session.terminal.print)
        }
    }
}

struct InspectView {
    let inspection: Inspection
    let terminal: Terminal

    var lines: [String] {
        let condition =
            inspection.isSpare
            ? "a spare, no node of the cluster"
            : inspection.isDeleted ? "deleted from the cluster" : inspection.isReady ? "Ready" : "NotReady"
        var lines = [terminal.paint("\(inspection.node) (\(inspection.address)), \(condition)", .bold)]
        lines += inspection.remarks + [""]
        if inspection.volumes.isEmpty {
            lines.append("No volume is bound to it.")
        } else {
            var table = Table(["CLAIM", "VOLUME", "PHASE", "PODS", "OWNER", "RULE", "WHAT WOULD BE DONE"])
            table.rows = inspection.volumes.map {
                [
                    $0.claim ?? "-", $0.volume, $0.phase, $0.pods.isEmpty ? "-" : $0.pods.joined(separator: ","),
                    $0.owner ?? "-", $0.rule ?? "none",
                    $0.action,
                ]
            }
            lines += terminal.lines(table)
        }
        lines += ["", "Other pods on it: \(inspection.otherPods.count)"]
        if !inspection.otherPods.isEmpty {
            var table = Table(["POD", "PHASE", "OWNER"])
            table.rows = inspection.otherPods.map {
                [$0.pod, $0.phase, $0.isLost ? "NONE: nothing recreates it" : $0.owner ?? "-"]
            }
            lines += terminal.lines(table)
        }
        let refused = inspection.volumes.filter { $0.isRefused && $0.isOnNode }.compactMap(\.claim)
        if !refused.isEmpty {
            lines += [
                "",
                terminal.paint(
                    "No rule for \(refused.joined(separator: ", ")): a replacement is refused until the inventory's 'workloads' name it.",
                    .red),
            ]
        }
        let undecided = inspection.volumes.filter { $0.isRefused && !$0.isOnNode }.compactMap(\.claim)
        if !undecided.isEmpty {
            lines += [
                "",
                terminal.paint(
                    "Where the data of \(undecided.joined(separator: ", ")) is cannot be told: a replacement is refused until that is clear, or the inventory says to leave the claim.",
                    .red),
            ]
        }
        return lines
    }
}
