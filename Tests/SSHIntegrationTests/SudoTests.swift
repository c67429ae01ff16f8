import Foundation
import Testing

@testable import SSH

extension Integration {
    /// A `sudo` of ours stands first in the server's PATH: it does what sudo does with `-S`, `-p` and `-n`, asks for a password
    /// or not as a file says, and writes down its arguments.
    @Suite struct SudoTests {
        private static let fake = """
            #!/bin/sh
            folder=$(dirname "$0")
            printf '%s\\n' "$@" >"$folder/arguments"
            prompt= silent=
            while [ $# -gt 0 ]; do
            case $1 in
            -S) ;; -n) silent=1 ;; -p) prompt=$2; shift ;; --) shift; break ;; *) break ;;
            esac
            shift
            done
            [ -e "$folder/tty" ] && { echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1; }
            [ -e "$folder/unresolved" ] && echo 'sudo: unable to resolve host m2' >&2
            [ -e "$folder/free" ] && exec env BECAME=root "$@"
            [ -n "$silent" ] && { echo 'sudo: a password is required' >&2; exit 1; }
            for try in 1 2 3; do
            printf %s "$prompt" >&2
            IFS= read -r password || { echo 'sudo: no password was provided' >&2; exit 1; }
            [ "$password" = 'open sesame $x' ] && exec env BECAME=root "$@"
            echo 'Sorry, try again.' >&2
            done
            exit 1
            """

        private func with(free: Bool = false, _ body: (Server, String) async throws -> Void) async throws {
            let folder = try Server.makeFolder()
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try Self.fake.write(toFile: "\(folder)/sudo", atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(folder)/sudo")
            if free { try "".write(toFile: "\(folder)/free", atomically: true, encoding: .utf8) }
            try await Server.with(path: "\(folder):/usr/bin:/bin") { server in
                try await body(server, folder)
            }
        }

        private let script = "printf '%s:' $BECAME; cat"
        private let password = Secret("open sesame $x")

        @Test func thePasswordGoesByStandardInputAlone() async throws {
            try await with { server, folder in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint(become: .sudo(password: password)))
                let result = try await remote.run(Command(["sh", "-c", script], input: Data("the input".utf8)))
                #expect(result.text == "root:the input")
                #expect(result.errorText == "")
                let arguments = try String(contentsOfFile: "\(folder)/arguments", encoding: .utf8)
                #expect(!arguments.contains("sesame"))
                await pool.close()
            }
        }

        /// Where sudo does not ask, the password must not become the command's input.
        @Test func aPasswordThatNobodyAsksForIsNotSent() async throws {
            try await with(free: true) { server, _ in
                let pool = ConnectionPool(agentPath: nil)
                for become in [Endpoint.Become.sudo(password: password), .sudo(password: nil)] {
                    let remote = pool.remote(try server.endpoint(become: become))
                    let result = try await remote.run(Command(["sh", "-c", script], input: Data("the input".utf8)))
                    #expect(result.text == "root:the input")
                    #expect(try await remote.run(Command(["sh", "-c", "exit 1"])).outcome == .exited(1))
                }
                await pool.close()
            }
        }

        @Test func aWrongPasswordIsAnErrorAndNothingRuns() async throws {
            try await with { server, folder in
                let pool = ConnectionPool(agentPath: nil)
                for become in [Endpoint.Become.sudo(password: Secret("wrong")), .sudo(password: nil)] {
                    let remote = pool.remote(try server.endpoint(become: become))
                    let error = try #require(
                        await #expect(throws: SSHError.self) {
                            _ = try await remote.run(Command(["touch", "\(folder)/ran"]))
                        })
                    #expect(error.code == .authenticationFailed)
                    #expect(error.operation.contains("sudo"))
                    #expect(!error.description.contains("wrong password"))
                    #expect(!FileManager.default.fileExists(atPath: "\(folder)/ran"))
                }
                await pool.close()
            }
        }

        /// `Defaults requiretty` in sudoers, as on CentOS 6.
        @Test func aSudoThatWantsATerminalIsQuotedAndNothingRuns() async throws {
            try await with { server, folder in
                try "".write(toFile: "\(folder)/tty", atomically: true, encoding: .utf8)
                for become in [Endpoint.Become.sudo(password: nil), .sudo(password: password)] {
                    let pool = ConnectionPool(agentPath: nil)
                    let remote = pool.remote(try server.endpoint(become: become))
                    let error = try #require(
                        await #expect(throws: SSHError.self) {
                            _ = try await remote.run(Command(["touch", "\(folder)/ran"]))
                        })
                    #expect(error.code == .authenticationFailed)
                    #expect(error.cause.contains("sudo: sorry, you must have a tty to run sudo"))
                    #expect(error.advice?.contains("nothing ran") == true)
                    #expect(!FileManager.default.fileExists(atPath: "\(folder)/ran"))
                    await pool.close()
                }
            }
        }

        /// The host's own name is not in its /etc/hosts: sudo says so before each command, and goes on.
        @Test func aWarningOfSudosIsNotInTheWay() async throws {
            try await with { server, folder in
                try "".write(toFile: "\(folder)/unresolved", atomically: true, encoding: .utf8)
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint(become: .sudo(password: password)))
                let result = try await remote.run(Command(["sh", "-c", script], input: Data("the input".utf8)))
                #expect(result.text == "root:the input")
                #expect(result.errorText == "sudo: unable to resolve host m2\n")
                await pool.close()
            }
        }

        @Test func filesAreWrittenThroughSudo() async throws {
            try await with { server, folder in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint(become: .sudo(password: password)))
                try await remote.upload(Data("one".utf8), to: "\(folder)/file", mode: 0o600)
                try await remote.replaceFile("\(folder)/file", expected: Data("one".utf8), with: Data("two".utf8))
                #expect(FileManager.default.contents(atPath: "\(folder)/file") == Data("two".utf8))
                await pool.close()
            }
        }

        @Test func aDeadlineEndsWhatSudoRuns() async throws {
            try await with { server, folder in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint(become: .sudo(password: password)))
                let error = try #require(
                    await #expect(throws: SSHError.self) {
                        _ = try await remote.run(Command(["sleep", "1000"], timeout: .seconds(2)))
                    })
                #expect(error.code == .timedOut)
                #expect(error.cause.contains("the remote process was ended"))
                await pool.close()
            }
        }
    }
}
