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
    /// Counts what a distant host costs, with a proxy that holds every byte back for half a second each way. Printed and not asserted:
    /// it is a measure of time.
    @Suite(.enabled(if: ProcessInfo.processInfo.environment["SSH_ROUND_TRIPS"] != nil, "set SSH_ROUND_TRIPS=1"))
    struct RoundTripTests {
        @Test func coldAndWarm() async throws {
            try await Server.with { server in
                let proxy = try DelayProxy(to: server.port, milliseconds: 500)
                defer { proxy.end() }
                let pool = ConnectionPool(limits: ConnectionPool.Limits(connect: .seconds(60)), agentPath: nil)
                let remote = pool.remote(try server.endpoint(port: proxy.port))
                for name in ["cold", "warm", "warm"] {
                    let start = ContinuousClock.now
                    #expect(try await remote.run(Command(["true"])).succeeded)
                    let elapsed = ContinuousClock.now - start
                    // The proxy takes the TCP connection itself, without delay: one round trip more from afar.
                    let trips = Double(elapsed.milliseconds) / 1000 + (name == "cold" ? 1 : 0)
                    print("round trips, \(name): \(trips)")
                }
                await pool.close()
            }
        }
    }
}

/// Forwards with a delay, in order.
final class DelayProxy: Sendable {
    private let listener: Listener

    var port: Int { listener.port }

    init(to target: Int, milliseconds: Int) throws {
        listener = try Listener { client in
            guard let server = Listener.connectLocal(target) else { return }
            let back = Thread { Self.delay(server, client, milliseconds) }
            back.start()
            Self.delay(client, server, milliseconds)
            while !back.isFinished { usleep(2000) }
        }
    }

    func end() { listener.end() }

    private static func delay(_ from: Int32, _ to: Int32, _ milliseconds: Int) {
        let queue = Mutex<[(due: ContinuousClock.Instant, data: Data)]>([])
        let done = Flag()
        let sender = Thread {
            while true {
                guard let next = queue.withLock({ $0.first }) else {
                    if done.isRaised { break }
                    usleep(500)
                    continue
                }
                let pause = next.due - .now
                if pause > .zero { usleep(UInt32(pause.milliseconds * 1000)) }
                queue.withLock { _ = $0.removeFirst() }
                guard Listener.send(next.data, to: to) else { break }
            }
            shutdown(to, Int32(SHUT_WR))
        }
        sender.start()
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = recv(from, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            let entry = (ContinuousClock.now + .milliseconds(milliseconds), Data(buffer[..<count]))
            queue.withLock { $0.append(entry) }
        }
        done.raise()
        while !sender.isFinished { usleep(2000) }
    }
}
