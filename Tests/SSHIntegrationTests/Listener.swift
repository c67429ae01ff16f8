import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Sockets for tests: free ports, servers that misbehave, proxies that stop.
final class Listener: Sendable {
    let port: Int
    private let descriptor: Int32
    private let connections = Mutex<[Int32]>([])
    private let accepted = Mutex(0)

    /// - Parameter serve: called on a thread of its own for each connection, which is closed when the listener ends.
    init(_ serve: @escaping @Sendable (Int32) -> Void) throws {
        (descriptor, port) = try Self.bound(listening: true)
        let thread = Thread { [self] in
            while true {
                let connection = accept(descriptor, nil, nil)
                guard connection >= 0 else { return }
                _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
                accepted.withLock { $0 += 1 }
                connections.withLock { $0.append(connection) }
                Thread { [self] in
                    serve(connection)
                    connections.withLock { $0.removeAll { $0 == connection } }
                    close(connection)
                }.start()
            }
        }
        thread.start()
    }

    var acceptedCount: Int { accepted.withLock { $0 } }

    /// Forwards to a local port. `transform` sees what the server sends and gives what the client is to get.
    static func proxy(
        to target: Int, toServer: @escaping @Sendable (Data) -> Data? = { $0 },
        toClient: @escaping @Sendable (Data) -> Data? = { $0 }, greeting: Data = Data()
    ) throws -> Listener {
        try Listener { client in forward(client, to: target, toServer: toServer, toClient: toClient, greeting: greeting)
        }
    }

    static func forward(
        _ client: Int32, to target: Int, toServer: @escaping @Sendable (Data) -> Data? = { $0 },
        toClient: @escaping @Sendable (Data) -> Data? = { $0 }, greeting: Data = Data()
    ) {
        guard let server = connectLocal(target) else { return }
        send(greeting, to: client)
        let back = Thread {
            pump(server, client, toClient)
            shutdown(client, Int32(SHUT_WR))
        }
        back.start()
        pump(client, server, toServer)
        shutdown(server, Int32(SHUT_WR))
        while !back.isFinished { usleep(2000) }
        close(server)
    }

    func end() {
        shutdown(descriptor, Int32(SHUT_RDWR))
        close(descriptor)
        dropConnections()
    }

    /// Cuts what is there; new connections are taken as before.
    func dropConnections() {
        for connection in connections.withLock({ $0 }) { shutdown(connection, Int32(SHUT_RDWR)) }
    }

    // MARK: Plumbing

    /// A `nil` from `transform` stops the traffic in this direction for good, without closing anything.
    private static func pump(_ from: Int32, _ to: Int32, _ transform: (Data) -> Data?) {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = recv(from, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            guard let data = transform(Data(buffer[..<count])) else { continue }
            guard send(data, to: to) else { return }
        }
    }

    @discardableResult
    static func send(_ data: Data, to descriptor: Int32) -> Bool {
        var rest = data[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { systemSend(descriptor, $0.baseAddress, $0.count) }
            guard sent > 0 else { return false }
            rest = rest.dropFirst(sent)
        }
        return true
    }

    static func freePort() throws -> Int {
        let (descriptor, port) = try bound(listening: false)
        close(descriptor)
        return port
    }

    static func canConnect(_ port: Int) -> Bool {
        guard let descriptor = connectLocal(port) else { return false }
        close(descriptor)
        return true
    }

    static func connectLocal(_ port: Int) -> Int32? {
        let descriptor = makeSocket()
        var address = local(port)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if result == 0 { return descriptor }
        close(descriptor)
        return nil
    }

    private static func bound(listening: Bool) throws -> (Int32, Int) {
        let descriptor = makeSocket()
        var address = local(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard bind(descriptor, address, size) == 0 else { return false }
                return getsockname(descriptor, address, &size) == 0
            }
        }
        guard port else { throw TestFailure("no free port") }
        if listening { listen(descriptor, 64) }
        return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
    }

    private static func makeSocket() -> Int32 {
        #if canImport(Darwin)
            let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #else
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #endif
        // Or the servers that other tests start would hold it open.
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return descriptor
    }

    private static func local(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return address
    }
}

private func systemSend(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    #if canImport(Darwin)
        send(descriptor, bytes, count, 0)
    #else
        send(descriptor, bytes, count, Int32(MSG_NOSIGNAL))
    #endif
}
