/// One connection per endpoint, dialled when first needed and shared by all who ask for it.
public final class ConnectionPool: Sendable {
    public struct Limits: Sendable {
        /// Dial, handshake and authentication together.
        public var connect: Duration
        /// For a command that names no timeout of its own.
        public var command: Duration

        public init(connect: Duration = .seconds(10), command: Duration = .seconds(60)) {
            self.connect = connect
            self.command = command
        }
    }

    public let limits: Limits

    public init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// The host behind an endpoint. Nothing is dialled before the first command; after a lost connection the next command
    /// dials again. A command that may have reached the host is never sent twice.
    public func remote(_ endpoint: Endpoint) -> any Remote {
        fatalError("the connection comes with LibSSH2/")
    }

    /// Closes every connection; commands under way end with ``SSHError/Code/cancelled``.
    public func close() async {}
}
