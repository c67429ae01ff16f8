import CLibSSH2
import Foundation

/// Observes every packet that libssh2 receives, decrypted, when libssh2 frees the packet's buffer.
///
/// The reason: libssh2 reports exit status 0 when no status came (libssh2 issue 2515), and its API cannot tell one from the other. A
/// command whose server was killed would count as a success. The API also does not give why a channel was not opened, which methods of
/// authentication would be accepted, and what the server offered in a key exchange that failed.
///
/// The way: `libssh2_session_init_ex` takes memory functions, and libssh2 keeps each received packet in a buffer of its own, whose first
/// byte is the message number, until the packet was processed. An exit status is believed only if its packet (RFC 4254 §6.10) was
/// observed. This fails on the safe side: if a later libssh2 wiped or reused its buffers, nothing would be observed, and every outcome
/// would be unknown.
final class PacketObserver {
    /// What was observed of one channel.
    struct Channel {
        var exitStatus: UInt32?
        var exitSignal: String?
        var isClosed = false
    }

    /// The open channels, by the numbers that our side gave them.
    private(set) var channels: [UInt32: Channel] = [:]
    /// Our number of the channel that was opened last.
    private(set) var lastOpened: UInt32?
    /// Why the last channel was not opened, from its SSH_MSG_CHANNEL_OPEN_FAILURE: the code of RFC 4254 §5.1, and the words.
    private(set) var openFailure: (reason: UInt32, words: String)?
    /// The authentication methods that can continue, from the last SSH_MSG_USERAUTH_FAILURE.
    private(set) var methodsOffered: [String]?
    /// The algorithms by which user keys may sign (server-sig-algs, RFC 8308 §3.1), where the server has listed them. It does so for
    /// libssh2 from 1.11 on only.
    private(set) var signatureAlgorithms: [String]?
    /// The number of SSH_MSG_USERAUTH_FAILURE so far: an attempt that failed without one more of them was a lost connection.
    private(set) var refusals = 0
    /// The SSH_MSG_KEXINIT of both sides in the order in which they were freed, ours first. They are read only where the two sides do
    /// not agree.
    private var keyExchangeInits: [[UInt8]] = []
    /// The server's words in its SSH_MSG_DISCONNECT.
    private(set) var farewell: String?
    private var isInKeyExchange = true

    func forget(channel: UInt32) {
        channels[channel] = nil
    }

    /// The first key exchange is over. The proposals of later ones are not kept.
    func handshakeEnded() {
        isInKeyExchange = false
        keyExchangeInits = []
    }

    /// The proposals of both sides; `nil` where not both were sent.
    var proposals: (ours: [[String]], theirs: [[String]])? {
        let proposals = keyExchangeInits.compactMap { packet in
            var reader = WireReader(packet[1...])
            return AlgorithmList.proposal(&reader)
        }
        return proposals.count < 2 ? nil : (proposals[0], proposals[1])
    }

    /// The messages that are observed, by the numbers of RFC 4250 §4.1.
    private static func isOfInterest(_ message: UInt8) -> Bool {
        switch message {
        case 1, 7, 20, 51, 91, 92, 97, 98: true
        default: false
        }
    }

    func observe(_ packet: UnsafeRawBufferPointer) {
        guard let message = packet.first else { return }
        var reader = WireReader(packet.dropFirst())
        switch message {
        case 1:  // SSH_MSG_DISCONNECT
            guard reader.uint32() != nil, let words = reader.string(limit: 1024), !words.isEmpty else { return }
            farewell = String(decoding: words, as: UTF8.self)
        case 7:  // SSH_MSG_EXT_INFO
            guard let count = reader.uint32() else { return }
            for _ in 0..<min(count, 64) {
                guard let name = reader.string(limit: 256), let value = reader.string(limit: 8192) else { return }
                guard name.elementsEqual("server-sig-algs".utf8) else { continue }
                signatureAlgorithms = String(decoding: value, as: UTF8.self).split(separator: ",").map(String.init)
            }
        case 20 where isInKeyExchange:  // SSH_MSG_KEXINIT
            keyExchangeInits.append(Array(packet))
        case 51:  // SSH_MSG_USERAUTH_FAILURE
            guard let list = reader.string(limit: 1024) else { return }
            methodsOffered = String(decoding: list, as: UTF8.self).split(separator: ",").map(String.init)
            refusals += 1
        case 91:  // SSH_MSG_CHANNEL_OPEN_CONFIRMATION
            guard let channel = reader.uint32() else { return }
            lastOpened = channel
            channels[channel] = Channel()
        case 92:  // SSH_MSG_CHANNEL_OPEN_FAILURE
            guard reader.uint32() != nil, let reason = reader.uint32() else { return }
            openFailure = (reason, reader.string(limit: 1024).map { String(decoding: $0, as: UTF8.self) } ?? "")
        case 97:  // SSH_MSG_CHANNEL_CLOSE
            guard let channel = reader.uint32() else { return }
            channels[channel]?.isClosed = true
        case 98:  // SSH_MSG_CHANNEL_REQUEST
            guard let channel = reader.uint32(), let request = reader.string(limit: 32), reader.byte() != nil else {
                return
            }
            if request.elementsEqual("exit-status".utf8) {
                channels[channel]?.exitStatus = reader.uint32()
            } else if request.elementsEqual("exit-signal".utf8), let name = reader.string(limit: 64) {
                channels[channel]?.exitSignal = String(decoding: name, as: UTF8.self)
            }
        default:
            break
        }
    }

    // MARK: Memory functions of the session

    // They call the C library's functions, because libssh2 passes some of its memory to callers that use those.

    typealias Abstract = UnsafeMutablePointer<UnsafeMutableRawPointer?>

    static let allocate: @convention(c) (Int, Abstract?) -> UnsafeMutableRawPointer? = { count, _ in malloc(count) }

    static let reallocate: @convention(c) (UnsafeMutableRawPointer?, Int, Abstract?) -> UnsafeMutableRawPointer? = {
        pointer, count, _ in realloc(pointer, count)
    }

    static let free: @convention(c) (UnsafeMutableRawPointer?, Abstract?) -> Void = { pointer, abstract in
        guard let pointer else { return }
        // Every allocation has a first byte. The size is read only where the byte is a message's number: buffers are freed by the
        // hundred.
        if isOfInterest(pointer.load(as: UInt8.self)), let session = Session.of(abstract) {
            let size = clibssh2_allocated_size(pointer)
            session.observer.observe(UnsafeRawBufferPointer(start: pointer, count: size))
        }
        Foundation.free(pointer)
    }
}
