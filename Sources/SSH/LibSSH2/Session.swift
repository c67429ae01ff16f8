import CLibSSH2
import Foundation

/// One libssh2 session over one socket. It belongs to one thread at a time.
///
/// libssh2 keeps the state of a call that returned EAGAIN in the session: while a part of its packet is unsent, the same call has
/// to be repeated before any other. So a call is either driven to its end by ``complete(_:_:)`` or, where several calls alternate,
/// repeated by ``attempt(_:_:)`` until its packet has been sent.
final class Session {
    let raw: OpaquePointer
    let observer = PacketObserver()
    private let socket: Descriptor
    private var versionExchange = VersionExchange()
    /// The number of bytes that libssh2 has taken from the socket so far.
    private(set) var received = 0
    /// A call was given up between EAGAIN and its retry, so that the session cannot be used any more.
    private(set) var isDirty = false

    /// - Parameter knownHostKeys: types of the keys that known_hosts holds for this host, to ask the server for.
    init(socket: consuming Descriptor, algorithms: AlgorithmList, knownHostKeys: [String]) throws {
        guard Library.initialized else { throw LibraryError(code: LIBSSH2_ERROR_ALLOC, message: "libssh2_init failed") }
        guard
            let raw = libssh2_session_init_ex(
                PacketObserver.allocate, PacketObserver.free, PacketObserver.reallocate, nil)
        else { throw LibraryError(code: LIBSSH2_ERROR_ALLOC, message: "libssh2_session_init failed") }
        self.raw = raw
        self.socket = socket
        // libssh2 passes this to its callbacks.
        libssh2_session_abstract(raw).pointee = Unmanaged.passUnretained(self).toOpaque()
        libssh2_session_set_blocking(raw, 0)
        _ = clibssh2_exchange_receive(raw) { socket, buffer, length, flags, abstract in
            guard let buffer, length > 0 else { return -Int(EINVAL) }
            return Session.of(abstract)?.receive(socket, buffer, length, flags) ?? 0
        }
        try algorithms.offer(on: raw, knownHostKeys: knownHostKeys)
    }

    deinit {
        // The callbacks must not reach this object any more. Without it they read the end of the connection.
        libssh2_session_abstract(raw).pointee = nil
        // A session that can still be used sends a disconnect. Then the socket is shut down, so that freeing has nothing to wait for.
        if !isDirty && libssh2_userauth_authenticated(raw) != 0 {
            libssh2_session_disconnect_ex(raw, SSH_DISCONNECT_BY_APPLICATION, "done", "")
        }
        shutdown(socket.number, Int32(SHUT_RDWR))
        for _ in 0..<1000 where libssh2_session_free(raw) != LIBSSH2_ERROR_EAGAIN { break }
    }

    /// The session that libssh2 calls back for; `nil` while the session is freed.
    static func of(_ abstract: UnsafeMutablePointer<UnsafeMutableRawPointer?>?) -> Session? {
        abstract?.pointee.map { Unmanaged<Session>.fromOpaque($0).takeUnretainedValue() }
    }

    /// - Returns: the same as `recv`, or the negative errno, as libssh2 expects it.
    private func receive(_ socket: Int32, _ buffer: UnsafeMutableRawPointer, _ length: Int, _ flags: Int32) -> Int {
        guard versionExchange.isOver else { return versionExchange.receive(socket, buffer, length, flags) }
        let count = recv(socket, buffer, length, flags)
        guard count >= 0 else { return -Int(errno) }
        received += count
        return count
    }

    // MARK: Driving calls

    func lastError(_ code: Int) -> LibraryError {
        var text: UnsafeMutablePointer<CChar>?
        let errno = libssh2_session_last_error(raw, &text, nil, 0)
        let message = text.map { String(cString: $0) } ?? ""
        let isTold = errno != 0 && errno != LIBSSH2_ERROR_EAGAIN
        return LibraryError(
            code: isTold ? errno : Int32(truncatingIfNeeded: code),
            message: isTold && !message.isEmpty ? message : "the connection failed")
    }

    /// Repeats a call until it is done. Nothing else touches the session in between.
    @discardableResult
    func complete(_ waiter: Waiter, _ call: () -> Int) throws -> Int {
        while true {
            if let result = try attempt(waiter, call) { return result }
            try pauseBeforeRetry(waiter)
        }
    }

    /// Tries a call once and returns `nil` where it would block and the session is free for another call. While its packet is sent in
    /// part only, the call is repeated.
    func attempt(_ waiter: Waiter, _ call: () -> Int) throws -> Int? {
        while true {
            let result = call()
            if result >= 0 { return result }
            guard result == LIBSSH2_ERROR_EAGAIN else { throw lastError(result) }
            guard isSending else { return nil }
            try pauseBeforeRetry(waiter)
        }
    }

    private func pauseBeforeRetry(_ waiter: Waiter) throws(Stop) {
        do {
            try pause(waiter)
        } catch {
            isDirty = true
            throw error
        }
    }

    /// The result of a call that returns a channel, as a code: the reason where there is no channel.
    func code(of channel: OpaquePointer?) -> Int {
        if channel != nil { return 0 }
        let code = Int(libssh2_session_last_errno(raw))
        return code == 0 ? Int(LIBSSH2_ERROR_ALLOC) : code
    }

    private var isSending: Bool {
        libssh2_session_block_directions(raw) & LIBSSH2_SESSION_BLOCK_OUTBOUND != 0
    }

    /// The descriptor and the events that the session waits for.
    var interest: (descriptor: Int32, events: Int16) {
        (socket.number, Int16(POLLIN | (isSending ? POLLOUT : 0)))
    }

    /// Call this before waiting for the socket.
    func acknowledgeQuickly() { Dial.acknowledgeQuickly(socket.number) }

    /// Waits until the socket is ready for the session, at most a second.
    func pause(_ waiter: Waiter) throws(Stop) {
        acknowledgeQuickly()
        let (descriptor, events) = interest
        // Where libssh2 names no direction it may have work to do that no event announces.
        let limit: Int32 = libssh2_session_block_directions(raw) == 0 ? 20 : 1000
        try waiter.wait(for: descriptor, events: events, atMost: limit)
    }

    // MARK: Handshake and host key

    func handshake(_ waiter: Waiter) throws {
        try complete(waiter) { Int(libssh2_session_handshake(raw, socket.number)) }
        observer.handshakeEnded()
    }

    /// Lines that the server sent before its version, and whether that version came.
    var greeting: (words: String, isSSH: Bool) { (versionExchange.preamble, versionExchange.isSSH) }

    /// What the two sides could not agree on, where that is why the handshake failed.
    var mismatches: [String] {
        observer.proposals.map { AlgorithmList.mismatches(ours: $0.ours, theirs: $0.theirs) } ?? []
    }

    /// Whether they would have agreed with the old algorithms.
    var needsOldAlgorithms: Bool {
        observer.proposals.map { AlgorithmList.wouldAgreeWithOldOnes(in: $0.ours, for: $0.theirs) } ?? false
    }

    var hostKey: HostKey? {
        var length = 0
        var type: Int32 = 0
        guard let bytes = libssh2_session_hostkey(raw, &length, &type), length > 0 else { return nil }
        return HostKey(blob: Data(bytes: bytes, count: length))
    }

    // MARK: Authentication

    /// Whether the server accepts RSA keys, as far as it has said so. Where it does not, none may be tried: libssh2 1.11.1 fails with
    /// "No signing signature matched" and then takes the next key for an RSA key.
    var takesRSA: Bool {
        observer.signatureAlgorithms.map { $0.contains(where: AlgorithmList.signaturesOfRSA.contains) } ?? true
    }

    /// Lets libssh2 read the key and sign.
    /// - Returns: why the key was not accepted: it was refused, or cannot be used here; `nil` where it was accepted.
    func authenticate(user: String, privateKey: Data, passphrase: Secret?, _ waiter: Waiter) throws -> String? {
        // libssh2 takes a C string for the key and does not copy it: the bytes must stay in place until the last retry.
        let key = Array(privateKey) + [0]
        let refusals = observer.refusals
        do {
            try key.withUnsafeBytes { bytes in
                let text = bytes.bindMemory(to: CChar.self)
                _ = try complete(waiter) {
                    Int(
                        libssh2_userauth_publickey_frommemory(
                            raw, user, user.utf8.count, nil, 0, text.baseAddress, text.count - 1,
                            passphrase?.reveal()))
                }
            }
            return nil
        } catch let error as LibraryError {
            return try verdict(error, refusals)
        }
    }

    /// Signs by an agent or with an Ed25519 key in memory.
    /// - Returns: as ``authenticate(user:privateKey:passphrase:_:)``.
    func authenticate(user: String, publicKey: Data, _ signer: KeySigner, _ waiter: Waiter) throws -> String? {
        let refusals = observer.refusals
        var context: UnsafeMutableRawPointer? = Unmanaged.passUnretained(signer).toOpaque()
        do {
            try withExtendedLifetime(signer) {
                try withUnsafeMutablePointer(to: &context) { context in
                    _ = try publicKey.withUnsafeBytes { blob in
                        try complete(waiter) {
                            Int(
                                libssh2_userauth_publickey(
                                    raw, user, blob.bindMemory(to: UInt8.self).baseAddress, blob.count,
                                    KeySigner.callback, context))
                        }
                    }
                }
            }
            return nil
        } catch let error as LibraryError {
            if let failure = signer.failure {
                if let stop = failure as? Stop { throw stop }
                return "\(failure)"
            }
            return try verdict(error, refusals)
        }
    }

    /// - Returns: why the key was not accepted.
    private func verdict(_ error: LibraryError, _ refusalsBefore: Int) throws -> String {
        // libssh2's code is the same for a refusal and for a connection that was lost before the answer.
        if observer.refusals > refusalsBefore { return "refused" }
        let isLost = error.isConnectionLoss || error.message.hasSuffix("USERAUTH response")
        if isLost || observer.farewell != nil { throw error }
        // Any other error comes from reading the key, before anything was sent.
        if error.message == "Callback returned error" { return "the key could not sign" }
        return error.message
    }

    // MARK: Channels

    /// LIBSSH2_CHANNEL_WINDOW_DEFAULT, a macro that Swift cannot import.
    private static let window: UInt32 = 2 << 20

    func openSessionChannel(_ waiter: Waiter) throws -> OpaquePointer {
        var channel: OpaquePointer?
        try complete(waiter) {
            channel = libssh2_channel_open_ex(
                raw, "session", 7, Self.window, UInt32(LIBSSH2_CHANNEL_PACKET_DEFAULT), nil, 0)
            return code(of: channel)
        }
        return channel!
    }

    /// Closes and frees a channel. The error is ignored: where it cannot be closed in time `isDirty` is set.
    func free(channel: OpaquePointer, _ waiter: Waiter) {
        _ = try? complete(waiter) { Int(libssh2_channel_free(channel)) }
    }
}
