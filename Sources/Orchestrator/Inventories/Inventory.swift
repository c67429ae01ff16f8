public import SSH

/// What the operator says about a cluster: how to reach its hosts and what may be done to its data.
///
/// Who the primary is, which claims hang on which node and what runs where is never written here: the cluster says it.
public struct Inventory: Sendable, Hashable {
    public var cluster: Cluster
    /// In the file's order.
    public var hosts: [Host]
    public var ocboot: Ocboot?
    /// What may be rebuilt when its volume is gone with a node.
    public var workloads: [Workload]

    package init(cluster: Cluster, hosts: [Host], ocboot: Ocboot? = nil, workloads: [Workload]) {
        self.cluster = cluster
        self.hosts = hosts
        self.ocboot = ocboot
        self.workloads = workloads
    }

    public struct Cluster: Sendable, Hashable {
        public var name: String
        public var distribution: Distribution
        /// The virtual IPv4 address that keepalived moves between the masters.
        public var vip: String
        public var apiPort: Int
        /// Storage classes whose volumes live on one node's disk.
        public var localStorageClasses: [String]

        package init(name: String, distribution: Distribution, vip: String, apiPort: Int, localStorageClasses: [String])
        {
            self.name = name
            self.distribution = distribution
            self.vip = vip
            self.apiPort = apiPort
            self.localStorageClasses = localStorageClasses
        }
    }

    public enum Distribution: String, Sendable, Hashable, CaseIterable, Codable {
        case kubeadm, k3s
    }

    public enum Role: String, Sendable, Hashable, CaseIterable, Codable {
        case master, spare
    }

    public struct Host: Sendable, Hashable {
        public var name: String
        public var address: String
        public var role: Role
        public var ssh: SSHSettings
        /// A master by the file, whose machine was installed again and is looked at as a spare; see ``Inventory/preparing(_:)``.
        public var isReinstalledMaster = false
        /// The Kubernetes node that it is, or was, by name or hostname label: where nothing else says it.
        public var node: String?
        /// Cuts its power: a program of the admin's machine and its arguments, run without a shell.
        public var fence: [String]?

        package init(
            name: String, address: String, role: Role, ssh: SSHSettings, isReinstalledMaster: Bool = false,
            node: String? = nil, fence: [String]? = nil
        ) {
            self.name = name
            self.address = address
            self.role = role
            self.ssh = ssh
            self.isReinstalledMaster = isReinstalledMaster
            self.node = node
            self.fence = fence
        }
    }

    /// How to get into a host; what is `nil` here comes from the user's ssh_config, then from OpenSSH's defaults.
    public struct SSHSettings: Sendable, Hashable {
        public var user: String?
        public var port: Int?
        public var identity: String?
        public var knownHosts: String?
        /// An inventory host's name, `user@host:port`, where the host may be an alias of ssh_config, or ``noJump``.
        public var jump: String?
        public var become: Become
        /// `nil`: current ones.
        public var algorithms: Endpoint.Algorithms?

        package init(
            user: String? = nil, port: Int? = nil, identity: String? = nil, knownHosts: String? = nil,
            jump: String? = nil, become: Become, algorithms: Endpoint.Algorithms? = nil
        ) {
            self.user = user
            self.port = port
            self.identity = identity
            self.knownHosts = knownHosts
            self.jump = jump
            self.become = become
            self.algorithms = algorithms
        }

        /// In place of a jump host: the host is reached directly, whatever ssh_config says.
        public static let noJump = "none"

        public enum Become: String, Sendable, Hashable, CaseIterable {
            case none, sudo
        }
    }

    public struct Ocboot: Sendable, Hashable {
        public var directory: String
        /// Run in `directory`; `{config}` stands for the configuration file's name there. `nil`: what the release that is there wants.
        public var command: [String]?
        public var onecloudVersion: String
        public var imageRepository: String
        /// `{address}` stands for the host's address.
        public var hostNetworks: String
        public var database: Database
        /// Further keys as ocboot knows them, merged over what is made here.
        public var primaryMasterNode: [YAMLEntry]
        public var masterNodes: [YAMLEntry]

        package init(
            directory: String, command: [String]? = nil, onecloudVersion: String, imageRepository: String,
            hostNetworks: String, database: Database, primaryMasterNode: [YAMLEntry], masterNodes: [YAMLEntry]
        ) {
            self.directory = directory
            self.command = command
            self.onecloudVersion = onecloudVersion
            self.imageRepository = imageRepository
            self.hostNetworks = hostNetworks
            self.database = database
            self.primaryMasterNode = primaryMasterNode
            self.masterNodes = masterNodes
        }
    }

    public struct Database: Sendable, Hashable {
        public var host: String
        public var port: Int
        public var user: String
        public var password: SecretSource

        package init(host: String, port: Int, user: String, password: SecretSource) {
            self.host = host
            self.port = port
            self.user = user
            self.password = password
        }
    }

    /// Where a secret is kept; the inventory never holds one itself.
    public enum SecretSource: Sendable, Hashable {
        case environment(String)
        case file(String)
        case command([String])
    }

    /// A rule for the claims of one workload, or for one claim.
    public struct Workload: Sendable, Hashable {
        public enum Target: Sendable, Hashable {
            case statefulSet(String)
            case deployment(String)
            case claim(String)
        }

        /// What losing one volume of the workload means.
        public enum DataClass: String, Sendable, Hashable, CaseIterable, Codable {
            /// Losing more than the redundancy covers loses the cloud's images. Never rebuilt on a guess.
            case critical
            /// Held several times, and of less worth.
            case replicated
            /// May go: it is gathered again.
            case disposable
        }

        public enum Heal: String, Sendable, Hashable, CaseIterable, Codable {
            case minio
        }

        public enum Recreator: String, Sendable, Hashable, CaseIterable, Codable {
            case `operator`
        }

        public enum Rule: Sendable, Hashable {
            case rebuild(DataClass, heal: Heal?, recreatedBy: Recreator?)
            /// The claim is left as it is.
            case ignore
        }

        public var namespace: String
        public var target: Target
        public var rule: Rule

        package init(namespace: String, target: Target, rule: Rule) {
            self.namespace = namespace
            self.target = target
            self.rule = rule
        }
    }

    public var masters: [Host] { hosts.filter { $0.role == .master } }

    public func host(named name: String) -> Host? {
        hosts.first { $0.name == name }
    }

    /// The host meant by an inventory name or an address, or by the name of the node that the inventory says it is.
    public func host(_ reference: String) -> Host? {
        hosts.first { $0.name == reference || $0.address == reference }
            ?? hosts.first { $0.node == reference.lowercased() || $0.name.lowercased() == reference.lowercased() }
    }
}

/// A key of a free-form section, in the file's order.
public struct YAMLEntry: Sendable, Hashable {
    public var key: String
    public var value: YAMLValue

    public init(_ key: String, _ value: YAMLValue) {
        self.key = key
        self.value = value
    }
}

/// A free-form value, kept as it was written.
public indirect enum YAMLValue: Sendable, Hashable {
    /// A scalar and whether it was quoted: `"3306"` must not become a number on its way to ocboot.
    case scalar(String, quoted: Bool)
    case sequence([YAMLValue])
    case mapping([YAMLEntry])

    public static func string(_ text: String) -> YAMLValue { .scalar(text, quoted: true) }
    public static func plain(_ text: String) -> YAMLValue { .scalar(text, quoted: false) }
    public static func bool(_ value: Bool) -> YAMLValue { .scalar(value ? "true" : "false", quoted: false) }
}

extension Inventory.Workload.Target {
    public var name: String {
        switch self {
        case .statefulSet(let name), .deployment(let name), .claim(let name): name
        }
    }
}

extension Inventory.SecretSource: CustomStringConvertible {
    public var description: String {
        switch self {
        case .environment(let name): "the environment variable \(name)"
        case .file(let path): "the file \(path)"
        case .command(let command): "the command \(ShellQuoting.join(command))"
        }
    }
}
