import Foundation
import Testing

@testable import SSH

struct UserConfigurationTests {
    private func read(_ output: String, host: String = "web", environment: [String: String] = [:]) throws
        -> UserConfiguration
    {
        try UserConfiguration(parsing: output, host: host, environment: environment)
    }

    @Test func theOutputOfSSHIsRead() throws {
        let read = try read(
            """
            host web
            user deploy
            hostname 10.1.2.3
            port 2200
            identitiesonly yes
            hashknownhosts yes
            hostkeyalias Rack7-M1
            revokedhostkeys /etc/ssh/revoked /etc/ssh/revoked2
            identityfile ~/keys/one
            identityfile ~/my keys/two
            globalknownhostsfile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2
            userknownhostsfile ~/.ssh/known_hosts ~/my files/known_hosts2
            proxyjump admin@gate:2222,inner
            """)
        #expect(read.hostName == "10.1.2.3")
        #expect(read.port == 2200)
        #expect(read.user == "deploy")
        #expect(read.identities == ["~/keys/one", "~/my keys/two"], "one that is missing is told about, not dropped")
        #expect(read.identitiesOnly)
        #expect(read.hashesKnownHosts)
        #expect(read.hostKeyAlias == "rack7-m1")
        #expect(read.revokedHostKeys == ["/etc/ssh/revoked", "/etc/ssh/revoked2"])
        #expect(
            read.knownHosts == [
                "~/.ssh/known_hosts", "~/my files/known_hosts2", "/etc/ssh/ssh_known_hosts",
                "/etc/ssh/ssh_known_hosts2",
            ])
        #expect(read.jumps == ["admin@gate:2222", "inner"])
        #expect(read.remarks == [])
        #expect(read.unsupported == [])
    }

    @Test func sshsDefaultKeysAreNoChoice() throws {
        // As OpenSSH 7.4 lists them.
        let names = ["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"]
        let output = names.map { "identityfile ~/.ssh/\($0)\n" }.joined() + "proxyjump none\nproxycommand none\n"
        let read = try read(output)
        #expect(read.identities == [])
        #expect(read.jumps == [])
        #expect(read.proxyCommand == nil)
        #expect(try self.read("identityfile ~/.ssh/id_rsa\nidentityfile ~/.ssh/id_ecdsa\n").identities.count == 2)
        #expect(try self.read("identityfile none\n").identities == ["none"])
    }

    @Test func whereSSHWouldWriteToNoFileOneOfTheUsersOwnIsWrittenTo() throws {
        let read = try read("userknownhostsfile /dev/null\nglobalknownhostsfile /etc/ssh/ssh_known_hosts\n")
        #expect(read.knownHosts == ["~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"])
    }

    @Test func tokensAreExpanded() throws {
        let account = LocalAccount.current
        let local = ProcessInfo.processInfo.hostName
        let output = """
            user deploy
            hostname 10.1.2.3
            port 2200
            hostkeyalias rack7
            proxyjump a@gate-%h:2222,b@inner
            identityfile %d/.ssh/keys/h5_%h
            identityfile %n-%p-%r-%u-%i-%k-%l-%L-%j-100%%
            identityfile ${KEYS}/x
            userknownhostsfile ~/.ssh/kh_%h
            revokedhostkeys ~/.ssh/revoked_%n
            identityagent ${HOME}/agent-%h
            """
        let read = try read(output, environment: ["KEYS": "/k%h", "HOME": "/home/me"])
        #expect(read.jumps == ["a@gate-10.1.2.3:2222", "b@inner"])
        #expect(read.identities[0] == "\(account.home)/.ssh/keys/h5_10.1.2.3")
        #expect(
            read.identities[1]
                == "web-2200-deploy-\(account.name)-\(getuid())-rack7-\(local)-\(local.prefix { $0 != "." })-inner-100%"
        )
        #expect(read.identities[2] == "/k%h/x", "a variable's value is not searched for tokens")
        #expect(read.knownHosts == ["~/.ssh/kh_10.1.2.3"])
        #expect(read.revokedHostKeys == ["~/.ssh/revoked_web"])
        #expect(read.agent == .socket("/home/me/agent-10.1.2.3"))
    }

    @Test(arguments: [
        ("identityfile ~/%x", "%x"), ("identityfile ${NOT_SET}/k", "NOT_SET"), ("identityfile ~/k%", "%"),
        ("identityagent ${NOT_SET}", "NOT_SET"), ("revokedhostkeys /x/%T", "%T"),
    ])
    func aTokenThatCannotBeExpandedIsAnError(line: String, name: String) {
        let error = #expect(throws: SSHError.self) { try read(line) }
        #expect(error?.code == .invalidEndpoint)
        #expect(error?.cause.contains(name) == true)
    }

    @Test(arguments: [
        ("none", Endpoint.Agent.none), ("SSH_AUTH_SOCK", .environment), ("$MY_AGENT", .socket("/run/mine")),
        ("$NOT_SET", .none), ("~/agent.sock", .socket("~/agent.sock")), ("/run/%r", .socket("/run/deploy")),
    ])
    func theAgentIsTheOneThatIsNamed(value: String, agent: Endpoint.Agent) throws {
        let read = try read("user deploy\nidentityagent \(value)\n", environment: ["MY_AGENT": "/run/mine"])
        #expect(read.agent == agent)
        #expect(try self.read("user deploy\n").agent == .environment)
    }

    @Test(arguments: [
        ("certificatefile ~/.ssh/c-cert.pub", "CertificateFile"), ("pkcs11provider /usr/lib/p.so", "ssh-add -s"),
        ("knownhostscommand /bin/kh %H", "KnownHostsCommand"), ("setenv A=b", "SetEnv A=b"),
        ("permitlocalcommand yes\nlocalcommand knock", "LocalCommand knock"),
        ("securitykeyprovider /usr/lib/sk.so", "FIDO keys"),
    ])
    func whatIsNotFollowedIsTold(line: String, words: String) throws {
        let remarks = try read(line).remarks
        #expect(remarks.count == 1)
        #expect(remarks[0].contains(words))
    }

    /// ssh is killed; what it started may run on, with ssh's standard error.
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/ssh"), "no ssh on this machine"))
    func anAnswerThatDoesNotComeIsNotWaitedFor() async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: file) }
        try Data("Match exec \"exec sleep 30\"\n  User other\n".utf8).write(to: file)
        let configurations = UserConfigurations(arguments: ["-F", file.path], limit: .milliseconds(100))
        let error = await #expect(throws: SSHError.self) { try await configurations.configuration(host: "m1") }
        #expect(error?.cause.contains("Match exec") == true)
        #expect(error?.cause.contains("no answer within") == true)
    }

    @Test(arguments: ["internal", "$SSH_SK_PROVIDER"]) func theDefaultProviderOfFIDOKeysIsNotTold(value: String) throws
    {
        #expect(try read("securitykeyprovider \(value)").remarks == [])
    }
}

/// How an inventory's words and the user's ssh_config become an endpoint.
struct EndpointDraftTests {
    /// Answers as `ssh -G` would for these hosts, and for others as without any configuration.
    private func reader(_ configurations: [String: String], asked: AskedQueries = AskedQueries())
        -> EndpointDraft.Reader
    {
        { query in
            await asked.add(query)
            let given = (query.user.map { "user \($0)\n" } ?? "") + (query.port.map { "port \($0)\n" } ?? "")
            return Result { () throws(SSHError) in
                try UserConfiguration(parsing: given + (configurations[query.host] ?? ""), host: query.host)
            }
        }
    }

    private func resolve(
        _ draft: EndpointDraft, _ configurations: [String: String], asked: AskedQueries = AskedQueries()
    ) async throws -> Endpoint {
        try await draft.resolved(through: [], reading: reader(configurations, asked: asked)).get()
    }

    private func refusal(_ draft: EndpointDraft, _ configurations: [String: String]) async throws -> SSHError {
        let error = try #require(
            await #expect(throws: SSHError.self) { _ = try await resolve(draft, configurations) })
        #expect(error.code == .invalidEndpoint)
        return error
    }

    private actor AskedQueries {
        private(set) var all: [UserConfigurations.Query] = []
        func add(_ query: UserConfigurations.Query) { all.append(query) }
    }

    @Test func whatTheInventoryLeavesOutComesFromTheConfiguration() async throws {
        let configurations = [
            "web": """
            hostname web.example.com
            user web-user
            port 2200
            hostkeyalias Web
            identityagent /run/agent
            identitiesonly yes
            hashknownhosts yes
            revokedhostkeys /etc/revoked
            certificatefile /c
            """
        ]
        let asked = AskedQueries()
        let filled = try await resolve(EndpointDraft(name: "n", host: "web"), configurations, asked: asked)
        #expect(filled.host == "web.example.com")
        #expect(filled.user == "web-user")
        #expect(filled.port == 2200)
        #expect(filled.knownHosts == ["~/.ssh/known_hosts"])
        #expect(filled.hostKeyAlias == "web")
        #expect(filled.agent == .socket("/run/agent"))
        #expect(filled.identitiesOnly)
        #expect(filled.hashesKnownHosts)
        #expect(filled.revokedHostKeys == ["/etc/revoked"])
        #expect(filled.remarks.count == 1)
        #expect(await asked.all == [.init(host: "web", port: nil, user: nil)])
    }

    @Test func whatTheInventorySaysStands() async throws {
        let draft = EndpointDraft(
            name: "n", host: "web", port: 22, user: "root", identities: ["mine"], knownHosts: ["own"])
        let asked = AskedQueries()
        let kept = try await resolve(
            draft, ["web": "user u\nport 2200\nidentityfile /other\nuserknownhostsfile /other\nproxyjump gate\n"],
            asked: asked)
        #expect(kept.user == "root")
        #expect(kept.port == 22)
        #expect(kept.identities == ["mine"])
        #expect(kept.knownHosts == ["own"])
        #expect(kept.jumps.map(\.host) == ["gate"], "the way was left open")
        #expect(await asked.all.first == .init(host: "web", port: 22, user: "root"))
    }

    /// Case: user, identity and known_hosts given, port and jump not.
    @Test func aHostIsAskedForAsLongAsAnythingIsOpen() async throws {
        let full = EndpointDraft(
            name: "n", host: "web", port: 22, user: "root", identities: ["i"], knownHosts: ["k"], jumps: [])
        let asked = AskedQueries()
        _ = try await resolve(full, [:], asked: asked)
        #expect(await asked.all == [])
        let openings: [(inout EndpointDraft) -> Void] = [
            { $0.port = nil }, { $0.user = nil }, { $0.identities = nil }, { $0.knownHosts = nil }, { $0.jumps = nil },
        ]
        for open in openings {
            var draft = full
            open(&draft)
            let asked = AskedQueries()
            _ = try await resolve(draft, [:], asked: asked)
            #expect(await asked.all.count == 1)
        }
    }

    @Test func anAliasOfAJumpHostIsLookedUp() async throws {
        let gate = EndpointDraft.jump("root@gate")
        let draft = EndpointDraft(
            name: "n", host: "web", port: 22, user: "root", identities: ["i"], knownHosts: ["k"], jumps: [gate])
        let endpoint = try await resolve(draft, ["gate": "hostname 127.0.1.2\nport 4201\n"])
        #expect(endpoint.jumps.map(\.host) == ["127.0.1.2"])
        #expect(endpoint.jumps.map(\.port) == [4201])
        #expect(endpoint.jumps.map(\.user) == ["root"])
    }

    /// `ssh -J a,b host` runs `ssh -J a b`, which runs `ssh a`: a's own configuration holds, b's ProxyJump does not.
    @Test func theFirstListedJumpHostIsReachedAsItsOwnConfigurationSays() async throws {
        let configurations = [
            "web": "proxyjump a,u@b:2222\n", "a": "proxyjump outer\n", "outer": "hostname outer.example\n",
            "b": "proxyjump ignored\nproxycommand ignored\nhostname b.example\n",
        ]
        let endpoint = try await resolve(EndpointDraft(name: "n", host: "web"), configurations)
        #expect(endpoint.jumps.map(\.host) == ["outer.example", "a", "b.example"])
        #expect(endpoint.jumps.allSatisfy { $0.jumps.isEmpty })
        #expect(endpoint.jumps.map(\.port) == [22, 22, 2222])
        #expect(endpoint.jumps.last?.user == "u")
    }

    @Test func nestedJumpHostsOfThreeLevelsAreFollowed() async throws {
        let configurations = ["target": "proxyjump gate-b\n", "gate-b": "proxyjump gate-a\n"]
        let endpoint = try await resolve(EndpointDraft(name: "n", host: "target"), configurations)
        #expect(endpoint.jumps.map(\.host) == ["gate-a", "gate-b"])
    }

    @Test(arguments: [
        ["web": "proxyjump web\n"], ["web": "proxyjump a\n", "a": "proxyjump b\n", "b": "proxyjump a\n"],
        ["web": "proxyjump gate\n", "gate": "proxyjump gate\n"],
    ])
    func aCircleOfJumpHostsIsRefused(configurations: [String: String]) async throws {
        let error = try await refusal(EndpointDraft(name: "n", host: "web"), configurations)
        #expect(error.cause.contains("circle"))
        #expect(error.advice?.contains("jump: none") == true)
    }

    @Test func aWayThatNeverEndsIsRefused() async throws {
        let endless: EndpointDraft.Reader = { query in
            Result { () throws(SSHError) in
                try UserConfiguration(parsing: "hostname \(query.host)\nproxyjump a-%h\n", host: query.host)
            }
        }
        let result = await EndpointDraft(name: "n", host: "web").resolved(through: [], reading: endless)
        #expect(throws: SSHError.self) { try result.get() }
    }

    @Test func aProxyCommandIsRefusedAndTheWordForADirectConnectionNamed() async throws {
        let configurations = ["web": "proxycommand /usr/bin/sss_ssh_knownhostsproxy -p %p %h\n"]
        var draft = EndpointDraft(name: "n", host: "web")
        let error = try await refusal(draft, configurations)
        #expect(error.cause.contains("ProxyCommand /usr/bin/sss_ssh_knownhostsproxy"))
        #expect(error.advice?.contains("jump: none") == true)
        draft.jumps = []
        #expect(try await resolve(draft, configurations).jumps == [])
        let behind = try await refusal(
            EndpointDraft(name: "n", host: "inner"), ["inner": "proxyjump web\n"].merging(configurations) { $1 })
        #expect(behind.cause.contains("ProxyCommand"), "that of the first jump host counts as well")
    }

    @Test func aSourceAddressIsRefusedWhereOurConnectionWouldNeedIt() async throws {
        let configurations = ["web": "bindaddress 192.0.2.1\n", "inner": "bindaddress 192.0.2.1\nproxyjump gate\n"]
        let error = try await refusal(EndpointDraft(name: "n", host: "web"), configurations)
        #expect(error.cause.contains("BindAddress 192.0.2.1"))
        #expect(try await resolve(EndpointDraft(name: "n", host: "inner"), configurations).jumps.count == 1)
    }

    @Test(arguments: ["pubkeyauthentication no", "pubkeyauthentication false", "preferredauthentications password"])
    func aHostThatTakesNoKeysIsRefused(line: String) async throws {
        let error = try await refusal(EndpointDraft(name: "n", host: "web"), ["web": line])
        #expect(error.advice?.contains("only keys") == true)
    }

    @Test func jumpsAreRead() {
        #expect(EndpointDraft.jump("root@gate:2222").user == "root")
        #expect(EndpointDraft.jump("root@gate:2222").port == 2222)
        #expect(EndpointDraft.jump("ssh://root@[fe80::1]:2222").host == "fe80::1")
        #expect(EndpointDraft.jump("fe80::1").host == "fe80::1")
        #expect(EndpointDraft.jump("gate").port == nil)
        #expect(EndpointDraft.jump("gate:x").port == 0)
        #expect(EndpointDraft.jump("ops@corp.example@gate:22").user == "ops@corp.example")
        #expect(EndpointDraft.jump("CORP\\ops@gate").user == "CORP\\ops")
    }
}

/// The local ssh(1), with a configuration of the test's own.
@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/ssh"), "no ssh on this machine"))
struct UserConfigurationsTests {
    private func with<Result>(_ text: String, _ body: (UserConfigurations, String) async throws -> Result) async throws
        -> Result
    {
        let folder = NSTemporaryDirectory() + "/ssh-unit.\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Data(text.utf8).write(to: URL(filePath: "\(folder)/config"))
        return try await body(UserConfigurations(arguments: ["-F", "\(folder)/config"]), folder)
    }

    @Test func theLocalSSHIsAsked() async throws {
        try await with("Host web\n HostName 10.1.2.3\n Port 2200\n ProxyJump gate\n IdentityFile %d/k_%h_%r\n") {
            configurations, _ async throws -> Void in
            let read = try await configurations.configuration(host: "web")
            #expect(read?.hostName == "10.1.2.3")
            #expect(read?.port == 2200)
            #expect(read?.jumps == ["gate"])
            #expect(
                try await configurations.configuration(host: "web", user: "CORP\\ops")?.identities
                    == ["\(LocalAccount.current.home)/k_10.1.2.3_CORP\\ops"])
            let error = await #expect(throws: SSHError.self) {
                try await configurations.configuration(host: "-oProxyCommand=id")
            }
            #expect(error?.code == .invalidEndpoint)
        }
        #expect(try await UserConfigurations(ssh: "/nonexistent/ssh").configuration(host: "web") == nil)
    }

    @Test func userAndPortOfTheInventoryAreSeenByMatchLines() async throws {
        try await with("Match user deploy\n ProxyJump gate\nHost *\n HostName %h.example\n") {
            configurations, _ async throws -> Void in
            #expect(try await configurations.configuration(host: "web", user: "deploy")?.jumps == ["gate"])
            #expect(try await configurations.configuration(host: "web", port: 7, user: "root")?.jumps == [])
            #expect(try await configurations.configuration(host: "web", port: 7)?.port == 7)
        }
    }

    @Test func aHostIsAskedForOnce() async throws {
        try await with("Host *\n Port 2200\n") { configurations, folder async throws -> Void in
            let first = try await configurations.configuration(host: "web")
            try FileManager.default.removeItem(atPath: "\(folder)/config")
            #expect(try await configurations.configuration(host: "web") == first)
            await #expect(throws: SSHError.self) { try await configurations.configuration(host: "other") }
        }
    }

    @Test func sshsOwnWordsAreInTheError() async throws {
        try await with("Host *\n NoSuchKeyword yes\n") { configurations, _ async throws -> Void in
            let error = await #expect(throws: SSHError.self) { try await configurations.configuration(host: "web") }
            #expect(error?.cause.contains("nosuchkeyword") == true)
        }
    }
}
