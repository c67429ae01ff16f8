import Synchronization

/// Makes connections for a pool: what all its hosts share.
final class Dialler: Sendable {
    private struct State {
        var tunnels: [[Endpoint]: TunnelSlot] = [:]
        /// By the way to it: behind another jump host the same address is another machine.
        var servers: [[Server]: Gate] = [:]
        /// Of ssh_config, told already: mostly all hosts have the same ones.
        var remarks: Set<String> = []
    }

    private struct Server: Hashable {
        let host: String
        let port: Int
    }

    private let limits: ConnectionPool.Limits
    private let trust: HostKeyTrust
    private let keys: KeyRing
    private let notice: @Sendable (String) -> Void
    private let dials: Gate
    private let state = Mutex(State())

    init(
        limits: ConnectionPool.Limits, trust: HostKeyTrust, keys: KeyRing, notice: @escaping @Sendable (String) -> Void
    ) {
        self.limits = limits
        self.notice = notice
        self.trust = trust
        self.keys = keys
        dials = Gate(limits.concurrency)
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
        let tunnel = tunnel(endpoint.jumps)
        // Before the gates: who waits for a jump host holds no place that its dial needs.
        try await tunnel?.prepare(for: endpoint, interrupt, self)
        return try await passGates(endpoint) { () async throws(SSHError) -> Connection in
            let deadline = Deadline.after(limits.connect)
            let socket = try await tunnel?.open(to: endpoint, deadline: deadline, interrupt: interrupt, self)
            let connection: Connection
            do {
                connection = try Connection()
            } catch {
                if let socket { _ = Descriptor(owning: socket) }
                throw SSHError(.libraryFault, host: endpoint.name, operation: "connect", cause: "\(error)")
            }
            try await connection.connect(connector, interrupt: interrupt, deadline: deadline, through: socket)
            return connection
        }
    }

    private func connector(_ endpoint: Endpoint, _ interrupt: Interrupt) async throws(SSHError) -> Connector {
        let news = state.withLock { state in endpoint.remarks.filter { state.remarks.insert($0).inserted } }
        for remark in news { notice("\(endpoint.name): ssh_config: \(remark)") }
        // A person may be asked for a passphrase, which takes as long as it takes.
        guard let credentials = await interrupt.value(of: Task { await keys.credentials(for: endpoint) }) else {
            throw SSHError(
                .cancelled, host: endpoint.name, operation: "find the keys to log in with", cause: "cancelled")
        }
        return Connector(
            endpoint: endpoint, trust: trust, hostKeys: trust.keyTypes(for: endpoint), credentials: credentials,
            limit: limits.connect)
    }

    private func passGates<Result: Sendable>(
        _ endpoint: Endpoint, isForTunnel: Bool = false, _ body: @Sendable () async throws(SSHError) -> Result
    ) async throws(SSHError) -> Result {
        let cancelled = { @Sendable in
            SSHError(.cancelled, host: endpoint.name, operation: "wait for its turn to connect", cause: "cancelled")
        }
        let way = (endpoint.jumps + [endpoint]).map { Server(host: $0.host, port: $0.port) }
        let server = state.withLock { state in
            let gate = state.servers[way] ?? Gate(limits.handshakesPerServer)
            state.servers[way] = gate
            return gate
        }
        // Those who wait for a tunnel may hold all places: its own dial must not need one.
        if isForTunnel { return try await server.pass(body, cancelled: cancelled) }
        // The server's gate first: who waits at it holds no place that another server's dial could use.
        return try await server.pass(
            { () async throws(SSHError) -> Result in try await dials.pass(body, cancelled: cancelled) },
            cancelled: cancelled)
    }

    // MARK: Jump hosts

    /// The one connection through these hosts, shared by everything behind them.
    private func tunnel(_ jumps: [Endpoint]) -> TunnelSlot? {
        guard var hop = jumps.last else { return nil }
        hop.jumps = Array(jumps.dropLast())
        let endpoint = hop
        return state.withLock { state in
            let slot = state.tunnels[jumps] ?? TunnelSlot(hop: endpoint)
            state.tunnels[jumps] = slot
            return slot
        }
    }

    func dialTunnel(_ hop: Endpoint, _ interrupt: Interrupt) async throws(SSHError) -> Tunnel {
        let connector = try await connector(hop, interrupt)
        let outer = tunnel(hop.jumps)
        try await outer?.prepare(for: hop, interrupt, self)
        return try await passGates(hop, isForTunnel: true) { () async throws(SSHError) -> Tunnel in
            let deadline = Deadline.after(limits.connect)
            let socket = try await outer?.open(to: hop, deadline: deadline, interrupt: interrupt, self)
            return try await Tunnel.connect(connector, interrupt: interrupt, deadline: deadline, through: socket)
        }
    }
}
