import Foundation
import TestSupport
import Testing

@testable import SSH

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A real sshd on addresses of loopback, with keys and a configuration of its own: several hosts to the program.
final class LoopbackServer: Sendable {
    static let program = "/usr/sbin/sshd"
    static let isPresent = FileManager.default.isExecutableFile(atPath: program)
    static let missing: Comment = "no sshd: install openssh-server to run these"

    let scratch: Scratch
    let port: Int
    private let process: LocalProcess

    var knownHosts: String { "\(scratch.path)/known_hosts" }
    /// A private key that every user may log in with.
    var identity: String { "\(scratch.path)/id" }
    let addresses: [String]

    /// - Parameters:
    ///   - passphrase: of the user's key.
    ///   - path: the commands' PATH; sshd's own where it is nil.
    init(addresses: [String] = ["127.0.0.1"], passphrase: String = "", path: String? = nil) throws {
        let scratch = try Scratch()
        self.scratch = scratch
        self.addresses = addresses
        // As root, sshd wants a folder to lock its unprivileged half into.
        if geteuid() == 0 { mkdir("/run/sshd", 0o755) }
        for (name, passphrase) in [("host", ""), ("id", passphrase)] {
            try tool(
                "/usr/bin/ssh-keygen",
                ["-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", "\(scratch.path)/\(name)"])
        }
        let port = try Self.freePort()
        self.port = port
        let key = try String(contentsOfFile: "\(scratch.path)/host.pub", encoding: .utf8).split(separator: " ").prefix(
            2)
        try scratch.write(
            addresses.map { "[\($0)]:\(port) \(key.joined(separator: " "))\n" }.joined(), to: "known_hosts")
        let lines =
            addresses.map { "ListenAddress \($0)" } + [
                "HostKey \(scratch.path)/host", "PidFile none", "AuthorizedKeysFile \(scratch.path)/id.pub",
                "StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
                "PermitRootLogin yes", "MaxStartups 100", "PrintMotd no",
                // bash reads ~/.bashrc for every command of sshd's: whoever runs the tests has one of their own, and it may hang.
                "SetEnv HOME=\(scratch.path)" + (path.map { " PATH=\($0)" } ?? ""),
            ]
        try scratch.write(lines.map { $0 + "\n" }.joined(), to: "sshd_config")
        process = try LocalProcess.start(
            Self.program, ["-D", "-f", "\(scratch.path)/sshd_config", "-E", "\(scratch.path)/log", "-p", "\(port)"])
        while !Self.canConnect(port) {
            guard process.poll() == nil else {
                let log = (try? String(contentsOfFile: "\(scratch.path)/log", encoding: .utf8)) ?? ""
                throw Failure("sshd did not start: \(log)")
            }
            usleep(2000)
        }
    }

    /// Once; the deinitializer does it, too.
    func stop() {
        guard process.poll() == nil else { return }
        process.end()
    }

    deinit { stop() }

    // MARK: Ports

    private static func withAddress<R>(_ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    private static func makeSocket() -> Int32 {
        #if canImport(Glibc)
            socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        #else
            socket(AF_INET, SOCK_STREAM, 0)
        #endif
    }

    /// One that nothing listens on now.
    static func freePort() throws -> Int {
        let descriptor = makeSocket()
        defer { close(descriptor) }
        guard withAddress(0, { bind(descriptor, $0, $1) }) == 0 else { throw Failure("bind failed") }
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard result == 0 else { throw Failure("getsockname failed") }
        return Int(in_port_t(bigEndian: address.sin_port))
    }

    private static func canConnect(_ port: Int) -> Bool {
        let descriptor = makeSocket()
        defer { close(descriptor) }
        return withAddress(port) { connect(descriptor, $0, $1) } == 0
    }
}
