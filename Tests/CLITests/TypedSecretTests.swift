import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A person types sudo's password and a key's passphrase into the program that was built, on a real terminal: sshd, sudo and the user
/// are real, too. In an optimised build this is what users get.
@Suite(
    .serialized, .blocking,
    .enabled(
        if: SudoUser.isPossible || ProcessInfo.processInfo.environment["CI"] != nil,
        "needs root, for a user with a sudo password; sshd, sudo and useradd"))
struct TypedSecretTests {
    private static let passphrase = "open sesame é"

    /// Runs `id` as root on a host whose user has a sudo password and whose key has a passphrase.
    private func withTerminal(_ options: [String], _ body: (PseudoTerminal) throws -> Void) throws {
        let user = try SudoUser()
        let server = try LoopbackServer(passphrase: Self.passphrase)
        defer {
            server.stop()
            withExtendedLifetime(user) {}
        }
        let inventory = try server.scratch.write(
            """
            cluster: { name: typed, vip: 127.0.0.9 }
            ssh:
              user: \(user.name)
              port: \(server.port)
              identity: \(server.identity)
              known_hosts: \(server.knownHosts)
              become: sudo
            hosts:
              host: { address: 127.0.0.1, role: master }
            """, to: "hosts.yaml")
        let terminal = try PseudoTerminal(
            Program.path, ["exec", "-i", inventory] + options + ["--", "id", "-un"],
            environment: ["PATH": "/usr/bin:/bin", "TERM": "xterm"])
        try body(terminal)
        #expect(!terminal.transcript.contains(SudoUser.password) && !terminal.transcript.contains(Self.passphrase))
    }

    @Test func bothAreTaken() throws {
        try withTerminal(["--ask-sudo-password"]) { terminal in
            try terminal.wait(for: "sudo password: ")
            #expect(!terminal.echoes)
            try terminal.type(SudoUser.password + "\n")
            try terminal.wait(for: "Passphrase of ")
            try terminal.wait(for: ": ")
            #expect(!terminal.echoes)
            try terminal.type(Self.passphrase + "\n")
            #expect(try terminal.end() == 0, "\(terminal.transcript)")
            #expect(terminal.transcript.contains("\nroot\r\n"), "\(terminal.transcript)")
        }
    }

    @Test func aWrongPasswordIsRefusedBySudo() throws {
        try withTerminal(["--ask-sudo-password"]) { terminal in
            try terminal.wait(for: "sudo password: ")
            try terminal.type("another\n")
            try terminal.wait(for: "Passphrase of ")
            try terminal.wait(for: ": ")
            try terminal.type(Self.passphrase + "\n")
            #expect(try terminal.end() == 4)
            #expect(
                terminal.transcript.contains("sudo refused the password; check the password"), "\(terminal.transcript)")
            #expect(!terminal.transcript.contains("another"))
        }
    }

    @Test func withoutAPasswordTheOptionIsNamed() throws {
        try withTerminal([]) { terminal in
            try terminal.wait(for: "Passphrase of ")
            try terminal.wait(for: ": ")
            try terminal.type(Self.passphrase + "\n")
            #expect(try terminal.end() == 4)
            #expect(terminal.transcript.contains("a password is required"), "\(terminal.transcript)")
            #expect(terminal.transcript.contains("--ask-sudo-password"), "\(terminal.transcript)")
        }
    }

    @Test func controlCEndsTheQuestionAndShowsWhatIsTypedAgain() throws {
        try withTerminal(["--ask-sudo-password"]) { terminal in
            try terminal.wait(for: "sudo password: ")
            try terminal.type("half\u{3}")
            #expect(try terminal.end() == 130)
            #expect(!terminal.transcript.contains("half"))
        }
    }
}

/// A user that must give a password to sudo; gone with the object.
private final class SudoUser {
    static let isPossible =
        geteuid() == 0
        && [LoopbackServer.program, "/usr/bin/sudo", "/usr/sbin/useradd"].allSatisfy(
            FileManager.default.isExecutableFile)

    /// With what shells and terminals could take for something else.
    static let password = #"sudo p@ss "w'ord\$x"#

    let name = "mswap-test-\(getpid())"
    private let rule: String

    init() throws {
        rule = "/etc/sudoers.d/\(name)"
        try tool("/usr/sbin/useradd", ["--create-home", "--shell", "/bin/sh", name])
        try tool("/usr/sbin/chpasswd", [], input: "\(name):\(Self.password)\n")
        let text = "Defaults:\(name) timestamp_timeout=0, !lecture\n\(name) ALL=(ALL) PASSWD: ALL\n"
        try Data(text.utf8).write(to: URL(fileURLWithPath: rule))
        try FileManager.default.setAttributes([.posixPermissions: 0o440], ofItemAtPath: rule)
    }

    deinit {
        unlink(rule)
        _ = try? tool("/usr/sbin/userdel", ["--remove", "--force", name])
    }
}
