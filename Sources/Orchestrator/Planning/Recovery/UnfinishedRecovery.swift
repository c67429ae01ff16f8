package import Cluster
package import Inventories

extension HostFacts.Recovery {
    package var reason: String {
        switch self {
        case .forced:
            "\(EtcdManifest.flag) is in \(EtcdManifest.path): each start of etcd forgets whoever has joined"
        case .stopped: "a recovery was cut off: etcd's manifest is put aside, as \(EtcdManifest.keptPath)"
        case .serverStopped: "a recovery was cut off: k3s is stopped and disabled, see \(ServerMark.path)"
        case .restoring: "a recovery was cut off while etcd's data were restored: they may not be whole"
        }
    }

    /// - Parameter host: by its inventory name.
    package func advice(on host: String) -> String {
        switch self {
        case .forced:
            "where a recovery was cut off: masterswap resume; else have one take it out: masterswap recover \(host)"
        case .stopped:
            "finish it where it was begun: masterswap resume; or, on \(host): mv \(EtcdManifest.keptPath) \(EtcdManifest.path)"
        case .serverStopped:
            "finish it where it was begun: masterswap resume; or, on \(host): systemctl enable --now k3s; rm \(ServerMark.path)"
        // Without its data an etcd that is started begins an empty cluster.
        case .restoring:
            "finish it, here or where it was begun: masterswap resume; start nothing there by hand"
        }
    }
}

extension ClusterState {
    /// The master that the cluster may be recovered from: the only one that answers, while all others are silent for it, too. What its
    /// etcd says is not known here.
    package var survivorOfAll: Inventory.Host? {
        let masters = inventory.masters
        guard cluster.source == nil, masters.count > 1 else { return nil }
        let reached = masters.filter { facts($0) != nil }
        guard reached.count == 1, let survivor = reached.first, facts(survivor)?.isBare == false else { return nil }
        let areSilent = masters.filter { $0.name != survivor.name }.allSatisfy { host in
            hosts[host.name]?.failure?.mayBeDead == true && lifeSigns(of: host.name).isEmpty
                && sights(of: host.name, by: [survivor.name]).contains(where: \.isUnresponsive)
        }
        return areSilent ? survivor : nil
    }
}
