import CLibSSH2
import Crypto
import Foundation

/// Signs for libssh2: by an agent, within the deadline of the connection, or with an Ed25519 key in memory.
///
/// With every other key libssh2 signs itself. With an Ed25519 key it would let OpenSSL 3 try all its decoders, twice, which took a third
/// of a connection's processor time. Its own calls to agents block without a limit.
final class KeySigner {
    typealias Callback =
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?, UnsafeMutablePointer<Int>?,
            UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<UnsafeMutableRawPointer?>?
        ) -> Int32

    /// Signs data by the algorithm that libssh2 has chosen. Returns the algorithm, where there are several for the key, and the
    /// signature without the algorithm's name.
    private typealias Sign = (Data, _ wanted: String?) throws -> (algorithm: String?, bytes: [UInt8])

    private let sign: Sign
    private(set) var failure: (any Error)?

    private init(_ sign: @escaping Sign) {
        self.sign = sign
    }

    convenience init(_ key: Curve25519.Signing.PrivateKey) {
        self.init { data, _ in (nil, Array(try key.signature(for: data))) }
    }

    /// - Parameter waiter: limits the time that the agent takes.
    convenience init(_ key: AgentClient.Key, _ waiter: Waiter) {
        self.init { data, wanted in
            try AgentClient(path: key.agentPath, waiter: waiter).sign(data, with: key.blob, by: wanted)
        }
    }

    static let callback: Callback = { _, signature, length, data, count, context in
        guard let context = context?.pointee, let signature, let length, let data else { return -1 }
        let signer = Unmanaged<KeySigner>.fromOpaque(context).takeUnretainedValue()
        let bytes: [UInt8]
        do {
            let data = Data(bytes: data, count: count)
            let wanted = algorithm(in: data)
            let signed = try signer.sign(data, wanted)
            if let algorithm = signed.algorithm, let wanted, algorithm != wanted {
                signer.failure = Failure(description: "the agent signed by \(algorithm) in place of \(wanted)")
                return algorithmUnsupported
            }
            signer.failure = nil
            bytes = signed.bytes
        } catch {
            signer.failure = error
            return -1
        }
        // Freed by libssh2 through `PacketObserver.free`, hence by malloc.
        guard let copy = malloc(bytes.count) else { return -1 }
        bytes.withUnsafeBytes { copy.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        signature.pointee = copy.assumingMemoryBound(to: UInt8.self)
        length.pointee = bytes.count
        return 0
    }

    /// LIBSSH2_ERROR_ALGO_UNSUPPORTED, on which libssh2 1.11 retries with the key's own algorithm. The headers of 1.10 lack it.
    private static let algorithmUnsupported: Int32 = -51

    /// The algorithm that libssh2 has chosen. The callback is not given it, so that it is read from the request that is to be signed
    /// (RFC 4252 §7). Since 1.11 it is one of `rsa-sha2-…` for an RSA key, where the server accepts it (RFC 8332).
    static func algorithm(in request: some Collection<UInt8>) -> String? {
        var reader = WireReader(request)
        guard reader.string() != nil, reader.byte() == 50,  // the session's id, SSH_MSG_USERAUTH_REQUEST
            reader.string() != nil, reader.string() != nil, reader.string() != nil,  // user, service, "publickey"
            reader.byte() == 1, let name = reader.string(limit: 64)
        else { return nil }
        return String(decoding: name, as: UTF8.self)
    }
}
