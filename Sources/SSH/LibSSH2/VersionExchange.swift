import Foundation

/// Reads the server's identification string and skips the lines before it, of which RFC 4253 §4.2 allows any number.
///
/// libssh2 1.10 fails on an empty line, and takes a line of more than 256 bytes for several. It is therefore given the identification
/// string alone, which it reads one byte at a time.
struct VersionExchange {
    /// The lines before the identification string, at most about a kilobyte.
    private(set) var preamble = ""
    /// Whether the identification string has begun to arrive.
    private(set) var isSSH = false
    private var line: [UInt8] = []
    /// The number of bytes of the identification string that libssh2 has read.
    private var given = 0
    private var total = 0
    private static let limit = 64 << 10

    /// Whether libssh2 has read all of the identification string. Packets follow.
    var isOver: Bool { isSSH && given == line.count && line.last == UInt8(ascii: "\n") }

    /// - Returns: the same as `recv`, or the negative errno, as libssh2 expects it.
    mutating func receive(_ socket: Int32, _ buffer: UnsafeMutableRawPointer, _ length: Int, _ flags: Int32) -> Int {
        while true {
            if isSSH, given < line.count {
                let count = min(length, line.count - given)
                line.withUnsafeBytes { buffer.copyMemory(from: $0.baseAddress! + given, byteCount: count) }
                given += count
                return count
            }
            let count = readLine(socket, flags)
            guard count > 0 else { return count }
            total += count
            if line.starts(with: "SSH-".utf8) {
                isSSH = true
            } else if line.last == UInt8(ascii: "\n") {
                if preamble.utf8.count < 1024 { preamble += String(decoding: line, as: UTF8.self) }
                line = []
            }
            // This is no SSH server, but one that sends text without end.
            if total > Self.limit { return -Int(EPROTO) }
        }
    }

    /// Reads what has arrived of the line and no byte after it, because libssh2 reads the packets that follow.
    private mutating func readLine(_ socket: Int32, _ flags: Int32) -> Int {
        withUnsafeTemporaryAllocation(byteCount: 512, alignment: 1) { buffer in
            let available = recv(socket, buffer.baseAddress, buffer.count, flags | Int32(MSG_PEEK))
            guard available > 0 else { return available < 0 ? -Int(errno) : 0 }
            let end = buffer[..<available].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? available
            let count = recv(socket, buffer.baseAddress, end, flags)
            guard count > 0 else { return count < 0 ? -Int(errno) : 0 }
            line.append(contentsOf: buffer[..<count])
            return count
        }
    }
}
