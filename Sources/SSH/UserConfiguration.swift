import Foundation
import Subprocess

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// What the user's own ssh_config says of a host, as `ssh -G` resolves it: with its includes, matches and wildcards.
///
/// docs/ssh.md lists the keywords that are followed, those that are refused and those that have no part here.
public struct UserConfiguration: Sendable, Hashable {
    /// HostName: where to connect to.
    public var hostName: String?
    /// Port.
    public var port: Int?
    /// User.
    public var user: String?
    /// IdentityFile, with its tokens expanded; `none` means no file. Empty where ssh would try its defaults.
    public var identities: [String] = []
    /// IdentitiesOnly.
    public var identitiesOnly = false
    /// IdentityAgent.
    public var agent = Endpoint.Agent.environment
    /// UserKnownHostsFile and GlobalKnownHostsFile, as paths.
    public var knownHosts: [String] = []
    /// HashKnownHosts.
    public var hashesKnownHosts = false
    /// HostKeyAlias.
    public var hostKeyAlias: String?
    /// RevokedHostKeys, as paths.
    public var revokedHostKeys: [String] = []
    /// ProxyJump, outermost first: each `[user@]host[:port]`.
    public var jumps: [String] = []
    /// ProxyCommand, which cannot be run here.
    public var proxyCommand: String?
    /// Settings that change which machine or account is reached, or how, and that cannot be followed: the host is refused.
    public var unsupported: [Unsupported] = []
    /// Settings that are not followed and that a connection does not need, in words for a person.
    public var remarks: [String] = []

    /// A setting that cannot be followed, and what to do instead.
    public struct Unsupported: Sendable, Hashable {
        /// As it is written: `BindAddress 192.0.2.1`.
        public var setting: String
        /// What to write instead.
        public var advice: String
        /// Whether it matters only where the host is reached directly: otherwise the jump host makes the TCP connection.
        public var isOfDirectConnections = false

        public init(setting: String, advice: String, isOfDirectConnections: Bool = false) {
            self.setting = setting
            self.advice = advice
            self.isOfDirectConnections = isOfDirectConnections
        }
    }

    /// Reads the output of `ssh -G` (ssh(1)): a keyword and its value on each line.
    /// - Parameter host: the name that `ssh` was asked for.
    /// - Throws: ``SSHError`` with ``SSHError/Code/invalidEndpoint`` where a value has a token that cannot be expanded.
    public init(parsing output: String, host: String) throws(SSHError) {
        try self.init(parsing: output, host: host, environment: ProcessInfo.processInfo.environment)
    }

    /// - Parameter environment: for `${NAME}` and `$NAME`.
    init(parsing output: String, host: String, environment: [String: String]) throws(SSHError) {
        let lines = Lines(output)
        hostName = lines.value("hostname")
        port = lines.value("port").flatMap(Int.init)
        user = lines.value("user")
        hostKeyAlias = lines.value("hostkeyalias")?.lowercased()
        identitiesOnly = lines.value("identitiesonly") == "yes"
        hashesKnownHosts = lines.value("hashknownhosts") == "yes"
        let jumps = lines.value("proxyjump")?.split(separator: ",").map(String.init) ?? []
        let tokens = Tokens(
            alias: host, hostName: hostName ?? host, port: port ?? 22, user: user ?? LocalAccount.current.name,
            hostKeyAlias: hostKeyAlias, jump: jumps.last.map { EndpointDraft.jump($0).host } ?? "",
            environment: environment)
        func expand(_ keyword: String, _ value: String) throws(SSHError) -> String {
            do {
                return try tokens.expand(value)
            } catch {
                throw SSHError(
                    .invalidEndpoint, host: host, operation: "read ssh_config",
                    cause: "\(keyword) \(TerminalText.line(value)): \(error)",
                    advice: "write the path out in ssh_config, or name it in the inventory")
            }
        }
        for jump in jumps { self.jumps.append(try expand("ProxyJump", jump)) }
        for path in lines.namedIdentities { identities.append(try expand("IdentityFile", path)) }
        for keyword in ["UserKnownHostsFile", "GlobalKnownHostsFile"] {
            for path in Self.paths(lines.value(keyword.lowercased()) ?? "") where path != "/dev/null" {
                knownHosts.append(try expand(keyword, path))
            }
            // Accepted keys are written to the first file. It has to be the user's, also where ssh would write to none.
            if knownHosts.isEmpty { knownHosts = ["~/.ssh/known_hosts"] }
        }
        for path in Self.paths(lines.value("revokedhostkeys") ?? "") {
            revokedHostKeys.append(try expand("RevokedHostKeys", path))
        }
        switch lines.all("identityagent").first {
        case nil, "SSH_AUTH_SOCK": agent = .environment
        case "none": agent = .none
        case let value? where value.hasPrefix("$") && !value.hasPrefix("${"):
            agent = environment[String(value.dropFirst())].map { .socket($0) } ?? .none
        case let value?: agent = .socket(try expand("IdentityAgent", value))
        }
        proxyCommand = lines.value("proxycommand")
        unsupported = Self.unsupported(lines)
        remarks = Self.remarks(lines)
    }

    private static func unsupported(_ lines: Lines) -> [Unsupported] {
        var found: [Unsupported] = []
        for keyword in ["BindAddress", "BindInterface"] {
            guard let value = lines.value(keyword.lowercased()) else { continue }
            found.append(
                Unsupported(
                    setting: "\(keyword) \(value)",
                    advice: "take it out of ssh_config for this host, and let a route choose the source address",
                    isOfDirectConnections: true))
        }
        let usesKeys = "only keys can be used here: allow them for this host in ssh_config (PubkeyAuthentication yes)"
        if let value = lines.value("pubkeyauthentication"), ["no", "false"].contains(value) {
            found.append(Unsupported(setting: "PubkeyAuthentication \(value)", advice: usesKeys))
        }
        if let value = lines.value("preferredauthentications"), !value.split(separator: ",").contains("publickey") {
            found.append(Unsupported(setting: "PreferredAuthentications \(value)", advice: usesKeys))
        }
        return found
    }

    private static func remarks(_ lines: Lines) -> [String] {
        var remarks = lines.all("certificatefile").filter { $0 != "none" }.map {
            "CertificateFile \($0) is not used: libssh2 cannot log in by certificates; the plain key is tried"
        }
        if let value = lines.value("pkcs11provider") {
            remarks.append("PKCS11Provider \(value) is not used: add its keys to the agent (ssh-add -s)")
        }
        // Without a setting `ssh -G` prints one of these two, by the way OpenSSH was built.
        if let value = lines.value("securitykeyprovider"), !["internal", "$SSH_SK_PROVIDER"].contains(value) {
            remarks.append("SecurityKeyProvider \(value) is not used: libssh2 cannot log in by FIDO keys")
        }
        if let value = lines.value("knownhostscommand") {
            remarks.append("KnownHostsCommand \(value) is not run: host keys come from known_hosts files only")
        }
        if lines.value("permitlocalcommand") == "yes", let value = lines.value("localcommand") {
            remarks.append("LocalCommand \(value) is not run: run it by hand where a connection needs it")
        }
        for value in lines.all("setenv") {
            remarks.append("SetEnv \(value) is not sent: commands run in the environment that the host gives them")
        }
        return remarks.map(TerminalText.line)
    }

    /// Splits a list of paths, which `ssh -G` prints without quotes: a word that begins no path belongs to the one before it.
    private static func paths(_ list: String) -> [String] {
        list.split(separator: " ").reduce(into: [String]()) { paths, word in
            let beginsPath = ["/", "~", "%", "$"].contains(word.prefix(1))
            if !beginsPath, !paths.isEmpty { paths[paths.count - 1] += " \(word)" } else { paths.append(String(word)) }
        }
    }

    /// The keywords of `ssh -G`, in lower case, with their values in order.
    private struct Lines {
        private var values: [String: [String]] = [:]

        init(_ output: String) {
            for line in output.split(whereSeparator: \.isNewline) {
                let parts = line.split(separator: " ", maxSplits: 1)
                guard parts.count == 2 else { continue }
                values[parts[0].lowercased(), default: []].append(String(parts[1]))
            }
        }

        func all(_ keyword: String) -> [String] { values[keyword] ?? [] }

        func value(_ keyword: String) -> String? { all(keyword).first.flatMap { $0 == "none" ? nil : $0 } }

        /// The files that the configuration names. Where it names none, ssh lists its defaults: four in OpenSSH 7.4, more since.
        var namedIdentities: [String] {
            let usual: Set = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_dsa"]
            let listed = all("identityfile")
            let isDefault =
                listed.count > 3
                && listed.allSatisfy {
                    ($0 as NSString).deletingLastPathComponent == "~/.ssh"
                        && usual.contains(($0 as NSString).lastPathComponent)
                }
            return isDefault ? [] : listed
        }
    }
}

/// Asks the local `ssh` what the user's ssh_config says, once for each host, and a few hosts at a time.
///
/// No connection is made for that. `Match exec` lines run, as they would for the user.
public actor UserConfigurations {
    /// What `ssh -G` is run for. User and port are given where they are known already, so that `Match user` and tokens see them.
    struct Query: Hashable {
        var host: String
        var port: Int?
        var user: String?
    }

    private let ssh: String
    private let arguments: [String]
    private let limit: Duration
    private let limiter = Limiter(max(2, ProcessInfo.processInfo.activeProcessorCount))
    private var answers: [Query: Task<Result<UserConfiguration?, SSHError>, Never>] = [:]

    /// - Parameters:
    ///   - ssh: OpenSSH's client; where it is missing every host has OpenSSH's defaults.
    ///   - arguments: go before `-G`: `-F FILE` for another configuration.
    ///   - limit: the time for one answer: `Match exec` lines may hang.
    public init(ssh: String = "/usr/bin/ssh", arguments: [String] = [], limit: Duration = .seconds(20)) {
        self.ssh = ssh
        self.limit = limit
        self.arguments = arguments
    }

    /// What ssh_config says of a host; `nil` where there is no OpenSSH on this machine.
    /// - Throws: ``SSHError`` with ``SSHError/Code/invalidEndpoint`` for a name that `ssh` could take for something else, or
    ///   that it refuses.
    public func configuration(host: String, port: Int? = nil, user: String? = nil) async throws(SSHError)
        -> UserConfiguration?
    {
        try await answer(to: Query(host: host, port: port, user: user)).get()
    }

    func answer(to query: Query) async -> Result<UserConfiguration?, SSHError> {
        let (ssh, arguments, limit, limiter) = (ssh, arguments, limit, limiter)
        let task =
            answers[query]
            ?? Task {
                // This task is never cancelled: others wait for it too, and its time is limited.
                _ = await limiter.acquire()
                defer { limiter.release() }
                return await Self.ask(ssh, arguments, query, limit: limit)
            }
        answers[query] = task
        return await task.value
    }

    private static func ask(_ ssh: String, _ arguments: [String], _ query: Query, limit: Duration) async
        -> Result<UserConfiguration?, SSHError>
    {
        do throws(SSHError) {
            try Endpoint(
                name: query.host, host: query.host, port: query.port ?? 22, user: query.user ?? "user", knownHosts: []
            ).validate()
        } catch {
            return .failure(error)
        }
        guard FileManager.default.isExecutableFile(atPath: ssh) else { return .success(nil) }
        let given =
            (query.port.map { ["-p", String($0)] } ?? []) + (query.user.map { ["-l", $0] } ?? []) + ["--", query.host]
        func failure(_ why: String) -> Result<UserConfiguration?, SSHError> {
            .failure(
                SSHError(
                    .invalidEndpoint, host: query.host, operation: "read ssh_config",
                    cause: "`ssh -G \(ShellQuoting.join(given))` failed: \(why)",
                    advice: "run it to see why, and correct ssh_config"))
        }
        do {
            guard let output = try await run(ssh, arguments + ["-G"] + given, limit: limit) else {
                return failure("no answer within \(limit.components.seconds) s; does a `Match exec` line hang?")
            }
            guard output.terminationStatus.isSuccess else {
                let words = TerminalText.line(
                    String(output.standardError.suffix(2048)).trimmingCharacters(in: .whitespacesAndNewlines))
                return failure(words.isEmpty ? "\(output.terminationStatus)" : words)
            }
            return Result { () throws(SSHError) in
                try UserConfiguration(parsing: output.standardOutput, host: query.host)
            }
        } catch { return failure("\(error)") }
    }

    private typealias Output = ExecutionResult<Void, StringOutput<UTF8>, StringOutput<UTF8>>

    /// - Returns: what a program wrote; `nil` where it lasted longer than the limit and was killed.
    private static func run(_ path: String, _ arguments: [String], limit: Duration) async throws -> Output? {
        try await withThrowingTaskGroup(of: Output?.self) { group in
            group.addTask {
                try await Subprocess.run(
                    .path(FilePath(path)), arguments: Arguments(arguments), output: .string(limit: 1 << 20),
                    error: .string(limit: 1 << 20))
            }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}
