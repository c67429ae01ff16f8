import Cluster
package import Inventories

/// The lost claims of one workload, and what is left of it. The unit is the claim: for MinIO it is the drive, of which a pod has as
/// many as the set has claim templates.
package struct WorkloadLoss {
    package var namespace: String
    package var target: Inventory.Workload.Target
    package var data: Inventory.Workload.DataClass
    /// Those to rebuild.
    var claims: [ObjectReference]
    /// All claims that the workload should have.
    var total: Int
    /// Those on the dead node, the ignored ones too.
    var lost: Int
    /// Elsewhere and whole.
    var healthy: Int
    /// Why the others elsewhere are not whole, each with its reason.
    var unwell: [String] = []
    /// What could not be found out, of what the data depends on.
    package var unknown: [String] = []
    /// Drives elsewhere that could not be looked at, each with the reason: they count as lost.
    var unseen: [String] = []
    var isParityKnown = true
    /// Each set of drives that share their objects; a workload that nothing heals is one that may lose nothing.
    var sets: [ErasureSet]
    /// Claims of templates that MinIO has no drive on.
    var notDrives: Set<String> = []
    /// Drives that count as lost as nobody could look at them, and those whose last heal has ended and left something out.
    var warnings: [String] = []

    package struct ErasureSet {
        package var size: Int
        /// On the dead node, being healed, or not looked at.
        package var gone: Int
        /// How many may be gone without losing data.
        package var parity: Int
    }

    /// Lost claims that MinIO has no drive on: nothing heals what they held.
    var unhealed: [ObjectReference] { claims.filter { notDrives.contains($0.name) } }

    package var name: String { "\(namespace)/\(target.name)" }
    package var isRedundant: Bool { unknown.isEmpty && sets.allSatisfy { $0.gone <= $0.parity } }
    var othersAreHealthy: Bool { healthy == total - lost }
    var isCovered: Bool { isRedundant && othersAreHealthy }
    /// The set that is worst off.
    package var worst: ErasureSet? {
        sets.max { ($0.gone - $0.parity, $0.size) < ($1.gone - $1.parity, $1.size) }
    }

    /// For the plan of a StatefulSet; the worst set's numbers where there are several.
    var redundancy: Plan.Redundancy {
        .init(
            replicas: total, lost: lost, mayBeLost: worst?.parity ?? 0, healthy: healthy,
            dataShards: worst.map { $0.size - $0.parity })
    }

    /// What would have to be agreed to; `nil` where the data may go, or was agreed to.
    func lossFlags(_ input: PlanningInput, of claims: [ObjectReference]? = nil) -> String? {
        let missing = data == .disposable ? [] : (claims ?? self.claims).filter { !input.accepts($0) }
        return missing.isEmpty ? nil : missing.map { "--accept-data-loss \($0.reference)" }.joined(separator: " ")
    }

    /// One for each workload that a claim is to be rebuilt of, in the order of the lost claims.
    static func all(_ input: PlanningInput) -> [WorkloadLoss] {
        var order: [Inventory.Workload] = []
        var claims: [Inventory.Workload: [ObjectReference]] = [:]
        for lost in input.lost {
            guard case .rebuild(let workload) = lost.action, let claim = lost.claim else { continue }
            if claims[workload] == nil { order.append(workload) }
            claims[workload, default: []].append(ObjectReference(.claim, claim))
        }
        return order.compactMap { workload in
            guard case .rebuild(let data, let heal, _) = workload.rule, let lost = claims[workload] else { return nil }
            var loss = WorkloadLoss(
                namespace: workload.namespace, target: workload.target, data: data, claims: lost, total: lost.count,
                lost: lost.count, healthy: 0, sets: [.init(size: lost.count, gone: lost.count, parity: 0)])
            guard case .statefulSet(let name) = workload.target,
                let set = input.state.statefulSet(workload.namespace, name)
            else { return loss }
            loss.count(SetClaim.all(of: set, input), set, isMinIO: heal == .minio)
            return loss
        }
    }

    private mutating func count(_ claims: [SetClaim], _ set: StatefulSet, isMinIO: Bool) {
        var claims = claims
        if isMinIO {
            // A template of which no claim elsewhere was formatted, where those of others were, holds something else.
            let elsewhere = Dictionary(grouping: claims.filter { !$0.isLost }, by: \.template)
            let others = Set(elsewhere.filter { $0.value.allSatisfy { $0.drive?.state == .unformatted } }.keys)
            if elsewhere.values.joined().contains(where: { $0.drive?.isFormatted == true }) {
                notDrives = Set(claims.filter { others.contains($0.template) }.map(\.name))
                claims.removeAll { others.contains($0.template) }
            }
            SetClaim.setStrangersAside(among: &claims)
        }
        total = claims.count
        lost = claims.count { $0.isLost }
        for claim in claims where !claim.isLost {
            switch claim.condition(isMinIO: isMinIO) {
            case .whole: healthy += 1
            case .unwell(let why): unwell.append(why)
            case .unseen(let why):
                // Its replica is Ready; what it holds is judged by one rule, the data's.
                healthy += 1
                unseen.append(why)
            }
        }
        guard isMinIO else {
            sets = [.init(size: total, gone: lost, parity: 0)]
            return
        }
        warnings = unseen.map { "it is not known \($0); it is counted as lost, and the others are enough" }
        warnings += claims.compactMap { claim in
            guard let failed = claim.drive?.failedItems, failed > 0 else { return nil }
            return
                "the last heal of the drive \(namespace)/\(claim.name) ended with \(failed) files that could not be healed: see mc admin heal"
        }
        let parity = MinIOParity(set)
        if let why = parity.unknown {
            isParityKnown = false
            unknown.append("how many drives \(name) may lose: \(why)")
        }
        sets = erasureSets(claims, set, parity)
    }

    private mutating func erasureSets(_ claims: [SetClaim], _ set: StatefulSet, _ parity: MinIOParity) -> [ErasureSet] {
        let elsewhere = claims.filter { !$0.isLost }
        let layouts = elsewhere.compactMap(\.drive?.layout).filter { !$0.sets.isEmpty }
        let looked = elsewhere.filter { $0.drive?.isFormatted == true }
        guard !layouts.isEmpty, layouts.count == looked.count else {
            // Without the drives' own word all that is lost may be of one set.
            let size = parity.smallestSet(drives: total, servers: set.replicas)
            let gone = lost + elsewhere.count { $0.isGone }
            return [.init(size: size, gone: gone, parity: parity.parity(ofSet: size) ?? 0)]
        }
        let present = Set(elsewhere.filter { !$0.isGone }.compactMap(\.drive?.layout?.id))
        let pools = Array(uniqued: layouts.map(\.sets))
        let known = pools.joined().reduce(0) { $0 + $1.count }
        if known < total {
            unknown.append(
                "\(total - known) of the \(total) drives of \(name) are in no erasure set that the others know: a pool may be lost as a whole"
            )
        }
        return pools.joined().map { ids in
            let gone = ids.count { !present.contains($0) }
            return ErasureSet(size: ids.count, gone: gone, parity: parity.parity(ofSet: ids.count) ?? 0)
        }
    }
}
