import Foundation

/// Makes a session that is connected, trusted and authenticated: it dials, does the handshake, verifies the host key and authenticates.
struct Connector {
    let endpoint: Endpoint
    let trust: HostKeyTrust
    /// The keys to authenticate with, in the order in which they are tried.
    let credentials: [Credential]

    /// A key to authenticate with, which was found and, where necessary, decrypted before the host is dialled.
    enum Credential: Sendable {
        case agent(AgentClient.Key, name: String)
        case file(PrivateKeyFile, passphrase: Secret?)
        /// A key that cannot be used; it is reported if no other one is accepted.
        case unusable(name: String, reason: String)
    }

    /// Blocks the calling thread, which has to be the one that will own the session.
    /// - Parameter through: a socket to use in place of a TCP connection: one end of a pair whose other end a tunnel serves.
    func connect(_ waiter: Waiter, through: Int32?) throws(SSHError) -> Session {
        var isDropped = false
        if let through { return try establish(Descriptor(owning: through), &isDropped, waiter) }
        var drops = 0
        var drop: SSHError?
        while true {
            isDropped = false
            do throws(SSHError) {
                let socket = try dial(waiter)
                return try establish(socket, &isDropped, waiter)
            } catch {
                // Beyond MaxStartups sshd drops connections at random before it sends anything. Nothing of ours was processed, so
                // the dial is retried, after a random pause. Where the time ends in a later attempt the drops are reported.
                if isDropped {
                    drops += 1
                    drop = error
                }
                let isLate = waiter.hasPassed && [.handshakeFailed, .unreachable].contains(error.code)
                guard let drop, isDropped || isLate else { throw error }
                let pause = Duration.milliseconds(Int.random(in: 50...150) * min(drops, 10))
                guard waiter.remaining > pause else {
                    throw failure(
                        .handshakeFailed, "connect",
                        "the server closed the connection before its version \(drops) times: \(drop.cause)",
                        "see MaxStartups and PerSourcePenalties in its sshd_config, and its log")
                }
                let end = waiter.with(limit: pause)
                do throws(Stop) {
                    while true { try end.wait(for: -1, events: 0) }
                } catch {
                    if error == .cancelled { throw stopped(error, "connect", .handshakeFailed, waiter) }
                }
            }
        }
    }

    private func dial(_ waiter: Waiter) throws(SSHError) -> Descriptor {
        do {
            return try Dial.connect(host: endpoint.host, port: endpoint.port, waiter: waiter)
        } catch Dial.Failure.unresolved(let reason) {
            throw failure(
                .unresolved, "resolve \(endpoint.host)", reason, "check the address in the inventory, and the resolver")
        } catch Dial.Failure.unreachable(let reason) {
            throw failure(
                .unreachable, "connect to \(endpoint.host) port \(endpoint.port)", reason,
                "is the machine on, and sshd running there?")
        } catch let stop as Stop {
            throw stopped(stop, "connect to \(endpoint.host) port \(endpoint.port)", .unreachable, waiter)
        } catch {
            throw .localFault(
                error, host: endpoint.name, operation: "connect to \(endpoint.host) port \(endpoint.port)")
        }
    }

    /// - Parameter isDropped: set where the server dropped the connection before its version, which is retried.
    private func establish(_ socket: consuming Descriptor, _ isDropped: inout Bool, _ waiter: Waiter) throws(SSHError)
        -> Session
    {
        let session: Session
        do {
            session = try Session(
                socket: socket, algorithms: .allowed(for: endpoint), knownHostKeys: trust.keyTypes(for: endpoint))
        } catch {
            throw .localFault(error, host: endpoint.name, operation: "connect")
        }
        do {
            try session.handshake(waiter)
        } catch {
            throw handshakeFailure(error, session, &isDropped, waiter)
        }
        guard let key = session.hostKey else {
            throw failure(.handshakeFailed, "handshake", "the server showed no host key", nil)
        }
        try trust.verify(key, of: endpoint)
        try authenticate(session, waiter)
        return session
    }

    private func handshakeFailure(
        _ error: any Error, _ session: Session, _ isDropped: inout Bool, _ waiter: Waiter
    ) -> SSHError {
        if let stop = error as? Stop { return stopped(stop, "handshake", .handshakeFailed, waiter) }
        let words = TerminalText.sanitize(session.greeting.words.trimmingCharacters(in: .whitespacesAndNewlines))
        if !session.greeting.isSSH {
            let cause =
                words.isEmpty ? "the server closed the connection before its version" : "the server said: \(words)"
            // OpenSSH sends these words to some clients that it drops. Other words are not those of an SSH server.
            isDropped = words.isEmpty || ["MaxStartups", "Not allowed at this time"].contains { words.contains($0) }
            return failure(.handshakeFailed, "handshake", cause, "is it an SSH server?")
        }
        let mismatches = session.mismatches
        if !mismatches.isEmpty {
            let isOld = endpoint.algorithms == .current && session.needsOldAlgorithms
            let advice =
                isOld
                ? "the server has old algorithms only, which are not safe any more: update it; until then write "
                    + "'algorithms: legacy' for this host into the inventory"
                : "libssh2 \(Library.version) has none of these: allow one that it has in the server's sshd_config "
                    + "(for example MACs hmac-sha2-256, Ciphers aes256-ctr, an ssh-ed25519 host key)"
            return failure(.handshakeFailed, "handshake", mismatches.joined(separator: "; "), advice)
        }
        let farewell = session.observer.farewell.map { "; the server said: \(TerminalText.sanitize($0))" } ?? ""
        return failure(.handshakeFailed, "handshake", "\(error)\(farewell)", nil)
    }

    // MARK: Authentication

    private func authenticate(_ session: Session, _ waiter: Waiter) throws(SSHError) {
        var tried: [String] = []
        var refusedRSA = false
        for credential in credentials {
            let name: String
            let refusal: String?
            do {
                switch credential {
                case .unusable(let path, let reason):
                    tried.append("\(path) (\(reason))")
                    continue
                case .agent(let key, let comment):
                    name = comment
                    guard key.type != "ssh-rsa" || session.takesRSA else {
                        tried.append("\(name) (the server takes no RSA keys)")
                        continue
                    }
                    refusal = try session.authenticate(
                        user: endpoint.user, publicKey: key.blob, KeySigner(key, waiter), waiter)
                    if key.type == "ssh-rsa" { refusedRSA = true }
                case .file(let file, let passphrase):
                    name = file.path
                    guard !file.isRSA || session.takesRSA else {
                        tried.append("\(name) (the server takes no RSA keys)")
                        continue
                    }
                    refusal =
                        if let key = file.ed25519, let blob = file.publicBlob {
                            try session.authenticate(
                                user: endpoint.user, publicKey: blob, KeySigner(key), waiter)
                        } else {
                            try session.authenticate(
                                user: endpoint.user, privateKey: file.contents, passphrase: passphrase, waiter)
                        }
                    if file.isRSA { refusedRSA = true }
                }
            } catch let stop as Stop {
                throw stopped(stop, "authenticate as \(endpoint.user)", .authenticationFailed, waiter)
            } catch {
                let farewell = session.observer.farewell.map { TerminalText.sanitize($0) } ?? "\(error)"
                throw failure(
                    .authenticationFailed, "authenticate as \(endpoint.user)",
                    "the server ended the connection: \(farewell)\(list(tried))",
                    "too many keys in the agent? Name the one to use as the host's identity")
            }
            guard let refusal else { return }
            tried.append("\(name) (\(refusal))")
        }
        let offered =
            session.observer.methodsOffered.map { "; the server would take \($0.joined(separator: ", "))" } ?? ""
        let cause = tried.isEmpty ? "there is no key to try" : "no key was accepted"
        throw failure(
            .authenticationFailed, "authenticate as \(endpoint.user)", cause + list(tried) + offered,
            advice(refusedRSA: refusedRSA))
    }

    private func list(_ tried: [String]) -> String {
        tried.isEmpty ? "" : "; tried \(tried.joined(separator: ", "))"
    }

    private func advice(refusedRSA: Bool) -> String {
        if refusedRSA && !Library.signsRSAWithSHA2 {
            return
                "libssh2 \(Library.version) signs with RSA keys by SHA-1 only (ssh-rsa), which OpenSSH refuses since 8.8; "
                + "rsa-sha2 needs libssh2 1.11: use an Ed25519 key (ssh-keygen -t ed25519), or ECDSA"
        }
        return "add the public key to ~\(endpoint.user)/.ssh/authorized_keys on the host, or name another identity"
    }

    // MARK: Errors

    private func stopped(_ stop: Stop, _ operation: String, _ code: SSHError.Code, _ waiter: Waiter) -> SSHError {
        switch stop {
        case .cancelled: failure(.cancelled, operation, "cancelled", nil)
        case .deadline: failure(code, operation, "no answer within \(waiter.limit.inWords)", nil)
        }
    }

    private func failure(_ code: SSHError.Code, _ operation: String, _ cause: String, _ advice: String?) -> SSHError {
        SSHError(code, host: endpoint.name, operation: operation, cause: cause, advice: advice)
    }
}
