import Foundation
import Testing

@testable import SSH

extension Integration {
    /// Host keys. The server logs each authentication request that it gets: with a host that is not trusted there must be none.
    @Suite struct TrustTests {
        private func refusal(_ server: Server, _ lines: [String], acceptances: [HostKeyAcceptance] = []) async throws
            -> SSHError
        {
            let file = try server.knownHosts(lines)
            let pool = ConnectionPool(acceptances: acceptances, agentPath: nil)
            let remote = pool.remote(try server.endpoint(knownHosts: [file]))
            let error = try #require(
                await #expect(throws: SSHError.self) { _ = try await remote.run(Command(["true"])) })
            await pool.close()
            let log = server.log { log in
                log.contains("SSH2_MSG_NEWKEYS received")
                    && log.contains(/(closed|reset) by .* \[preauth\]|Disconnected from/)
            }
            #expect(log.contains("SSH2_MSG_NEWKEYS received"), "the handshake was not seen to its end")
            #expect(!log.contains("userauth-request"), "the host was not trusted, and was told who we are")
            return error
        }

        @Test func anUnknownHostIsRefusedWithItsFingerprintAndTheWayIn() async throws {
            try await Server.with { server in
                let error = try await refusal(server, [])
                #expect(error.code == .hostKeyUnknown)
                let fingerprint = String(
                    decoding: try Tool.run("/usr/bin/ssh-keygen", ["-lf", "\(server.folder)/host_ed25519.pub"]),
                    as: UTF8.self
                ).split(separator: " ")[1]
                #expect(error.cause.contains(fingerprint))
                #expect(error.advice?.contains("--accept-host-key host=\(fingerprint)") == true)
            }
        }

        @Test func aChangedKeyIsRefused() async throws {
            try await Server.with { server in
                try Server.makeKey("ed25519", at: "\(server.folder)/another")
                let another = try String(contentsOfFile: "\(server.folder)/another.pub", encoding: .utf8)
                let error = try await refusal(server, ["[127.0.0.1]:\(server.port) \(another)"])
                #expect(error.code == .hostKeyMismatch)
                #expect(error.cause.contains("has changed"))
            }
        }

        @Test func anotherTypeThanTheKnownOneIsNoFirstUse() async throws {
            try await Server.with(hostKeys: ["ed25519"]) { server in
                try Server.makeKey("ecdsa", at: "\(server.folder)/another")
                let another = try String(contentsOfFile: "\(server.folder)/another.pub", encoding: .utf8)
                let error = try await refusal(server, ["[127.0.0.1]:\(server.port) \(another)"])
                #expect(error.code == .hostKeyMismatch)
                #expect(error.cause.contains("only others are on file"))
            }
        }

        @Test func aRevokedKeyIsRefused() async throws {
            try await Server.with { server in
                let key = try server.publicKey()
                let error = try await refusal(server, ["[127.0.0.1]:\(server.port) \(key)", "@revoked * \(key)"])
                #expect(error.code == .hostKeyMismatch)
                #expect(error.cause.contains("revoked"))
            }
        }

        @Test func anAuthorityAloneIsToldToBeOfNoUse() async throws {
            try await Server.with { server in
                let error = try await refusal(server, ["@cert-authority * \(try server.publicKey())"])
                #expect(error.code == .hostKeyUnknown)
                #expect(error.cause.contains("certificate authority"))
            }
        }

        @Test func anAcceptanceOfAnotherFingerprintLetsNobodyIn() async throws {
            try await Server.with { server in
                let wrong = HostKeyAcceptance(host: "host", fingerprint: "SHA256:" + String(repeating: "A", count: 43))
                let error = try await refusal(server, [], acceptances: [wrong])
                #expect(error.code == .hostKeyUnknown)
            }
        }

        @Test func theServerIsAskedForTheTypeThatIsKnown() async throws {
            try await Server.with(hostKeys: ["ed25519", "ecdsa"]) { server in
                for type in ["ed25519", "ecdsa"] {
                    let file = try server.knownHosts(
                        ["[127.0.0.1]:\(server.port) \(try server.publicKey(type))"], name: type)
                    let pool = ConnectionPool(agentPath: nil)
                    let remote = pool.remote(try server.endpoint(knownHosts: [file]))
                    #expect(try await remote.run(Command(["true"])).succeeded)
                    await pool.close()
                }
            }
        }

        @Test func hashedNamesWildcardsAndASecondFileWork() async throws {
            try await Server.with { server in
                let key = try server.publicKey()
                let hashed = try server.knownHosts(["[127.0.0.1]:\(server.port) \(key)"], name: "hashed")
                try Tool.run("/usr/bin/ssh-keygen", ["-H", "-f", hashed])
                let wildcard = try server.knownHosts(
                    ["a line that is wrong", "[127.*]:\(server.port) \(key)"], name: "wildcard")
                let empty = try server.knownHosts([], name: "empty")
                for files in [[hashed], [wildcard], [empty, "\(server.folder)/none", hashed]] {
                    let pool = ConnectionPool(agentPath: nil)
                    let remote = pool.remote(try server.endpoint(knownHosts: files))
                    #expect(try await remote.run(Command(["true"])).succeeded)
                    await pool.close()
                }
            }
        }

        @Test func anAcceptedKeyIsWrittenAndKnownToOpenSSHToo() async throws {
            try await Server.with { server in
                let file = "\(server.folder)/made/known_hosts"
                let key = try #require(
                    HostKey(blob: Data(base64Encoded: String(try server.publicKey().split(separator: " ")[1]))!))
                let acceptance = try #require(HostKeyAcceptance("host=\(key.fingerprint)"))
                let pool = ConnectionPool(acceptances: [acceptance], agentPath: nil)
                let endpoint = try server.endpoint(knownHosts: [file])
                #expect(try await pool.remote(endpoint).run(Command(["true"])).succeeded)
                await pool.close()
                let strict = ConnectionPool(agentPath: nil)
                #expect(try await strict.remote(endpoint).run(Command(["true"])).succeeded)
                await strict.close()
                try Tool.run("/usr/bin/ssh-keygen", ["-F", "[127.0.0.1]:\(server.port)", "-f", file])
            }
        }
    }
}
