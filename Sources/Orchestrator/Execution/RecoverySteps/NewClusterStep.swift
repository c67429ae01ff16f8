import Cluster
import Inventories
import Planning

/// Runs etcd once with `--force-new-cluster`: the same data, and the survivor as the only member.
struct NewClusterStep: Step {
    let plan: RecoveryPlan

    static let stepID = "new-cluster"
    let id = stepID
    var title: String { "Run etcd on \(plan.survivor.host) as a cluster of one member" }
    let reason = "Its majority is gone for good: etcd itself forgets the other members, and keeps the data."
    let estimate = 25
    var effects: [Effect] {
        [
            .changes("\(EtcdManifest.path) on \(plan.survivor.host): + \(EtcdManifest.flag), until the next step")
        ] + forgotten.map { .destroys($0) }
    }

    private var forgotten: [String] { SurvivorMember.forgotten(plan) }

    func commands(_ inventory: Inventory) -> [String] {
        ["\(plan.survivor.host): write \(EtcdManifest.path) # with \(EtcdManifest.flag)"] + SurvivorMember.looks(plan)
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        try await SurvivorMember(plan: plan, context: context).checkAlone(id)
    }

    func run(_ context: RunContext) async throws {
        let member = SurvivorMember(plan: plan, context: context)
        if try !member.hasLooked, plan.isUnfinished != true { try await member.assertNoMajority() }
        guard let forcing = try member.manifest(try await member.look()).forcing else {
            throw ClusterError(
                .badOutput, host: plan.survivor.host, operation: "edit \(EtcdManifest.path)",
                cause: "it has no line '- etcd' to put \(EtcdManifest.flag) after",
                advice: "see who changed it; then: masterswap resume")
        }
        for member in forgotten { try context.record(Event(.destroying, step: id, text: member)) }
        try await context.assertMayAct()
        try await member.write(forcing)
        try await context.wait(for: "etcd on \(plan.survivor.host) to be the only member") {
            () -> RunContext.Poll<Void> in
            let etcd = try await member.look()
            guard etcd.isForced || member.whyNotAlone(etcd) == nil else {
                return .pending(etcd.isRunning ? "the old process still runs" : "etcd does not run")
            }
            return member.whyNotAlone(etcd).map { .pending($0) } ?? .done(())
        }
        for member in forgotten { context.destroyed(member) }
    }

    /// The flag must not outlive a run: with it, each start of etcd forgets whoever has joined.
    func undo(_ context: RunContext) async throws {
        let member = SurvivorMember(plan: plan, context: context)
        guard let manifest = try await member.look().manifest, manifest.isForcing else { return }
        try await member.write(manifest.first)
        context.note("\(EtcdManifest.flag) is out of \(EtcdManifest.path) on \(plan.survivor.host)")
    }
}
