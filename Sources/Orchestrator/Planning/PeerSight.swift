package import Cluster

/// What one master says about whether another host is alive.
package struct PeerSight: Sendable, Hashable {
    /// Who says it, by the inventory's name.
    package var by: String
    /// `nil` where it did not tell.
    package var sign: PeerView.Sign?

    package init(by: String, sign: PeerView.Sign?) {
        self.by = by
        self.sign = sign
    }

    /// - Parameters:
    ///   - views: by address; `nil` where it told nothing.
    ///   - addresses: of the host in question. Without a view of each the result is unknown, unless one shows the host alive.
    package init(by: String, _ views: [String: PeerView]?, of addresses: [String]) {
        let signs = addresses.compactMap { address in views?[address].map { (address, $0.sign) } }
        let together = PeerView.Sign.together(signs)
        let isWhole = signs.count == addresses.count
        var isAlive = false
        if case .alive? = together { isAlive = true }
        self.init(by: by, sign: isAlive || isWhole ? together : nil)
    }

    package var isAlive: Bool { if case .alive = sign { true } else { false } }
    package var isUnresponsive: Bool { if case .silent = sign { true } else { false } }
    /// Why a host that does not answer here may live all the same: someone sees it, someone does not tell, or nobody is sure. `nil` where it
    /// is silent.
    package static func doubt(_ sights: [PeerSight]) -> String? {
        if let alive = sights.first(where: \.isAlive) { return alive.text }
        if let untold = sights.first(where: { $0.sign == nil }) { return untold.text }
        guard !sights.contains(where: \.isUnresponsive) else { return nil }
        return sights.isEmpty ? "no survivor looks at it" : sights.map(\.text).joined(separator: "; ")
    }

    /// `lzx-2: it does not answer ARP`.
    package var text: String { "\(by): \(sign?.text ?? "did not tell")" }
}

extension ClusterState {
    /// How each of these masters that answers us sees a host.
    package func sights(of host: String, by masters: [String]) -> [PeerSight] {
        let addresses = watchedAddresses(of: host)
        return masters.compactMap { name in
            hosts[name]?.facts.map { PeerSight(by: name, $0.peers, of: addresses) }
        }
    }

    /// Whoever sees a host alive: a master, or a spare, which may be on another network and whose silence says nothing.
    package func lifeSigns(of host: String) -> [PeerSight] {
        sights(of: host, by: hosts.keys.filter { $0 != host }.sorted()).filter(\.isAlive)
    }
}
