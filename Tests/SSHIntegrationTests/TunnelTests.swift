import Foundation
import Testing

@testable import SSH

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

extension Integration {
    /// One sshd is every hop: what is tested is the way, and a port of its own per hop tells them apart.
    @Suite struct TunnelTests {
        private func connections(_ log: String) -> Int {
            log.components(separatedBy: "Accepted publickey").count - 1
        }

        @Test func oneHop() async throws {
            try await Server.with { gate in
                try await Server.with { target in
                    let pool = ConnectionPool(agentPath: nil)
                    let endpoint = try target.endpoint(name: "target", jumps: [gate.endpoint(name: "gate")])
                    let remote = pool.remote(endpoint)
                    #expect(try await remote.run(Command(["echo", "there"])).text == "there\n")
                    let input = Data((0..<5_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
                    let echoed = try await remote.run(Command(["cat"], input: input))
                    #expect(echoed.standardOutput == input)
                    await pool.close()
                    #expect(gate.log.contains("direct-tcpip"))
                }
            }
        }

        @Test func twoHops() async throws {
            try await Server.with { outer in
                try await Server.with { inner in
                    try await Server.with { target in
                        let pool = ConnectionPool(agentPath: nil)
                        let endpoint = try target.endpoint(
                            name: "target", jumps: [outer.endpoint(name: "outer"), inner.endpoint(name: "inner")])
                        let result = try await pool.remote(endpoint).run(Command(["sh", "-c", "echo far; exit 9"]))
                        #expect(result.text == "far\n")
                        #expect(result.outcome == .exited(9))
                        await pool.close()
                        #expect(connections(outer.log) == 1)
                        #expect(connections(inner.log) == 1)
                        #expect(connections(target.log) == 1)
                    }
                }
            }
        }

        @Test func allTargetsShareTheOuterConnection() async throws {
            try await Server.with { gate in
                try await Server.with { target in
                    let pool = ConnectionPool(agentPath: nil)
                    let jump = try gate.endpoint(name: "gate")
                    try await withThrowingTaskGroup(of: String.self) { group in
                        for number in 0..<12 {
                            var endpoint = try target.endpoint(jumps: [jump])
                            endpoint.name = "target-\(number)"
                            let remote = pool.remote(endpoint)
                            group.addTask {
                                try await remote.run(Command(["sh", "-c", "head -c 300000 /dev/zero | wc -c"])).text
                            }
                        }
                        for try await text in group { #expect(text == "300000\n") }
                    }
                    await pool.close()
                    #expect(connections(gate.log) == 1)
                    #expect(connections(target.log) == 12)
                }
            }
        }

        @Test func eachHopsKeyIsVerified() async throws {
            try await Server.with { gate in
                try await Server.with { target in
                    let none = try gate.knownHosts([], name: "none")
                    let good = try gate.endpoint(name: "gate")
                    var bad = good
                    bad.knownHosts = [none]
                    for (endpoint, host) in [
                        (try target.endpoint(name: "target", jumps: [bad]), "gate"),
                        (try target.endpoint(name: "target", knownHosts: [none], jumps: [good]), "target"),
                    ] {
                        let pool = ConnectionPool(agentPath: nil)
                        let remote = pool.remote(endpoint)
                        let error = try #require(
                            await #expect(throws: SSHError.self) { _ = try await remote.run(Command(["true"])) })
                        #expect(error.code == .hostKeyUnknown)
                        #expect(error.host == host)
                        await pool.close()
                    }
                    #expect(connections(target.log) == 0)
                }
            }
        }

        @Test func aTargetThatIsNotThereIsSaidToBe() async throws {
            try await Server.with { gate in
                let pool = ConnectionPool(agentPath: nil)
                let jump = try gate.endpoint(name: "gate")
                var endpoint = try gate.endpoint(name: "target", jumps: [jump])
                endpoint.port = try Listener.freePort()
                let remote = pool.remote(endpoint)
                let error = try #require(
                    await #expect(throws: SSHError.self) { _ = try await remote.run(Command(["true"])) })
                #expect(error.code == .unreachable)
                #expect(error.cause.contains("Connection refused"), "a kernel that refuses is one that lives")
                #expect(error.host == "target")
                #expect(error.operation.contains("gate"))
                // The way is still there for others.
                let through = try gate.endpoint(name: "self", jumps: [jump])
                #expect(try await pool.remote(through).run(Command(["true"])).succeeded)
                await pool.close()
                #expect(connections(gate.log) == 2)
            }
        }

        @Test func aJumpHostThatIsNotThereSaysNothingOfItsTargets() async throws {
            try await Server.with { target in
                let pool = ConnectionPool(agentPath: nil)
                var jump = try target.endpoint(name: "gate")
                jump.port = try Listener.freePort()
                let remote = pool.remote(try target.endpoint(name: "target", jumps: [jump]))
                let error = try #require(
                    await #expect(throws: SSHError.self) { _ = try await remote.run(Command(["true"])) })
                #expect(error.code == .jumpFailed)
                #expect(error.host == "gate")
                await pool.close()
            }
        }

        @Test func aTunnelThatWasLostIsDialledAgain() async throws {
            try await Server.with { gate in
                try await Server.with { target in
                    let proxy = try Listener.proxy(to: gate.port)
                    defer { proxy.end() }
                    let known = try gate.knownHosts(
                        ["[127.0.0.1]:\(proxy.port) \(try gate.publicKey())"], name: "proxied")
                    let jump = try gate.endpoint(name: "gate", port: proxy.port, knownHosts: [known])
                    let pool = ConnectionPool(agentPath: nil)
                    let remote = pool.remote(try target.endpoint(name: "target", jumps: [jump]))
                    #expect(try await remote.run(Command(["true"])).succeeded)
                    proxy.dropConnections()
                    #expect(try await remote.run(Command(["true"])).succeeded)
                    let mark = "\(target.folder)/mark"
                    let task = Task { try await remote.run(Command(["sh", "-c", "touch \(mark); sleep 5"])) }
                    try await Integration.wait(for: task) { FileManager.default.fileExists(atPath: mark) }
                    proxy.dropConnections()
                    let error = try #require(await #expect(throws: SSHError.self) { _ = try await task.value })
                    #expect(error.code == .outcomeUnknown)
                    await pool.close()
                }
            }
        }

        /// A target that takes connections and never says a word, behind a jump host that serves others meanwhile.
        @Test func aSilentTargetHoldsUpNoOther() async throws {
            let silent = try Listener { _ in while true { sleep(1000) } }
            defer { silent.end() }
            try await Server.with { gate in
                let pool = ConnectionPool(
                    limits: ConnectionPool.Limits(connect: .seconds(2)), agentPath: nil)
                let jump = try gate.endpoint(name: "gate")
                var mute = try gate.endpoint(name: "mute", jumps: [jump])
                mute.port = silent.port
                let waiting = pool.remote(mute)
                let task = Task { try await waiting.run(Command(["true"])) }
                try await Integration.wait(for: task) { silent.acceptedCount > 0 }
                let through = try gate.endpoint(name: "self", jumps: [jump])
                #expect(try await pool.remote(through).run(Command(["true"])).succeeded)
                let error = try #require(await #expect(throws: SSHError.self) { _ = try await task.value })
                #expect(error.code == .handshakeFailed)
                await pool.close()
            }
        }
    }
}
