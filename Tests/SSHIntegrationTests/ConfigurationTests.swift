import Foundation
import Testing

@testable import SSH

extension Integration {
    /// Hosts as a user's ssh_config describes them, read by the local ssh(1), reached on real servers.
    @Suite struct ConfigurationTests {
        /// Runs `true` on `alias` as the configuration says and nothing else. Each server's key is trusted.
        @discardableResult
        private func run(
            _ alias: String, _ configuration: String, servers: [Server], user: String? = nil, agentPath: String? = nil,
            passphrase: ConnectionPool.PassphrasePrompt? = nil
        ) async throws -> CommandResult {
            let endpoint = try await endpoint(alias, configuration, servers, user: user)
            let pool = ConnectionPool(agentPath: agentPath, passphrase: passphrase)
            do {
                let result = try await pool.remote(endpoint).run(Command(["true"]))
                await pool.close()
                return result
            } catch {
                await pool.close()
                throw error
            }
        }

        private func endpoint(_ alias: String, _ configuration: String, _ servers: [Server], user: String? = nil)
            async throws -> Endpoint
        {
            let folder = servers[0].folder
            let known = try servers.map { "[127.0.0.1]:\($0.port) " + (try $0.publicKey()) }
            let file = try servers[0].knownHosts(known, name: "all_known_hosts")
            let usual = """

                Host *
                  HostName 127.0.0.1
                  User \(NSUserName())
                  UserKnownHostsFile \(file)
                  GlobalKnownHostsFile /dev/null
                  IdentityFile \(folder)/id
                """
            try (configuration + usual).write(toFile: "\(folder)/config", atomically: true, encoding: .utf8)
            return try await EndpointDraft(name: alias, host: alias, user: user)
                .resolve(UserConfigurations(arguments: ["-F", "\(folder)/config"]))
        }

        private func failure(
            _ alias: String, _ configuration: String, servers: [Server], agentPath: String? = nil
        ) async throws -> SSHError {
            try #require(
                await #expect(throws: SSHError.self) {
                    try await run(alias, configuration, servers: servers, agentPath: agentPath)
                })
        }

        private func authorize(_ path: String, on server: Server) throws {
            let file = "\(server.folder)/authorized_keys"
            let key = try String(contentsOfFile: path + ".pub", encoding: .utf8)
            try (String(contentsOfFile: file, encoding: .utf8) + key)
                .write(toFile: file, atomically: true, encoding: .utf8)
        }

        @Test func aJumpHostBehindAnotherIsReachedThroughIt() async throws {
            try await Server.with { outer in
                try await Server.with { inner in
                    try await Server.with { target in
                        for server in [inner, target] { try authorize("\(outer.folder)/id", on: server) }
                        try await run(
                            "target",
                            """
                            Host target
                              Port \(target.port)
                              ProxyJump inner
                            Host inner
                              Port \(inner.port)
                              ProxyJump outer
                            Host outer
                              Port \(outer.port)
                            """, servers: [outer, inner, target])
                        #expect(outer.log.contains("direct-tcpip"), "the inner jump host was reached directly")
                        #expect(inner.log.contains("direct-tcpip"))
                    }
                }
            }
        }

        @Test func tokensNameTheKeyFile() async throws {
            try await Server.with { server in
                try FileManager.default.moveItem(
                    atPath: "\(server.folder)/id", toPath: "\(server.folder)/k_127.0.0.1_\(NSUserName())")
                try await run(
                    "host", "Host host\n  Port \(server.port)\n  IdentityFile \(server.folder)/k_%h_%r\n",
                    servers: [server])
            }
        }

        @Test func aNamedKeyThatIsMissingIsToldAbout() async throws {
            try await Server.with { server in
                try FileManager.default.removeItem(atPath: "\(server.folder)/id")
                let error = try await failure(
                    "host", "Host host\n  Port \(server.port)\n  IdentityFile \(server.folder)/gone_%h\n",
                    servers: [server])
                #expect(error.code == .authenticationFailed)
                #expect(error.cause.contains("\(server.folder)/gone_127.0.0.1 (no such file)"))
            }
        }

        @Test func theAgentIsTheOneThatTheConfigurationNames() async throws {
            try await Server.with { server in
                try await withAgent(server.folder, keys: ["\(server.folder)/id"]) { agent in
                    let configuration =
                        "Host host\n  Port \(server.port)\n  IdentityFile none\n  IdentityAgent \(server.folder)/%n.agent\n"
                    try FileManager.default.createSymbolicLink(
                        atPath: "\(server.folder)/host.agent", withDestinationPath: agent)
                    for name in ["id", "id.pub"] {
                        try FileManager.default.removeItem(atPath: "\(server.folder)/\(name)")
                    }
                    try await run("host", configuration, servers: [server])
                    let error = try await failure(
                        "host", "Host host\n  Port \(server.port)\n  IdentityFile none\n  IdentityAgent none\n",
                        servers: [server], agentPath: agent)
                    #expect(error.cause.contains("tried \(server.folder)/id (no such file)"))
                }
            }
        }

        @Test func aPublicKeyNamesOneOfTheAgents() async throws {
            try await Server.with { server in
                let other = "\(server.folder)/other"
                try Server.makeKey("ed25519", at: other)
                try await withAgent(server.folder, keys: [other, "\(server.folder)/id"]) { agent in
                    try FileManager.default.removeItem(atPath: "\(server.folder)/id")
                    // As X.pub, and as X where only X.pub is there.
                    for name in ["id.pub", "id"] {
                        try await run(
                            "host",
                            """
                            Host host
                              Port \(server.port)
                              IdentitiesOnly yes
                              IdentityFile \(server.folder)/\(name)

                            """, servers: [server], agentPath: agent)
                    }
                    #expect(!server.log.contains("Failed publickey"), "another of the agent's keys was tried")
                    let error = try await failure(
                        "host", "Host host\n  Port \(server.port)\n  IdentitiesOnly yes\n", servers: [server])
                    #expect(error.cause.contains("no agent holds the key of \(server.folder)/id.pub"))
                }
            }
        }

        @Test func theAgentsKeysAreTriedAfterThoseThatAreNamedUnlessForbidden() async throws {
            try await Server.with { server in
                let stranger = "\(server.folder)/stranger"
                try Server.makeKey("ed25519", at: stranger)
                try await withAgent(server.folder, keys: ["\(server.folder)/id"]) { agent in
                    try FileManager.default.removeItem(atPath: "\(server.folder)/id")
                    try FileManager.default.removeItem(atPath: "\(server.folder)/id.pub")
                    let configuration = "Host host\n  Port \(server.port)\n  IdentityFile \(stranger)\n"
                    try await run("host", configuration, servers: [server], agentPath: agent)
                    let error = try await failure(
                        "host", configuration + "  IdentitiesOnly yes\n", servers: [server], agentPath: agent)
                    #expect(error.cause.contains("\(stranger) (refused)"))
                    #expect(!error.cause.contains("from the agent"))
                }
            }
        }

        @Test func certificatesAreSkippedAndNamed() async throws {
            try await Server.with { server in
                let (authority, key) = ("\(server.folder)/authority", "\(server.folder)/user")
                for path in [authority, key] { try Server.makeKey("ed25519", at: path) }
                try Tool.run("/usr/bin/ssh-keygen", ["-q", "-s", authority, "-I", "me", "-n", "root", "\(key).pub"])
                // ssh-add takes the certificate along.
                try await withAgent(server.folder, keys: [key]) { agent in
                    try FileManager.default.removeItem(atPath: "\(server.folder)/id")
                    let configuration =
                        "Host host\n  Port \(server.port)\n  IdentitiesOnly yes\n  IdentityFile \(key)\n"
                    let error = try await failure("host", configuration, servers: [server], agentPath: agent)
                    #expect(error.cause.contains("\(key) (refused)"))
                    #expect(error.cause.contains("\(key)-cert.pub (a certificate"))
                    #expect(error.cause.contains("from the agent (a certificate"))
                    #expect(!server.log.contains("cert-v01"), "a certificate was offered")
                }
            }
        }

        @Test func anAliasStandsForTheHostInKnownHosts() async throws {
            try await Server.with { server in
                let alone = try server.knownHosts(["rack7-m1 " + (try server.publicKey())], name: "alias_only")
                let configuration = """
                    Host host
                      Port \(server.port)
                      HostKeyAlias Rack7-M1
                      UserKnownHostsFile \(alone)

                    """
                try await run("host", configuration, servers: [server])
                let empty = try server.knownHosts([], name: "empty")
                let unknown = configuration.replacing(alone, with: empty)
                let error = try await failure("host", unknown, servers: [server])
                #expect(error.code == .hostKeyUnknown)
                #expect(error.cause.contains("rack7-m1 (HostKeyAlias)"))
                // What is accepted is recorded under the alias, without a port.
                let endpoint = try await endpoint("host", unknown, [server])
                let key = try #require(
                    HostKey(blob: Data(base64Encoded: String(try server.publicKey().split(separator: " ")[1]))!))
                let pool = ConnectionPool(
                    acceptances: [HostKeyAcceptance(host: "host", fingerprint: key.fingerprint)], agentPath: nil)
                #expect(try await pool.remote(endpoint).run(Command(["true"])).succeeded)
                await pool.close()
                #expect(try String(contentsOfFile: empty, encoding: .utf8).contains("rack7-m1 ssh-ed25519 "))
            }
        }

        @Test func aRevokedHostKeyIsRefusedHoweverItIsListed() async throws {
            try await Server.with { server in
                let (list, krl) = ("\(server.folder)/revoked", "\(server.folder)/krl")
                try server.publicKey().write(toFile: list, atomically: true, encoding: .utf8)
                try Tool.run("/usr/bin/ssh-keygen", ["-q", "-k", "-f", krl, "\(server.folder)/host_ed25519.pub"])
                for file in [list, krl] {
                    let error = try await failure(
                        "host", "Host host\n  Port \(server.port)\n  RevokedHostKeys \(file)\n", servers: [server])
                    #expect(error.code == .hostKeyMismatch)
                    #expect(error.cause.contains("revoked by \(file)"))
                }
                let missing = try await failure(
                    "host", "Host host\n  Port \(server.port)\n  RevokedHostKeys \(server.folder)/none\n",
                    servers: [server])
                #expect(missing.code == .hostKeyUnknown)
                #expect(missing.cause.contains("cannot be read"))
            }
        }

        @Test func whatIsNotFollowedIsToldOnce() async throws {
            try await Server.with { server in
                let endpoint = try await endpoint(
                    "host", "Host host\n  Port \(server.port)\n  CertificateFile /none-cert.pub\n", [server])
                var second = endpoint
                second.name = "other"
                let notices = Notices()
                let pool = ConnectionPool(agentPath: nil, notice: { notices.add($0) })
                for endpoint in [endpoint, second] { _ = try await pool.remote(endpoint).run(Command(["true"])) }
                await pool.close()
                #expect(notices.all.count == 1)
                #expect(notices.all.first?.contains("CertificateFile /none-cert.pub") == true)
            }
        }

        private func withAgent(_ folder: String, keys: [String], _ body: (String) async throws -> Void) async throws {
            let path = "\(folder)/agent"
            let agent = try Tool("/usr/bin/ssh-agent", ["-D", "-a", path])
            defer { agent.end() }
            #expect(agent.waitUntil { FileManager.default.fileExists(atPath: path) })
            for key in keys {
                let tool = try Tool(
                    "/usr/bin/ssh-add", ["-q", key], environment: ["SSH_AUTH_SOCK": path, "PATH": "/usr/bin:/bin"])
                _ = tool.waitUntil { !tool.isRunning }
            }
            try await body(path)
        }
    }
}
