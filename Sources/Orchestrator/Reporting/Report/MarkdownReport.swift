import Cluster
public import Execution
import Foundation
import Planning

extension RunReport {
    /// The report in Markdown.
    public var markdown: String {
        var text = "# Run \(run)\n\n"
        if let plan {
            text +=
                "Replace `\(plan.dead.node)` (\(plan.dead.address)) with `\(plan.replacement.node)` (\(plan.replacement.address)) in cluster `\(plan.cluster)`.\n\n"
        }
        if let recovery {
            text +=
                "Recover cluster `\(recovery.cluster)` from `\(recovery.survivor.node)` (\(recovery.survivor.address)); dead: \(recovery.dead.map { "`\($0.host)` (\($0.address))" }.joined(separator: ", ")).\n\n"
        }
        text += "- Outcome: **\(outcome)**\(result.map { ": " + Markdown.escape($0) } ?? "")\n"
        if let startedAt { text += "- Began: \(startedAt.formatted(.iso8601))\n" }
        if let endedAt { text += "- Ended: \(endedAt.formatted(.iso8601))\n" }
        text += String(
            format:
                "- Time in steps: %.1f s, of which %.1f s waiting for hosts and the cluster, %.1f s the tool's own\n\n",
            elapsed, waited, own)
        text += "## Steps\n\n"
        text += Markdown.table(
            ["Step", "Outcome", "Seconds", "Waiting", "Own", "Seen"],
            steps.map {
                [
                    $0.title, $0.outcome.words, String(format: "%.1f", $0.elapsed),
                    String(format: "%.1f", $0.waited), String(format: "%.1f", $0.own), $0.text ?? "",
                ]
            })
        text +=
            "\n## Destroyed\n\n"
            + (destroyed.isEmpty ? "Nothing.\n" : destroyed.map { "- \(Markdown.escape($0))\n" }.joined())
        if !warnings.isEmpty { text += "\n## Warnings\n\n" + warnings.map { "- \(Markdown.escape($0))\n" }.joined() }
        if !remaining.isEmpty {
            text += "\n## Left to do\n\n" + remaining.map { "- \(Markdown.escape($0))\n" }.joined()
        }
        if !commands.isEmpty {
            text += "\n## Commands run\n\n" + commands.map { "    \($0.replacing("\n", with: " "))\n" }.joined()
        }
        if let before, let after {
            text +=
                "\n## Before and after\n\n"
                + Markdown.table(["What", "Before", "After"], Comparison.rows(before, after))
        }
        return text
    }
}

enum Markdown {
    static func table(_ header: [String], _ rows: [[String]]) -> String {
        let lines = [header, header.map { _ in "---" }] + rows.map { $0.map(escape) }
        return lines.map { "| " + $0.joined(separator: " | ") + " |\n" }.joined()
    }

    static func escape(_ text: String) -> String {
        text.replacing("|", with: "\\|").replacing("\n", with: " ")
    }
}

/// Two states of a cluster side by side; rows are what, before, after.
public enum Comparison {
    public static func rows(_ before: ClusterSummary, _ after: ClusterSummary) -> [[String]] {
        func merged(_ name: String, _ before: [(String, String)], _ after: [(String, String)]) -> [[String]] {
            let names = Array(uniqued: before.map(\.0) + after.map(\.0))
            return names.map { key in
                [
                    "\(name) \(key)", before.first { $0.0 == key }?.1 ?? "–", after.first { $0.0 == key }?.1 ?? "–",
                ]
            }
        }
        func nodes(_ summary: ClusterSummary) -> [(String, String)] {
            summary.nodes.map { ($0.name, ($0.isReady ? "Ready" : "NotReady") + ($0.isCordoned ? ", cordoned" : "")) }
        }
        func members(_ summary: ClusterSummary) -> [(String, String)] {
            summary.members.map {
                ($0.name.isEmpty ? $0.id : $0.name, "\($0.id) " + ($0.isHealthy ? "healthy" : "not healthy"))
            }
        }
        func claims(_ summary: ClusterSummary) -> [(String, String)] {
            summary.claims.map { ($0.reference, [$0.phase, $0.node].compactMap { $0 }.joined(separator: " on ")) }
        }
        return merged("node", nodes(before), nodes(after)) + merged("etcd", members(before), members(after))
            + [["VIP", before.vipHolders.joined(separator: ", "), after.vipHolders.joined(separator: ", ")]]
            + merged("claim", claims(before), claims(after))
            + [["pods Pending", String(before.pendingPods.count), String(after.pendingPods.count)]]
    }
}
