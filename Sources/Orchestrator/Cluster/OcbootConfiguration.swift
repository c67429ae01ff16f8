public import SSH
import Yams

/// ocboot's configuration file for joining one master, made from the inventory and the plan.
public enum OcbootConfiguration {
    /// The keys that are made here: with the value where it is always the same, `nil` where the inventory or the plan has it.
    static let madeForPrimary: [String: YAMLValue?] = [
        "hostname": nil, "use_local": .bool(false), "user": nil, "port": nil, "onecloud_version": nil, "version": nil,
        "db_host": nil, "db_user": nil, "db_password": nil, "db_port": nil, "image_repository": nil,
        "ha_using_local_registry": .bool(false), "node_ip": nil, "controlplane_host": nil, "controlplane_port": nil,
        "as_host": .bool(true), "high_availability": .bool(true), "use_ee": .bool(false), "enable_minio": .bool(true),
        "host_networks": nil,
    ]
    static let madeForMasters: [String: YAMLValue?] = [
        "controlplane_host": nil, "controlplane_port": nil, "as_controller": .bool(true), "as_host": .bool(true),
        "high_availability": .bool(true), "hosts": nil,
    ]

    /// The file's text. It holds the database password: it goes to the primary as 0600, and nowhere else.
    public static func text(_ plan: Plan, _ inventory: Inventory, password: Secret) throws -> String {
        guard let ocboot = inventory.ocboot, let primary = inventory.host(named: plan.primary.host),
            let replacement = inventory.host(named: plan.replacement.host)
        else {
            throw ClusterError(
                .changed, host: plan.primary.host, operation: "write ocboot's configuration",
                cause: "the inventory names the hosts or ocboot no more",
                advice: "resume with the inventory that the run was begun with")
        }
        let cluster = inventory.cluster
        let controlPlane: [YAMLEntry] = [
            YAMLEntry("controlplane_host", .string(cluster.vip)),
            YAMLEntry("controlplane_port", .string(String(cluster.apiPort))),
        ]
        func networks(_ host: Inventory.Host) -> YAMLValue {
            .string(ocboot.hostNetworks.replacing("{address}", with: host.address))
        }
        // ocboot goes to 22 where none is given.
        func port(_ host: Inventory.Host) -> [YAMLEntry] {
            host.ssh.port.map { [YAMLEntry("port", .plain(String($0)))] } ?? []
        }
        func entry(_ host: Inventory.Host) -> YAMLValue {
            .mapping(
                [YAMLEntry("user", .string(host.ssh.user ?? "root")), YAMLEntry("hostname", .string(host.address))]
                    + port(host) + [YAMLEntry("host_networks", networks(host))])
        }
        let primaryNode: [YAMLEntry] =
            [
                YAMLEntry("hostname", .string(primary.address)), YAMLEntry("use_local", .bool(false)),
                YAMLEntry("user", .string(primary.ssh.user ?? "root")),
            ] + port(primary) + [
                YAMLEntry("onecloud_version", .string(ocboot.onecloudVersion)),
                YAMLEntry("db_host", .string(ocboot.database.host)),
                YAMLEntry("db_user", .string(ocboot.database.user)),
                YAMLEntry("db_password", .string(password.reveal())),
                YAMLEntry("db_port", .string(String(ocboot.database.port))),
                YAMLEntry("image_repository", .string(ocboot.imageRepository)),
                YAMLEntry("ha_using_local_registry", .bool(false)), YAMLEntry("node_ip", .string(plan.primary.address)),
            ] + controlPlane + [
                YAMLEntry("as_host", .bool(true)), YAMLEntry("high_availability", .bool(true)),
                YAMLEntry("use_ee", .bool(false)),
                YAMLEntry("enable_minio", .bool(true)), YAMLEntry("host_networks", networks(primary)),
            ]
        // On k3s a single entry joins nothing: a surviving master that is not the primary is listed too.
        let companions =
            cluster.distribution == .k3s
            ? plan.survivors.filter { $0.host != plan.primary.host }.compactMap { inventory.host(named: $0.host) }
                .prefix(1) : []
        let masters: [YAMLEntry] =
            controlPlane + [
                YAMLEntry("as_controller", .bool(true)), YAMLEntry("as_host", .bool(true)),
                YAMLEntry("high_availability", .bool(true)),
                YAMLEntry("hosts", .sequence((companions + [replacement]).map(entry))),
            ]
        let whole = YAMLValue.mapping([
            YAMLEntry("primary_master_node", .mapping(merge(primaryNode, ocboot.primaryMasterNode))),
            YAMLEntry("master_nodes", .mapping(merge(masters, ocboot.masterNodes))),
        ])
        return try Yams.serialize(node: whole.node)
    }

    /// The inventory's own keys win over what is made here, and stand where those stood.
    private static func merge(_ made: [YAMLEntry], _ own: [YAMLEntry]) -> [YAMLEntry] {
        made.map { entry in own.first { $0.key == entry.key } ?? entry }
            + own.filter { entry in !made.contains { $0.key == entry.key } }
    }
}

extension YAMLValue {
    fileprivate var node: Yams.Node {
        switch self {
        case .scalar(let text, let quoted):
            .scalar(.init(text, .implicit, quoted ? .doubleQuoted : .any))
        case .sequence(let values): .sequence(.init(values.map(\.node)))
        case .mapping(let entries): .mapping(.init(entries.map { (Yams.Node($0.key), $0.value.node) }))
        }
    }
}
