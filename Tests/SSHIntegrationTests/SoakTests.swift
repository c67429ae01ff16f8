import Foundation
import Testing

@testable import SSH

extension Integration {
    @Suite struct SoakTests {
        /// Connects of which a third fail, in three ways; then the descriptors are those of before. Default 60 connects;
        /// `SSH_SOAK=10000` for the whole of it. The memory is printed.
        @Test func connectsAndFailuresLeaveNothingBehind() async throws {
            let count = ProcessInfo.processInfo.environment["SSH_SOAK"].flatMap(Int.init) ?? 60
            try await Server.with { server in
                let good = try server.endpoint()
                var refused = good
                refused.port = try Listener.freePort()
                let untrusted = try server.endpoint(knownHosts: [server.knownHosts([], name: "none")])
                let stranger = "\(server.folder)/stranger"
                try Server.makeKey("ed25519", at: stranger)
                let unauthorized = try server.endpoint(identities: [stranger])
                let endpoints = [good, good, refused, good, good, untrusted, good, good, unauthorized]
                // Once round before counting, for what is made once.
                try await round(endpoints, count: endpoints.count)
                let before = Self.descriptors
                let memory = Self.residentKilobytes
                try await round(endpoints, count: count)
                try await Self.until { Self.descriptors <= before }
                #expect(Self.descriptors <= before)
                print(
                    "soak: \(count) connects, resident memory \(memory) kB before and \(Self.residentKilobytes) kB after"
                )
            }
        }

        private func round(_ endpoints: [Endpoint], count: Int) async throws {
            for start in stride(from: 0, to: count, by: endpoints.count) {
                let pool = ConnectionPool(agentPath: nil)
                await withTaskGroup(of: Void.self) { group in
                    for (index, endpoint) in endpoints.prefix(count - start).enumerated() {
                        var endpoint = endpoint
                        endpoint.name = "host-\(index)"
                        let remote = pool.remote(endpoint)
                        let isGood = [0, 1, 3, 4, 6, 7].contains(index)
                        group.addTask {
                            let result = try? await remote.run(Command(["true"]))
                            #expect((result?.succeeded == true) == isGood)
                        }
                    }
                }
                await pool.close()
            }
        }

        /// Pools that are not closed give their connections back all the same.
        @Test func aPoolThatIsForgottenLeavesNoDescriptor() async throws {
            try await Server.with { server in
                let endpoint = try server.endpoint()
                func use() async throws {
                    let remote = ConnectionPool(agentPath: nil).remote(endpoint)
                    #expect(try await remote.run(Command(["true"])).succeeded)
                }
                try await use()
                try await Task.sleep(for: .milliseconds(50))
                let before = Self.descriptors
                for _ in 0..<5 { try await use() }
                try await Self.until { Self.descriptors <= before }
                #expect(Self.descriptors <= before)
            }
        }

        private static func until(_ condition: () -> Bool) async throws {
            for _ in 0..<1000 where !condition() { try await Task.sleep(for: .milliseconds(5)) }
        }

        /// Sockets and files; not pipes, which other suites have, too.
        private static var descriptors: Int {
            let numbers = (try? FileManager.default.contentsOfDirectory(atPath: "/dev/fd")) ?? []
            return numbers.count { number in
                let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/dev/fd/\(number)")
                return target.map { !$0.hasPrefix("pipe:") } ?? false
            }
        }

        private static var residentKilobytes: Int {
            let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
            let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
            return line?.split(separator: " ").compactMap { Int($0) }.first ?? 0
        }
    }
}
