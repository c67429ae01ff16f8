import Foundation
import Synchronization
import TestSupport
import Testing

@testable import SSH

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A throwaway sshd on 127.0.0.1, with host keys, user keys and a configuration of its own, in a folder that goes with it.
final class Server: Sendable {
    static let program = "/usr/sbin/sshd"
    static let isPresent =
        FileManager.default.isExecutableFile(atPath: program)
        && FileManager.default.isExecutableFile(atPath: "/usr/bin/ssh-keygen")
    static let missing: Comment = "no sshd: install openssh-server to run these"

    let folder: String
    let port: Int
    let user = NSUserName()
    private let process: Tool

    /// Runs `body` with a server, which is gone afterwards, whatever happened.
    /// - Parameters:
    ///   - hostKeys: types for `ssh-keygen -t`, each with its own file.
    ///   - configuration: lines that come before the usual ones: sshd takes the first it finds.
    ///   - path: the commands' PATH; sshd's own where it is nil.
    static func with<Result>(
        hostKeys: [String] = ["ed25519"], configuration: [String] = [], path: String? = nil,
        _ body: (Server) async throws -> Result
    ) async throws -> Result {
        let server = try Server(hostKeys: hostKeys, configuration: configuration, path: path)
        defer { server.stop() }
        return try await body(server)
    }

    private init(hostKeys: [String], configuration: [String], path: String?) throws {
        let folder = try Self.makeFolder()
        self.folder = folder
        // As root, sshd wants a folder to lock its unprivileged half into.
        if geteuid() == 0 { mkdir("/run/sshd", 0o755) }
        for type in hostKeys { try Self.makeKey(type, at: "\(folder)/host_\(type)") }
        try Self.makeKey("ed25519", at: "\(folder)/id")
        try FileManager.default.copyItem(atPath: "\(folder)/id.pub", toPath: "\(folder)/authorized_keys")
        let keys = hostKeys.map { "HostKey \(folder)/host_\($0)" }
        let usual = [
            "ListenAddress 127.0.0.1", "PidFile none", "AuthorizedKeysFile \(folder)/authorized_keys", "StrictModes no",
            "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin yes",
            "MaxStartups 1000:30:2000", "MaxSessions 100", "LogLevel DEBUG", "PrintMotd no",
            // bash reads ~/.bashrc for every command of sshd's: whoever runs the tests has one of their own, and it may hang.
            "SetEnv HOME=\(folder)" + (path.map { " PATH=\($0)" } ?? ""),
        ]
        let lines = (configuration + keys + usual + Self.withoutPenalties).joined(separator: "\n") + "\n"
        try lines.write(toFile: "\(folder)/sshd_config", atomically: true, encoding: .utf8)
        // The port is free when it is looked for; should it be taken in between, another one is tried.
        for _ in 0..<10 {
            let port = try Listener.freePort()
            let process = try Tool(
                Self.program, ["-D", "-f", "\(folder)/sshd_config", "-E", "\(folder)/log", "-p", "\(port)"])
            if process.waitUntil({ Listener.canConnect(port) }) {
                self.port = port
                self.process = process
                return
            }
            process.end()
        }
        let log = (try? String(contentsOfFile: "\(folder)/log", encoding: .utf8)) ?? ""
        throw TestFailure("sshd did not start: \(log)")
    }

    /// From OpenSSH 9.8 on, sshd keeps whoever failed to log in waiting, and these tests fail on purpose; older ones have no such key.
    private static let withoutPenalties: [String] = {
        let words = try? Tool.run("/bin/sh", ["-c", "/usr/bin/ssh -V 2>&1"])
        let version = String(decoding: words ?? Data(), as: UTF8.self).firstMatch(of: /OpenSSH_(\d+)\.(\d+)/)
        guard let version, let major = Int(version.1), let minor = Int(version.2) else { return [] }
        return (major, minor) >= (9, 8) ? ["PerSourcePenalties no"] : []
    }()

    var log: String { (try? String(contentsOfFile: "\(folder)/log", encoding: .utf8)) ?? "" }

    /// What sshd has written when `condition` holds of it; its unprivileged half writes late. Gives up after ten seconds.
    func log(when condition: (String) -> Bool) -> String {
        for _ in 0..<5000 {
            let text = log
            if condition(text) { return text }
            usleep(2000)
        }
        return log
    }

    func stop() {
        process.end()
        try? FileManager.default.removeItem(atPath: folder)
    }

    // MARK: Ways in

    func publicKey(_ type: String = "ed25519") throws -> String {
        let line = try String(contentsOfFile: "\(folder)/host_\(type).pub", encoding: .utf8)
        return line.split(separator: " ").prefix(2).joined(separator: " ")
    }

    /// Writes a known_hosts file.
    func knownHosts(_ lines: [String], name: String = "known_hosts") throws -> String {
        let path = "\(folder)/\(name)"
        try (lines.joined(separator: "\n") + "\n").write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    /// An endpoint that works: right key, right known_hosts.
    func endpoint(
        name: String = "host", port: Int? = nil, knownHosts: [String]? = nil, identities: [String]? = nil,
        jumps: [Endpoint] = [], become: Endpoint.Become = .none
    ) throws -> Endpoint {
        let port = port ?? self.port
        let types = try FileManager.default.contentsOfDirectory(atPath: folder)
            .filter { $0.hasPrefix("host_") && !$0.hasSuffix(".pub") }.map { String($0.dropFirst(5)) }.sorted()
        let files =
            try knownHosts
            ?? [
                self.knownHosts(
                    types.map { "[127.0.0.1]:\(port) " + (try publicKey($0)) }, name: "known_hosts_\(port)")
            ]
        return Endpoint(
            name: name, host: "127.0.0.1", port: port, user: user, identities: identities ?? ["\(folder)/id"],
            knownHosts: files, jumps: jumps, become: become)
    }

    // MARK: Making things

    static func makeFolder() throws -> String {
        var template = Array((NSTemporaryDirectory() + "/ssh-tests.XXXXXX").utf8CString)
        guard let made = mkdtemp(&template) else { throw TestFailure("mkdtemp failed") }
        return String(cString: made)
    }

    static func makeKey(_ type: String, at path: String, passphrase: String = "", extra: [String] = []) throws {
        try Tool.run("/usr/bin/ssh-keygen", ["-q", "-t", type, "-N", passphrase, "-C", "test", "-f", path] + extra)
    }
}

final class Flag: Sendable {
    private let value = Mutex(false)

    var isRaised: Bool { value.withLock { $0 } }

    func raise() { value.withLock { $0 = true } }
    func lower() { value.withLock { $0 = false } }
}

struct TestFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// A program that a test runs; ended by its process id.
final class Tool: Sendable {
    let pid: Int32
    private let process: LocalProcess
    private let status = Mutex<Int32?>(nil)

    init(_ path: String, _ arguments: [String], environment: [String: String]? = nil) throws {
        process = try LocalProcess.start(path, arguments, environment: environment)
        pid = process.pid
    }

    @discardableResult
    static func run(_ path: String, _ arguments: [String], input: Data = Data()) throws -> Data {
        let (status, output) = try LocalProcess.output(of: path, arguments, input: input)
        guard status == 0 else { throw TestFailure("\(path) \(arguments) ended with \(status)") }
        return output
    }

    var isRunning: Bool {
        status.withLock { status in
            if status == nil { status = process.poll() }
            return status == nil
        }
    }

    /// - Returns: false where the program ended before the condition held.
    func waitUntil(_ condition: () -> Bool) -> Bool {
        while !condition() {
            guard isRunning else { return false }
            usleep(2000)
        }
        return true
    }

    func end() {
        guard isRunning else { return }
        let ended = process.end()
        status.withLock { $0 = ended }
    }
}
