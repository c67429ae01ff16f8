import Foundation

/// An endpoint as an inventory gives it: what it leaves out comes from the user's ssh_config.
public struct EndpointDraft: Sendable, Hashable {
    /// The name as it is written: an alias in ssh_config, a DNS name or an address.
    public var name: String
    /// An address, or an alias of ssh_config.
    public var host: String
    /// `nil`: ssh_config's, else 22.
    public var port: Int?
    /// `nil`: ssh_config's, else the user who runs this program.
    public var user: String?
    /// Key files; `nil`: ssh_config's, else OpenSSH's usual ones and the agent.
    public var identities: [String]?
    /// `nil`: ssh_config's, else OpenSSH's usual ones.
    public var knownHosts: [String]?
    /// The jump hosts, outermost first; `nil`: ssh_config's ProxyJump. Empty: directly, whatever ssh_config says.
    ///
    /// Of these the outermost alone is reached by its own jump hosts, as with `ssh -J`: the others are reached through the one
    /// before them.
    public var jumps: [EndpointDraft]?
    /// The user that commands run as on the host.
    public var become: Endpoint.Become
    /// The set of algorithms that is offered to the server.
    public var algorithms = Endpoint.Algorithms.current

    public init(
        name: String, host: String, port: Int? = nil, user: String? = nil, identities: [String]? = nil,
        knownHosts: [String]? = nil, jumps: [EndpointDraft]? = nil, become: Endpoint.Become = .none
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

    /// Whether nothing is left open, so that ssh_config is not read.
    var isComplete: Bool {
        port != nil && user != nil && identities != nil && knownHosts != nil && jumps != nil
    }

    /// Fills in what is missing from the configurations of this host and of the jump hosts on the way; what the draft says wins.
    /// - Parameter configurations: shared by all hosts of a run, so that a jump host is asked for once.
    /// - Throws: ``SSHError`` with ``SSHError/Code/invalidEndpoint``, also where the configuration wants what cannot be done
    ///   here, such as a `ProxyCommand` where the draft names no way instead.
    public func resolve(_ configurations: UserConfigurations = UserConfigurations()) async throws(SSHError) -> Endpoint
    {
        try await resolved(configurations).get()
    }

    /// The same, with its error as a value: Swift 6.3 with optimisation miscompiles closures that throw a typed error and wait, so that
    /// the caller gets an invalid result.
    public func resolved(_ configurations: UserConfigurations = UserConfigurations()) async -> Result<
        Endpoint, SSHError
    > {
        await resolved(through: []) { await configurations.answer(to: $0) }
    }

    typealias Reader = @Sendable (UserConfigurations.Query) async -> Result<UserConfiguration?, SSHError>

    /// A limit for configurations such as `ProxyJump a-%h`, which names another host at each hop.
    private static let mostHops = 16

    /// - Parameter inner: the hosts that are reached by way of this one, innermost first.
    func resolved(through inner: [UserConfigurations.Query], reading read: @escaping Reader) async
        -> Result<Endpoint, SSHError>
    {
        let query = UserConfigurations.Query(host: host, port: port, user: user)
        guard !inner.contains(query), inner.count < Self.mostHops else {
            let way = (inner.drop { $0 != query } + [query]).map(\.host).joined(separator: ", ")
            return .failure(
                refusal(
                    "the jump hosts go round in a circle: \(TerminalText.line(way))",
                    "correct ProxyJump in ssh_config, or write the way into the inventory: "
                        + "jump: user@host:port, or jump: none for a direct connection"))
        }
        var configuration: UserConfiguration?
        if !isComplete {
            switch await read(query) {
            case .failure(var error):
                error.host = name
                return .failure(error)
            case .success(let found): configuration = found
            }
        }
        if let problem = problem(with: configuration) { return .failure(problem) }
        var way: [Endpoint] = []
        for (index, jump) in (jumps ?? configuration?.jumps.map(Self.jump) ?? []).enumerated() {
            var jump = jump
            // `ssh -J` runs an ssh for each hop. All but the outermost are given their jump hosts, which overrides their own
            // configuration.
            if index > 0 { jump.jumps = [] }
            switch await jump.resolved(through: inner + [query], reading: read) {
            case .failure(let error): return .failure(error)
            case .success(var hop):
                way += hop.jumps
                hop.jumps = []
                way.append(hop)
            }
        }
        return .success(endpoint(configuration, jumps: way))
    }

    /// The error for a setting of the configuration that cannot be followed.
    private func problem(with configuration: UserConfiguration?) -> SSHError? {
        let isDirect = (jumps?.isEmpty ?? configuration?.jumps.isEmpty) != false
        if let unsupported = configuration?.unsupported.first(where: { isDirect || !$0.isOfDirectConnections }) {
            return refusal(
                "\(TerminalText.line(unsupported.setting)) in ssh_config cannot be followed here", unsupported.advice)
        }
        if jumps == nil, let command = configuration?.proxyCommand {
            return refusal(
                "ProxyCommand \(TerminalText.line(command)) in ssh_config cannot be used here",
                "write into the inventory how the host is reached: jump: none for a direct connection, "
                    + "or jump: user@host:port for a jump host")
        }
        return nil
    }

    private func refusal(_ cause: String, _ advice: String) -> SSHError {
        SSHError(.invalidEndpoint, host: name, operation: "read ssh_config", cause: cause, advice: advice)
    }

    private func endpoint(_ configuration: UserConfiguration?, jumps way: [Endpoint]) -> Endpoint {
        var endpoint = Endpoint(
            name: name, host: configuration?.hostName ?? host, port: port ?? configuration?.port ?? 22,
            user: user ?? configuration?.user ?? NSUserName(),
            identities: identities ?? configuration?.identities ?? [],
            knownHosts: knownHosts ?? configuration?.knownHosts ?? ["~/.ssh/known_hosts"], jumps: way, become: become)
        endpoint.algorithms = algorithms
        guard let configuration else { return endpoint }
        endpoint.identitiesOnly = configuration.identitiesOnly
        endpoint.agent = configuration.agent
        endpoint.hostKeyAlias = configuration.hostKeyAlias
        endpoint.revokedHostKeys = configuration.revokedHostKeys
        endpoint.hashesKnownHosts = configuration.hashesKnownHosts
        endpoint.remarks = configuration.remarks
        return endpoint
    }

    /// Reads `[user@]host[:port]`, with brackets round an IPv6 address; `ssh://` may stand before it. The user is what comes
    /// before the last `@`, as in ssh(1): directory users have one in their names.
    public static func jump(_ text: String) -> EndpointDraft {
        var rest = text.hasPrefix("ssh://") ? text.dropFirst(6) : text[...]
        var draft = EndpointDraft(name: text, host: "")
        if let at = rest.lastIndex(of: "@") {
            draft.user = String(rest[..<at])
            rest = rest[rest.index(after: at)...]
        }
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            draft.host = String(rest[rest.index(after: rest.startIndex)..<end])
            let after = rest[rest.index(after: end)...]
            if after.hasPrefix(":") { draft.port = Int(after.dropFirst()) ?? 0 }
        } else if let colon = rest.lastIndex(of: ":"), rest.firstIndex(of: ":") == colon {
            draft.host = String(rest[..<colon])
            // A port that is no number is refused with the endpoint.
            draft.port = Int(rest[rest.index(after: colon)...]) ?? 0
        } else {
            draft.host = String(rest)
        }
        draft.name = draft.host
        return draft
    }
}
