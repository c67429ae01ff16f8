import Foundation
import Testing

@testable import SSH

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// On a pair of sockets, read as libssh2 does: again and again until there is nothing.
struct InboxTests {
    private func send(_ text: String, on socket: Int32) {
        _ = Data(text.utf8).withUnsafeBytes { Descriptors.send($0, on: socket) }
    }

    /// What `recv` would return, and the bytes as text.
    private func receive(_ inbox: inout Inbox, _ socket: Int32, _ length: Int) -> (count: Int, text: String) {
        var buffer = [UInt8](repeating: 0, count: length)
        let count = inbox.receive(socket, &buffer, length, 0)
        return (count, String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self))
    }

    /// Past the version line, of which libssh2 asks for a byte at a time.
    private func opened(_ socket: Int32, _ peer: Int32) -> Inbox {
        var inbox = Inbox()
        send("welcome\r\nSSH-2.0-x\r\n", on: peer)
        var line = ""
        while line.utf8.last != UInt8(ascii: "\n") { line += receive(&inbox, socket, 1).text }
        #expect(line.unicodeScalars.elementsEqual("SSH-2.0-x\r\n".unicodeScalars))
        #expect(inbox.preface.words.contains("welcome"))
        return inbox
    }

    @Test func aSocketThatGaveLessIsNotAskedAgainBeforeItWasWaitedFor() throws {
        let (ours, theirs) = try Descriptors.pair()
        let socket = Descriptor(owning: ours)
        let peer = Descriptor(owning: theirs)
        var inbox = opened(socket.number, peer.number)
        send("onetwo", on: peer.number)
        #expect(receive(&inbox, socket.number, 3) == (3, "one"))
        #expect(receive(&inbox, socket.number, 16) == (3, "two"))
        send("three", on: peer.number)
        #expect(receive(&inbox, socket.number, 16).count == -Int(EAGAIN))
        inbox.expectMore()
        #expect(receive(&inbox, socket.number, 16) == (5, "three"))
    }

    @Test func anEmptySocketIsNotAskedAgainEither() throws {
        let (ours, theirs) = try Descriptors.pair()
        let socket = Descriptor(owning: ours)
        let peer = Descriptor(owning: theirs)
        var inbox = opened(socket.number, peer.number)
        #expect(receive(&inbox, socket.number, 16).count == -Int(EAGAIN))
        send("late", on: peer.number)
        #expect(receive(&inbox, socket.number, 16).count == -Int(EAGAIN))
        inbox.expectMore()
        #expect(receive(&inbox, socket.number, 16) == (4, "late"))
    }

    /// libssh2 has to see it, however often it looks.
    @Test func theEndStaysTheEnd() throws {
        let (ours, theirs) = try Descriptors.pair()
        let socket = Descriptor(owning: ours)
        let peer = Descriptor(owning: theirs)
        var inbox = opened(socket.number, peer.number)
        shutdown(peer.number, Int32(SHUT_RDWR))
        for _ in 0..<3 { #expect(receive(&inbox, socket.number, 16).count == 0) }
    }
}
