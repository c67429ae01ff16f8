/// What one master says about whether another host is alive.
struct PeerSight: Sendable, Hashable {
    /// Who says it, by the inventory's name.
    var by: String
    /// `nil` where it did not tell.
    var sign: PeerView.Sign?

    init(by: String, sign: PeerView.Sign?) {
        self.by = by
        self.sign = sign
    }

    /// - Parameters:
    ///   - views: by address; `nil` where it told nothing.
    ///   - addresses: of the host in question. One that was not told about is as good as no word at all, but for a sign of life.
    init(by: String, _ views: [String: PeerView]?, of addresses: [String]) {
        let signs = addresses.compactMap { address in views?[address].map { (address, $0.sign) } }
        let together = PeerView.Sign.together(signs)
        let isWhole = signs.count == addresses.count
        var isAlive = false
        if case .alive? = together { isAlive = true }
        self.init(by: by, sign: isAlive || isWhole ? together : nil)
    }

    var isAlive: Bool { if case .alive = sign { true } else { false } }
    var isSilent: Bool { if case .silent = sign { true } else { false } }
    /// `lzx-2: it does not answer ARP`.
    var text: String { "\(by): \(sign?.text ?? "did not tell")" }
}

extension ClusterState {
    /// Where a host can be alive: the inventory's address, and those that its node has beside that one. Its node may have registered
    /// with an address on another network than the one that it is reached on from here. What another machine has by now says nothing.
    func watchedAddresses(of host: String) -> [String] {
        guard let host = inventory.host(named: host) else { return [] }
        let others = inventory.hosts.filter { $0.name != host.name }.reduce(into: Set<String>()) {
            $0.formUnion(facts($1)?.ownAddresses(vip: inventory.cluster.vip) ?? [])
        }
        let further = (node(of: host)?.internalAddresses ?? []).filter { !others.contains($0) }
        return Array(uniqued: [host.address] + further)
    }

    /// How each of these masters that answers us sees a host.
    func sights(of host: String, by masters: [String]) -> [PeerSight] {
        let addresses = watchedAddresses(of: host)
        return masters.compactMap { name in
            hosts[name]?.facts.map { PeerSight(by: name, $0.peers, of: addresses) }
        }
    }

    /// Whoever sees a host alive: a master, or a spare, which may be on another network and whose silence says nothing.
    func lifeSigns(of host: String) -> [PeerSight] {
        sights(of: host, by: hosts.keys.filter { $0 != host }.sorted()).filter(\.isAlive)
    }
}
