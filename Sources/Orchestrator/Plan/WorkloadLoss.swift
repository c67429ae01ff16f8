/// The lost claims of one workload, and what is left of it. The unit is the claim: for MinIO it is the drive, of which a pod has as
/// many as the set has claim templates.
struct WorkloadLoss {
    var namespace: String
    var target: Inventory.Workload.Target
    var data: Inventory.Workload.DataClass
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
    var unknown: [String] = []
    /// Drives elsewhere that could not be looked at, each with the reason: they count as lost.
    var unseen: [String] = []
    var isParityKnown = true
    /// Each set of drives that share their objects; a workload that nothing heals is one that may lose nothing.
    var sets: [ErasureSet]
    /// Claims of templates that MinIO has no drive on.
    var notDrives: Set<String> = []
    /// Drives that count as lost as nobody could look at them, and those whose last heal has ended and left something out.
    var warnings: [String] = []

    struct ErasureSet {
        var size: Int
        /// On the dead node, being healed, or not looked at.
        var gone: Int
        /// How many may be gone without losing data.
        var parity: Int
    }

    /// Lost claims that MinIO has no drive on: nothing heals what they held.
    var unhealed: [ObjectReference] { claims.filter { notDrives.contains($0.name) } }

    var name: String { "\(namespace)/\(target.name)" }
    var isRedundant: Bool { unknown.isEmpty && sets.allSatisfy { $0.gone <= $0.parity } }
    var othersAreHealthy: Bool { healthy == total - lost }
    var isCovered: Bool { isRedundant && othersAreHealthy }
    /// The set that is worst off.
    private var worst: ErasureSet? {
        sets.max { ($0.gone - $0.parity, $0.size) < ($1.gone - $1.parity, $1.size) }
    }

    /// For the plan of a StatefulSet; the worst set's numbers where there are several.
    var redundancy: Plan.Redundancy {
        .init(
            replicas: total, lost: lost, mayBeLost: worst?.parity ?? 0, healthy: healthy,
            dataShards: worst.map { $0.size - $0.parity })
    }

    /// What would have to be agreed to; `nil` where the data may go, or was agreed to.
    func lossFlags(_ proposal: Proposal, of claims: [ObjectReference]? = nil) -> String? {
        let missing = data == .disposable ? [] : (claims ?? self.claims).filter { !proposal.accepts($0) }
        return missing.isEmpty ? nil : missing.map { "--accept-data-loss \($0.reference)" }.joined(separator: " ")
    }

    /// One for each workload that a claim is to be rebuilt of, in the order of the lost claims.
    static func all(_ proposal: Proposal) -> [WorkloadLoss] {
        var order: [Inventory.Workload] = []
        var claims: [Inventory.Workload: [ObjectReference]] = [:]
        for lost in proposal.lost {
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
                let set = proposal.state.statefulSet(workload.namespace, name)
            else { return loss }
            loss.count(SetClaim.all(of: set, proposal), set, isMinIO: heal == .minio)
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

/// One of the claims that a StatefulSet should have.
private struct SetClaim {
    enum Condition {
        case whole
        case unwell(String)
        case unseen(String)
    }

    var name: String
    var template: String
    var podName: String
    /// On the dead node.
    var isLost: Bool
    var isBound: Bool
    /// Its replica runs elsewhere and is Ready.
    var isReady: Bool
    /// It, its volume or its pod is being deleted.
    var isLeaving: Bool
    /// What was seen of it, where it is MinIO's; `nil` where nobody looked.
    var drive: MinIODrive?

    /// What it held does not count.
    var isGone: Bool {
        if isLeaving { return true }
        return switch drive?.state {
        case .healing, .unformatted, .unknown, nil: true
        case .whole: false
        }
    }

    func condition(isMinIO: Bool) -> Condition {
        if isLeaving { return .unwell("the claim \(name), its volume or its pod is being deleted") }
        guard isBound else { return .unwell("the claim \(name) is not Bound") }
        guard isReady else { return .unwell("\(podName) is not Ready") }
        guard isMinIO else { return .whole }
        switch drive?.state {
        case .whole: return .whole
        case .healing(let progress):
            return .unwell(
                "the drive of \(name) is still being healed\(progress.map { " (\($0))" } ?? "")")
        case .unformatted: return .unwell("there is nothing of MinIO on the drive of \(name)")
        case .unknown(let why): return .unseen("whether the drive of \(name) is whole: \(why)")
        case nil: return .unseen("whether the drive of \(name) is whole: it was not looked at")
        }
    }

    /// A drive of another deployment than most of the set's, and each of two that have one id, hold nothing that can be counted
    /// on: MinIO takes neither in.
    static func setStrangersAside(among claims: inout [SetClaim]) {
        let layouts = claims.filter { !$0.isLost }.compactMap(\.drive?.layout)
        let deployments = Dictionary(layouts.map { ($0.deployment, 1) }, uniquingKeysWith: +)
        let ids = Dictionary(layouts.map { ($0.id, 1) }, uniquingKeysWith: +)
        let own = deployments.first { $0.value * 2 > layouts.count }?.key
        for index in claims.indices where !claims[index].isLost {
            guard let layout = claims[index].drive?.layout else { continue }
            if ids[layout.id] != 1 {
                claims[index].drive = MinIODrive(.unknown("another drive has its id, \(layout.id), too"))
            } else if layout.deployment != own {
                claims[index].drive = MinIODrive(
                    .unknown(
                        "it is of the deployment \(layout.deployment), and \(own.map { "most others of \($0)" } ?? "the others of others")"
                    ))
            }
        }
    }

    static func all(of set: StatefulSet, _ proposal: Proposal) -> [SetClaim] {
        let state = proposal.state
        let lost = Set(proposal.lost.compactMap { $0.claim?.uid })
        return set.ordinals.flatMap { ordinal in
            set.templates.map { template in
                let name = set.claimName(template: template, ordinal: ordinal)
                let claim = state.objects.claim(set.namespace, name)
                let podName = "\(set.name)-\(ordinal)"
                let pod = state.objects.pods.first {
                    $0.namespace == set.namespace && $0.name == podName && $0.controller?.uid == set.uid
                }
                return SetClaim(
                    name: name, template: template, podName: podName,
                    isLost: claim.map { lost.contains($0.uid) } ?? false, isBound: claim?.isBound == true,
                    isReady: pod.map(proposal.isReadyElsewhere) ?? false,
                    isLeaving: [
                        claim?.metadata, claim?.spec.volumeName.flatMap(state.objects.volume)?.metadata, pod?.metadata,
                    ].contains { $0?.deletionTimestamp != nil },
                    drive: claim?.spec.volumeName.flatMap { state.drives[$0] })
            }
        }
    }
}

extension MinIODrive {
    fileprivate var isFormatted: Bool {
        switch state {
        case .whole, .healing: true
        case .unformatted, .unknown: false
        }
    }
}
