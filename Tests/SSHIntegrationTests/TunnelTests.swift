import CLibSSH2
import Foundation
import Synchronization
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

        /// Bytes for the first channel come after it was looked at, and are taken from the socket while the second one is read.
        /// The tunnel would sleep for an hour before it found them by itself.
        @Test func bytesThatComeWhileAnotherChannelIsReadAreForwardedBeforeTheTunnelSleeps() async throws {
            try await Server.with { gate in
                let targets = Mutex<[Int32]>([])
                let listener = try Listener { connection in
                    targets.withLock { $0.append(connection) }
                    var byte: UInt8 = 0
                    while recv(connection, &byte, 1, 0) > 0 {}
                }
                defer { listener.end() }
                let hop = try gate.endpoint(name: "gate")
                let connector = Connector(
                    endpoint: hop, trust: HostKeyTrust(acceptances: [], notice: { _ in }),
                    credentials: await KeyRing(prompt: nil, agentPath: nil).credentials(for: hop))
                let tunnel = try Tunnel(hop: hop)
                let hasEnded = Flag()
                try PooledThread.start {
                    defer { hasEnded.raise() }
                    let session = try? connector.connect(Waiter(limit: .seconds(10)), through: nil)
                    guard let session else { return }
                    LateBytes.watch(session)
                    tunnel.run(session, longestSleep: 3_600_000)
                }
                var target = hop
                target.port = listener.port
                var ends: [Int32] = []
                for number in 1...2 {
                    let opening = await tunnel.open(to: target, Waiter(limit: .seconds(10)))
                    guard case .opened(let end) = opening else { throw TestFailure("not opened: \(opening)") }
                    ends.append(end)
                    while targets.withLock({ $0.count }) < number { try await Task.sleep(for: .milliseconds(2)) }
                }
                let connections = targets.withLock { $0 }
                for _ in 0..<5 {
                    LateBytes.next.withLock { $0 = LateBytes(target: connections[0]) }
                    // To the second channel, so that the tunnel moves it and looks at both again.
                    Listener.send(Data("x".utf8), to: connections[1])
                    for (end, count) in zip(ends, [LateBytes.bytes.count, 1]) {
                        var polled = pollfd(fd: end, events: Int16(POLLIN), revents: 0)
                        try #require(poll(&polled, 1, 10_000) == 1, "the bytes stayed in libssh2")
                        var text = [UInt8](repeating: 0, count: 16)
                        #expect(recv(end, &text, text.count, 0) == count)
                    }
                }
                for end in ends { close(end) }
                tunnel.close()
                while !hasEnded.isRaised { try await Task.sleep(for: .milliseconds(2)) }
            }
        }
    }
}

/// Has a target send when libssh2 has just found the socket empty, and waits for the bytes, so that the next call of libssh2 takes them.
///
/// That is the third time after a packet came: the tunnel's two channels were read with the packet, and the first one again.
private struct LateBytes {
    static let bytes = Data("late".utf8)
    static let next = Mutex<LateBytes?>(nil)
    private static let receive = Mutex<clibssh2_receive?>(nil)

    let target: Int32
    /// `nil` before the packet came.
    var looksLeft: Int?

    static func watch(_ session: Session) {
        let before = clibssh2_exchange_receive(session.raw) { socket, buffer, length, flags, abstract in
            guard let receive = LateBytes.receive.withLock({ $0 }) else { return -Int(EINVAL) }
            let count = receive(socket, buffer, length, flags, abstract)
            if let target = LateBytes.due(count) {
                Listener.send(LateBytes.bytes, to: target)
                var polled = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
                poll(&polled, 1, 10_000)
            }
            return count
        }
        receive.withLock { $0 = before }
    }

    /// - Parameter count: what the socket gave.
    /// - Returns: the target where it is to send now.
    private static func due(_ count: Int) -> Int32? {
        next.withLock { next in
            guard let late = next else { return nil }
            if count > 0 {
                next?.looksLeft = late.looksLeft ?? 3
            } else if let left = late.looksLeft {
                next = left == 1 ? nil : LateBytes(target: late.target, looksLeft: left - 1)
                if left == 1 { return late.target }
            }
            return nil
        }
    }
}
