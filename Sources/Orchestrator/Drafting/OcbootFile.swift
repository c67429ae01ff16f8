package import Inventories
import Planning
import Yams

/// What an ocboot configuration file says that an inventory wants. Passwords in it are not kept.
public struct OcbootFile: Sendable, Hashable {
    public struct Master: Sendable, Hashable {
        public var address: String
        public var user: String?
        public var port: Int?
    }

    public var path: String
    /// The first one is what ocboot was begun with.
    public var masters: [Master]
    public var vip: String?
    public var apiPort: Int?
    public var settings: InventoryDraft.Ocboot
    /// Keys that were left out, as they hold secrets.
    public var secretKeys: [String]

    /// - Throws: ``InventoryError``.
    public static func read(_ file: String) throws -> OcbootFile {
        try OcbootFile(
            parsing: Inventory.text(of: file, advice: "name the file that ocboot's run.py was given"), path: file)
    }

    /// Reads a file with a `primary_master_node` section, as `run.py` takes it.
    /// - Throws: ``InventoryError``.
    public init(parsing text: String, path: String) throws {
        let problems = ProblemList()
        let root = try Inventory.compose(text, file: path, kind: "an ocboot configuration")
        guard let sections = StrictMapping(root, path: "the file", problems: problems),
            let primaryNode = sections.required("primary_master_node", meaning: "the section that ocboot begins with"),
            let primary = StrictMapping(primaryNode, path: "primary_master_node", problems: problems),
            let hostname = primary.requiredString("hostname", meaning: "the first master's address")
        else { throw InventoryError(file: path, problems: problems.problems) }
        let joined = sections.value("master_nodes").flatMap {
            StrictMapping($0, path: "master_nodes", problems: problems)
        }
        self.path = path
        secretKeys = []
        masters = [.init(address: hostname, user: primary.string("user"), port: primary.integer("port", in: 1...65535))]
        for item in joined?.value("hosts")?.sequence ?? [] {
            guard let host = StrictMapping(item, path: "master_nodes.hosts", problems: problems),
                let address = host.requiredString("hostname", meaning: "the master's address")
            else { continue }
            masters.append(
                .init(address: address, user: host.string("user"), port: host.integer("port", in: 1...65535)))
        }
        for master in masters where !IPv4.isValid(master.address) {
            problems.add(root, "'\(master.address)' is no IPv4 address", fix: IPv4.howToWrite)
        }
        vip = primary.string("controlplane_host") ?? joined?.string("controlplane_host")
        apiPort = primary.integer("controlplane_port", in: 1...65535)
        settings = InventoryDraft.Ocboot()
        settings.onecloudVersion = primary.string("onecloud_version") ?? primary.string("version")
        settings.imageRepository = primary.string("image_repository")
        settings.databaseHost = primary.string("db_host")
        settings.databasePort = primary.integer("db_port", in: 1...65535)
        settings.databaseUser = primary.string("db_user")
        settings.hostNetworks = primary.value("host_networks").flatMap(Self.networks)?
            .replacing(hostname, with: "{address}")
        settings.primaryMasterNode = extra(primaryNode, made: OcbootConfiguration.madeForPrimary)
        settings.masterNodes = joined.map { extra($0.node, made: OcbootConfiguration.madeForMasters) } ?? []
        guard problems.problems.isEmpty else { throw InventoryError(file: path, problems: problems.problems) }
    }

    /// A text, or a list of them of which the first is the host's own network.
    private static func networks(_ node: YAMLNode) -> String? { node.string ?? node.sequence?.first?.string }

    /// The keys that masterswap does not make itself, or makes otherwise. No secret, whatever its key is called.
    private mutating func extra(_ node: YAMLNode, made: [String: YAMLValue?]) -> [YAMLEntry] {
        var entries: [YAMLEntry] = []
        for (key, value) in node.mapping ?? [:] {
            guard let name = key.string else { continue }
            if Self.isSecret(name) {
                secretKeys.append(name)
                continue
            }
            guard let value = YAMLValue(value), !holdsSecret(value) else {
                secretKeys.append(name)
                continue
            }
            if let own = made[name], own == nil || own == value { continue }
            entries.append(YAMLEntry(name, value))
        }
        return entries
    }

    private static func isSecret(_ key: String) -> Bool {
        let key = key.lowercased()
        return ["passw", "secret", "token", "credential", "private", "_key"].contains { key.contains($0) }
    }

    private func holdsSecret(_ value: YAMLValue) -> Bool {
        switch value {
        case .scalar: false
        case .sequence(let values): values.contains(where: holdsSecret)
        case .mapping(let entries): entries.contains { Self.isSecret($0.key) || holdsSecret($0.value) }
        }
    }
}

extension YAMLValue {
    /// `nil` for anchors and aliases, and what they are in.
    package init?(_ node: YAMLNode) {
        guard node.anchor == nil else { return nil }
        switch node {
        case .scalar(let scalar):
            self = .scalar(scalar.string, quoted: scalar.style != .plain && scalar.style != .any)
        case .sequence(let sequence):
            let values = sequence.compactMap(YAMLValue.init)
            guard values.count == sequence.count else { return nil }
            self = .sequence(values)
        case .mapping(let mapping):
            var entries: [YAMLEntry] = []
            for (key, value) in mapping {
                guard let name = key.string, let value = YAMLValue(value) else { return nil }
                entries.append(YAMLEntry(name, value))
            }
            self = .mapping(entries)
        case .alias: return nil
        }
    }
}
