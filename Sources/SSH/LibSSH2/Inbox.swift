import CLibSSH2

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What libssh2 reads: the version line out of ``Preface``, then packets from the socket.
///
/// libssh2 asks the socket for more until it has none, two or three times a packet. One that gave less than was asked for is
/// empty, and is asked again only after it was waited for: half of the system calls that read.
struct Inbox {
    private(set) var preface = Preface()
    private var isEmpty = false
    /// Bytes since the socket was waited for.
    private(set) var taken = 0
    /// Bytes in all, after the version line.
    private(set) var received = 0

    /// Puts itself in the place of libssh2's receive function.
    static func attach(to session: OpaquePointer) {
        _ = clibssh2_exchange_receive(session) { socket, buffer, length, flags, abstract in
            guard let witness = abstract?.pointee, let buffer, length > 0 else { return -Int(EINVAL) }
            return Unmanaged<PacketWitness>.fromOpaque(witness).takeUnretainedValue()
                .inbox.receive(socket, buffer, length, flags)
        }
    }

    /// To be called before the socket is waited for, and when it is shut down.
    mutating func expectMore() {
        isEmpty = false
        taken = 0
    }

    /// - Returns: as `recv`; the negative errno where it failed, as libssh2 wants it.
    mutating func receive(_ socket: Int32, _ buffer: UnsafeMutableRawPointer, _ length: Int, _ flags: Int32) -> Int {
        guard preface.isThrough else { return preface.receive(socket, buffer, length, flags) }
        guard !isEmpty else { return -Int(EAGAIN) }
        let count = Self.read(socket, buffer, length, flags)
        isEmpty = count > 0 ? count < length : count == -Int(EAGAIN)
        taken += max(count, 0)
        received += max(count, 0)
        return count
    }

    fileprivate static func read(
        _ socket: Int32, _ buffer: UnsafeMutableRawPointer, _ length: Int, _ flags: Int32
    ) -> Int {
        let count = recv(socket, buffer, length, flags)
        return count < 0 ? -Int(errno) : count
    }
}

/// Reads over what a server says before its version line (RFC 4253 §4.2 allows any lines there).
///
/// libssh2 1.10 fails on an empty line, and takes a line of more than 256 bytes for several: it is passed the version line alone,
/// of which it asks for a byte at a time.
struct Preface {
    private(set) var isOver = false
    private var line: [UInt8] = []
    /// How much of the version line libssh2 has.
    private var given = 0
    fileprivate var isThrough: Bool { isOver && given == line.count }
    private(set) var words = ""
    private var total = 0
    private static let limit = 64 << 10

    fileprivate mutating func receive(_ socket: Int32, _ buffer: UnsafeMutableRawPointer, _ length: Int, _ flags: Int32)
        -> Int
    {
        while true {
            if isOver, given < line.count {
                let count = min(length, line.count - given)
                line.withUnsafeBytes { buffer.copyMemory(from: $0.baseAddress! + given, byteCount: count) }
                given += count
                return count
            }
            let count = readLine(socket, flags)
            guard count > 0 else { return count }
            total += count
            if line.starts(with: "SSH-".utf8) {
                isOver = true
            } else if line.last == UInt8(ascii: "\n") {
                if words.utf8.count < 1024 { words += String(decoding: line, as: UTF8.self) }
                line = []
            }
            // Something else than an SSH server, one that never ends.
            if total > Self.limit { return -Int(EPROTO) }
        }
    }

    /// Takes in what is there of the line and no byte beyond it: the packets after it are libssh2's.
    private mutating func readLine(_ socket: Int32, _ flags: Int32) -> Int {
        withUnsafeTemporaryAllocation(byteCount: 512, alignment: 1) { buffer in
            let there = Inbox.read(socket, buffer.baseAddress!, buffer.count, flags | Int32(MSG_PEEK))
            guard there > 0 else { return there }
            let end = buffer[..<there].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? there
            let count = Inbox.read(socket, buffer.baseAddress!, end, flags)
            if count > 0 { line.append(contentsOf: buffer[..<count]) }
            return count
        }
    }
}
