import SSH

extension ClusterState {
    /// Why nothing was read on a host, and what that says about the host.
    public struct HostFailure: Sendable, Hashable {
        /// What one connection from here says about whether the host is alive.
        public enum Sign: Sendable, Hashable {
            /// Nothing came back within the limit.
            case unresponsive
            /// "No route to host" and the like: nobody answered ARP, or a router or a firewall rejects us with ICMP. A host that
            /// is alive behind a firewall gives the same error.
            case noRoute
            /// It answered: it refused, was slow after it had accepted the connection, or did not let us in.
            case alive
            /// The fault lies on the way to it, or on this machine.
            case inconclusive
        }

        public var message: String
        public var sign: Sign
        /// It cannot be reached or trusted: exit status 4 where the host is needed.
        public var isUnreachableOrUntrusted: Bool

        /// Nothing was heard of it from here. Whether it is dead, the other masters have to confirm.
        public var mayBeDead: Bool { sign == .unresponsive || sign == .noRoute }

        public init(message: String, sign: Sign, isUnreachableOrUntrusted: Bool = true) {
            self.message = message
            self.sign = sign
            self.isUnreachableOrUntrusted = isUnreachableOrUntrusted
        }

        /// - Parameter host: the host that was asked. An error that names another one comes from its jump host.
        public init(_ error: any Error, of host: String? = nil) {
            let isJumpHosts = host != nil && (error as? SSHError)?.host != host && error is SSHError
            self.init(
                message: "\(error)", sign: isJumpHosts ? .inconclusive : Self.sign(of: error),
                isUnreachableOrUntrusted: (error as? SSHError)?.isUnreachableOrUntrusted ?? false)
        }

        private static func sign(of error: any Error) -> Sign {
            guard let error = error as? SSHError else {
                // It answered, and its answer could not be read.
                return error is ClusterError ? .alive : .inconclusive
            }
            return switch error.code {
            case .unreachable: sign(ofConnectError: error.cause)
            case .jumpFailed, .unresolved, .invalidEndpoint, .cancelled, .libraryFault: .inconclusive
            case .handshakeFailed, .hostKeyUnknown, .hostKeyMismatch, .authenticationFailed, .noShell, .timedOut,
                .connectionLost,
                .outcomeUnknown, .remoteFile, .fileChanged:
                .alive
            }
        }

        /// By the words of connect(2), in glibc's, musl's and Darwin's spelling: our own, or the jump host's.
        private static func sign(ofConnectError cause: String) -> Sign {
            let cause = cause.lowercased()
            func says(_ words: String...) -> Bool { words.contains { cause.contains($0) } }
            // A kernel that refuses the connection is alive, and so may its containers be.
            if says("refused", "reset by peer") { return .alive }
            if says("no route to host", "unreachable", "host is down") { return .noRoute }
            if says("no answer", "timed out") { return .unresponsive }
            return .inconclusive
        }
    }
}
