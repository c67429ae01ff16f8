import Synchronization

/// Makes the connections of a pool, and holds what all its hosts share.
final class Dialler: Sendable {
    private struct State {
        var tunnels: [[Endpoint]: TunnelGroup] = [:]
        /// By all addresses on the way: behind another jump host the same address may be another machine.
        var servers: [[String]: Limiter] = [:]
        /// Remarks on ssh_config that were reported already: many hosts have the same ones.
        var remarks: Set<String> = []
    }

    private let limits: ConnectionPool.Limits
    private let trust: HostKeyTrust
    private let keys: KeyRing
    private let notice: @Sendable (String) -> Void
    private let dials: Limiter
    private let state = Mutex(State())

    init(
        limits: ConnectionPool.Limits, trust: HostKeyTrust, keys: KeyRing, notice: @escaping @Sendable (String) -> Void
    ) {
        self.limits = limits
        self.notice = notice
        self.trust = trust
        self.keys = keys
        dials = Limiter(limits.concurrency)
    }

    func close() async {
        let tunnels = state.withLock { state in
            defer { state.tunnels = [:] }
            return Array(state.tunnels.values)
        }
        for tunnel in tunnels { await tunnel.close() }
    }

    func dial(_ endpoint: Endpoint, _ interrupt: Interrupt) async throws(SSHError) -> Connection {
        try endpoint.validate()
        let connector = try await connector(endpoint, interrupt)
        let tunnels = tunnels(through: endpoint.jumps)
        // This comes before the limiters: a dial that waits for its jump host must not hold a place that the jump host's dial needs.
        try await tunnels?.prepare(for: endpoint, interrupt, self)
        return try await limited(endpoint) { () async throws(SSHError) -> Connection in
            let waiter = try waiter(interrupt, endpoint)
            let socket = try await tunnels?.open(to: endpoint, waiter, self)
            let connection: Connection
            do {
                connection = try Connection()
            } catch {
                if let socket { _ = Descriptor(owning: socket) }
                throw .localFault(error, host: endpoint.name, operation: "connect")
            }
            try await connection.connect(connector, waiter, through: socket)
            return connection
        }
    }

    private func waiter(_ interrupt: Interrupt, _ endpoint: Endpoint) throws(SSHError) -> Waiter {
        do {
            return try Waiter(interrupt, limit: limits.connect)
        } catch {
            throw .localFault(error, host: endpoint.name, operation: "connect")
        }
    }

    private func connector(_ endpoint: Endpoint, _ interrupt: Interrupt) async throws(SSHError) -> Connector {
        let news = state.withLock { state in endpoint.remarks.filter { state.remarks.insert($0).inserted } }
        for remark in news { notice("\(endpoint.name): ssh_config: \(remark)") }
        // A person may be asked for a passphrase, for which there is no deadline.
        guard let credentials = await interrupt.value(of: Task { await keys.credentials(for: endpoint) }) else {
            throw SSHError(
                .cancelled, host: endpoint.name, operation: "find the keys to log in with", cause: "cancelled")
        }
        return Connector(endpoint: endpoint, trust: trust, credentials: credentials)
    }

    /// Runs `body` when the limits allow one more dial, and one more handshake with this server.
    private func limited<Result: Sendable>(
        _ endpoint: Endpoint, isForTunnel: Bool = false, _ body: @Sendable () async throws(SSHError) -> Result
    ) async throws(SSHError) -> Result {
        let cancelled = { @Sendable in
            SSHError(.cancelled, host: endpoint.name, operation: "wait for its turn to connect", cause: "cancelled")
        }
        let way = (endpoint.jumps + [endpoint]).map { "\($0.host) \($0.port)" }
        let server = state.withLock { state in
            let limiter = state.servers[way] ?? Limiter(limits.handshakesPerServer)
            state.servers[way] = limiter
            return limiter
        }
        // Dials that wait for a tunnel may hold all places, so that the tunnel's own dial must not need one.
        if isForTunnel { return try await server.run(body, cancelled: cancelled) }
        // The server's limiter comes first: a dial that waits for it must not hold a place that another server's dial could use.
        return try await server.run(
            { () async throws(SSHError) -> Result in try await dials.run(body, cancelled: cancelled) },
            cancelled: cancelled)
    }

    // MARK: Jump hosts

    /// The tunnels through these hosts, shared by everything behind them.
    private func tunnels(through jumps: [Endpoint]) -> TunnelGroup? {
        guard var hop = jumps.last else { return nil }
        hop.jumps = Array(jumps.dropLast())
        let endpoint = hop
        return state.withLock { state in
            let group = state.tunnels[jumps] ?? TunnelGroup(to: endpoint)
            state.tunnels[jumps] = group
            return group
        }
    }

    func dialTunnel(_ hop: Endpoint, _ interrupt: Interrupt) async throws(SSHError) -> Tunnel {
        let connector = try await connector(hop, interrupt)
        let outer = tunnels(through: hop.jumps)
        try await outer?.prepare(for: hop, interrupt, self)
        return try await limited(hop, isForTunnel: true) { () async throws(SSHError) -> Tunnel in
            let waiter = try waiter(interrupt, hop)
            let socket = try await outer?.open(to: hop, waiter, self)
            return try await Tunnel.connect(connector, waiter, through: socket)
        }
    }
}
