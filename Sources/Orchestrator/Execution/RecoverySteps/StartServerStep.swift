import Cluster
import Inventories
import Planning

/// Starts k3s as it was started before, and waits until its etcd is well alone.
struct StartServerStep: Step {
    let plan: RecoveryPlan

    let id = "start-k3s"
    var title: String { "Start k3s on \(plan.survivor.host) again" }
    let reason =
        "It runs as it did before, with one member. At the first start after a reset it renews its own node's password in the cluster."
    let estimate = 27
    var effects: [Effect] { [.changes("k3s on \(plan.survivor.host): enabled and started")] }

    func commands(_ inventory: Inventory) -> [String] {
        [PlannedCommands.told(plan.survivor.host, plan.kind.startEtcd)] + SurvivorMember.looks(plan)
    }

    private func whyNotSo(_ etcd: SurvivorEtcd, _ member: SurvivorMember) -> String? {
        if etcd.isPutAside { return "k3s is stopped" }
        if etcd.isForced { return "k3s server --cluster-reset is at work still" }
        return member.whyNotAlone(etcd)
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        let member = SurvivorMember(plan: plan, context: context)
        let etcd = try await member.look()
        if let why = whyNotSo(etcd, member) { return .needed(why) }
        return .satisfied("k3s runs; \(try member.compareData(etcd))")
    }

    func run(_ context: RunContext) async throws {
        let member = SurvivorMember(plan: plan, context: context)
        try await member.start()
        try await context.wait(for: "k3s on \(plan.survivor.host) to run with one member") {
            let etcd = try await member.look()
            return whyNotSo(etcd, member).map { .pending($0) } ?? .done(())
        }
    }
}
