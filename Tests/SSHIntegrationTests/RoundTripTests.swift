import Foundation
import Synchronization
import Testing

@testable import SSH

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

extension Integration {
    /// What a distant host costs, counted: 8 round trips for a first command, one of them TCP's own, and 2 for each further one,
    /// the least that libssh2's API allows (with the question whether the key would do, which it asks before it signs).
    @Suite struct RoundTripTests {
        @Test func eightForTheFirstCommandAndTwoForEachFurtherOne() async throws {
            try await Server.with { server in
                let proxy = try RoundTripProxy(to: server.port)
                defer { proxy.end() }
                let pool = ConnectionPool(limits: ConnectionPool.Limits(connect: .seconds(60)), agentPath: nil)
                let remote = pool.remote(try server.endpoint(port: proxy.port))
                var trips: [Int] = []
                for _ in 0..<3 {
                    let before = proxy.journeys
                    #expect(try await remote.run(Command(["true"])).succeeded)
                    trips.append((proxy.journeys - before) / 2)
                }
                // The proxy takes the TCP connection without delay: from afar it is one round trip more.
                #expect(trips == [8 - 1, 2, 2])
                await pool.close()
            }
        }
    }
}

/// A long way between client and server that takes no time: bytes are held back until neither side has anything more to say,
/// then all of them arrive, in both directions at once. So each journey is half a round trip, however slow the machine is.
final class RoundTripProxy: Sendable {
    private final class Count: Sendable {
        let value = Mutex(0)
    }

    private let listener: Listener
    private let count: Count
    /// Milliseconds without a byte of either side: it has said all that it can.
    private static let quiet: Int32 = 400

    var port: Int { listener.port }
    /// How often bytes arrived, at one side or at both.
    var journeys: Int { count.value.withLock { $0 } }

    init(to target: Int) throws {
        let count = Count()
        self.count = count
        listener = try Listener { client in
            guard let server = Listener.connectLocal(target) else { return }
            Self.carry(client, server) { count.value.withLock { $0 += 1 } }
            close(server)
        }
    }

    func end() { listener.end() }

    /// Until one side ends.
    private static func carry(_ client: Int32, _ server: Int32, journey: () -> Void) {
        var held = [client: Data(), server: Data()]
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            var polled = [client, server].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            let isWaiting = held.values.allSatisfy(\.isEmpty)
            guard poll(&polled, 2, isWaiting ? -1 : quiet) > 0 else {
                journey()
                Listener.send(held[client]!, to: server)
                Listener.send(held[server]!, to: client)
                held = [client: Data(), server: Data()]
                continue
            }
            for side in polled where side.revents != 0 {
                let count = recv(side.fd, &buffer, buffer.count, 0)
                guard count > 0 else { return }
                held[side.fd]! += buffer[..<count]
            }
        }
    }
}
