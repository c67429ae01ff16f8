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
/// libssh2 can sign by itself too, and does with every other key; but with OpenSSL 3 it tries all decoders on the key, twice,
/// which was a third of a connection's processor time.
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
        guard let bytes = signer.sign(UnsafeBufferPointer(start: data, count: count)),
            // Freed by libssh2 through `WitnessedMemory.free`, hence by malloc.
            let copy = malloc(bytes.count)
        else { return -1 }
        bytes.withUnsafeBytes { copy.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        signature.pointee = copy.assumingMemoryBound(to: UInt8.self)
        length.pointee = bytes.count
        return 0
    }

    private func sign(_ data: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        do {
            switch key {
            case .agent(let key):
                let agent = try AgentClient(path: key.agentPath, waiter: waiter)
                return try agent.sign(data, with: key.blob)
            case .ed25519(let key):
                return Array(try key.sign(Data(data)))
            }
        } catch {
            failure = error
            return nil
        }
    }
}
