/// Where a host is and how to get in: everything that a connection is made from.
public struct Endpoint: Sendable, Hashable {
    /// As whom commands run there.
    public enum Become: Sendable, Hashable {
        case none
        /// Commands run as root by `sudo`; the password, if there is one, goes by standard input only.
        case sudo(password: Secret?)
    }

    /// The name that errors carry: the inventory's.
    public var name: String
    /// An address or a name that resolves; what known_hosts is searched for.
    public var host: String
    /// TCP, 1 to 65535.
    public var port: Int
    /// To log in as.
    public var user: String
    /// Private key files, tried in order. Empty: the agent's keys, then `~/.ssh/id_ed25519` and `~/.ssh/id_ecdsa`.
    public var identities: [String]
    /// known_hosts files, all of them searched. A host in none of them is refused.
    public var knownHosts: [String]
    /// Hosts on the way, outermost first, each reached through the one before it.
    public var jumps: [Endpoint]
    /// Root by sudo, or the user that logged in.
    public var become: Become

    public init(
        name: String, host: String, port: Int = 22, user: String, identities: [String] = [], knownHosts: [String],
        jumps: [Endpoint] = [], become: Become = .none
    ) {
        self.name = name
        self.host = host
        self.port = port
        self.user = user
        self.identities = identities
        self.knownHosts = knownHosts
        self.jumps = jumps
        self.become = become
    }
}
