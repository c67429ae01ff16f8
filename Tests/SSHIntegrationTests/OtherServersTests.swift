import Foundation
import Testing

@testable import SSH

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

extension Integration {
    /// Servers that are not OpenSSH: Dropbear, which small systems and rescue images have, and asyncssh's.
    @Suite(.enabled(if: OtherServer.isPossible, OtherServer.missing)) struct OtherServersTests {
        @Test(arguments: OtherServer.Kind.allCases) func commandsScriptsAndFilesWork(kind: OtherServer.Kind)
            async throws
        {
            try await OtherServer.with(kind) { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(server.endpoint())
                let arguments = ["it's", "a b", "\"$x\"", "back\\slash", "new\nline", "!", "=", "%s"]
                let printed = try await remote.run(Command(["printf", "[%s]"] + arguments))
                #expect(printed.text == arguments.map { "[\($0)]" }.joined())
                let script = try await remote.run(
                    .script("cat; echo \"$1\" >&2; exit 7", ["it's"], input: Data("in\n".utf8), label: "s"))
                #expect((script.text, script.errorText) == ("in\n", "it's\n"))
                #expect(script.outcome == .exited(7))
                let path = "\(server.folder)/file"
                try await remote.upload(Data("one\n".utf8), to: path, mode: 0o600)
                try await remote.replaceFile(path, expected: Data("one\n".utf8), with: Data("two\n".utf8))
                #expect(try String(contentsOfFile: path, encoding: .utf8) == "two\n")
                await pool.close()
            }
        }

        /// Larger than any window, in both directions.
        @Test(arguments: OtherServer.Kind.allCases) func muchInputAndOutputArriveWhole(kind: OtherServer.Kind)
            async throws
        {
            try await OtherServer.with(kind) { server in
                let pool = ConnectionPool(agentPath: nil)
                let bytes = Data((0..<(5 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
                let result = try await pool.remote(server.endpoint()).run(Command(["cat"], input: bytes))
                #expect(result.succeeded)
                #expect(result.standardOutput == bytes)
                await pool.close()
            }
        }

        @Test(arguments: OtherServer.Kind.allCases) func manyCommandsAtOnceAreAllAnswered(kind: OtherServer.Kind)
            async throws
        {
            try await OtherServer.with(kind) { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(server.endpoint())
                let answers = try await withThrowingTaskGroup(of: String.self) { group in
                    for number in 0..<20 {
                        group.addTask { try await remote.run(Command(["echo", "\(number)"])).text }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(answers.sorted() == (0..<20).map { "\($0)\n" }.sorted())
                await pool.close()
            }
        }

        @Test(arguments: OtherServer.Kind.allCases) func aCommandHasAnEndAndIsEnded(kind: OtherServer.Kind) async throws
        {
            try await OtherServer.with(kind) { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(server.endpoint())
                let error = await #expect(throws: SSHError.self) {
                    _ = try await remote.run(
                        .script(
                            "echo $$ >\"$1\"; sleep 600", ["\(server.folder)/pid"], timeout: .seconds(2), label: "s"))
                }
                #expect(error?.code == .timedOut)
                let pid = try #require(
                    Int32(
                        String(contentsOfFile: "\(server.folder)/pid", encoding: .utf8)
                            .trimmingCharacters(in: .whitespacesAndNewlines)))
                #expect(kill(pid, 0) != 0, "it still runs")
                #expect(try await remote.run(Command(["echo", "after"])).text == "after\n")
                await pool.close()
            }
        }

        @Test(arguments: OtherServer.Kind.allCases) func aStrangersHostKeyIsRefused(kind: OtherServer.Kind) async throws
        {
            try await OtherServer.with(kind) { server in
                let pool = ConnectionPool(agentPath: nil)
                var stranger = server.endpoint()
                try Server.makeKey("ed25519", at: "\(server.folder)/other")
                let key = try String(contentsOfFile: "\(server.folder)/other.pub", encoding: .utf8)
                try "[127.0.0.1]:\(server.port) \(key)".write(
                    toFile: "\(server.folder)/wrong", atomically: true, encoding: .utf8)
                stranger.knownHosts = ["\(server.folder)/wrong"]
                let error = await #expect(throws: SSHError.self) {
                    _ = try await pool.remote(stranger).run(Command(["true"]))
                }
                #expect(error?.code == .hostKeyMismatch, "\(String(describing: error))")
                await pool.close()
            }
        }

        /// The other way round, too: an sshd behind it.
        @Test(arguments: OtherServer.Kind.allCases) func itIsAJumpHost(kind: OtherServer.Kind) async throws {
            try await OtherServer.with(kind) { jump in
                try await Server.with { server in
                    let pool = ConnectionPool(agentPath: nil)
                    let remote = pool.remote(try server.endpoint(jumps: [jump.endpoint()]))
                    #expect(try await remote.run(Command(["echo", "behind"])).text == "behind\n")
                    await pool.close()
                }
            }
        }
    }
}

/// A server on 127.0.0.1 that is not OpenSSH, with keys of its own, in a folder that goes with it.
final class OtherServer: Sendable {
    enum Kind: String, CaseIterable, Sendable {
        case dropbear, asyncssh
    }

    private static let programs = [
        "/usr/sbin/dropbear", "/usr/bin/dropbearkey", "/usr/bin/unshare", "/usr/bin/python3",
        "/usr/lib/python3/dist-packages/asyncssh/__init__.py",
    ]
    /// As root, Dropbear lets the folder with the keys be put in the place of root's own.
    static let isPossible =
        ProcessInfo.processInfo.environment["CI"] != nil
        || (geteuid() == 0 && programs.allSatisfy(FileManager.default.fileExists))
    static let missing: Comment = "needs root, for a home of Dropbear's own; dropbear-bin and python3-asyncssh"

    let folder: String
    let port: Int
    private let process: Tool

    static func with(_ kind: Kind, _ body: (OtherServer) async throws -> Void) async throws {
        let server = try OtherServer(kind)
        defer { server.stop() }
        try await body(server)
    }

    private init(_ kind: Kind) throws {
        let folder = try Server.makeFolder()
        self.folder = folder
        try FileManager.default.createDirectory(atPath: "\(folder)/home/.ssh", withIntermediateDirectories: true)
        try Server.makeKey("ed25519", at: "\(folder)/id")
        try Server.makeKey("ed25519", at: "\(folder)/host")
        try FileManager.default.copyItem(atPath: "\(folder)/id.pub", toPath: "\(folder)/home/.ssh/authorized_keys")
        // Dropbear looks who else could write there.
        for (path, mode) in [("home", 0o700), ("home/.ssh", 0o700), ("home/.ssh/authorized_keys", 0o600)] {
            chmod("\(folder)/\(path)", mode_t(mode))
        }
        if kind == .dropbear {
            let key = try Tool.run("/usr/bin/dropbearkey", ["-t", "ed25519", "-f", "\(folder)/host.dropbear"])
            let line = String(decoding: key, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("ssh-") }
            try String(line ?? "").write(toFile: "\(folder)/host.pub", atomically: true, encoding: .utf8)
        }
        // The port is free when it is looked for; should it be taken in between, another one is tried.
        for _ in 0..<10 {
            let port = try Listener.freePort()
            let process = try Tool(
                Self.command(kind, port, folder)[0], Array(Self.command(kind, port, folder).dropFirst()))
            if process.waitUntil({ Listener.canConnect(port) }) {
                self.port = port
                self.process = process
                return
            }
            process.end()
        }
        throw TestFailure("\(kind.rawValue) did not start")
    }

    private static func command(_ kind: Kind, _ port: Int, _ folder: String) -> [String] {
        switch kind {
        case .dropbear:
            // It takes its keys from the home in /etc/passwd alone: in a mount namespace that is this folder.
            [
                "/usr/bin/unshare", "--mount", "sh", "-c",
                "mount --bind \"$1\" \"$2\" && exec /usr/sbin/dropbear -F -E -s -p 127.0.0.1:\(port) -r \"$3\" -P \"$4\" 2>\"$5\"",
                "sh", "\(folder)/home", NSHomeDirectoryForUser(NSUserName()) ?? "/root", "\(folder)/host.dropbear",
                "\(folder)/pid-of-dropbear", "\(folder)/log",
            ]
        case .asyncssh:
            [
                "/usr/bin/python3", "-B", Self.script, "\(port)", "\(folder)/host",
                "\(folder)/home/.ssh/authorized_keys",
            ]
        }
    }

    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Stand-ins/asyncssh-server").path

    func endpoint() -> Endpoint {
        let key = (try? String(contentsOfFile: "\(folder)/host.pub", encoding: .utf8)) ?? ""
        let knownHosts = "\(folder)/known_hosts"
        try? "[127.0.0.1]:\(port) \(key)\n".write(toFile: knownHosts, atomically: true, encoding: .utf8)
        return Endpoint(
            name: "other", host: "127.0.0.1", port: port, user: NSUserName(), identities: ["\(folder)/id"],
            knownHosts: [knownHosts])
    }

    func stop() {
        process.end()
        try? FileManager.default.removeItem(atPath: folder)
    }
}
