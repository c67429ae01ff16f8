import Cluster
import Foundation
import Inventories
import Planning

/// The cluster as a whole.
enum ClusterChecks {
    static func findings(_ state: ClusterState, _ identity: Identity) -> [CheckReport.Finding] {
        guard state.cluster.source != nil else {
            return [
                .init(
                    code: .clusterSilent, severity: .failure, subject: "cluster",
                    text: "no master gave an answer: \(state.unreachableSummary)",
                    advice: state.survivorOfAll.map {
                        "etcd has no majority: bring another master back; if all others are dead for good, the cluster is recovered from this one: masterswap recover \($0.name)"
                    } ?? "look at kubelet and API server of the masters that are up")
            ]
        }
        var findings: [CheckReport.Finding] = []
        func add(
            _ code: CheckReport.Code, _ severity: CheckReport.Severity, _ subject: String, _ text: String,
            _ advice: String
        ) {
            findings.append(.init(code: code, severity: severity, subject: subject, text: text, advice: advice))
        }
        for problem in state.cluster.problems {
            add(.clusterUnread, .failure, "cluster", problem, "look at it on that host")
        }
        for run in state.unfinishedRuns {
            add(
                .runUnfinished, .warning, "cluster",
                "run \(run.run) (\(run.title)), begun \(run.startedAt.formatted(.iso8601)), is unfinished",
                "if nobody is at it: masterswap resume \(run.run)")
        }
        for node in state.objects.nodes {
            if !node.isReady {
                add(
                    .nodeNotReady, .failure, node.name, state.notReadyAge(of: node).text,
                    DeathAdvice.notReady(node, state))
            }
            if node.isCordoned {
                add(
                    .nodeCordoned, .warning, node.name, "the node is cordoned",
                    "if nobody needs that: kubectl uncordon \(node.name)")
            }
            if node.isControlPlane, identity.hosts(of: node).isEmpty {
                add(
                    .masterNotInInventory, .warning, node.name, "is a master that the inventory does not name",
                    "add it with 'role: master'; if it is one of the hosts, write under that one: 'node: \(node.name)'")
            }
        }
        for conflict in HostsAreNodes.conflicts(identity) {
            add(.hostUnclear, .failure, conflict.hosts[0], conflict.refusal.reason, conflict.refusal.advice)
        }
        for host in state.inventory.hosts where host.role == .spare && state.node(of: host)?.isControlPlane == true {
            add(
                .spareIsMaster, .warning, host.name, "is a master by now, and 'role: spare' in the inventory",
                "change its role")
        }
        for host in state.inventory.masters where state.nodes(of: host).isEmpty {
            add(
                .masterIsNoNode, .failure, host.name, "is no node of the cluster",
                "join it, or take it out of the inventory; if it is a node under another name and address, write: 'node: NAME'"
            )
        }
        if !state.cluster.apiAnswersOnVIP {
            add(
                .vipWithoutAPI, .failure, "vip",
                "no API server answers on \(state.inventory.cluster.vip):\(state.inventory.cluster.apiPort)",
                "look at the API server of its holder")
        }
        findings += EtcdChecks.findings(state, identity)
        let pending = state.objects.pods.filter(\.isPending).map(\.reference)
        if !pending.isEmpty {
            add(
                .podsPending, .warning, "pods", "Pending: \(pending.joined(separator: ", "))",
                "see why: kubectl describe pod")
        }
        return findings
    }
}
