import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting

/// The table of `check`: hosts, cluster, then what is wrong and what to do about it.
struct CheckView {
    let report: CheckReport
    let terminal: Terminal

    var lines: [String] {
        hostLines + [""] + clusterLines + [""] + findingLines + changeLines
    }

    private var hostLines: [String] {
        var table = Table([
            "HOST", "ADDRESS", "ROLE", "SSH", "CLOCK", "DISK", "KUBELET", "RUNTIME", "CERTS", "KEEPALIVED", "VIP",
            "SYSTEM",
        ])
        for host in report.hosts {
            guard host.reached else {
                table.rows.append([host.name, host.address, host.role, "NO", "-", "-", "-", "-", "-", "-", "-", "-"])
                continue
            }
            table.rows.append([
                host.name, host.address, host.role, "yes", host.clockOffset.map { String(format: "%+.1fs", $0) } ?? "-",
                host.diskUsedPercent.map { "\($0)%" } ?? "-", host.kubeletRuns == true ? "runs" : "-",
                host.runtimes.map { $0.isEmpty ? "-" : $0.joined(separator: ",") } ?? "-", certificates(host),
                host.keepalived.map { "\($0.state)/\($0.priority)" } ?? "-", host.holdsVip == true ? "HOLDS" : "-",
                host.system ?? "-",
            ])
        }
        return terminal.lines(table)
    }

    private func certificates(_ host: CheckReport.Host) -> String {
        guard let until = host.certificatesUntil else { return "-" }
        return "\(Int(until.timeIntervalSince(report.at) / 86400))d"
    }

    private var clusterLines: [String] {
        guard let source = report.source else { return ["cluster: no master gave an answer"] }
        let nodes = report.nodes.map {
            "\($0.name) \($0.ready ? "Ready" : "NotReady")\($0.cordoned ? ",cordoned" : "")"
        }
        let members = report.members.map {
            "\($0.name.isEmpty ? $0.id : $0.name) \($0.healthy ? "healthy" : "NOT healthy")"
        }
        let holders = report.vipHolders.isEmpty ? "no host" : report.vipHolders.joined(separator: " and ")
        let answers = report.apiAnswersOnVip ? "answers" : "DOES NOT answer"
        var lines = terminal.lines("nodes   ", nodes.joined(separator: ", "))
        lines += terminal.lines("etcd    ", members.isEmpty ? "not known" : members.joined(separator: ", "))
        lines += terminal.lines("vip     ", "\(report.vip) on \(holders); the API \(answers) there")
        if !report.pendingPods.isEmpty {
            lines += terminal.lines("pending ", report.pendingPods.joined(separator: ", "))
        }
        if let newest = report.snapshots?.first {
            lines += terminal.lines("snapshot ", "the newest is \(newest.text(at: report.at))")
        }
        lines.append(terminal.paint("(cluster \(report.cluster), read by way of \(source))", .dim))
        return lines
    }

    private var findingLines: [String] {
        if report.findings.isEmpty { return [terminal.paint("All is well.", .green)] }
        return report.findings.flatMap { finding in
            // A host's error message begins with its name already.
            let subject = finding.text.hasPrefix(finding.subject + ":") ? "" : "\(finding.subject): "
            let isFailure = finding.severity == .failure
            return terminal.lines(
                isFailure ? "FAIL  " : "warn  ", subject + finding.text, style: isFailure ? .red : .yellow)
                + terminal.lines("      → ", finding.advice)
        }
    }

    private var changeLines: [String] {
        guard let since = report.since, let changes = report.changes else { return [] }
        let moment = since.formatted(.iso8601.dateTimeSeparator(.space)).replacing("Z", with: " UTC")
        if changes.isEmpty { return ["", terminal.paint("Nothing else than at the last check, \(moment).", .dim)] }
        return ["", "Since the last check, \(moment):"]
            + changes.flatMap { change in
                // A host's error message begins with its name already.
                let subject = change.text.hasPrefix(change.subject + ":") ? "" : "\(change.subject): "
                return terminal.lines("  \(Self.mark(change.kind))", subject + change.text)
            }
    }

    private static func mark(_ kind: CheckReport.Change.Kind) -> String {
        switch kind {
        case .newProblem: "new   "
        case .goneProblem: "gone  "
        case .vipMoved: "VIP moved  "
        case .nodeAdded, .memberAdded: "+ "
        case .nodeRemoved, .memberRemoved: "- "
        }
    }
}
