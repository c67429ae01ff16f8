import Foundation
import Testing

@testable import SSH

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

@Suite struct DialTests {
    /// On an overloaded machine the deadline may have passed before the socket is looked at: a host that answered must not be
    /// taken for one that does not, which counts as a sign of its death.
    @Test func aConnectionThatWasMadeInTimeCountsThoughTheDeadlineHasPassed() throws {
        #if canImport(Darwin)
            let listener = socket(AF_INET, SOCK_STREAM, 0)
        #else
            let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #endif
        defer { shutdown(listener, Int32(SHUT_RDWR)) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(listener, $0, size)
                _ = getsockname(listener, $0, &size)
            }
        }
        try #require(listen(listener, 128) == 0)
        let port = Int(UInt16(bigEndian: address.sin_port))
        // The kernel connects over loopback within connect(2), but for moments of much load.
        var isConnected = false
        for _ in 0..<100 where !isConnected {
            let waiter = Waiter(limit: .zero)
            do {
                _ = try Dial.connect(host: "127.0.0.1", port: port, waiter: waiter)
                isConnected = true
            } catch Dial.Failure.unreachable {}
        }
        #expect(isConnected)
    }

    /// A name with an IPv6 address, used on a machine without IPv6, is dialled by its IPv4 address.
    @Test func anIPv6AddressIsPassedOverWhereThisMachineHasNoIPv6() {
        #expect(Dial.isMissingIPv6(SystemError("socket", code: EAFNOSUPPORT), family: AF_INET6))
        #expect(Dial.isMissingIPv6(SystemError("connect", code: EADDRNOTAVAIL), family: AF_INET6))
        #expect(!Dial.isMissingIPv6(SystemError("connect", code: EADDRNOTAVAIL), family: AF_INET), "no port is left")
        #expect(!Dial.isMissingIPv6(SystemError("socket", code: EMFILE), family: AF_INET6))
    }
}
