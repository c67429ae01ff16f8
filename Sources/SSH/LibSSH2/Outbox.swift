import CLibSSH2

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Holds back what libssh2 sends until something is waited for, so that packets with no answer in between go out as one: the
/// new keys and the request for authentication, a channel's end and the session's.
///
/// Each send wakes the server and runs the kernel's whole way to it: next to the cryptography the dearest part of a connection.
final class Outbox {
    private var bytes: [UInt8] = []
    /// errno of a send; libssh2 learns of it by the end of the connection.
    private var failure: Int32 = 0
    /// What is beyond it goes its own way: a file's packets are long enough.
    private static let limit = 8 << 10

    var isEmpty: Bool { bytes.isEmpty }

    /// Puts itself in the place of libssh2's send function.
    static func attach(to session: OpaquePointer) {
        _ = clibssh2_exchange_send(session) { socket, buffer, length, _, abstract in
            guard let witness = abstract?.pointee, let buffer else { return -Int(EINVAL) }
            let packet = UnsafeRawBufferPointer(start: buffer, count: length)
            return Unmanaged<PacketWitness>.fromOpaque(witness).takeUnretainedValue().outbox.take(packet, socket)
        }
    }

    /// - Returns: how much was taken; where nothing was, the negative errno, as libssh2 wants it.
    func take(_ packet: UnsafeRawBufferPointer, _ socket: Int32) -> Int {
        if bytes.count + packet.count > Self.limit { flush(socket) }
        if failure != 0 { return -Int(failure) }
        if bytes.count + packet.count <= Self.limit {
            bytes.append(contentsOf: packet)
            return packet.count
        }
        // What came before it goes before it.
        guard bytes.isEmpty else { return -Int(EAGAIN) }
        let count = Descriptors.send(packet, on: socket)
        return count < 0 ? -Int(errno) : count
    }

    /// Sends what there is; what the socket has no room for stays.
    /// - Parameter isLast: the socket is shut down next, and its end goes with these bytes.
    /// - Returns: whether something went out.
    @discardableResult
    func flush(_ socket: Int32, isLast: Bool = false) -> Bool {
        guard !bytes.isEmpty, failure == 0 else { return false }
        let count = bytes.withUnsafeBytes { Descriptors.send($0, on: socket, isLast: isLast) }
        if count >= 0 {
            bytes.removeFirst(count)
        } else if errno != EAGAIN && errno != EINTR {
            failure = errno
            bytes = []
            // Whoever waits for an answer to it finds the connection ended.
            shutdown(socket, Int32(SHUT_RDWR))
        }
        return count > 0
    }
}
