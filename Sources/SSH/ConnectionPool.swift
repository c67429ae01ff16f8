import Synchronization

/// One connection per endpoint, dialled when first needed and shared by all callers.
///
/// Commands on one connection run one after another; where one takes long, another connection to the same host is opened for
/// the next. Host keys are always verified. Use one pool for a whole run: it asks for a passphrase once, reads known_hosts
/// once, and bounds what all hosts together do. The first pool raises this process's limit of open files (RLIMIT_NOFILE) as
/// far as it may.
public final class ConnectionPool: Sendable {
    /// How many connections there may be, and how long they may take.
    public struct Limits: Sendable {
        /// For dial, handshake and authentication together, of a host and of each jump host on the way. Waiting for a turn
        /// (`concurrency`) or for a passphrase is not counted.
        public var connect: Duration
        /// For a command that names no timeout of its own.
        public var command: Duration
        /// The number of dials that run at the same time.
        public var concurrency: Int
        /// The number of them to one address and port, below the number from which OpenSSH's MaxStartups (10:30:100) drops some.
        public var handshakesPerServer: Int
        /// The number of connections to one endpoint, for commands that run beside a long one.
        public var connectionsPerHost: Int
        /// Whether a connection stays open for the host's next command; else each command has its own. Set to false for one command
        /// on each of many hosts: otherwise each host holds a socket and a thread until ``close()``.
        public var keepsIdle: Bool

        public init(
            connect: Duration = .seconds(10), command: Duration = .seconds(60), concurrency: Int = 64,
            handshakesPerServer: Int = 8, connectionsPerHost: Int = 4, keepsIdle: Bool = true
        ) {
            self.connect = connect
            self.command = command
            self.concurrency = concurrency
            self.handshakesPerServer = handshakesPerServer
            self.connectionsPerHost = connectionsPerHost
            self.keepsIdle = keepsIdle
        }
    }

    /// Asks a person for the passphrase of a key file; `nil` gives up on that key.
    public typealias PassphrasePrompt = @Sendable (_ path: String) async -> Secret?

    /// The limits that the pool was created with.
    public let limits: Limits
    private let dialler: Dialler
    private let hosts = Mutex<[Endpoint: HostConnections]>([:])

    /// - Parameters:
    ///   - acceptances: host keys that a person compared and accepts; each is written to the endpoint's first known_hosts file.
    ///   - agentPath: the agent's socket; by default that of the environment, `SSH_AUTH_SOCK`. `nil`: no agent.
    ///   - passphrase: asked once for each encrypted key file that no agent holds.
    ///   - notice: called with what a person should know and no error says, such as a line of known_hosts that cannot be read.
    public init(
        limits: Limits = Limits(), acceptances: [HostKeyAcceptance] = [],
        agentPath: String? = ConnectionPool.environmentAgent, passphrase: PassphrasePrompt? = nil,
        notice: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.limits = limits
        dialler = Dialler(
            limits: limits, trust: HostKeyTrust(acceptances: acceptances, notice: notice),
            keys: KeyRing(prompt: passphrase, agentPath: agentPath), notice: notice)
        _ = Descriptor.limitRaised
    }

    /// The agent of this process's environment, if it has one.
    public static var environmentAgent: String? { AgentClient.environmentPath }

    /// The host behind an endpoint. Nothing is dialled before the first command; after a lost connection the next command
    /// dials again. A command that may have reached the host is never sent twice.
    public func remote(_ endpoint: Endpoint) -> any Remote {
        hosts.withLock { hosts in
            if let known = hosts[endpoint] { return known }
            let connections = HostConnections(endpoint, limits, dialler: dialler)
            hosts[endpoint] = connections
            return connections
        }
    }

    /// Closes every connection. Commands under way end with ``SSHError/Code/cancelled``, within five seconds, in which their
    /// remote processes are ended. Without a call the connections are closed when the pool and its remotes are released.
    public func close() async {
        let all = hosts.withLock { hosts in
            defer { hosts = [:] }
            return Array(hosts.values)
        }
        for host in all { await host.close() }
        await dialler.close()
    }
}
