import CLibSSH2

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Has an agent sign what libssh2 wants signed, within the deadline of the connection.
final class AgentSigner {
    typealias Callback =
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?, UnsafeMutablePointer<Int>?,
            UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<UnsafeMutableRawPointer?>?
        ) -> Int32

    private let key: AgentKey
    private let waiter: Waiter
    private(set) var failure: (any Error)?

    init(key: AgentKey, waiter: Waiter) {
        self.key = key
        self.waiter = waiter
    }

    static let callback: Callback = { _, signature, length, data, count, context in
        guard let context = context?.pointee, let signature, let length, let data else { return -1 }
        let signer = Unmanaged<AgentSigner>.fromOpaque(context).takeUnretainedValue()
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
            let agent = try AgentClient(path: key.agentPath, waiter: waiter)
            return try agent.sign(data, with: key.blob)
        } catch {
            failure = error
            return nil
        }
    }
}
