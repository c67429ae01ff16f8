import Cluster

/// One of the claims that a StatefulSet should have.
struct SetClaim {
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

    static func all(of set: StatefulSet, _ input: PlanningInput) -> [SetClaim] {
        let state = input.state
        let lost = Set(input.lost.compactMap { $0.claim?.uid })
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
                    isReady: pod.map(input.isReadyElsewhere) ?? false,
                    isLeaving: [
                        claim?.metadata, claim?.spec.volumeName.flatMap(state.objects.volume)?.metadata, pod?.metadata,
                    ].contains { $0?.deletionTimestamp != nil },
                    drive: claim?.spec.volumeName.flatMap { state.drives[$0] })
            }
        }
    }
}

extension MinIODrive {
    /// MinIO has a drive there, whole or not.
    var isFormatted: Bool {
        switch state {
        case .whole, .healing: true
        case .unformatted, .unknown: false
        }
    }
}
