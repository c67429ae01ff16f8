import Foundation
import SSH
import Testing

extension Integration {
    /// Everything that needs a server waits for its turn: these tests start processes and measure descriptors.
    @Suite struct CommandTests {
        @Test func runsACommandAndTellsBothStreamsAndTheStatus() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let result = try await remote.run(Command(["sh", "-c", "printf out; printf err >&2; exit 7"]))
                #expect(result.outcome == .exited(7))
                #expect(result.text == "out")
                #expect(result.errorText == "err")
                #expect(try await remote.run(Command(["true"])).succeeded)
                await pool.close()
            }
        }

        @Test func aSignalIsASignal() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                #expect(try await remote.run(Command(["sh", "-c", "kill -9 $$"])).outcome == .signalled("KILL"))
                #expect(try await remote.run(Command(["sh", "-c", "kill -TERM $$"])).outcome == .signalled("TERM"))
                #expect(try await remote.run(Command(["sh", "-c", "exit 137"])).outcome == .exited(137))
                await pool.close()
            }
        }

        @Test func standardInputArrivesWhole() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let input = Data((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })
                let result = try await remote.run(Command(["cat"], input: input))
                #expect(result.standardOutput == input)
                await pool.close()
            }
        }
    }
}
