/// A volume that is on the dead node's disk only, and what hangs on it.
public struct LostVolume: Sendable, Hashable {
    public enum Action: Sendable, Hashable {
        /// Delete the claim and its pod; the StatefulSet makes both again.
        case rebuild(Inventory.Workload)
        case ignore
        /// Nothing claims it: the volume alone is deleted.
        case deleteVolume
        /// The inventory has no rule: refused.
        case noRule
    }

    public var volume: Volume
    public var claim: Claim?
    public var pods: [Pod]
    public var owner: String?
    public var action: Action
}

extension ClusterState {
    /// What hangs on a node by its volumes: found by the volumes' node affinity, never by names.
    public func lostVolumes(on node: Node) -> [LostVolume] { lostVolumes(onHostname: node.hostnameLabel) }

    /// By the hostname label that volumes name: it outlives the node itself, which somebody may have deleted already.
    func lostVolumes(onHostname hostname: String) -> [LostVolume] {
        objects.volumes.filter { $0.isOnly(onHostname: hostname) }.map { volume in
            guard let claim = claim(of: volume) else {
                return LostVolume(volume: volume, claim: nil, pods: [], owner: nil, action: .deleteVolume)
            }
            let action: LostVolume.Action =
                switch rule(for: claim) {
                case nil: .noRule
                case let rule?: rule.rule == .ignore ? .ignore : .rebuild(rule)
                }
            return LostVolume(
                volume: volume, claim: claim, pods: pods(mounting: claim), owner: owner(of: claim), action: action)
        }
        .sorted { ($0.claim?.reference ?? "~", $0.volume.name) < ($1.claim?.reference ?? "~", $1.volume.name) }
    }
}
