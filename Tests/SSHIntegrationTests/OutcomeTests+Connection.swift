import Foundation
import Synchronization
import Testing

@testable import SSH

/// A connection that is silent, lost, shared or rekeyed.
extension Integration.OutcomeTests {
    /// A proxy that forwards until it is told to stop, and closes nothing: a cable that was cut.
    @Test func aConnectionThatFallsSilentEndsWithTheDeadline() async throws {
        try await Server.with { server in
            let isCut = Flag()
            let proxy = try Listener.proxy(
                to: server.port, toServer: { data in isCut.isRaised ? nil : data },
                toClient: { data in isCut.isRaised ? nil : data })
            defer { proxy.end() }
            let pool = ConnectionPool(agentPath: nil)
            let remote = pool.remote(try server.endpoint(port: proxy.port))
            #expect(try await remote.run(Command(["true"])).succeeded)
            isCut.raise()
            let error = try await error {
                _ = try await remote.run(Command(["true"], timeout: .milliseconds(300)))
            }
            #expect(error.code == .timedOut)
            isCut.lower()
            #expect(try await remote.run(Command(["true"])).succeeded, "dialled again")
            await pool.close()
        }
    }

    @Test func silenceAfterTheCommandWasSentIsReportedAsPossiblyRunning() async throws {
        try await Server.with { server in
            let isCut = Flag()
            let proxy = try Listener.proxy(
                to: server.port, toClient: { data in isCut.isRaised ? nil : data })
            defer { proxy.end() }
            let pool = ConnectionPool(agentPath: nil)
            let remote = pool.remote(try server.endpoint(port: proxy.port))
            let mark = "\(server.folder)/mark"
            let task = Task {
                try await remote.run(Command(["sh", "-c", "touch \(mark); sleep 5"], timeout: .seconds(2)))
            }
            try await appearance(of: mark, before: task)
            isCut.raise()
            let error = try await error { _ = try await task.value }
            #expect(error.code == .timedOut)
            #expect(error.cause.contains("may be running still"))
            await pool.close()
        }
    }

    /// 8 MiB to a command that reads nothing: the window and the sockets fill up.
    @Test func aCommandThatReadsNothingEndsWithTheDeadlineOrItsOwnEnd() async throws {
        try await Server.with { server in
            let pool = ConnectionPool(agentPath: nil)
            let remote = pool.remote(try server.endpoint())
            let input = Data(count: 8 << 20)
            let error = try await error {
                _ = try await remote.run(Command(["sleep", "1000"], input: input, timeout: .milliseconds(500)))
            }
            #expect(error.code == .timedOut)
            let result = try await remote.run(Command(["sh", "-c", "exec <&-; exit 4"], input: input))
            #expect(result.outcome == .exited(4))
            await pool.close()
        }
    }

    /// The server's end of the connection stops reading altogether.
    @Test func aServerThatStopsReadingEndsWithTheDeadline() async throws {
        try await Server.with { server in
            let isStopped = Flag()
            let proxy = try Listener.proxy(
                to: server.port,
                toServer: { data in
                    while isStopped.isRaised { usleep(2000) }
                    return data
                })
            defer {
                isStopped.lower()
                proxy.end()
            }
            let pool = ConnectionPool(agentPath: nil)
            let remote = pool.remote(try server.endpoint(port: proxy.port))
            #expect(try await remote.run(Command(["true"])).succeeded)
            let task = Task {
                try await remote.run(
                    Command(["sh", "-c", "cat >/dev/null"], input: Data(count: 64 << 20), timeout: .seconds(1)))
            }
            isStopped.raise()
            let error = try await error { _ = try await task.value }
            #expect(error.code == .timedOut)
            await pool.close()
        }
    }

    @Test func theKeysChangeInTheMiddleOfALargeOutput() async throws {
        let megabytes = ProcessInfo.processInfo.environment["SSH_REKEY_MIB"].flatMap(Int.init) ?? 64
        try await Server.with(configuration: ["RekeyLimit 4M"]) { server in
            let pool = ConnectionPool(agentPath: nil)
            let remote = pool.remote(try server.endpoint())
            let size = megabytes << 20
            let result = try await remote.run(
                Command(["head", "-c", "\(size)", "/dev/zero"], outputLimit: 1 << 20))
            #expect(result.succeeded)
            #expect(result.standardOutput.count + result.droppedOutput == size)
            let sent = try await remote.run(Command(["wc", "-c"], input: Data(count: 32 << 20)))
            #expect(sent.text == "\(32 << 20)\n")
            await pool.close()
            let exchanges = server.log.components(separatedBy: "SSH2_MSG_NEWKEYS received").count - 1
            #expect(exchanges > 5)
        }
    }

    @Test func aConnectionLostWhileIdleIsDialledAgain() async throws {
        try await Server.with { server in
            let proxy = Mutex<Listener?>(try Listener.proxy(to: server.port))
            let port = try #require(proxy.withLock { $0?.port })
            let pool = ConnectionPool(agentPath: nil)
            let remote = pool.remote(try server.endpoint(port: port))
            #expect(try await remote.run(Command(["true"])).succeeded)
            proxy.withLock { $0?.dropConnections() }
            let mark = "\(server.folder)/count"
            #expect(try await remote.run(Command(["sh", "-c", "echo x >>\(mark)"])).succeeded)
            #expect(try String(contentsOfFile: mark, encoding: .utf8) == "x\n", "ran once")
            proxy.withLock { $0?.end() }
            await pool.close()
        }
    }

    /// The connection is cut when the command has begun: it must not be sent again.
    @Test func aCommandThatMayHaveRunIsNotSentAgain() async throws {
        try await Server.with { server in
            let proxy = try Listener.proxy(to: server.port)
            defer { proxy.end() }
            let pool = ConnectionPool(agentPath: nil)
            let remote = pool.remote(try server.endpoint(port: proxy.port))
            #expect(try await remote.run(Command(["true"])).succeeded)
            let mark = "\(server.folder)/count"
            let task = Task {
                try await remote.run(
                    Command(["sh", "-c", "echo x >>\(mark); touch \(mark).written; sleep 3"], label: "once"))
            }
            try await appearance(of: "\(mark).written", before: task)
            proxy.dropConnections()
            let error = try await error { _ = try await task.value }
            #expect(error.code == .outcomeUnknown)
            #expect(error.operation == "run once")
            #expect(try String(contentsOfFile: mark, encoding: .utf8) == "x\n")
            await pool.close()
        }
    }

    /// Each command has its own, and those that wait for one get their turn.
    @Test func withoutIdleConnectionsEachCommandHasItsOwn() async throws {
        try await Server.with { server in
            let proxy = try Listener.proxy(to: server.port)
            defer { proxy.end() }
            let pool = ConnectionPool(limits: .init(connectionsPerHost: 2, keepsIdle: false), agentPath: nil)
            let remote = pool.remote(try server.endpoint(port: proxy.port))
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 { group.addTask { try await remote.run(Command(["true"])).succeeded } }
                for try await succeeded in group { #expect(succeeded) }
            }
            #expect(proxy.acceptedCount == 8)
            await pool.close()
        }
    }

    @Test func manyCommandsAtOnceShareOneConnection() async throws {
        try await Server.with { server in
            let proxy = try Listener.proxy(to: server.port)
            defer { proxy.end() }
            let pool = ConnectionPool(agentPath: nil)
            let endpoint = try server.endpoint(port: proxy.port)
            try await withThrowingTaskGroup(of: String.self) { group in
                for number in 0..<20 {
                    let remote = pool.remote(endpoint)
                    group.addTask { try await remote.run(Command(["echo", "\(number)"])).text }
                }
                var seen: Set<String> = []
                for try await text in group { seen.insert(text) }
                #expect(seen == Set((0..<20).map { "\($0)\n" }))
            }
            #expect(proxy.acceptedCount <= 4)
            await pool.close()
        }
    }

    @Test func aLongCommandHoldsUpNoOther() async throws {
        try await Server.with { server in
            let pool = ConnectionPool(agentPath: nil)
            let remote = pool.remote(try server.endpoint())
            let go = "\(server.folder)/go"
            let long = Task {
                try await remote.run(Command(["sh", "-c", "until [ -e \(go) ]; do sleep 0.02; done; echo long"]))
            }
            // Would never end if it had to wait for the first one.
            #expect(try await remote.run(Command(["touch", go])).succeeded)
            #expect(try await long.value.text == "long\n")
            await pool.close()
        }
    }
}
