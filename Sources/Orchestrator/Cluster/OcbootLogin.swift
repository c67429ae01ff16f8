package import Inventories

/// A place that ocboot logs in to by SSH when it runs on a master.
package struct OcbootLogin: Sendable, Hashable {
    package var address: String
    package var user: String
    package var port: Int

    package init(_ host: Inventory.Host, at address: String? = nil) {
        self.address = address ?? host.address
        user = host.ssh.user ?? "root"
        port = host.ssh.port ?? 22
    }

    /// The server answered, and took no key.
    package static func isDenied(_ cause: String) -> Bool { cause.lowercased().contains("denied") }

    /// The new host, and the master that ocboot runs on itself (`use_local: false`). On kubeadm the VIP, whose holder is asked for
    /// the join token with the same user and port (`delegate_to: controlplane_host`); on k3s every other master that is listed.
    static func all(of host: Inventory.Host, _ inventory: Inventory) -> [Self] {
        let others = inventory.hosts.filter { $0.name != host.name }
        let distribution = inventory.cluster.distribution
        var logins = others.filter { $0.role == .spare }.map { Self($0) } + [Self(host)]
        if distribution.ocbootAsksVIP { logins.append(Self(host, at: inventory.cluster.vip)) }
        if distribution.ocbootNamesEveryMaster { logins += others.filter { $0.role == .master }.map { Self($0) } }
        return Array(uniqued: logins)
    }
}
