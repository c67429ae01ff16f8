import Foundation
import Testing

@testable import SSH

extension Integration {
    /// Accounts with other login shells. sshd gives the shell the command as `-c COMMAND`, and so does ForceCommand here.
    @Suite struct LoginShellTests {
        private static let shells = [
            "/bin/bash", "/bin/dash", "/usr/bin/zsh", "/usr/bin/fish", "/usr/bin/tcsh", "/bin/busybox sh",
        ].filter { FileManager.default.isExecutableFile(atPath: String($0.split(separator: " ")[0])) }

        private func with(
            _ shell: String, saying words: String? = nil, _ body: (any Remote, Server) async throws -> Void
        ) async throws {
            let first = words.map { "echo '\($0)' >&2; " } ?? ""
            let command = "ForceCommand \(first)exec \(shell) -c \"$SSH_ORIGINAL_COMMAND\""
            try await Server.with(configuration: [command]) { server in
                let pool = ConnectionPool(agentPath: nil)
                try await body(pool.remote(try server.endpoint()), server)
                await pool.close()
            }
        }

        @Test(arguments: shells) func commandsScriptsAndFilesWork(shell: String) async throws {
            try await with(shell) { remote, server in
                let arguments = [
                    "a\\'b", "c:\\\\dir", "%self", "!!", "=ls", "new\nline\n", "'; touch \(server.folder)/x; '",
                ]
                let printed = try await remote.run(Command(["printf", "[%s]"] + arguments))
                #expect(printed.text == arguments.map { "[\($0)]" }.joined())
                #expect(!FileManager.default.fileExists(atPath: "\(server.folder)/x"), "an argument ran a command")
                let script = try await remote.run(
                    .script(
                        "read -r x\nprintf '%s %s\\n' \"$x\" \"$1\"\nexit 7", ["it's"], input: Data("in!\n".utf8),
                        label: "s"))
                #expect(script.text == "in! it's\n")
                #expect(script.outcome == .exited(7))
                // Of the coreutils that it needs busybox prefers its own to the host's.
                guard !shell.contains("busybox") else { return }
                try await remote.upload(Data("one\n".utf8), to: "\(server.folder)/file", mode: 0o600)
                try await remote.replaceFile(
                    "\(server.folder)/file", expected: Data("one\n".utf8), with: Data("two\n".utf8))
                #expect(try String(contentsOfFile: "\(server.folder)/file", encoding: .utf8) == "two\n")
            }
        }

        /// What a login shell writes before the command: a locale that the host does not have.
        @Test func aWarningOfTheShellsIsNotInTheWay() async throws {
            let warning = "bash: warning: setlocale: LC_ALL: cannot change locale (zh_CN.UTF-8)"
            try await with("/bin/sh", saying: warning) { remote, _ in
                let result = try await remote.run(Command(["echo", "ok"]))
                #expect(result.succeeded)
                #expect(result.text == "ok\n")
                #expect(result.errorText == warning + "\n")
            }
        }

        /// An account whose password has expired: the words are on standard error, the status is 1.
        @Test func anExpiredPasswordIsShown() async throws {
            let words = "WARNING: Your password has expired. Password change required but no TTY available."
            try await with("/bin/false", saying: words) { remote, _ in
                let error = await #expect(throws: SSHError.self) { try await remote.run(Command(["echo", "ok"])) }
                #expect(error?.code == .noShell)
                #expect(error?.cause.contains("Your password has expired") == true)
            }
        }

        /// BSD's csh takes no word of more than a kilobyte.
        @Test func aShellThatCannotTakeTheCommandIsNamed() async throws {
            try await with("/bin/false", saying: "Word too long.") { remote, _ in
                let error = await #expect(throws: SSHError.self) { try await remote.run(Command(["echo", "ok"])) }
                #expect(error?.cause.contains("csh") == true)
                #expect(error?.cause.contains("no command was run") == true)
                #expect(error?.advice?.contains("chsh") == true)
            }
        }

        @Test(arguments: shells.filter { !$0.contains("busybox") }) func aCommandThatLastsTooLongIsEnded(shell: String)
            async throws
        {
            try await with(shell) { remote, server in
                let file = "\(server.folder)/pid"
                let command = Command.script(
                    "echo $$ >\(file); exec sleep 600", timeout: .seconds(2), label: "sleep")
                let error = await #expect(throws: SSHError.self) { try await remote.run(command) }
                #expect(error?.code == .timedOut)
                #expect(error?.cause.contains("the remote process was ended") == true)
            }
        }
    }
}
