/// The connection through one row of jump hosts; dialled when first needed, again where it was lost.
actor TunnelSlot {
    private let hop: Endpoint
    private let interrupt = Interrupt()
    private var tunnels: [Tunnel] = []
    private var isDialling = false
    private var nextTicket = 0
    private var waiting: [(ticket: Int, continuation: CheckedContinuation<Result<Tunnel, SSHError>, Never>)] = []

    /// libssh2 opens one channel at a time, and a server that cannot reach a target takes minutes to say so. While that lasts
    /// the next targets go through another connection, up to so many.
    private static let maximum = 8

    init(hop: Endpoint) {
        self.hop = hop
    }

    deinit {
        interrupt.cancel()
        for tunnel in tunnels { tunnel.close() }
    }

    /// Has the connection ready, so that opening through it takes no dial.
    func prepare(for endpoint: Endpoint, _ interrupt: Interrupt, _ dialler: Dialler) async throws(SSHError) {
        _ = try await tunnel(for: endpoint, interrupt, dialler)
    }

    /// A socket whose other end is `endpoint`, by way of the jump hosts.
    func open(to endpoint: Endpoint, deadline: Deadline, interrupt: Interrupt, _ dialler: Dialler)
        async throws(SSHError) -> Int32
    {
        while true {
            let tunnel = try await tunnel(for: endpoint, interrupt, dialler)
            switch await tunnel.open(to: endpoint, deadline: deadline, interrupt: interrupt) {
            case .opened(let socket): return socket
            case .failed(let error): throw error
            case .lost, .busy:
                if deadline.hasPassed {
                    throw SSHError(
                        .jumpFailed, host: endpoint.name, operation: "connect by way of \(hop.name)",
                        cause: "no connection through the jump host in time")
                }
                // Nothing tells when a stalled one is free again.
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
        if interrupt.isCancelled || caller.isCancelled { throw cancelled(endpoint) }
        if !isDialling {
            isDialling = true
            // Not a child of the caller: others wait for it too, whatever becomes of this one.
            Task { finish(await self.result(dialler)) }
        }
        nextTicket += 1
        let ticket = nextTicket
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Result<Tunnel, SSHError>, Never>) in
                if Task.isCancelled {
                    continuation.resume(returning: .failure(cancelled(endpoint)))
                } else {
                    waiting.append((ticket, continuation))
                }
            }
        } onCancel: {
            Task { await self.abandon(ticket, endpoint) }
        }
        return try result.get()
    }

    private func result(_ dialler: Dialler) async -> Result<Tunnel, SSHError> {
        do throws(SSHError) {
            return .success(try await dialler.dialTunnel(hop, interrupt))
        } catch {
            var error = error
            // Of the hosts behind it nothing is known.
            if error.code == .unreachable { error.code = .jumpFailed }
            return .failure(error)
        }
    }

    private func finish(_ result: Result<Tunnel, SSHError>) {
        isDialling = false
        if case .success(let tunnel) = result {
            if interrupt.isCancelled { tunnel.close() } else { tunnels.append(tunnel) }
        }
        for waiter in waiting { waiter.continuation.resume(returning: result) }
        waiting = []
    }

    private func abandon(_ ticket: Int, _ endpoint: Endpoint) {
        guard let index = waiting.firstIndex(where: { $0.ticket == ticket }) else { return }
        waiting.remove(at: index).continuation.resume(returning: .failure(cancelled(endpoint)))
    }

    private func cancelled(_ endpoint: Endpoint) -> SSHError {
        SSHError(.cancelled, host: endpoint.name, operation: "connect by way of \(hop.name)", cause: "cancelled")
    }
}
