import Cluster
import Inventories
import Planning

/// Waits until MinIO has healed a set's new drives. Terabytes take hours: nothing is cordoned meanwhile, and what counts is not how long
/// it takes but that it goes on.
struct HealStep: Step {
    let plan: Plan
    let rebuild: Plan.Rebuild

    var id: String { rebuild.healID }
    var title: String { "See statefulset \(rebuild.reference) healed" }
    let reason = "MinIO makes the new drives whole from the others; until it has, they count as lost."
    let effects: [Effect] = []
    /// Of the lab's small drives.
    var estimate: Int { 4 * drives.count }
    var leftUndone: String? {
        let later = RebuildRound.of(plan).drop { !$0.rebuilds.contains(rebuild) }.dropFirst().flatMap(\.rebuilds)
        return
            "until MinIO has healed them, the \(drives.count) new drives of \(rebuild.reference) count as lost: see to that before another master is touched"
            + (later.isEmpty ? "" : "; the run goes on to rebuild \(later.map(\.reference).joined(separator: ", "))")
    }

    private var drives: [Plan.LostClaim] { rebuild.drives }

    func check(_ context: RunContext) async throws -> StepStatus {
        for drive in drives {
            if let missing = try await missing(drive, context) { return .needed("\(missing)") }
        }
        return .satisfied(
            "\(drives.count) \(drives.count == 1 ? "drive" : "drives") healed, \(drives.count == 1 ? "its pod" : "their pods") Ready"
        )
    }

    func run(_ context: RunContext) async throws {
        for drive in drives {
            // Each look at it costs a walk over the drives.
            try await context.wait(
                for: "\(drive.claim.reference) to be healed", on: plan.replacement.host,
                stall: .init(limit: context.limits.healStalled, option: "--heal-stalled"), growingTo: .seconds(30)
            ) { () -> RunContext.Poll<Void> in
                guard let missing = try await missing(drive, context) else { return .done(()) }
                return .pending(missing.description, progress: missing.progress)
            }
        }
    }

    private func missing(_ drive: Plan.LostClaim, _ context: RunContext) async throws -> MinIOHealProof.Missing? {
        let kubectl = try context.kubectl()
        let placement = Placement(plan: plan, rebuild: rebuild)
        if let missing = try await placement.missing(drive, context) { return .init(missing) }
        guard let pod = try await placement.pod(drive, kubectl) else { return .init("its pod is not there") }
        guard pod.isReady else { return .init(Placement.state(of: pod)) }
        guard let name = try await placement.claim(drive, kubectl)?.spec.volumeName,
            let volume = try await kubectl.find(Volume.self, ["persistentvolume", name])
        else { return .init("its volume is not there") }
        return try await proof(of: pod, volume, kubectl).missing(context)
    }

    private func proof(of pod: Pod, _ volume: Volume, _ kubectl: Kubectl) async throws -> MinIOHealProof {
        let set = try await kubectl.get(StatefulSet.self, ["statefulset", rebuild.name, "-n", rebuild.namespace])
        let count = rebuild.redundancy?.replicas ?? set.replicas * max(1, set.templates.count)
        return MinIOHealProof(
            pod: pod, volume: volume, host: plan.replacement.host,
            peers: try await MinIOHealProof.peers(of: set, plan, kubectl),
            dataShards: rebuild.redundancy?.dataShards ?? MinIOParity(set).dataShards(drives: count, set),
            parity: MinIOParity(set), hasSeveralSets: count > MinIOParity.largestSet)
    }
}

extension Plan.Rebuild {
    /// The claims that MinIO heals. Where the data is beyond healing, and the operator said so, there is nothing to wait for.
    var drives: [Plan.LostClaim] { heal == .minio && !isDataLost ? claims.filter { $0.isDrive != false } : [] }
}
