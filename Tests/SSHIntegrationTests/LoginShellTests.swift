import Foundation
import SSH
import Testing

extension Integration {
    /// What a login shell prints by itself is not the command's output, and what answers in its place is told as that.
    @Suite struct LoginShellTests {
        /// As a `.bashrc` that prints for shells that are not interactive: its words come first, without an end of line.
        @Test(arguments: ["Welcome to rack 7", "Welcome\n\n", String(repeating: "motd ", count: 20_000)])
        func wordsOfStartupFilesAreNotTheCommandsOutput(words: String) async throws {
            let file = NSTemporaryDirectory() + "masterswap-words-\(UUID().uuidString)"
            try words.write(toFile: file, atomically: true, encoding: .utf8)
            defer { try? FileManager.default.removeItem(atPath: file) }
            let configuration = [#"ForceCommand cat \#(file); exec sh -c "$SSH_ORIGINAL_COMMAND""#]
            try await Server.with(configuration: configuration) { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let result = try await remote.run(Command(["printf", "a\\0b"]))
                #expect(result.standardOutput == Data("a\u{0}b".utf8))
                #expect(try await remote.run(Command(["true"])).standardOutput.isEmpty)
                let input = Data((0..<200_000).map { UInt8(truncatingIfNeeded: $0) })
                #expect(try await remote.run(Command(["cat"], input: input)).standardOutput == input)
                await pool.close()
            }
        }

        struct Answer: Sendable, CustomTestStringConvertible {
            var command: String
            /// Of the answer's own words.
            var cause: String
            var advice: String
            var testDescription: String { command }
        }

        static let answers = [
            Answer(
                command:
                    #"echo 'Please login as the user "rocky" rather than the user "root".'; echo; sleep 0.1; exit 142"#,
                cause: #"Please login as the user "rocky""#, advice: "become: sudo"),
            Answer(command: #"printf '1) node-a\n2) node-b\nchoose: '"#, cause: "1) node-a", advice: "ForceCommand"),
            Answer(
                command: "echo 'This service allows sftp connections only.'; exit 1", cause: "sftp connections only",
                advice: "another user"),
            Answer(
                command: "echo 'This account is currently not available.'; exit 1", cause: "currently not available",
                advice: "may log in"),
            Answer(
                command: "echo 'WARNING: Your password has expired.' >&2; exit 1", cause: "password has expired",
                advice: "change the password"),
            Answer(command: #"echo "Unmatched '''." >&2; exit 1"#, cause: "Unmatched", advice: "POSIX login shell"),
            Answer(
                command: "echo 'fish: Unsupported use of =' >&2; exit 127", cause: "fish", advice: "POSIX login shell"),
            Answer(command: "exit 0", cause: "it printed nothing", advice: "ssh "),
        ]

        @Test(arguments: answers) func whatAnswersInPlaceOfAShellIsToldInItsOwnWords(answer: Answer) async throws {
            try await Server.with(configuration: ["ForceCommand \(answer.command)"]) { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                do {
                    let result = try await remote.run(Command(["true"]))
                    Issue.record("\(result.outcome) passed for the command's")
                } catch let error as SSHError {
                    #expect(error.code == .noShell)
                    #expect(error.cause.contains(answer.cause), "\(error)")
                    #expect("\(error)".contains(answer.advice), "\(error)")
                    #expect(!"\(error)".contains("try again"))
                }
                await pool.close()
            }
        }
    }
}
