import Cluster
import Execution
import Foundation
public import Inventories
public import Planning
import SSH

/// A recovery's plan as a person reads it before agreeing, like ``PlanText``.
public struct RecoveryText: Sendable {
    public typealias Line = PlanText.Line

    private let plan: RecoveryPlan
    private let inventory: Inventory
    private let steps: [any Step]

    public init(_ plan: RecoveryPlan, _ inventory: Inventory) {
        self.plan = plan
        self.inventory = inventory
        steps = RecoverySteps.make(plan)
    }

    public var lines: [Line] {
        var lines = head + [Line("")] + legend
        for (index, step) in steps.enumerated() {
            lines += [
                Line(""), Line("\(index + 1). \(step.title) (about \(PlanText.duration(step.estimate)))", .step),
            ]
            lines += PlanText.head(of: step, promotion: step is PromoteStep ? plan.manifestDiff : nil)
            lines += step.commands(inventory).map { Line("     $ \($0)", .command) }
        }
        return lines + [Line(""), Line("What comes after it:", .heading)] + after.map { Line("     \($0)") } + [
            Line(""), Line(time),
        ]
    }

    private var head: [Line] {
        let etcd = plan.etcd
        return [
            Line(
                "Recover cluster \(plan.cluster) from \(plan.survivor.node) (\(plan.survivor.address)): a cluster of one master",
                .heading)
        ] + plan.dead.map { Line("  taken for dead: \($0.host) (\($0.address)): \($0.signs.joined(separator: "; "))") }
            + [
                Line(
                    "  etcd there: \(etcd.memberID.map { "member \($0)" } ?? "it tells nothing of itself"), its database has \(etcd.databaseBytes >> 10) KiB\(written)"
                )
            ]
            + (plan.snapshot.map {
                [Line("  the snapshot: \($0.path), \($0.bytes >> 10) KiB, \($0.text(at: plan.madeAt))")]
            } ?? [])
            + (plan.givesUp.map {
                [Line("  given up: unfinished run \($0.joined(separator: ", ")), which nobody can resume afterwards")]
            } ?? [])
            + warnings
    }

    private var warnings: [Line] {
        (plan.isUnfinished == true
            ? [
                Line(
                    "  WARNING: \(EtcdManifest.flag) is in etcd's manifest, and is taken out: what has joined since it was put there may have other data.",
                    .warning)
            ] : [])
            + (plan.snapshot.map { [Line("  WARNING: \(Self.loss($0, plan))", .warning)] } ?? []) + [
                Line(
                    "  WARNING: \(names) must never run again with the disks that they have: their etcd still believes in all members, and their keepalived in the VIP. What they wrote and \(plan.survivor.node) did not get is lost.",
                    .warning),
                Line(
                    "  WARNING: a broken link looks the same from here and from \(plan.survivor.host), which may both be on one side of it: see by console or power that \(names) are off.",
                    .warning),
            ]
    }

    private var written: String {
        plan.silentFor.map { ", and was last written or opened \(NotReadyAge.words(Double($0))) ago" } ?? ""
    }

    private var names: String { plan.dead.map(\.host).joined(separator: " and ") }

    private var legend: [Line] {
        let kubectl = Kubectl.words(
            inventory.cluster.distribution,
            apiServer: "\(IPAddress.inURL(plan.survivor.address)):\(inventory.cluster.apiPort)")
        return [
            Line("Commands stand as HOST: COMMAND; RUN is the run's name, kept by 'masterswap runs'. In them"),
            Line("  kubectl is: \(ShellQuoting.join(kubectl))"),
        ]
            + (plan.kind.hasEtcdctl
                ? [
                    Line(
                        "  etcdctl is: nsenter --target PID --mount -- etcdctl, PID being that of the static pod's etcd"
                    )
                ]
                : [])
    }

    private var after: [String] {
        plan.dead.map { "masterswap replace \($0.host) --with SPARE" } + [
            "each with a plan of its own, one after the other: it says which data their disks have taken along"
        ]
    }

    /// Right before the question.
    public var summary: [Line] {
        let members = plan.dead.compactMap { dead in dead.memberID.map { "etcd member \($0) of \(dead.host)" } }
        let destroyed = members + (plan.snapshot == nil ? [] : ["what was written since the snapshot"])
        let givenUp = plan.givesUp.map { [Line("To be given up: unfinished run \($0.joined(separator: ", "))")] } ?? []
        return warnings + [
            Line("To be destroyed: \(destroyed.isEmpty ? "nothing" : destroyed.joined(separator: ", "))", .destroyed)
        ] + givenUp + [Line(time)]
    }

    /// What a snapshot does not have. Of data that tell their revision it is known how much that is.
    private static func loss(_ snapshot: RecoveryPlan.Snapshot, _ plan: RecoveryPlan) -> String {
        let age = NotReadyAge.words(max(0, plan.madeAt.timeIntervalSince(snapshot.at)))
        let much: String? =
            if let before = plan.etcd.revision, let least = snapshot.revision, before > least {
                ", \(before - least) revisions"
            } else { nil }
        return
            "what the cluster has written in the \(age) since the snapshot is lost\(much ?? ""): objects made since are gone, those deleted since are back, and what runs in their name on \(plan.survivor.node) is ended or begun by that."
    }

    /// Seconds.
    public var estimate: Int { steps.reduce(0) { $0 + $1.estimate } }

    private var time: String {
        "An estimate: \(PlanText.duration(estimate)), as measured on the lab\(plan.kind.hasEtcdctl ? "; the kubelet may take five minutes to start the API server again" : "")."
    }
}
