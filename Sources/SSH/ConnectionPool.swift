import Synchronization

/// One connection per endpoint, dialled when first needed and shared by all who ask for it.
///
/// Commands on one connection run one after another; where one takes long, another connection to the same host is opened for
/// the next. Host keys are always verified. Use one pool for a whole run: it asks for a passphrase once, reads known_hosts
/// once, and bounds what all hosts together do.
public final class ConnectionPool: Sendable {
    public struct Limits: Sendable {
        /// Dial, handshake and authentication together.
        public var connect: Duration
        /// For a command that names no timeout of its own.
        public var command: Duration
        /// Dials under way at a time.
        public var concurrency: Int
        /// Of these, to one address and port: below where OpenSSH's MaxStartups (10:30:100) begins to drop.
        public var handshakesPerServer: Int
        /// Connections to one endpoint, for commands that run beside a long one.
        public var connectionsPerHost: Int

        public init(
            connect: Duration = .seconds(10), command: Duration = .seconds(60), concurrency: Int = 64,
            handshakesPerServer: Int = 8, connectionsPerHost: Int = 4
        ) {
            self.connect = connect
            self.command = command
            self.concurrency = concurrency
            self.handshakesPerServer = handshakesPerServer
            self.connectionsPerHost = connectionsPerHost
        }
    }

    /// Asks a person for the passphrase of a key file; `nil` gives up on that key.
    public typealias PassphrasePrompt = @Sendable (_ path: String) async -> Secret?

    private struct State {
        var hosts: [Endpoint: HostConnections] = [:]
        var tunnels: [[Endpoint]: TunnelSlot] = [:]
        var servers: [String: Gate] = [:]
        var isClosed = false
    }

    public let limits: Limits
    private let trust: HostKeyTrust
    private let keys: KeyRing
    private let dials: Gate
    private let state = Mutex(State())

    /// - Parameters:
    ///   - acceptances: host keys that a person compared and lets in; each is written to the endpoint's first known_hosts file.
    ///   - agentPath: the agent's socket; by default that of the environment, `SSH_AUTH_SOCK`. `nil`: no agent.
    ///   - passphrase: asked once for each encrypted key file that no agent holds.
    ///   - notice: told what a person should know and no error says, such as a line of known_hosts that cannot be read.
    public init(
        limits: Limits = Limits(), acceptances: [HostKeyAcceptance] = [],
        agentPath: String? = ConnectionPool.environmentAgent, passphrase: PassphrasePrompt? = nil,
        notice: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.limits = limits
        trust = HostKeyTrust(acceptances: acceptances, notice: notice)
        keys = KeyRing(prompt: passphrase, agentPath: agentPath)
        dials = Gate(limits.concurrency)
        _ = Descriptors.limitRaised
    }

    /// The agent of this process's environment, if it has one.
    public static var environmentAgent: String? { AgentClient.environmentPath }

    /// The host behind an endpoint. Nothing is dialled before the first command; after a lost connection the next command
    /// dials again. A command that may have reached the host is never sent twice.
    public func remote(_ endpoint: Endpoint) -> any Remote {
        PooledRemote(endpoint: endpoint, limits: limits, connections: connections(endpoint))
    }

    /// Closes every connection; commands under way end with ``SSHError/Code/cancelled``.
    public func close() async {
        let (hosts, tunnels) = state.withLock { state in
            state.isClosed = true
            defer {
                state.hosts = [:]
                state.tunnels = [:]
            }
            return (Array(state.hosts.values), Array(state.tunnels.values))
        }
        for host in hosts { await host.close() }
        for tunnel in tunnels { await tunnel.close() }
    }

    private func connections(_ endpoint: Endpoint) -> HostConnections {
        state.withLock { state in
            if let known = state.hosts[endpoint] { return known }
            let connections = HostConnections(endpoint, maximum: limits.connectionsPerHost) {
                [weak self] interrupt throws(SSHError) in
                guard let self else {
                    throw SSHError(
                        .cancelled, host: endpoint.name, operation: "connect", cause: "the connections were closed")
                }
                return try await dial(endpoint, interrupt)
            }
            state.hosts[endpoint] = connections
            return connections
        }
    }

    // MARK: Dialling

    private func dial(_ endpoint: Endpoint, _ interrupt: Interrupt) async throws(SSHError) -> Connection {
        try endpoint.validate()
        let connector = await connector(endpoint)
        let tunnel = tunnel(endpoint.jumps)
        // Before the gates: who waits for a jump host holds no place that its dial needs.
        try await tunnel?.prepare(for: endpoint, interrupt)
        return try await passGates(endpoint) { () async throws(SSHError) -> Connection in
            let deadline = Deadline.after(self.limits.connect)
            let socket = try await tunnel?.open(to: endpoint, deadline: deadline, interrupt: interrupt)
            let connection: Connection
            do {
                connection = try Connection(name: endpoint.name)
            } catch {
                throw SSHError(.libraryFault, host: endpoint.name, operation: "connect", cause: "\(error)")
            }
            try await connection.connect(connector, interrupt: interrupt, deadline: deadline, through: socket)
            return connection
        }
    }

    private func connector(_ endpoint: Endpoint) async -> Connector {
        Connector(
            endpoint: endpoint, trust: trust, credentials: await keys.credentials(for: endpoint), limit: limits.connect)
    }

    private func passGates<Result: Sendable>(
        _ endpoint: Endpoint, _ body: @Sendable () async throws(SSHError) -> Result
    ) async throws(SSHError) -> Result {
        let cancelled = { @Sendable in
            SSHError(.cancelled, host: endpoint.name, operation: "wait for its turn to connect", cause: "cancelled")
        }
        let key = (endpoint.jumps + [endpoint]).map { "\($0.host) \($0.port)" }.joined(separator: " ")
        let server = state.withLock { state in
            let gate = state.servers[key] ?? Gate(limits.handshakesPerServer)
            state.servers[key] = gate
            return gate
        }
        // The server's gate first: who waits at it holds no place that another server's dial could use.
        return try await server.pass(
            { () async throws(SSHError) -> Result in try await self.dials.pass(body, cancelled: cancelled) },
            cancelled: cancelled)
    }

    // MARK: Jump hosts

    /// The one connection through these hosts, shared by everything behind them.
    private func tunnel(_ jumps: [Endpoint]) -> TunnelSlot? {
        guard var hop = jumps.last else { return nil }
        hop.jumps = Array(jumps.dropLast())
        let endpoint = hop
        return state.withLock { state in
            if let known = state.tunnels[jumps] { return known }
            let slot = TunnelSlot(hop: endpoint) { [weak self] interrupt throws(SSHError) in
                guard let self else {
                    throw SSHError(
                        .cancelled, host: endpoint.name, operation: "connect", cause: "the connections were closed")
                }
                return try await dialTunnel(endpoint, interrupt)
            }
            state.tunnels[jumps] = slot
            return slot
        }
    }

    private func dialTunnel(_ hop: Endpoint, _ interrupt: Interrupt) async throws(SSHError) -> Tunnel {
        let connector = await connector(hop)
        let outer = tunnel(hop.jumps)
        try await outer?.prepare(for: hop, interrupt)
        return try await passGates(hop) { () async throws(SSHError) -> Tunnel in
            let deadline = Deadline.after(self.limits.connect)
            let socket = try await outer?.open(to: hop, deadline: deadline, interrupt: interrupt)
            return try await Tunnel.connect(connector, interrupt: interrupt, deadline: deadline, through: socket)
        }
    }
}
