import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

// The server's own methods would hide them.
private func openSocket() -> Int32 {
    #if canImport(Glibc)
        socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
        socket(AF_INET, SOCK_STREAM, 0)
    #endif
}
private func acceptConnection(_ socket: Int32) -> Int32 { accept(socket, nil, nil) }

/// A verb that waits for a host ends by a signal as it ends by Ctrl-C; the end of its terminal is one.
@Suite(.blocking) struct SignalTests {
    /// Accepts connections and says nothing, so that whoever connects waits for a banner.
    private struct SilentServer: ~Copyable {
        let socket: Int32
        let port: Int

        init() throws {
            let socket = openSocket()
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isBound = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(socket, $0, size) == 0 && listen(socket, 8) == 0 && getsockname(socket, $0, &size) == 0
                }
            }
            guard isBound else { throw Failure("listen: \(String(cString: strerror(errno)))") }
            self.socket = socket
            port = Int(UInt16(bigEndian: address.sin_port))
        }

        /// Waits until somebody connects.
        func connection() -> Int32 { acceptConnection(socket) }

        deinit { close(socket) }
    }

    private func status(after signal: Int32) throws -> Int32 {
        let server = try SilentServer()
        let scratch = try Scratch()
        let inventory = try scratch.write(
            """
            cluster: { name: nowhere, vip: 127.0.0.9 }
            ssh: { user: root, known_hosts: /dev/null }
            hosts:
              a: { address: 127.0.0.1, port: \(server.port), role: master }
            """, to: "hosts.yaml")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Program.path)
        process.arguments = [
            "exec", "-i", inventory, "--connect-timeout", "600", "--", "true",
        ]
        process.environment = ["HOME": scratch.path, "PATH": "/usr/bin:/bin"]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        let connection = server.connection()
        defer { close(connection) }
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
        #expect(process.terminationReason == .exit)
        return process.terminationStatus
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func aSignalEndsAVerbThatWaits(signal: Int32) throws {
        #expect(try status(after: signal) == 130)
    }
}
