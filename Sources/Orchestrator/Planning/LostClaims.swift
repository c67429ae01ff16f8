public import Cluster
public import Inventories

/// A volume whose data is on the dead node's disk only, or may be, and what hangs on it.
public struct LostVolume: Sendable, Hashable {
    public enum Action: Sendable, Hashable {
        /// Delete the claim and its pod; the StatefulSet, or the operator, recreates both.
        case rebuild(Inventory.Workload)
        case ignore
        /// Nothing claims it: the volume alone is deleted.
        case deleteVolume
        /// Nothing claims it, and it is left as it is; the text says why.
        case keep(String)
        /// The inventory has no rule: refused.
        case noRule
        /// Where its data is, or whether its claim would be recreated, is not known: refused. The text says why.
        case undecided(String)
    }

    public var volume: Volume
    public var claim: Claim?
    public var pods: [Pod]
    /// `kind/name`.
    public var owner: String?
    public var action: Action
    /// Its data is known to be on the dead node.
    public var isOnDeadNode: Bool

    /// Its reclaim policy says that whoever made it decides what becomes of its data: it is deleted only where that was agreed to.
    public var isKeptOnPurpose: Bool { !volume.mayBeDeleted }
    var policyText: String { "its reclaim policy is \(volume.spec.persistentVolumeReclaimPolicy ?? "not known")" }
}

extension ClusterState {
    /// The volumes of a node and what claims them: found by the volumes' node affinity and the nodes' labels, never by names. Where somebody
    /// has deleted the node already, its hostname label is all that is known of it.
    package func lostVolumes(of dead: Plan.DeadNode) -> [LostVolume] {
        if let node = objects.nodes.first(where: { $0.uid == dead.uid }) {
            let lost = lostVolumes(from: node.selectable, others: objects.nodes.filter { $0.uid != node.uid })
            // Where volumes name it as it is called now, volumes under other hostnames are ignored.
            let isCalledRightly = lost.contains { $0.isOnDeadNode && $0.claim != nil }
            return sorted(lost + (isCalledRightly ? [] : volumesUnderUnknownNames(than: node)))
        }
        let trace = SelectableNode(
            name: dead.node, labels: [Node.hostnameKey: dead.hostnameLabel], hasAllLabels: false)
        return sorted(lostVolumes(from: trace, others: objects.nodes))
    }

    private func sorted(_ lost: [LostVolume]) -> [LostVolume] {
        lost.sorted { ($0.claim?.reference ?? "~", $0.volume.name) < ($1.claim?.reference ?? "~", $1.volume.name) }
    }

    /// Claimed local volumes that name nodes of which none is there, while the dead one is: it may have been called so before its
    /// hostname label was changed. One whose pod is placed on another node is that one's.
    private func volumesUnderUnknownNames(than node: Node) -> [LostVolume] {
        objects.volumes.compactMap { volume in
            guard isLocal(volume), let claim = claim(of: volume), let names = volume.nodes,
                let selector = volume.spec.nodeAffinity?.required,
                !objects.nodes.contains(where: { selector.matches($0.selectable) == true })
            else { return nil }
            let pods = pods(mounting: claim)
            guard !pods.contains(where: { $0.nodeName != nil && $0.nodeName != node.name }) else { return nil }
            let name = names.joined(separator: ", ")
            return LostVolume(
                volume: volume, claim: claim, pods: pods, owner: owner(of: claim),
                action: rule(for: claim)?.rule == .ignore
                    ? .ignore
                    : .undecided(
                        "it names \(name), which no node is labelled; where \(node.name) had that hostname label before, give it back: kubectl label node \(node.name) \(Node.hostnameKey)=\(name) --overwrite"
                    ), isOnDeadNode: false)
        }
    }

    private func lostVolumes(from node: SelectableNode, others: [Node]) -> [LostVolume] {
        objects.volumes.compactMap { volume -> LostVolume? in
            let claim = claim(of: volume)
            let location = volume.location(from: node, others: others, isLocal: isLocal(volume))
            if location == .elsewhere { return nil }
            var lost = LostVolume(
                volume: volume, claim: claim, pods: claim.map(pods(mounting:)) ?? [], owner: claim.flatMap(owner(of:)),
                action: .noRule, isOnDeadNode: location == .here)
            if case .undecided(let why) = location {
                let rule = claim.flatMap(rule(for:))?.rule
                lost.action = claim == nil ? .keep(why) : rule == .ignore ? .ignore : .undecided(why)
            } else {
                lost.action = action(lost)
            }
            return lost
        }
    }

    /// The workload, `kind/name`, where it is being deleted: that it is there still says nothing of tomorrow.
    private func leaving(_ rule: Inventory.Workload) -> String? {
        func named(_ kind: String, _ object: (some KubernetesObject)?) -> String? {
            object?.metadata.deletionTimestamp == nil ? nil : "\(kind)/\(rule.target.name)"
        }
        return switch rule.target {
        case .statefulSet(let name): named("statefulset", statefulSet(rule.namespace, name))
        case .deployment(let name): named("deployment", deployment(rule.namespace, name))
        case .claim: nil
        }
    }

    /// Every replica is looked at, with each of its claims.
    private static let mostReplicas = 10_000

    /// What is done to a volume that is on the dead node for sure.
    private func action(_ lost: LostVolume) -> LostVolume.Action {
        guard let claim = lost.claim else { return lost.isKeptOnPurpose ? .keep(lost.policyText) : .deleteVolume }
        guard let rule = rule(for: claim) else { return .noRule }
        if rule.rule == .ignore { return .ignore }
        if let leaving = leaving(rule) {
            return .undecided("\(leaving) is being deleted, so that nothing would recreate the claim")
        }
        if case .statefulSet(let name) = rule.target, let set = statefulSet(claim.namespace, name),
            let ordinal = set.ordinal(ofClaim: claim.name)
        {
            guard set.replicas <= Self.mostReplicas else {
                return .undecided(
                    "statefulset/\(name) is to run \(set.replicas) replicas, more than can be counted (\(Self.mostReplicas))"
                )
            }
            guard !set.ordinals.contains(ordinal) else { return .rebuild(rule) }
            return .undecided(
                "statefulset/\(name) runs \(set.replicas) replicas and has no \(name)-\(ordinal), so that nothing would recreate the claim"
            )
        }
        return .rebuild(rule)
    }
}
