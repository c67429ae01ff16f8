import Foundation

/// The client's side of the agent protocol (draft-miller-ssh-agent), as far as signing needs it. libssh2's own client is not used,
/// because it blocks without a limit, for example while the agent waits for its user's confirmation.
struct AgentClient: ~Copyable {
    /// A key that an agent holds.
    struct Key: Sendable, Hashable {
        let agentPath: String
        let blob: Data
        let comment: String

        private var publicKey: HostKey? { HostKey(blob: blob) }
        /// The key type that the blob begins with.
        var type: String { publicKey?.type ?? "" }
        var isCertificate: Bool { publicKey?.isCertificate == true }
    }

    private let descriptor: Descriptor
    private let path: String
    private let waiter: Waiter

    /// The agent of this process's environment, if it has one.
    static var environmentPath: String? {
        ProcessInfo.processInfo.environment["SSH_AUTH_SOCK"].flatMap { $0.isEmpty ? nil : $0 }
    }

    init(path: String, waiter: Waiter) throws {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw Failure(description: "the agent's path is too long: \(path)")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        #if canImport(Darwin)
            let kind = SOCK_STREAM
        #else
            let kind = Int32(SOCK_STREAM.rawValue)
        #endif
        let number = socket(AF_UNIX, kind, 0)
        guard number >= 0 else { throw SystemError("socket") }
        let descriptor = Descriptor(owning: number)
        Descriptor.setNonBlocking(number)
        Descriptor.setCloseOnExec(number)
        Descriptor.ignoreBrokenPipe(number)
        let result = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw Failure(description: "the agent at \(path): \(SystemError("connect"))") }
        self.descriptor = descriptor
        self.path = path
        self.waiter = waiter
    }

    func keys() throws -> [Key] {
        try Self.keys(in: try ask([11]), of: path)  // SSH_AGENTC_REQUEST_IDENTITIES
    }

    static func keys(in answer: [UInt8], of path: String) throws -> [Key] {
        var reader = WireReader(answer)
        guard reader.byte() == 12, let count = reader.uint32() else {  // SSH_AGENT_IDENTITIES_ANSWER
            throw Failure(description: "the agent did not list its keys")
        }
        var keys: [Key] = []
        for _ in 0..<min(count, 1024) {
            guard let blob = reader.string(), let comment = reader.string() else { break }
            keys.append(Key(agentPath: path, blob: Data(blob), comment: String(decoding: comment, as: UTF8.self)))
        }
        return keys
    }

    /// - Parameter algorithm: the one to sign by; it matters for RSA keys only, which have three.
    /// - Returns: the algorithm that the agent used, for example `rsa-sha2-512`, and the signature without the algorithm's name in
    ///   front, as libssh2 expects it.
    func sign(_ data: some Collection<UInt8>, with blob: Data, by algorithm: String?) throws
        -> (algorithm: String, bytes: [UInt8])
    {
        let flags: UInt32 =
            switch algorithm {
            case "rsa-sha2-256": 2  // SSH_AGENT_RSA_SHA2_256
            case "rsa-sha2-512": 4  // SSH_AGENT_RSA_SHA2_512
            default: 0
            }
        var request: [UInt8] = [13]  // SSH_AGENTC_SIGN_REQUEST
        request.append(string: blob)
        request.append(string: data)
        request.append(uint32: flags)
        return try Self.signature(in: try ask(request))
    }

    static func signature(in answer: [UInt8]) throws -> (algorithm: String, bytes: [UInt8]) {
        var reader = WireReader(answer)
        guard reader.byte() == 14, let outer = reader.string() else {  // SSH_AGENT_SIGN_RESPONSE
            throw Failure(description: "the agent refused to sign")
        }
        var signature = WireReader(outer)
        guard let name = signature.string(limit: 64), let bytes = signature.string() else {
            throw Failure(description: "the agent's signature cannot be read")
        }
        return (String(decoding: name, as: UTF8.self), Array(bytes))
    }

    private func ask(_ message: [UInt8]) throws -> [UInt8] {
        var framed: [UInt8] = []
        framed.append(string: message)
        var rest = framed[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Descriptor.send($0, on: descriptor.number) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else {
                try retry("write", events: Int16(POLLOUT))
            }
        }
        var reader = WireReader(try receive(4))
        guard let length = reader.uint32(), length > 0, length < 1 << 20 else {
            throw Failure(description: "the agent's answer cannot be read")
        }
        return try receive(Int(length))
    }

    private func receive(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while bytes.count < count {
            let got = read(descriptor.number, &buffer, min(buffer.count, count - bytes.count))
            if got > 0 {
                bytes += buffer[..<got]
            } else if got == 0 {
                throw Failure(description: "the agent closed the connection")
            } else {
                try retry("read", events: Int16(POLLIN))
            }
        }
        return bytes
    }

    private func retry(_ call: String, events: Int16) throws {
        guard errno == EAGAIN || errno == EINTR else { throw SystemError(call) }
        try waiter.wait(for: descriptor.number, events: events)
    }
}
