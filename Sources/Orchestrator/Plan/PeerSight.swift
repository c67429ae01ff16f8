/// What one master says about whether another host is alive.
struct PeerSight: Sendable, Hashable {
    /// Who says it, by the inventory's name.
    var by: String
    /// `nil` where it did not tell.
    var sign: PeerView.Sign?

    var isAlive: Bool { if case .alive = sign { true } else { false } }
    var isSilent: Bool { if case .silent = sign { true } else { false } }
    /// `lzx-2: it does not answer ARP`.
    var text: String { "\(by): \(sign?.text ?? "did not tell")" }
}

extension ClusterState {
    /// How each of these masters that answers us sees a host.
    func sights(of host: String, by masters: [String]) -> [PeerSight] {
        masters.compactMap { name in
            hosts[name]?.facts.map { PeerSight(by: name, sign: $0.peers[host]?.sign) }
        }
    }

    /// Whoever sees a host alive: a master, or a spare, which may be on another network and whose silence says nothing.
    func lifeSigns(of host: String) -> [PeerSight] {
        sights(of: host, by: hosts.keys.filter { $0 != host }.sorted()).filter(\.isAlive)
    }
}
