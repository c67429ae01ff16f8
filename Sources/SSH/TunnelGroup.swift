/// The tunnels to one jump host. They are dialled when first needed, and again after they were lost.
actor TunnelGroup {
    private let hop: Endpoint
    private let interrupt = Interrupt()
    private var tunnels: [Tunnel] = []
    /// The dial under way, shared by all that wait for it. It continues when they are cancelled.
    private var dial: Task<Result<Tunnel, SSHError>, Never>?

    /// The greatest number of connections to the jump host. libssh2 opens one channel at a time, and a server that cannot reach a
    /// target takes minutes to say so: meanwhile the next targets go through another connection.
    private static let maximum = 8

    init(to hop: Endpoint) {
        self.hop = hop
    }

    deinit {
        interrupt.cancel()
        for tunnel in tunnels { tunnel.close() }
    }

    /// Dials the jump host where no tunnel is there, so that ``open(to:_:_:)`` does not have to.
    func prepare(for endpoint: Endpoint, _ caller: Interrupt, _ dialler: Dialler) async throws(SSHError) {
        _ = try await tunnel(for: endpoint, caller, dialler)
    }

    /// A socket whose other end is `endpoint`, by way of the jump host.
    func open(to endpoint: Endpoint, _ waiter: Waiter, _ dialler: Dialler) async throws(SSHError) -> Int32 {
        while true {
            let tunnel = try await tunnel(for: endpoint, waiter.interrupt, dialler)
            switch await tunnel.open(to: endpoint, waiter) {
            case .opened(let socket): return socket
            case .failed(let error): throw error
            case .lost, .busy:
                if waiter.hasPassed {
                    throw SSHError(
                        .jumpFailed, host: endpoint.name, operation: "connect by way of \(hop.name)",
                        cause: "no connection through the jump host in time")
                }
                // No event tells when a stalled tunnel is free again.
                try? await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    func close() {
        interrupt.cancel()
        for tunnel in tunnels { tunnel.close() }
        tunnels = []
    }

    private func tunnel(for endpoint: Endpoint, _ caller: Interrupt, _ dialler: Dialler) async throws(SSHError)
        -> Tunnel
    {
        tunnels.removeAll { !$0.isAlive }
        if let free = tunnels.first(where: { !$0.isStalled }) { return free }
        if tunnels.count >= Self.maximum, let any = tunnels.randomElement() { return any }
        let cancelled = SSHError(
            .cancelled, host: endpoint.name, operation: "connect by way of \(hop.name)", cause: "cancelled")
        if interrupt.isCancelled || caller.isCancelled { throw cancelled }
        let dial = dial ?? Task { await connect(dialler) }
        self.dial = dial
        guard let result = await caller.value(of: dial) else { throw cancelled }
        return try result.get()
    }

    private func connect(_ dialler: Dialler) async -> Result<Tunnel, SSHError> {
        defer { dial = nil }
        do throws(SSHError) {
            let tunnel = try await dialler.dialTunnel(hop, interrupt)
            if interrupt.isCancelled { tunnel.close() } else { tunnels.append(tunnel) }
            return .success(tunnel)
        } catch {
            var error = error
            // The code says that nothing is known of the hosts behind it.
            if error.code == .unreachable { error.code = .jumpFailed }
            return .failure(error)
        }
    }
}
