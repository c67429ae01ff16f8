import Foundation

/// What the user's own ssh_config says of a host, as `ssh -G` resolves it: with its includes, matches and wildcards.
public struct UserConfiguration: Sendable, Hashable {
    /// HostName: where to connect to.
    public var hostName: String?
    /// Port.
    public var port: Int?
    /// User.
    public var user: String?
    /// Those that exist; empty where ssh would try its defaults.
    public var identities: [String]
    /// UserKnownHostsFile and GlobalKnownHostsFile, as paths.
    public var knownHosts: [String]
    /// `ProxyJump`, outermost first: each `[user@]host[:port]`.
    public var jumps: [String]
    /// What is set and not understood here, in words: a `ProxyCommand`.
    public var unsupported: [String]

    /// Reads the output of `ssh -G` (ssh(1)): a keyword in lower case and its value on each line.
    public init(parsing output: String) {
        self.init(parsing: output, exists: { FileManager.default.fileExists(atPath: $0) })
    }

    init(parsing output: String, exists: (String) -> Bool) {
        var values: [String: [String]] = [:]
        for line in output.split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: " ", maxSplits: 1)
            guard parts.count == 2 else { continue }
            values[parts[0].lowercased(), default: []].append(String(parts[1]))
        }
        func first(_ key: String) -> String? { values[key]?.first.flatMap { $0 == "none" ? nil : $0 } }
        hostName = first("hostname")
        port = first("port").flatMap(Int.init)
        user = first("user")
        // ssh lists its defaults where the configuration names none; those that are not there say nothing.
        let usual: Set = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_dsa"]
        let named = values["identityfile", default: []].filter { $0 != "none" }
        let isDefault = named.allSatisfy {
            ($0 as NSString).deletingLastPathComponent == "~/.ssh" && usual.contains(($0 as NSString).lastPathComponent)
        }
        identities = isDefault && named.count > 1 ? [] : named.filter { exists(Paths.expand($0)) }
        knownHosts = ["userknownhostsfile", "globalknownhostsfile"].flatMap { key in
            (first(key) ?? "").split(separator: " ").map(String.init).filter { $0 != "/dev/null" }
        }
        jumps = first("proxyjump")?.split(separator: ",").map(String.init) ?? []
        unsupported = first("proxycommand").map { ["ProxyCommand \($0)"] } ?? []
    }

    /// Asks the local `ssh`, which opens no connection for it; `nil` where there is no OpenSSH. Its `Match exec` lines run, as
    /// they would for the user.
    /// - Throws: ``SSHError`` with ``SSHError/Code/invalidEndpoint`` for a name that `ssh` could take for something else, or
    ///   that it refuses.
    public static func read(host: String, ssh: String = "/usr/bin/ssh", arguments: [String] = []) async throws(SSHError)
        -> UserConfiguration?
    {
        try await find(host: host, ssh: ssh, arguments: arguments).get()
    }

    static func find(
        host: String, ssh: String = "/usr/bin/ssh", arguments: [String] = []
    ) async -> Result<UserConfiguration?, SSHError> {
        do throws(SSHError) {
            try Endpoint(name: host, host: host, user: "user", knownHosts: []).validate()
        } catch {
            return .failure(error)
        }
        guard FileManager.default.isExecutableFile(atPath: ssh) else { return .success(nil) }
        let result: Result<(status: Int32, output: Data), any Error> = await withCheckedContinuation { continuation in
            OwnThread.start {
                continuation.resume(
                    returning: Result { try LocalProcess.output(of: ssh, arguments + ["-G", "--", host]) })
            }
        }
        guard case .success(let (status, output)) = result, status == 0 else {
            return .failure(
                SSHError(
                    .invalidEndpoint, host: host, operation: "read ssh_config", cause: "`ssh -G \(host)` failed",
                    advice: "run it to see why"))
        }
        return .success(UserConfiguration(parsing: String(decoding: output, as: UTF8.self)))
    }
}

/// An endpoint as an inventory gives it: what it leaves out comes from the user's ssh_config, what it says stands.
public struct EndpointDraft: Sendable, Hashable {
    /// As it is written: an alias in ssh_config, a DNS name or an address.
    public var name: String
    /// An address, or an alias of ssh_config.
    public var host: String
    /// `nil`: ssh_config's, else 22.
    public var port: Int?
    /// `nil`: ssh_config's, else the one who runs this.
    public var user: String?
    /// Key files; `nil`: ssh_config's, else OpenSSH's usual ones and the agent.
    public var identities: [String]?
    /// `nil`: ssh_config's, else OpenSSH's usual ones.
    public var knownHosts: [String]?
    /// The way there, outermost first; `nil`: ssh_config's ProxyJump.
    public var jumps: [Endpoint]?
    /// As whom commands run there.
    public var become: Endpoint.Become

    public init(
        name: String, host: String, port: Int? = nil, user: String? = nil, identities: [String]? = nil,
        knownHosts: [String]? = nil, jumps: [Endpoint]? = nil, become: Endpoint.Become = .none
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

    /// Fills in what is missing; the inventory wins.
    /// - Parameters:
    ///   - configuration: of this draft's host.
    ///   - jumps: the endpoints of the configuration's `jumps`, which have configurations of their own; see
    ///     ``resolve(_:reading:)``.
    public func endpoint(_ configuration: UserConfiguration?, jumps found: [Endpoint] = []) -> Endpoint {
        Endpoint(
            name: name, host: configuration?.hostName ?? host, port: port ?? configuration?.port ?? 22,
            user: user ?? configuration?.user ?? NSUserName(),
            identities: identities ?? configuration?.identities ?? [],
            knownHosts: knownHosts ?? configuration?.knownHosts.nonEmpty ?? ["~/.ssh/known_hosts"],
            jumps: jumps ?? found, become: become)
    }

    /// Reads the configuration of this host and of the jump hosts that it names, and fills in what is missing.
    /// - Throws: ``SSHError`` with ``SSHError/Code/invalidEndpoint``, also where the configuration wants a `ProxyCommand`
    ///   and the draft names no jump host instead.
    public func resolve() async throws(SSHError) -> Endpoint {
        try await resolved().get()
    }

    /// The same, with its error as a value. Closures that throw a typed error and wait are miscompiled by Swift 6.3 with
    /// optimisation: the caller finds a result that is none.
    public func resolved() async -> Result<Endpoint, SSHError> {
        await resolved { host in await UserConfiguration.find(host: host) }
    }

    func resolved(
        reading read: @Sendable (String) async -> Result<UserConfiguration?, SSHError>
    ) async -> Result<Endpoint, SSHError> {
        var configurations: [String: UserConfiguration] = [:]
        var hosts = [host]
        while let next = hosts.popLast() {
            let configuration: UserConfiguration?
            switch await read(next) {
            case .failure(let error): return .failure(error)
            case .success(let found): configuration = found
            }
            configurations[next] = configuration
            if next == host, jumps == nil { hosts += (configuration?.jumps ?? []).map { EndpointDraft.jump($0).host } }
        }
        return Result { () throws(SSHError) in try endpoint(from: configurations) }
    }

    private func endpoint(from configurations: [String: UserConfiguration]) throws(SSHError) -> Endpoint {
        let configuration = configurations[host]
        if jumps == nil, let command = configuration?.unsupported.first {
            throw SSHError(
                .invalidEndpoint, host: name, operation: "read ssh_config",
                cause: "\(TerminalText.sanitize(command)) cannot be used here",
                advice: "name a jump host (ProxyJump) instead")
        }
        var found: [Endpoint] = []
        if jumps == nil {
            for jump in configuration?.jumps ?? [] {
                var draft = EndpointDraft.jump(jump)
                // A jump host's own ProxyJump is not followed: the list is the whole way, as in ssh_config(5).
                draft.jumps = []
                found.append(draft.endpoint(configurations[draft.host]))
            }
        }
        return endpoint(configuration, jumps: found)
    }

    /// Reads `[user@]host[:port]`, with brackets round an IPv6 address; `ssh://` may stand before it.
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

extension Collection {
    fileprivate var nonEmpty: Self? { isEmpty ? nil : self }
}
