import Cluster
import Inventories
import Planning
import SSH

/// Gives etcd the manifest that it had, byte for byte but for a flag that somebody has left in it, and waits until it is well.
struct FirstManifestStep: Step {
    let plan: RecoveryPlan

    let id = "first-manifest"
    var title: String { "Give etcd on \(plan.survivor.host) its manifest back" }
    let reason = "Its data are restored: it runs as it ran before."
    let estimate = 24
    var effects: [Effect] {
        [
            .changes(
                "\(EtcdManifest.path) on \(plan.survivor.host): as it was"
                    + (plan.isUnfinished == true ? ", without \(EtcdManifest.flag)" : "")
                    + "; a kubelet that does not start it is restarted")
        ]
    }

    func commands(_ inventory: Inventory) -> [String] {
        ["\(plan.survivor.host): write \(EtcdManifest.path) # as it was"]
            + SurvivorMember.looks(plan) + [PlannedCommands.told(plan.survivor.host, Self.removal)]
    }

    private static let removal = Command(["rm", "-f", "--", EtcdManifest.keptPath], timeout: .seconds(20))

    func check(_ context: RunContext) async throws -> StepStatus {
        let member = SurvivorMember(plan: plan, context: context)
        let etcd = try await member.look()
        if let why = whyNotSo(etcd, member) { return .needed(why) }
        if etcd.kept != nil { return .needed("\(EtcdManifest.keptPath) is still there") }
        return .satisfied("it runs as before; \(try member.compareData(etcd))")
    }

    private func whyNotSo(_ etcd: SurvivorEtcd, _ member: SurvivorMember) -> String? {
        guard let manifest = etcd.manifest else { return "the manifest is not there" }
        if manifest.isForcing { return "\(EtcdManifest.flag) is in the manifest" }
        if etcd.isForced { return "the process with the flag still runs" }
        return member.whyNotAlone(etcd)
    }

    private func wait(_ member: SurvivorMember, _ limit: Duration? = nil) async throws {
        try await member.context.wait(for: "etcd on \(plan.survivor.host) to run", limit: limit) {
            let etcd = try await member.look()
            return whyNotSo(etcd, member).map { .pending($0) } ?? .done(())
        }
    }

    func run(_ context: RunContext) async throws {
        let member = SurvivorMember(plan: plan, context: context)
        let etcd = try await member.look()
        let first = try member.manifest(etcd).first
        if etcd.manifest != first { try await member.write(first) }
        do { try await wait(member, context.limits.kubelet) } catch let error as ClusterError
            where error.code == .waitTimedOut
        {
            let etcd = try await member.look()
            if !etcd.isRunning || etcd.isForced { try await member.restartKubelet("does not start etcd as it was") }
            try await wait(member)
        }
        let removed = try await context.remote(plan.survivor.host).run(Self.removal)
        guard removed.succeeded else { throw member.failure(Self.removal.display, removed) }
    }
}
