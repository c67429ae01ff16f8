import Foundation
import Synchronization
import Testing

@testable import SSH

extension Integration {
    @Suite struct AuthenticationTests {
        /// Lets a key in.
        private func authorize(_ path: String, on server: Server) throws {
            let key = try String(contentsOfFile: path + ".pub", encoding: .utf8)
            let file = "\(server.folder)/authorized_keys"
            try (String(contentsOfFile: file, encoding: .utf8) + key).write(
                toFile: file, atomically: true, encoding: .utf8)
        }

        private func run(_ server: Server, _ pool: ConnectionPool, identities: [String]) async throws -> Bool {
            let result = try await pool.remote(server.endpoint(identities: identities)).run(Command(["true"]))
            return result.succeeded
        }

        private func failure(_ server: Server, _ pool: ConnectionPool, identities: [String]) async throws -> SSHError {
            try #require(
                await #expect(throws: SSHError.self) { _ = try await run(server, pool, identities: identities) })
        }

        @Test(arguments: [
            ("ed25519", []), ("ecdsa", ["-b", "256"]), ("ecdsa", ["-b", "384"]), ("ecdsa", ["-b", "521"]),
            ("ecdsa", ["-b", "256", "-m", "PEM"]), ("ecdsa", ["-N", "secret words", "-a", "1"]),
            ("ed25519", ["-N", "secret words", "-a", "1"]), ("ecdsa", ["-N", "secret words", "-m", "PEM"]),
        ])
        func keyFilesWork(type: String, extra: [String]) async throws {
            try await Server.with { server in
                let path = "\(server.folder)/key"
                try Server.makeKey(type, at: path, extra: extra)
                try authorize(path, on: server)
                // The public half beside it must not be needed.
                try FileManager.default.removeItem(atPath: path + ".pub")
                let pool = ConnectionPool(agentPath: nil, passphrase: { _ in Secret("secret words") })
                #expect(try await run(server, pool, identities: [path]))
                await pool.close()
            }
        }

        @Test func aPassphraseIsAskedForOnce() async throws {
            try await Server.with { server in
                let path = "\(server.folder)/locked"
                try Server.makeKey("ed25519", at: path, passphrase: "correct horse", extra: ["-a", "1"])
                try authorize(path, on: server)
                let asked = Mutex<[String]>([])
                let pool = ConnectionPool(
                    agentPath: nil,
                    passphrase: { path in
                        asked.withLock { $0.append(path) }
                        return Secret("correct horse")
                    })
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for number in 0..<4 {
                        var endpoint = try server.endpoint(identities: [path])
                        endpoint.name = "host-\(number)"
                        let remote = pool.remote(endpoint)
                        group.addTask { try await remote.run(Command(["true"])).succeeded }
                    }
                    for try await succeeded in group { #expect(succeeded) }
                }
                #expect(asked.withLock { $0 } == [path])
                await pool.close()

                let wrong = ConnectionPool(agentPath: nil, passphrase: { _ in Secret("no such horse") })
                let error = try await failure(server, wrong, identities: [path])
                #expect(error.code == .authenticationFailed)
                #expect(error.cause.contains(path))
                #expect(!error.description.contains("no such horse"), "the passphrase is in the error")
                #expect(try await run(server, wrong, identities: [path, "\(server.folder)/id"]), "the next key")
                let none = ConnectionPool(agentPath: nil)
                #expect(try await failure(server, none, identities: [path]).cause.contains("passphrase"))
            }
        }

        @Test func theKeysTriedAreNamed() async throws {
            try await Server.with { server in
                let path = "\(server.folder)/stranger"
                try Server.makeKey("ed25519", at: path)
                let pool = ConnectionPool(agentPath: nil)
                let missing = "\(server.folder)/missing"
                let error = try await failure(
                    server, pool,
                    identities: [missing, path, "\(server.folder)/id.pub", "\(server.folder)/sshd_config"])
                #expect(error.code == .authenticationFailed)
                #expect(error.cause.contains("\(missing) (no such file)"))
                #expect(error.cause.contains("\(path) (refused)"))
                #expect(error.cause.contains("id.pub (a public key"))
                #expect(error.cause.contains("sshd_config (not a private key"))
                #expect(error.cause.contains("the server would take publickey"))
                #expect(try await run(server, pool, identities: [path, "\(server.folder)/id"]), "the second key")
                await pool.close()
            }
        }

        /// libssh2 1.10 signs by SHA-1 with RSA keys, which OpenSSH refuses since 8.8; 1.11 does not.
        @Test func anRSAKeyIsExplained() async throws {
            try await Server.with { server in
                let path = "\(server.folder)/rsa"
                try Server.makeKey("rsa", at: path, extra: ["-b", "2048"])
                try authorize(path, on: server)
                let pool = ConnectionPool(agentPath: nil)
                if Library.signsRSAWithSHA2 {
                    #expect(try await run(server, pool, identities: [path]))
                } else {
                    let error = try await failure(server, pool, identities: [path])
                    #expect(error.code == .authenticationFailed)
                    #expect(error.advice?.contains("Ed25519") == true)
                    #expect(error.advice?.contains("rsa-sha2") == true)
                }
                await pool.close()
            }
        }

        @Test func noPasswordlessProbeIsMade() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let succeeded = try await run(server, pool, identities: ["\(server.folder)/id"])
                #expect(succeeded)
                await pool.close()
                #expect(!server.log.contains("method none"))
            }
        }

        @Test func theAgentSigns() async throws {
            try await Server.with { server in
                try await withAgent(server.folder) { agent in
                    let path = "\(server.folder)/agents"
                    try Server.makeKey("ed25519", at: path, passphrase: "x", extra: ["-a", "1"])
                    try authorize(path, on: server)
                    let strange = "\(server.folder)/strange"
                    try Server.makeKey("ecdsa", at: strange)
                    try add(strange, to: agent)
                    // An encrypted key that the agent holds unlocked: nobody is asked for the passphrase.
                    let before = ConnectionPool(agentPath: agent)
                    #expect(try await failure(server, before, identities: [path]).code == .authenticationFailed)
                    try Tool.run("/usr/bin/ssh-keygen", ["-q", "-p", "-P", "x", "-N", "", "-f", path])
                    try add(path, to: agent)
                    try Tool.run("/usr/bin/ssh-keygen", ["-q", "-p", "-P", "", "-N", "x", "-a", "1", "-f", path])
                    let pool = ConnectionPool(agentPath: agent)
                    #expect(try await run(server, pool, identities: [path]))
                    #expect(try await run(server, pool, identities: []), "the agent's keys where none is named")
                    await pool.close()
                }
            }
        }

        @Test func anRSAKeyInTheAgentIsExplainedToo() async throws {
            try await Server.with { server in
                try await withAgent(server.folder) { agent in
                    let path = "\(server.folder)/rsa"
                    try Server.makeKey("rsa", at: path, extra: ["-b", "2048"])
                    try authorize(path, on: server)
                    try add(path, to: agent)
                    let pool = ConnectionPool(agentPath: agent)
                    if Library.signsRSAWithSHA2 {
                        #expect(try await run(server, pool, identities: ["none"]))
                        #expect(server.log.contains("Postponed publickey") || server.log.contains("Accepted publickey"))
                    } else {
                        let error = try await failure(server, pool, identities: ["none"])
                        #expect(error.advice?.contains("Ed25519") == true)
                    }
                    await pool.close()
                }
            }
        }

        /// What OpenSSH up to 8.7 takes, CentOS 7's 7.4 among them, whatever the version of libssh2.
        @Test func anRSAKeyWorksWithAServerThatTakesSHA1() async throws {
            try await Server.with(configuration: ["PubkeyAcceptedAlgorithms +ssh-rsa"]) { server in
                try await withAgent(server.folder) { agent in
                    let path = "\(server.folder)/rsa"
                    try Server.makeKey("rsa", at: path, extra: ["-b", "2048"])
                    try authorize(path, on: server)
                    try add(path, to: agent)
                    let pool = ConnectionPool(agentPath: agent)
                    #expect(try await run(server, pool, identities: [path]))
                    await pool.close()
                    let other = ConnectionPool(agentPath: agent)
                    #expect(try await run(server, other, identities: ["none"]), "by the agent")
                    await other.close()
                }
            }
        }

        /// libssh2 1.11.1 would take the next key for one of RSA.
        @Test func anRSAKeyThatTheServerTakesNotDoesNotSpoilTheNext() async throws {
            try await Server.with(configuration: ["PubkeyAcceptedAlgorithms ssh-ed25519"]) { server in
                let path = "\(server.folder)/rsa"
                try Server.makeKey("rsa", at: path, extra: ["-b", "2048"])
                let pool = ConnectionPool(agentPath: nil)
                #expect(try await run(server, pool, identities: [path, "\(server.folder)/id"]))
                await pool.close()
            }
        }

        /// libssh2's own agent calls would wait for ever.
        @Test func anAgentThatNeverAnswersEndsWithTheDeadline() async throws {
            try await Server.with { server in
                let path = "\(server.folder)/mute"
                let mute = try MuteAgent(path)
                defer { mute.end() }
                let waiter = Waiter(limit: .milliseconds(50))
                #expect(throws: Stop.deadline) {
                    let agent = try AgentClient(path: path, waiter: waiter)
                    _ = try agent.keys()
                }
            }
        }

        /// A person who is asked for a passphrase and does not answer holds up nobody who has given up.
        @Test(.timeLimit(.minutes(1)), arguments: [false, true])
        func whoWaitsForAPassphraseCanBeCancelled(byClosing: Bool) async throws {
            try await Server.with { server in
                let path = "\(server.folder)/locked"
                try Server.makeKey("ed25519", at: path, passphrase: "correct horse", extra: ["-a", "1"])
                let (questions, asked) = AsyncStream<Void>.makeStream()
                let (answers, answer) = AsyncStream<Void>.makeStream()
                let pool = ConnectionPool(
                    agentPath: nil,
                    passphrase: { _ in
                        asked.finish()
                        for await _ in answers {}
                        return nil
                    })
                let remote = pool.remote(try server.endpoint(identities: [path]))
                let task = Task { try await remote.run(Command(["true"])) }
                for await _ in questions {}
                if byClosing { await pool.close() } else { task.cancel() }
                let error = await #expect(throws: SSHError.self) { try await task.value }
                #expect(error?.code == .cancelled)
                answer.finish()
                await pool.close()
            }
        }

        private func withAgent(_ folder: String, _ body: (String) async throws -> Void) async throws {
            let path = "\(folder)/agent"
            let agent = try Tool("/usr/bin/ssh-agent", ["-D", "-a", path])
            defer { agent.end() }
            #expect(agent.waitUntil { FileManager.default.fileExists(atPath: path) })
            try await body(path)
        }

        private func add(_ key: String, to agent: String) throws {
            let tool = try Tool(
                "/usr/bin/ssh-add", ["-q", key], environment: ["SSH_AUTH_SOCK": agent, "PATH": "/usr/bin:/bin"])
            _ = tool.waitUntil { !tool.isRunning }
        }
    }
}
