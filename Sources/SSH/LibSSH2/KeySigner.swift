import CLibSSH2
import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Signs what libssh2 wants signed: by an agent, within the deadline of the connection, or with an Ed25519 key in memory.
///
/// libssh2 can sign by itself, too, and does with every other key. Worth its lines: with OpenSSL 3 it tries all decoders on an Ed25519
/// key, twice, which was a third of a connection's processor time.
final class KeySigner {
    enum Key {
        case agent(AgentKey)
        case ed25519(Ed25519Key)

        var blob: Data {
            switch self {
            case .agent(let key): key.blob
            case .ed25519(let key): key.blob
            }
        }
    }

    typealias Callback =
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?, UnsafeMutablePointer<Int>?,
            UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<UnsafeMutableRawPointer?>?
        ) -> Int32

    private let key: Key
    private let waiter: Waiter
    private(set) var failure: (any Error)?

    init(key: Key, waiter: Waiter) {
        self.key = key
        self.waiter = waiter
    }

    static let callback: Callback = { _, signature, length, data, count, context in
        guard let context = context?.pointee, let signature, let length, let data else { return -1 }
        let signer = Unmanaged<KeySigner>.fromOpaque(context).takeUnretainedValue()
        let bytes: [UInt8]
        do {
            bytes = try signer.sign(UnsafeBufferPointer(start: data, count: count))
            signer.failure = nil
        } catch {
            signer.failure = error
            return error is OtherAlgorithm ? algorithmUnsupported : -1
        }
        // Freed by libssh2 through `PacketObserver.free`, hence by malloc.
        guard let copy = malloc(bytes.count) else { return -1 }
        bytes.withUnsafeBytes { copy.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        signature.pointee = copy.assumingMemoryBound(to: UInt8.self)
        length.pointee = bytes.count
        return 0
    }

    /// LIBSSH2_ERROR_ALGO_UNSUPPORTED, which 1.10 has not: 1.11 tries again with the key's own algorithm then.
    private static let algorithmUnsupported: Int32 = -51

    /// The agent signed by another algorithm than the one that was asked for.
    private struct OtherAlgorithm: Error, CustomStringConvertible {
        let description: String
    }

    private func sign(_ data: UnsafeBufferPointer<UInt8>) throws -> [UInt8] {
        switch key {
        case .agent(let key):
            let agent = try AgentClient(path: key.agentPath, waiter: waiter)
            let wanted = Self.algorithm(in: data)
            let signature = try agent.sign(data, with: key.blob, by: wanted)
            guard wanted == nil || signature.algorithm == wanted else {
                throw OtherAlgorithm(description: "the agent signed by \(signature.algorithm) in place of \(wanted ?? "")")
            }
            return signature.bytes
        case .ed25519(let key):
            return Array(try key.sign(Data(data)))
        }
    }

    /// The algorithm that libssh2 has settled on, which it tells nobody: from the request that is to be signed (RFC 4252 §7).
    /// Since 1.11 it is one of `rsa-sha2-…` for an RSA key, where the server takes it (RFC 8332).
    static func algorithm(in request: some Collection<UInt8>) -> String? {
        var reader = WireReader(request)
        guard reader.string() != nil, reader.byte() == 50,  // the session's id, SSH_MSG_USERAUTH_REQUEST
            reader.string() != nil, reader.string() != nil, reader.string() != nil,  // user, service, "publickey"
            reader.byte() == 1, let name = reader.string(limit: 64)
        else { return nil }
        return String(decoding: name, as: UTF8.self)
    }
}
