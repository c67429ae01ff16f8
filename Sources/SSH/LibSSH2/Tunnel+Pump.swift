import CLibSSH2
import Foundation

extension Tunnel {
    /// Moves bytes between the channels of one session and as many sockets, on the session's thread.
    struct Pump: ~Copyable {
        private final class Stream {
            let channel: OpaquePointer
            let socket: Descriptor
            /// Read from the socket and not yet written to the channel.
            var outgoing: ArraySlice<UInt8> = []
            /// Read from the channel and not yet written to the socket.
            var incoming: ArraySlice<UInt8> = []
            var socketEnded = false
            var sentEOF = false
            var hasEndedSocket = false
            var isBroken = false

            init(channel: OpaquePointer, socket: consuming Descriptor) {
                self.channel = channel
                self.socket = socket
            }

            var isDone: Bool {
                isBroken || (libssh2_channel_eof(channel) == 1 && incoming.isEmpty && (hasEndedSocket || socketEnded))
            }
        }

        private let tunnel: Tunnel
        private let session: Session
        /// Each call on the session may take the whole limit, which begins with the call.
        private var waiter: Waiter { tunnel.waiter.with(limit: tunnel.waiter.limit) }
        private var streams: [Stream] = []
        private var closing: [OpaquePointer] = []
        private var opening: Request?
        private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
        private let longestSleep: Int32

        init(_ tunnel: Tunnel, _ session: Session, longestSleep: Int32) {
            self.tunnel = tunnel
            self.session = session
            self.longestSleep = longestSleep
        }

        deinit {
            buffer.deallocate()
        }

        /// Runs until the connection is lost or the tunnel is closed. Then the sockets are closed, which ends the inner connections.
        mutating func run() {
            defer {
                opening?.answer(.lost)
            }
            while true {
                do {
                    let received = session.received
                    var hasMoved = try open()
                    for stream in streams where try move(stream) { hasMoved = true }
                    try retire()
                    // A call for one channel takes the packets of every channel from the socket. Those that arrive for a channel after its
                    // turn are kept by libssh2, and no poll(2) reports them: sleep only after a pass that received nothing.
                    if !hasMoved && session.received == received { try wait() }
                } catch {
                    return
                }
            }
        }

        // MARK: Opening

        private mutating func open() throws -> Bool {
            if opening == nil { opening = tunnel.nextRequest() }
            guard let request = opening else { return false }
            var opened: OpaquePointer?
            do {
                _ = try session.attempt(waiter) {
                    opened = libssh2_channel_direct_tcpip_ex(
                        session.raw, request.endpoint.host, Int32(request.endpoint.port), "127.0.0.1", 0)
                    return session.code(of: opened)
                }
                guard let channel = opened else {
                    tunnel.refuseIfStalled()
                    return false
                }
                ended()
                begin(channel, request)
            } catch let error as LibraryError where error.code == LIBSSH2_ERROR_TIMEOUT {
                // libssh2 gives up waiting for a packet after a minute, also in non-blocking mode; the session stays usable.
                ended()
                request.answer(.failed(refusal(error, request.endpoint)))
            } catch let error as LibraryError where error.isRefusedChannel {
                ended()
                request.answer(.failed(refusal(error, request.endpoint)))
            }
            return true
        }

        /// Where the jump host tried and says why it could not (reason 2, SSH_OPEN_CONNECT_FAILED, with the words of connect(2)), the
        /// target is unreachable. Otherwise it did not try, or does not say so, and nothing is known of the target.
        private func refusal(_ error: LibraryError, _ endpoint: Endpoint) -> SSHError {
            let failure = session.observer.openFailure
            let words = failure.map { TerminalText.sanitize($0.words) } ?? ""
            let hasTried = failure?.reason == 2 && !words.isEmpty
            return SSHError(
                hasTried ? .unreachable : .jumpFailed, host: endpoint.name,
                operation: "connect by way of \(tunnel.hop.name)",
                cause: "the jump host could not open it: \(words.isEmpty ? error.message : words)",
                advice: "is the machine on, and does the jump host allow forwarding (AllowTcpForwarding)?")
        }

        private mutating func ended() {
            opening = nil
            tunnel.openingEnded()
        }

        private mutating func begin(_ channel: OpaquePointer, _ request: Request) {
            let (ours, theirs): (Int32, Int32)
            do {
                (ours, theirs) = try Descriptor.pair()
            } catch {
                closing.append(channel)
                request.answer(
                    .failed(.localFault(error, host: request.endpoint.name, operation: "connect")))
                return
            }
            let stream = Stream(channel: channel, socket: Descriptor(owning: ours))
            streams.append(stream)
            if !request.answer(.opened(theirs)) {
                // The request was answered meanwhile, by its deadline or cancellation.
                Foundation.close(theirs)
            }
        }

        // MARK: Moving

        private func move(_ stream: Stream) throws -> Bool {
            let sent = try moveOut(stream)
            let received = try moveIn(stream)
            return sent || received
        }

        private func moveOut(_ stream: Stream) throws -> Bool {
            guard !stream.isBroken, !stream.sentEOF else { return false }
            if stream.outgoing.isEmpty && !stream.socketEnded {
                let count = recv(stream.socket.number, buffer.baseAddress, 32 << 10, 0)
                if count > 0 {
                    stream.outgoing = Array(buffer[..<count])[...]
                } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
                    stream.socketEnded = true
                }
            }
            if stream.outgoing.isEmpty {
                guard stream.socketEnded else { return false }
                stream.sentEOF = true
                try session.complete(waiter) { Int(libssh2_channel_send_eof(stream.channel)) }
                return true
            }
            // Without a window a write would return EAGAIN although the socket has room.
            guard libssh2_channel_window_write_ex(stream.channel, nil) > 0 else { return false }
            let written = try stream.outgoing.withUnsafeBytes { bytes in
                try session.attempt(waiter) {
                    libssh2_channel_write_ex(
                        stream.channel, 0, bytes.assumingMemoryBound(to: CChar.self).baseAddress, bytes.count)
                }
            }
            guard let written, written > 0 else { return false }
            stream.outgoing = stream.outgoing.dropFirst(written)
            return true
        }

        private func moveIn(_ stream: Stream) throws -> Bool {
            guard !stream.isBroken else { return false }
            if stream.incoming.isEmpty {
                let count = try session.attempt(waiter) {
                    libssh2_channel_read_ex(
                        stream.channel, 0, buffer.assumingMemoryBound(to: CChar.self).baseAddress, buffer.count)
                }
                if let count, count > 0 {
                    stream.incoming = Array(buffer[..<count])[...]
                } else {
                    guard libssh2_channel_eof(stream.channel) == 1, !stream.hasEndedSocket else { return false }
                    shutdown(stream.socket.number, Int32(SHUT_WR))
                    stream.hasEndedSocket = true
                    return true
                }
            }
            let sent = stream.incoming.withUnsafeBytes { Descriptor.send($0, on: stream.socket.number) }
            if sent > 0 {
                stream.incoming = stream.incoming.dropFirst(sent)
                return true
            }
            if errno != EAGAIN && errno != EINTR { stream.isBroken = true }
            return false
        }

        private mutating func retire() throws {
            for stream in streams
            where stream.isDone || (stream.sentEOF && stream.socketEnded && stream.incoming.isEmpty) {
                closing.append(stream.channel)
                streams.removeAll { $0 === stream }
            }
            while let channel = closing.first {
                guard try session.attempt(waiter, { Int(libssh2_channel_free(channel)) }) != nil else { return }
                closing.removeFirst()
            }
        }

        // MARK: Waiting

        private func wait() throws {
            session.acknowledgeQuickly()
            let (descriptor, events) = session.interest
            var polled = [
                pollfd(fd: descriptor, events: events, revents: 0),
                pollfd(fd: tunnel.wakePipe.readEnd, events: Int16(POLLIN), revents: 0),
            ]
            for stream in streams {
                let wantsMore = stream.outgoing.isEmpty && !stream.socketEnded
                let isFull = !stream.incoming.isEmpty
                guard wantsMore || isFull else { continue }
                polled.append(
                    pollfd(
                        fd: stream.socket.number, events: Int16((wantsMore ? POLLIN : 0) | (isFull ? POLLOUT : 0)),
                        revents: 0))
            }
            try waiter.poll(&polled, atMost: opening == nil ? longestSleep : 100)
            if polled[1].revents != 0 { tunnel.wakePipe.drain() }
        }
    }
}
