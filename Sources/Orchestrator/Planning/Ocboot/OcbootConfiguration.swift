package import Cluster
import Foundation
package import Inventories
public import SSH
import Yams

/// ocboot's configuration file for joining one master.
///
/// Every key has one source: the cluster as it is, the inventory, or none, and then it is left out. What the cluster has is never
/// written over with a default. ocboot reads the same keys in all releases and passes over those that it does not know.
public enum OcbootConfiguration {
    /// Keys that are made here, so that an imported file's own are not kept: with the value where it is always the same, `nil` where it
    /// is read.
    package static let madeForPrimary: [String: YAMLValue?] = [
        "hostname": nil, "use_local": .bool(false), "user": nil, "port": nil, "onecloud_version": nil, "version": nil,
        "db_host": nil, "db_user": nil, "db_password": nil, "db_port": nil, "image_repository": nil,
        "ha_using_local_registry": .bool(false), "node_ip": nil, "controlplane_host": nil, "controlplane_port": nil,
        "as_host": nil, "as_host_on_vm": nil, "high_availability": .bool(true), "use_ee": .bool(false),
        "enable_minio": nil,
        "product_version": nil, "pod_network_cidr": nil, "service_cidr": nil, "service_dns_domain": nil,
        "ip_autodetection_method": nil, "registry_mirrors": nil, "insecure_registries": nil, "host_networks": nil,
    ]
    package static let madeForMasters: [String: YAMLValue?] = [
        "controlplane_host": nil, "controlplane_port": nil, "onecloud_version": nil, "as_controller": .bool(true),
        "as_host": nil, "as_host_on_vm": nil, "high_availability": .bool(true), "registry_mirrors": nil,
        "insecure_registries": nil, "hosts": nil,
    ]

    /// Stands for the password in what is shown and kept.
    static let mask = "••••"

    /// A node with the label runs onecloud's host service.
    package static let hostLabel = "onecloud.yunion.io/host"
    /// Of each master: ocboot joins them with `as_controller`.
    package static let controllerLabel = "onecloud.yunion.io/controller"

    /// Whether a configuration has the new master join with the host service; `nil` where ocboot decides it.
    package static func joinsAsHost(_ configuration: String) -> Bool? {
        guard let root = try? Yams.compose(yaml: configuration) else { return nil }
        return root["master_nodes"]?["as_host"]?.bool
    }

    /// What the file is made of, besides the inventory.
    package struct Source {
        package var inventory: Inventory
        package var ocboot: Inventory.Ocboot
        package var invocation: OcbootInvocation
        package var primary: Inventory.Host
        /// The primary's address in the cluster.
        var primaryAddress: String
        package var replacement: Inventory.Host
        /// The other masters, which ocboot lists on k3s.
        var companions: [Inventory.Host]
        package var cloud: CloudFacts
        var docker: DockerDaemon?
        /// Whether the primary, and the dead master, run the host service; `nil` where that is not known.
        var primaryIsHost: Bool?
        var deadWasHost: Bool?
    }

    /// The file's text, with ``mask`` in the place of the database's password.
    package static func text(_ source: Source) throws -> String {
        let (ocboot, cloud, cluster) = (source.ocboot, source.cloud, source.inventory.cluster)
        func written(_ key: String, _ value: String?) -> [YAMLEntry] {
            value.map { [YAMLEntry(key, .string($0))] } ?? []
        }
        func flag(_ key: String, _ value: Bool?) -> [YAMLEntry] { value.map { [YAMLEntry(key, .bool($0))] } ?? [] }
        func list(_ key: String, _ values: [String]?) -> [YAMLEntry] {
            values.flatMap { $0.isEmpty ? nil : [YAMLEntry(key, .sequence($0.map { .string($0) }))] } ?? []
        }
        // ocboot goes to 22 where none is given.
        func port(_ host: Inventory.Host) -> [YAMLEntry] {
            host.ssh.port.map { [YAMLEntry("port", .plain(String($0)))] } ?? []
        }
        func login(_ host: Inventory.Host) -> [YAMLEntry] {
            [YAMLEntry("user", .string(host.ssh.user ?? "root")), YAMLEntry("hostname", .string(host.address))]
                + port(host)
        }
        // On a virtual machine ocboot wants both. 3.8 knows the first alone, and passes over the other.
        func asHost(_ value: Bool?) -> [YAMLEntry] { flag("as_host", value) + flag("as_host_on_vm", value) }
        let controlPlane: [YAMLEntry] = [
            YAMLEntry("controlplane_host", .string(cluster.vip)),
            YAMLEntry("controlplane_port", .string(String(cluster.apiPort))),
        ]
        let version = YAMLEntry("onecloud_version", .string(ocboot.onecloudVersion))
        let registries =
            list("registry_mirrors", source.docker?.mirrors)
            + list("insecure_registries", source.docker?.insecureRegistries)
        // There is no enable_minio: it switches MinIO and glance's store on, and without it ocboot leaves both as they are.
        // A survivor gets no host_networks: it has its networks, and ocboot 4.0.4 fails where they are no longer on the interface.
        let primaryNode: [YAMLEntry] =
            [YAMLEntry("hostname", .string(source.primary.address)), YAMLEntry("use_local", .bool(false))]
            + [YAMLEntry("user", .string(source.primary.ssh.user ?? "root"))] + port(source.primary) + [version]
            + written("product_version", cloud.product) + [
                YAMLEntry("db_host", .string(ocboot.database.host)),
                YAMLEntry("db_user", .string(ocboot.database.user)),
                YAMLEntry("db_password", .string(mask)),
                YAMLEntry("db_port", .string(String(ocboot.database.port))),
                YAMLEntry("image_repository", .string(cloud.imageRepository ?? ocboot.imageRepository)),
                YAMLEntry("node_ip", .string(source.primaryAddress)),
            ] + controlPlane + asHost(source.primaryIsHost) + [
                YAMLEntry("high_availability", .bool(true)),
                YAMLEntry("use_ee", .bool(source.invocation.leavesUsersByEdition)),
            ] + written("pod_network_cidr", cloud.podNetwork)
            + written("service_cidr", cloud.serviceNetwork) + written("service_dns_domain", cloud.domain)
            + written("ip_autodetection_method", cloud.autodetection) + registries
        let new = YAMLValue.mapping(
            login(source.replacement) + [
                YAMLEntry(
                    "host_networks",
                    .string(ocboot.hostNetworks.replacing("{address}", with: source.replacement.address)))
            ])
        // On k3s ocboot waits until as many nodes are joined as it lists: every survivor is.
        let masters: [YAMLEntry] =
            controlPlane + [version, YAMLEntry("as_controller", .bool(true))] + asHost(source.deadWasHost)
            + [YAMLEntry("high_availability", .bool(true))] + registries
            + [YAMLEntry("hosts", .sequence(source.companions.map { .mapping(login($0)) } + [new]))]
        let whole = YAMLValue.mapping([
            YAMLEntry("primary_master_node", .mapping(merge(primaryNode, ocboot.primaryMasterNode))),
            YAMLEntry("master_nodes", .mapping(merge(masters, ocboot.masterNodes))),
        ])
        return try Yams.serialize(node: whole.node, width: -1, allowUnicode: true)
    }

    /// The text with the password. It goes to the primary as 0600, and nowhere else.
    /// - Throws: ``ClusterError`` where the text has no place for it.
    public static func fill(_ text: String, _ password: Secret, host: String) throws -> String {
        let place = "db_password: \"\(mask)\""
        let value = try Yams.serialize(node: YAMLValue.string(password.reveal()).node, width: -1)
            .trimmingCharacters(in: .newlines)
        func failure(_ cause: String, _ advice: String) -> ClusterError {
            ClusterError(
                .changed, host: host, operation: "write ocboot's configuration", cause: cause, advice: advice)
        }
        guard text.ranges(of: place).count == 1 else {
            throw failure(
                "the plan's configuration has no place for the database's password",
                "make a new plan: masterswap plan")
        }
        let rest = text.replacing(place, with: "")
        if let line = rest.split(separator: "\n").first(where: { $0.contains(mask) }) {
            throw failure(
                "the run's record does not keep the value of '\(line.split(separator: ":")[0].drop { " -".contains($0) })', and the inventory here does not have it",
                "write it under ocboot in the inventory, as where the run was begun, then: masterswap resume")
        }
        return text.replacing(place, with: "db_password: " + value)
    }

    /// The inventory's own keys win over what is made here, and stand where those stood.
    private static func merge(_ made: [YAMLEntry], _ own: [YAMLEntry]) -> [YAMLEntry] {
        made.map { entry in own.first { $0.key == entry.key } ?? entry }
            + own.filter { entry in !made.contains { $0.key == entry.key } }
    }
}

extension YAMLValue {
    var node: Yams.Node {
        switch self {
        case .scalar(let text, let quoted):
            .scalar(.init(text, .implicit, quoted ? .doubleQuoted : .any))
        case .sequence(let values): .sequence(.init(values.map(\.node)))
        case .mapping(let entries): .mapping(.init(entries.map { (Yams.Node($0.key), $0.value.node) }))
        }
    }
}
