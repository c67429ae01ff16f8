public import Inventories
import Planning

/// An inventory in the making: what was learned of a cluster, with gaps where only its people know.
public struct InventoryDraft: Sendable, Hashable {
    public struct Ocboot: Sendable, Hashable {
        public var directory: String?
        /// The program in that directory that takes the configuration file.
        public var command: [String]?
        public var onecloudVersion: String?
        public var imageRepository: String?
        public var hostNetworks: String?
        public var databaseHost: String?
        public var databasePort: Int?
        public var databaseUser: String?
        public var databasePassword: Inventory.SecretSource?
        public var primaryMasterNode: [YAMLEntry] = []
        public var masterNodes: [YAMLEntry] = []

        public init() {}
    }

    /// A rule, and why it is thought to be right.
    public struct Rule: Sendable, Hashable {
        public var workload: Inventory.Workload
        public var reason: String
    }

    /// Claims whose loss somebody has to think about: the workload, `statefulset/NAME`, and its claims.
    public struct Undecided: Sendable, Hashable {
        public var namespace: String
        public var owner: String
        public var claims: [String]
    }

    /// Where it comes from, for the first line.
    public var origin: String
    public var name: String
    /// `nil` where it is not known.
    public var distribution: Inventory.Distribution?
    public var vip: String?
    public var apiPort: Int
    public var localStorageClasses: [String]
    public var ssh: Inventory.SSHSettings
    public var hosts: [Inventory.Host]
    public var ocboot: Ocboot
    public var rules: [Rule]
    public var undecided: [Undecided]
    /// What could not be looked at or is to be looked at, for people.
    public var remarks: [String]

    public init(
        origin: String, name: String = "cluster", distribution: Inventory.Distribution?, vip: String? = nil,
        apiPort: Int = 6443, localStorageClasses: [String] = ["local-path"], ssh: Inventory.SSHSettings,
        hosts: [Inventory.Host] = [], ocboot: Ocboot = Ocboot(), rules: [Rule] = [], undecided: [Undecided] = [],
        remarks: [String] = []
    ) {
        self.origin = origin
        self.name = name
        self.distribution = distribution
        self.vip = vip
        self.apiPort = apiPort
        self.localStorageClasses = localStorageClasses
        self.ssh = ssh
        self.hosts = hosts
        self.ocboot = ocboot
        self.rules = rules
        self.undecided = undecided
        self.remarks = remarks
    }

    /// An inventory of an ocboot configuration file alone: hosts are named after their addresses.
    public init(_ file: OcbootFile) {
        let first = file.masters[0]
        let ssh = Inventory.SSHSettings(user: first.user ?? "root", port: first.port, become: .none)
        self.init(
            origin: file.path,
            distribution: file.settings.onecloudVersion.flatMap(OcbootRelease.distribution(ofCloud:)), vip: file.vip,
            apiPort: file.apiPort ?? 6443, ssh: ssh, ocboot: file.settings)
        hosts = file.masters.map { master in
            var own = ssh
            own.user = master.user ?? ssh.user
            own.port = master.port
            return Inventory.Host(
                name: "node-" + master.address.replacing(".", with: "-"), address: master.address, role: .master,
                ssh: own)
        }
        remarks = [
            "The names of the hosts are made from their addresses: write others if you like. A host is matched with its node by address."
        ]
        addRemarks(on: file)
    }

    mutating func addRemarks(on file: OcbootFile) {
        if !file.secretKeys.isEmpty {
            remarks.append("Not copied from \(file.path), as secrets: \(file.secretKeys.joined(separator: ", ")).")
        }
    }

    /// The finished inventory; `nil` while something is to be filled in.
    public var inventory: Inventory? {
        guard let vip, let distribution, hosts.contains(where: { $0.role == .spare }),
            let version = ocboot.onecloudVersion,
            let repository = ocboot.imageRepository, let host = ocboot.databaseHost, let user = ocboot.databaseUser,
            let password = ocboot.databasePassword
        else { return nil }
        return Inventory(
            cluster: .init(
                name: name, distribution: distribution, vip: vip, apiPort: apiPort,
                localStorageClasses: localStorageClasses),
            hosts: hosts,
            ocboot: .init(
                directory: ocboot.directory ?? Self.directory, command: ocboot.command,
                onecloudVersion: version, imageRepository: repository,
                hostNetworks: ocboot.hostNetworks ?? Self.hostNetworks,
                database: .init(host: host, port: ocboot.databasePort ?? 3306, user: user, password: password),
                primaryMasterNode: ocboot.primaryMasterNode, masterNodes: ocboot.masterNodes),
            workloads: rules.map(\.workload))
    }

    package static let directory = "/root/ocboot"
    static let hostNetworks = "eth0/br0/{address}"
}
