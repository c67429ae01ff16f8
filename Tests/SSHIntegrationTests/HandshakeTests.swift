import Foundation
import Synchronization
import Testing

@testable import SSH

extension Integration {
    @Suite struct HandshakeTests {
        private func failure(_ remote: any Remote) async throws -> SSHError {
            try #require(await #expect(throws: SSHError.self) { _ = try await remote.run(Command(["true"])) })
        }

        private func endpoint(port: Int, host: String = "127.0.0.1") -> Endpoint {
            Endpoint(name: "host", host: host, port: port, user: "root", knownHosts: ["/nonexistent/known_hosts"])
        }

        private func pool(connect: Duration = .seconds(10)) -> ConnectionPool {
            ConnectionPool(limits: ConnectionPool.Limits(connect: connect), agentPath: nil)
        }

        @Test func aClosedPortIsUnreachable() async throws {
            let error = try await failure(pool().remote(endpoint(port: try Listener.freePort())))
            #expect(error.code == .unreachable)
            #expect(error.cause.contains("refused"))
        }

        @Test func aNameThatDoesNotResolveIsSaid() async throws {
            let error = try await failure(pool().remote(endpoint(port: 22, host: "no-such-host.invalid")))
            #expect(error.code == .unresolved)
        }

        /// TCP is there, and nothing else, ever.
        @Test func aHalfOpenServerEndsWithTheDeadline() async throws {
            let listener = try Listener { _ in while true { sleep(1000) } }
            defer { listener.end() }
            let error = try await failure(pool(connect: .milliseconds(200)).remote(endpoint(port: listener.port)))
            #expect(error.code == .handshakeFailed)
            #expect(error.cause.contains("no answer within"))
        }

        @Test func aDialCanBeCancelled() async throws {
            let listener = try Listener { _ in while true { sleep(1000) } }
            defer { listener.end() }
            let remote = pool(connect: .seconds(1000)).remote(endpoint(port: listener.port))
            let task = Task { try await remote.run(Command(["true"])) }
            try await Integration.wait(for: task) { listener.acceptedCount > 0 }
            task.cancel()
            let error = try #require(await #expect(throws: SSHError.self) { _ = try await task.value })
            #expect(error.code == .cancelled)
        }

        @Test func closingThePoolEndsADial() async throws {
            let listener = try Listener { _ in while true { sleep(1000) } }
            defer { listener.end() }
            let pool = pool(connect: .seconds(1000))
            let remote = pool.remote(endpoint(port: listener.port))
            let task = Task { try await remote.run(Command(["true"])) }
            try await Integration.wait(for: task) { listener.acceptedCount > 0 }
            await pool.close()
            let error = try #require(await #expect(throws: SSHError.self) { _ = try await task.value })
            #expect(error.code == .cancelled)
        }

        /// A server that stops in the middle of the key exchange.
        @Test func aServerThatStopsInTheMiddleEndsWithTheDeadline() async throws {
            try await Server.with { server in
                for limit in [30, 200, 1200] {
                    let passed = Mutex(0)
                    let proxy = try Listener.proxy(
                        to: server.port,
                        toClient: { data in
                            let room = passed.withLock { passed in
                                defer { passed += data.count }
                                return max(0, limit - passed)
                            }
                            return room > 0 ? data.prefix(room) : nil
                        })
                    defer { proxy.end() }
                    let pool = pool(connect: .milliseconds(500))
                    let error = try await failure(pool.remote(server.endpoint(port: proxy.port)))
                    #expect([.handshakeFailed, .authenticationFailed].contains(error.code))
                    await pool.close()
                }
            }
        }

        @Test func aServerThatIsNoSSHServerIsQuoted() async throws {
            let listener = try Listener { connection in
                Listener.send(Data("HTTP/1.1 400 Bad\u{1B}[31m\r\n\r\n".utf8), to: connection)
            }
            defer { listener.end() }
            let error = try await failure(pool(connect: .milliseconds(300)).remote(endpoint(port: listener.port)))
            #expect(error.code == .handshakeFailed)
            #expect(error.cause.contains("HTTP/1.1 400 Bad\\x1b"))
        }

        /// What MaxStartups does: connections dropped before a word. Tried again until one is let in.
        @Test func droppedConnectionsAreTriedAgain() async throws {
            try await Server.with { server in
                let drops = Mutex(3)
                let target = server.port
                let proxy = try Listener { client in
                    let isDropped = drops.withLock { drops in
                        drops -= 1
                        return drops >= 0
                    }
                    guard !isDropped else {
                        Listener.send(Data("Exceeded MaxStartups\r\n".utf8), to: client)
                        return
                    }
                    Listener.forward(client, to: target)
                }
                defer { proxy.end() }
                let pool = pool()
                let remote = pool.remote(try server.endpoint(port: proxy.port))
                #expect(try await remote.run(Command(["true"])).succeeded)
                #expect(proxy.acceptedCount == 4)
                await pool.close()
            }
        }

        @Test func aServerThatAlwaysDropsIsNamedAsSuch() async throws {
            let listener = try Listener { connection in
                Listener.send(Data("Exceeded MaxStartups\r\n".utf8), to: connection)
            }
            defer { listener.end() }
            let error = try await failure(pool(connect: .milliseconds(500)).remote(endpoint(port: listener.port)))
            #expect(error.code == .handshakeFailed)
            #expect(error.cause.contains("Exceeded MaxStartups"))
            #expect(error.advice?.contains("MaxStartups") == true)
            #expect(listener.acceptedCount > 1)
        }

        /// RFC 4253 §4.2 allows any lines before the version; libssh2 1.10 stumbles over empty and long ones.
        @Test(arguments: [
            "a line\r\n", String(repeating: "x", count: 300) + "\r\n", "\r\n\r\n",
            String(repeating: "y", count: 256) + "\n",
            String(repeating: "line\r\n", count: 500),
        ])
        func linesBeforeTheVersionAreReadOver(greeting: String) async throws {
            try await Server.with { server in
                let proxy = try Listener.proxy(to: server.port, greeting: Data(greeting.utf8))
                defer { proxy.end() }
                let pool = pool()
                let remote = pool.remote(try server.endpoint(port: proxy.port))
                #expect(try await remote.run(Command(["true"])).succeeded)
                await pool.close()
            }
        }

        @Test func bannersOfThreeHundredBytesAreNoProblem() async throws {
            let folder = try Server.makeFolder()
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try (String(repeating: "authorized use only ", count: 15) + "\n")
                .write(toFile: "\(folder)/banner", atomically: true, encoding: .utf8)
            let configuration = ["Banner \(folder)/banner", "VersionAddendum " + String(repeating: "v", count: 150)]
            try await Server.with(configuration: configuration) { server in
                let pool = pool()
                let result = try await pool.remote(server.endpoint()).run(Command(["echo", "ok"]))
                #expect(result.text == "ok\n")
                #expect(result.errorText == "")
                await pool.close()
            }
        }

        @Test(arguments: [
            ("MACs hmac-sha2-256-etm@openssh.com", "MAC", "hmac-sha2-256-etm@openssh.com"),
            ("Ciphers aes256-gcm@openssh.com", "cipher", "aes256-gcm@openssh.com"),
            ("KexAlgorithms sntrup761x25519-sha512@openssh.com", "key exchange", "sntrup761x25519-sha512@openssh.com"),
        ])
        func whatTheServerInsistsOnIsNamed(line: String, kind: String, name: String) async throws {
            // A later libssh2 may have it.
            guard !Library.isAtLeast(1, 11, 0) else { return }
            try await Server.with(configuration: [line]) { server in
                let error = try await failure(pool().remote(server.endpoint()))
                #expect(error.code == .handshakeFailed)
                #expect(error.cause.contains("no common \(kind)"))
                #expect(error.cause.contains(name))
                #expect(error.advice?.contains(Library.version) == true)
            }
        }

        /// Terrapin (CVE-2023-48795): what it can cut packets out of is offered only with the strict key exchange that mends it.
        @Test func nothingIsOfferedThatTerrapinCanCut() async throws {
            try await Server.with { server in
                let sent = Mutex(Data())
                let proxy = try Listener.proxy(
                    to: server.port,
                    toServer: { data in
                        sent.withLock { $0 += data }
                        return data
                    })
                defer { proxy.end() }
                let pool = pool()
                let remote = pool.remote(try server.endpoint(port: proxy.port))
                #expect(try await remote.run(Command(["true"])).succeeded)
                await pool.close()
                let bytes = sent.withLock { $0 }
                let version = try #require(bytes.firstIndex(of: UInt8(ascii: "\n")))
                // Length, padding, message number.
                var reader = WireReader(bytes[(version + 1)...])
                #expect(reader.skip(5) && reader.byte() == 20)
                let lists = try #require(AlgorithmList.proposal(&reader))
                let (exchanges, ciphers, codes) = (lists[0], lists[2] + lists[3], lists[4] + lists[5])
                #expect(ciphers.first?.hasSuffix("-ctr") == true)
                let weak = ["sha1", "md5", "ripemd", "3des", "arcfour", "blowfish", "cast", "cbc", "dss"]
                for name in exchanges + ciphers + codes + lists[1] {
                    #expect(!weak.contains { name.contains($0) }, "\(name) is offered")
                }
                let isStrict = exchanges.contains("kex-strict-c-v00@openssh.com")
                #expect(isStrict || !(ciphers + codes).contains { $0.hasPrefix("chacha20") || $0.contains("-etm@") })
            }
        }

        /// Servers that have nothing current are refused, unless the host's settings allow them.
        @Test(arguments: [
            "KexAlgorithms diffie-hellman-group14-sha1", "KexAlgorithms diffie-hellman-group-exchange-sha1",
            "KexAlgorithms diffie-hellman-group1-sha1", "MACs hmac-sha1", "Ciphers aes256-cbc", "Ciphers 3des-cbc",
        ])
        func oldAlgorithmsAreForHostsThatNeedThem(line: String) async throws {
            try await Server.with(configuration: [line]) { server in
                var endpoint = try server.endpoint()
                let pool = pool()
                let error = try await failure(pool.remote(endpoint))
                #expect(error.code == .handshakeFailed)
                #expect(error.cause.contains(String(line.split(separator: " ")[1])))
                #expect(error.advice?.contains("algorithms: legacy") == true)
                endpoint.algorithms = .legacy
                #expect(try await pool.remote(endpoint).run(Command(["true"])).succeeded)
                await pool.close()
            }
        }

        /// No setting makes these good enough.
        @Test(arguments: ["MACs hmac-md5", "MACs hmac-sha1-96"])
        func someAlgorithmsAreForNobody(line: String) async throws {
            try await Server.with(configuration: [line]) { server in
                var endpoint = try server.endpoint()
                endpoint.algorithms = .legacy
                let error = try await failure(pool().remote(endpoint))
                #expect(error.code == .handshakeFailed)
                #expect(error.advice?.contains("legacy") == false)
            }
        }

        @Test func aServerWithAnRSAHostKeyOnlyIsNamed() async throws {
            guard !Library.signsRSAWithSHA2 else { return }
            try await Server.with(hostKeys: ["rsa"]) { server in
                let error = try await failure(pool().remote(server.endpoint()))
                #expect(error.code == .handshakeFailed)
                #expect(error.cause.contains("no common host key"))
                #expect(error.cause.contains("rsa-sha2-512"))
                #expect(error.advice?.contains("ssh-ed25519") == true)
            }
        }

        @Test func aServerThatForbidsSessionsIsNotUnknown() async throws {
            try await Server.with(configuration: ["MaxSessions 0"]) { server in
                let pool = pool()
                let error = try await failure(pool.remote(server.endpoint()))
                #expect(error.code == .connectionLost)
                #expect(error.cause.contains("nothing ran"))
                await pool.close()
            }
        }
    }
}
