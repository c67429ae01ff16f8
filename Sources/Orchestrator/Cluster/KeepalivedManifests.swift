import Inventories

/// The manifests of keepalived on several masters, and what only their comparison shows. A master without one that could be read is left out.
public struct KeepalivedManifests: Sendable {
    public let all: [(host: String, manifest: KeepalivedManifest)]

    public init(of hosts: [String], _ state: ClusterState) {
        all = hosts.compactMap { name in state.hosts[name]?.facts?.manifest.map { (name, $0) } }
    }

    /// Masters whose keepalived never takes this VIP.
    public func hosts(without vip: String) -> [String] {
        all.filter { !$0.manifest.virtualIPs.contains(vip) }.map(\.host)
    }

    /// Those of one router id hear one another.
    public var haveOneRouterID: Bool { Set(all.map(\.manifest.routerID)).count <= 1 }

    public var haveOnePassword: Bool { Set(all.map(\.manifest.password)).count <= 1 }
}

extension ClusterState {
    /// Hosts on which kube-proxy has bound the VIP, since a Service has it among its addresses.
    public var hostsWithVIPOfService: [String] {
        inventory.hosts.filter { facts($0)?.hasAsService(inventory.cluster.vip) == true }.map(\.name)
    }
}
