/// Where a host is and how to log in: all that is needed to connect.
public struct Endpoint: Sendable, Hashable {
    /// The user that commands run as on the host.
    public enum Become: Sendable, Hashable {
        case none
        /// Commands run as root by `sudo`; the password, if there is one, goes by standard input only.
        case sudo(password: Secret?)
    }

    /// The SSH agent that holds keys for the host.
    public enum Agent: Sendable, Hashable {
        /// The pool's agent, by default that of the environment.
        case environment
        case none
        /// The agent whose socket is at this path.
        case socket(String)
    }

    /// The set of algorithms that is offered to the server.
    public enum Algorithms: String, Sendable, Hashable, CaseIterable {
        /// Algorithms that OpenSSH has from 7.4 on, the version of CentOS 7.
        case current
        /// Also SHA-1, CBC and 3DES, for servers that have nothing better.
        case legacy
    }

    /// The host's name in the inventory, which errors carry.
    public var name: String
    /// An address, or a name that the resolver knows. known_hosts is searched for it.
    public var host: String
    /// The TCP port, 1 to 65535.
    public var port: Int
    /// The user to log in as.
    public var user: String
    /// Private key files, tried in order, or public ones whose private half the agent has. Empty: `~/.ssh/id_ed25519`,
    /// `~/.ssh/id_ecdsa` and `~/.ssh/id_rsa`, after the agent's keys.
    public var identities: [String]
    /// Whether the agent's other keys are not tried.
    public var identitiesOnly = false
    /// The agent to use.
    public var agent = Agent.environment
    /// known_hosts files, all of them searched. A host in none of them is refused. Accepted keys are written to the first.
    public var knownHosts: [String]
    /// The name that known_hosts has for it, in place of `host` and `port`.
    public var hostKeyAlias: String?
    /// Files with host keys that are not to be trusted, whatever known_hosts says: a key on each line, or OpenSSH's format KRL.
    public var revokedHostKeys: [String] = []
    /// Whether names are written to known_hosts in hashed form.
    public var hashesKnownHosts = false
    /// The key exchanges, host keys, ciphers and MACs to offer.
    public var algorithms = Algorithms.current
    /// The jump hosts, outermost first, each reached through the one before it.
    public var jumps: [Endpoint]
    /// Root by sudo, or the user that logged in.
    public var become: Become
    /// Settings of the user's ssh_config that are not followed; the pool reports each once by its notice.
    public var remarks: [String] = []

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

extension Endpoint {
    /// Refuses, before a socket is opened, what a resolver, a shell, `ssh` or a known_hosts file could take for something else. The
    /// rules are those of OpenSSH's `valid_hostname` and `valid_ruser`, and stricter.
    /// - Throws: ``SSHError`` with ``SSHError/Code/invalidEndpoint``.
    public func validate() throws(SSHError) {
        func refuse(_ what: String, _ value: String, _ why: String) -> SSHError {
            SSHError(
                .invalidEndpoint, host: TerminalText.line(name), operation: "read the endpoint",
                cause: "the \(what) \"\(TerminalText.line(value))\" \(why)")
        }
        // A backslash stands between an Active Directory domain and a user in it; the name of a jump host may begin with both.
        if let why = Self.fault(in: name, also: "@[]+$\\") { throw refuse("name", name, why) }
        if let why = Self.fault(in: host, also: "") { throw refuse("address", host, why) }
        if let why = Self.fault(in: user, also: "@+$\\") { throw refuse("user", user, why) }
        if user.hasSuffix("\\") { throw refuse("user", user, "ends with a backslash") }
        if let alias = hostKeyAlias, let why = Self.fault(in: alias, also: "") {
            throw refuse("host key alias", alias, why)
        }
        guard (1...65535).contains(port) else { throw refuse("port", "\(port)", "is not from 1 to 65535") }
        for path in identities + knownHosts + revokedHostKeys where path.isEmpty || path.utf8.contains(0) {
            throw refuse("path", path, "is empty or holds a NUL")
        }
        for jump in jumps { try jump.validate() }
    }

    private static func fault(in text: String, also allowed: String) -> String? {
        guard let first = text.utf8.first else { return "is empty" }
        if first == UInt8(ascii: "-") { return "begins with a dash, which programs take for an option" }
        let isFine = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default:
                "-._:%".utf8.contains(byte) || allowed.utf8.contains(byte)
            }
        }
        return isFine ? nil : "holds characters that names do not have"
    }
}
