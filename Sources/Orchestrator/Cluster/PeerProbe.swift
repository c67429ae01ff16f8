import Inventories

/// Looks at further addresses of the hosts that do not answer: those that their nodes have, and that no inventory names. They are known
/// only after the cluster was read.
struct PeerProbe: Sendable {
    let state: ClusterState

    init(_ state: ClusterState) {
        self.state = state
    }

    /// - Returns: by the inventory's name of the host that looked, and then by address.
    func run(_ remotes: Remotes) async -> [String: [String: PeerView]] {
        let peers = state.inventory.hosts.compactMap { host -> (name: String, peers: [PeerView.Peer])? in
            guard state.facts(host) == nil else { return nil }
            let further = state.watchedAddresses(of: host.name).filter { $0 != host.address }
            let peers = further.map { PeerView.Peer(host, at: $0, state.inventory.cluster) }
            return peers.isEmpty ? nil : (host.name, peers)
        }
        return await withTaskGroup(of: (String, [String: PeerView]).self) { group in
            for viewer in state.inventory.hosts where state.facts(viewer) != nil {
                for (name, peers) in peers {
                    group.addTask {
                        guard let remote = try? remotes[viewer] else { return (viewer.name, [:]) }
                        return (viewer.name, await PeerView.look(at: peers, of: name, from: remote) ?? [:])
                    }
                }
            }
            return await group.reduce(into: [:]) { views, seen in
                views[seen.0, default: [:]].merge(seen.1) { $1 }
            }
        }
    }
}

extension ClusterState {
    /// Where a host can be alive: the inventory's address, and those that its node has beside that one. Its node may have registered
    /// with an address on another network than the one that it is reached on from here. What another machine has by now says nothing.
    package func watchedAddresses(of host: String) -> [String] {
        guard let host = inventory.host(named: host) else { return [] }
        let others = inventory.hosts.filter { $0.name != host.name }.reduce(into: Set<String>()) {
            $0.formUnion(facts($1)?.ownAddresses(vip: inventory.cluster.vip) ?? [])
        }
        let further = (node(of: host)?.internalAddresses ?? []).filter { !others.contains($0) }
        return Array(uniqued: [host.address] + further)
    }
}
