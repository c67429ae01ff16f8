import CLibSSH2
import Foundation

/// One command on one channel, from the request to its outcome.
struct Execution {
    enum Failure: Error {
        /// The server did not open a channel, or did not accept the request: nothing ran.
        case refused(String)
        case sudo(String)
        /// Another program than a shell answered: nothing ran.
        case noShell(LoginAnswer)
        /// Something failed after the request was sent.
        case afterSending(any Error)
    }

    private let session: Session
    private let shell: RemoteShell
    private let waiter: Waiter
    private let channel: OpaquePointer
    /// The number that our side gave the channel.
    private let number: UInt32
    private var exchange: Exchange

    static func run(
        _ shell: RemoteShell, input: Data?, outputLimit: Int, password: Secret?, on session: Session, _ waiter: Waiter
    ) throws -> CommandResult {
        var execution = try Execution(shell, outputLimit, password, session, waiter)
        defer { session.observer.forget(channel: execution.number) }
        return try execution.run(input)
    }

    private init(_ shell: RemoteShell, _ outputLimit: Int, _ password: Secret?, _ session: Session, _ waiter: Waiter)
        throws
    {
        do {
            channel = try session.openSessionChannel(waiter)
        } catch let error as LibraryError where error.isRefusedChannel {
            throw Failure.refused(error.message)
        }
        guard let opened = session.observer.lastOpened else {
            throw LibraryError(code: LIBSSH2_ERROR_PROTO, message: "a channel was opened and its packet was not seen")
        }
        number = opened
        exchange = Exchange(shell: shell, password: password, outputLimit: outputLimit)
        (self.session, self.shell, self.waiter) = (session, shell, waiter)
    }

    private mutating func run(_ input: Data?) throws -> CommandResult {
        let startedAt = Date()
        let start = ContinuousClock.now
        do {
            try request(endsInput: input?.isEmpty != false)
        } catch let error as LibraryError where error.isRefusedRequest {
            free()
            throw Failure.refused(error.message)
        } catch {
            throw Failure.afterSending(error)
        }
        do {
            try (input ?? Data()).withUnsafeBytes { try pump($0) }
            exchange.finish()
            let outcome = try outcome()
            free()
            // A sudo that refuses ends as any command does.
            if !exchange.takesInput {
                throw Failure.sudo(String(decoding: exchange.errors.bytes, as: UTF8.self))
            }
            guard exchange.hasBegun else {
                let words = exchange.greeting.bytes + Data("\n".utf8) + exchange.errors.bytes
                throw Failure.noShell(LoginAnswer(outcome: outcome, words: String(decoding: words, as: UTF8.self)))
            }
            return CommandResult(
                outcome: outcome, standardOutput: exchange.output.bytes, standardError: exchange.errors.bytes,
                droppedOutput: exchange.output.dropped, droppedError: exchange.errors.dropped, startedAt: startedAt,
                duration: .now - start)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure.afterSending(error)
        }
    }

    /// Requests the command. Where its input is empty, the end of the input is sent without waiting for the answer, which saves a command
    /// that reads its input one round trip.
    private mutating func request(endsInput: Bool) throws {
        let (channel, line) = (channel, shell.line)
        let call = { Int(libssh2_channel_process_startup(channel, "exec", 4, line, UInt32(line.utf8.count))) }
        guard try session.attempt(waiter, call) == nil else { return }
        if endsInput && exchange.takesInput && exchange.prologue.isEmpty { try endInput() }
        try session.complete(waiter, call)
    }

    /// Moves bytes both ways until the channel is closed. What is read goes through a buffer of 32 KiB.
    private mutating func pump(_ input: UnsafeRawBufferPointer) throws {
        try withUnsafeTemporaryAllocation(byteCount: 32 << 10, alignment: 16) { buffer in
            while true {
                let received = session.received
                try drain(buffer)
                if isClosed {
                    if libssh2_channel_eof(channel) == 1 { return }
                } else if try send(input) {
                    continue
                }
                // Sending also takes packets from the socket, and no poll(2) reports those again.
                if session.received == received { try session.pause(waiter) }
            }
        }
    }

    private var isClosed: Bool { session.observer.channels[number]?.isClosed == true }

    /// Takes in all that the socket has. Standard error is read beside standard output: both share one window, and unread bytes
    /// of either block both.
    ///
    /// A read of either stream takes every packet from the socket before it looks for its own. A stream is read again only while
    /// libssh2 has bytes for one of them. At the end both are read: a packet without a byte is in no count, and as long as it is in the
    /// queue the stream has no end.
    private mutating func drain(_ buffer: UnsafeMutableRawBufferPointer) throws {
        var isError = false
        var inVain = 0
        repeat {
            let count = try read(isError ? SSH_EXTENDED_DATA_STDERR : 0, into: buffer)
            if count > 0 {
                inVain = 0
                try exchange.receive(UnsafeRawBufferPointer(rebasing: buffer[..<count]), isError: isError)
                // A stream that never pauses must not hide the deadline.
                try waiter.check()
            } else {
                inVain += 1
                isError.toggle()
            }
        } while inVain < 2 && (unreadBytes > 0 || isClosed)
    }

    /// The number of bytes of both streams that arrived and were not read.
    private var unreadBytes: UInt {
        var bytes: UInt = 0
        libssh2_channel_window_read_ex(channel, &bytes, nil)
        return bytes
    }

    private func read(_ stream: Int32, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let text = buffer.assumingMemoryBound(to: CChar.self).baseAddress
        return try session.attempt(waiter) { libssh2_channel_read_ex(channel, stream, text, buffer.count) } ?? 0
    }

    /// Sends the next part of the password, of the prologue or of the input, or the input's end.
    /// - Returns: whether anything was sent.
    private mutating func send(_ input: UnsafeRawBufferPointer) throws -> Bool {
        if !exchange.secret.isEmpty {
            let count = try exchange.secret.withUnsafeBytes { try write($0[...]) }
            exchange.secret.removeFirst(count)
            return count > 0
        }
        guard exchange.takesInput, !exchange.isInputClosed else { return false }
        if !exchange.prologue.isEmpty {
            let count = try exchange.prologue.withUnsafeBytes { try write($0[...]) }
            exchange.prologue.removeFirst(count)
            return count > 0
        }
        if exchange.sentInput < input.count {
            let count = try write(input[exchange.sentInput...])
            exchange.sentInput += count
            return count > 0
        }
        try endInput()
        return true
    }

    private mutating func endInput() throws {
        try session.complete(waiter) { Int(libssh2_channel_send_eof(channel)) }
        exchange.isInputClosed = true
    }

    private func write(_ bytes: Slice<UnsafeRawBufferPointer>) throws -> Int {
        let bytes = UnsafeRawBufferPointer(rebasing: bytes)
        let text = bytes.assumingMemoryBound(to: CChar.self).baseAddress
        return try session.attempt(waiter) { libssh2_channel_write_ex(channel, 0, text, bytes.count) } ?? 0
    }

    /// The outcome: EOF, close, and an exit status or signal whose packet was observed. With less the outcome is unknown.
    private func outcome() throws -> CommandResult.Outcome {
        guard let observed = session.observer.channels[number], observed.isClosed else {
            throw LibraryError(code: LIBSSH2_ERROR_CHANNEL_CLOSED, message: "the channel was not closed")
        }
        if let signal = observed.exitSignal { return .signalled(signal) }
        guard let status = observed.exitStatus,
            status == UInt32(bitPattern: libssh2_channel_get_exit_status(channel))
        else {
            throw LibraryError(
                code: LIBSSH2_ERROR_CHANNEL_CLOSED,
                message: "the host closed the channel without an exit status or signal")
        }
        return .exited(Int32(bitPattern: status))
    }

    private func free() {
        session.free(channel: channel, waiter.with(limit: .seconds(2)))
    }

    // MARK: What the two sides have sent

    /// One of the two streams, up to its limit.
    struct Capture {
        private(set) var bytes = Data()
        private(set) var dropped = 0
        let limit: Int

        mutating func append(_ new: UnsafeRawBufferPointer) {
            let kept = min(max(limit - bytes.count, 0), new.count)
            if kept > 0 { bytes.append(new.assumingMemoryBound(to: UInt8.self).baseAddress!, count: kept) }
            dropped += new.count - kept
        }
    }

    /// What the two sides have sent so far, and what is left to send.
    struct Exchange {
        private(set) var output: Capture
        private(set) var errors: Capture
        /// What came on standard output before the command began: enough of it for an error message.
        private(set) var greeting = Capture(limit: 4096)
        private var outputFilter: MarkerFilter
        /// Set where sudo starts the command.
        private var errorFilter: MarkerFilter?
        private let password: Secret?
        /// What is left to send of the password, after sudo has asked for it.
        var secret: [UInt8] = []
        var prologue: [UInt8]
        var sentInput = 0
        var isInputClosed = false

        init(shell: RemoteShell, password: Secret?, outputLimit: Int) {
            output = Capture(limit: outputLimit)
            errors = Capture(limit: outputLimit)
            outputFilter = MarkerFilter(marker: shell.marker)
            errorFilter = shell.isElevated ? MarkerFilter(marker: shell.marker, prompt: shell.prompt) : nil
            prologue = shell.prologue
            self.password = password
        }

        /// Whether the command runs, which its marker says.
        var hasBegun: Bool { outputFilter.hasMarker }
        /// Whether standard input may be sent: where sudo starts the command, not before the command is there to read it.
        var takesInput: Bool { errorFilter?.hasMarker ?? true }

        mutating func receive(_ bytes: UnsafeRawBufferPointer, isError: Bool) throws(Failure) {
            if !isError {
                if hasBegun { return output.append(bytes) }
                let (before, after) = outputFilter.pass(bytes)
                before.withUnsafeBytes { greeting.append($0) }
                return after.withUnsafeBytes { output.append($0) }
            }
            guard let asked = errorFilter?.prompts, let (before, after) = errorFilter?.pass(bytes) else {
                return errors.append(bytes)
            }
            (before + after).withUnsafeBytes { errors.append($0) }
            guard let prompts = errorFilter?.prompts, prompts > asked else { return }
            guard prompts == 1, let password else {
                throw .sudo("sudo refused the password")
            }
            secret = Array((password.reveal() + "\n").utf8)
        }

        mutating func finish() {
            outputFilter.finish().withUnsafeBytes { greeting.append($0) }
            errorFilter?.finish().withUnsafeBytes { errors.append($0) }
        }
    }
}
