import Foundation
import Testing

@testable import SSH

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// On a pair of sockets, which fill up like a connection does.
struct OutboxTests {
    private func receive(_ socket: Int32) -> Data {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(socket, &buffer, buffer.count, 0)
        return Data(buffer.prefix(max(count, 0)))
    }

    @Test func packetsGoOutTogetherAndNotBeforeTheyAreToldTo() throws {
        let (ours, theirs) = try Descriptors.pair()
        let socket = Descriptor(owning: ours)
        let peer = Descriptor(owning: theirs)
        let outbox = Outbox()
        for packet in ["one ", "two"] {
            let taken = Array(packet.utf8).withUnsafeBytes { outbox.take($0, socket.number) }
            #expect(taken == packet.utf8.count)
        }
        #expect(receive(peer.number).isEmpty)
        outbox.flush(socket.number)
        #expect(outbox.isEmpty)
        #expect(receive(peer.number) == Data("one two".utf8))
    }

    /// Short ones, and ones that go their own way; what is not taken, or in part, comes again, as libssh2 does it.
    @Test func theOrderStaysWhereTheSocketIsFull() throws {
        let (ours, theirs) = try Descriptors.pair()
        let socket = Descriptor(owning: ours)
        let peer = Descriptor(owning: theirs)
        let outbox = Outbox()
        var (sent, received) = (Data(), Data())
        let filling = Data(repeating: 255, count: 1024)
        while filling.withUnsafeBytes({ Descriptors.send($0, on: socket.number) }) == filling.count { sent += filling }
        var refusals = 0
        for number in 0..<400 {
            let packet = [UInt8](repeating: UInt8(number % 251), count: number % 3 == 2 ? 32 << 10 : 100 + number)
            sent += packet
            var rest = packet[...]
            while !rest.isEmpty {
                let taken = rest.withUnsafeBytes { outbox.take($0, socket.number) }
                guard taken == -Int(EAGAIN) else {
                    try #require(taken > 0)
                    rest = rest.dropFirst(taken)
                    continue
                }
                // Held back packets go before it, though there is room again.
                refusals += 1
                received += receive(peer.number)
            }
        }
        while !outbox.isEmpty {
            outbox.flush(socket.number)
            received += receive(peer.number)
        }
        while received.count < sent.count { received += receive(peer.number) }
        #expect(refusals > 0)
        #expect(received == sent)
    }

    @Test func aPeerThatIsGoneIsAnErrorForWhatComesNext() throws {
        let (ours, theirs) = try Descriptors.pair()
        let socket = Descriptor(owning: ours)
        close(theirs)
        let outbox = Outbox()
        let packet = Array("packet".utf8)
        #expect(packet.withUnsafeBytes { outbox.take($0, socket.number) } == packet.count)
        outbox.flush(socket.number)
        #expect(outbox.isEmpty)
        #expect(packet.withUnsafeBytes { outbox.take($0, socket.number) } == -Int(EPIPE))
    }
}
