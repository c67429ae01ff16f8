import Foundation
import Testing

@testable import SSH

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// On a pair of sockets, read as libssh2 does: a byte at a time.
struct VersionExchangeTests {
    /// What libssh2 would get of `text`, which comes in pieces of `size` bytes, and what stays in the socket for it.
    private func exchange(_ text: String, by size: Int) throws -> (line: String, rest: String, VersionExchange) {
        let (ours, theirs) = try Descriptor.pair()
        let socket = Descriptor(owning: ours)
        let peer = Descriptor(owning: theirs)
        var exchange = VersionExchange()
        var (line, unsent) = ([UInt8](), Array(text.utf8)[...])
        while !exchange.isOver {
            var byte: UInt8 = 0
            let count = exchange.receive(socket.number, &byte, 1, 0)
            if count == 1 {
                line.append(byte)
            } else {
                try #require(count == -Int(EAGAIN) && !unsent.isEmpty)
                _ = unsent.prefix(size).withUnsafeBytes { Descriptor.send($0, on: peer.number) }
                unsent = unsent.dropFirst(size)
            }
        }
        var rest = [UInt8](repeating: 0, count: 4096)
        let count = max(recv(socket.number, &rest, rest.count, 0), 0)
        return (
            String(decoding: line, as: UTF8.self), String(decoding: rest[..<count] + unsent, as: UTF8.self), exchange
        )
    }

    @Test(arguments: [1, 3, 1000]) func linesBeforeTheIdentificationAreSkipped(size: Int) throws {
        let long = String(repeating: "x", count: 300)
        for preamble in ["", "\r\n", "welcome\r\n\n\(long)\r\n"] {
            let (line, _, exchange) = try exchange("\(preamble)SSH-2.0-x\r\n", by: size)
            #expect(line.utf8.elementsEqual("SSH-2.0-x\r\n".utf8))
            #expect(exchange.preamble.utf8.elementsEqual(preamble.utf8))
        }
    }

    @Test func packetsAfterItAreLeftForLibSSH2() throws {
        let (line, rest, _) = try exchange("SSH-2.0-x\r\npacket\n", by: 1000)
        #expect(line.utf8.elementsEqual("SSH-2.0-x\r\n".utf8))
        #expect(rest == "packet\n")
    }

    /// libssh2 has to see it, however often it looks.
    @Test func anEndStaysTheEnd() throws {
        let (ours, theirs) = try Descriptor.pair()
        let socket = Descriptor(owning: ours)
        close(theirs)
        var exchange = VersionExchange()
        var byte: UInt8 = 0
        for _ in 0..<3 { #expect(exchange.receive(socket.number, &byte, 1, 0) == 0) }
        #expect(!exchange.isSSH)
    }

    @Test func textWithoutEndIsNoServer() throws {
        let (ours, theirs) = try Descriptor.pair()
        let socket = Descriptor(owning: ours)
        let peer = Descriptor(owning: theirs)
        var exchange = VersionExchange()
        var byte: UInt8 = 0
        let noise = [UInt8](repeating: UInt8(ascii: "x"), count: 1000)
        for _ in 0..<65 {
            _ = noise.withUnsafeBytes { Descriptor.send($0, on: peer.number) }
            let count = exchange.receive(socket.number, &byte, 1, 0)
            #expect(count == -Int(EAGAIN) || count == -Int(EPROTO))
        }
        _ = noise.withUnsafeBytes { Descriptor.send($0, on: peer.number) }
        #expect(exchange.receive(socket.number, &byte, 1, 0) == -Int(EPROTO))
    }
}
