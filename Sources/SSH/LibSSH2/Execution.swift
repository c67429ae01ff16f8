import CLibSSH2
import Foundation

/// One command on one channel, from the request to its outcome.
struct Execution {
    enum Failure: Error {
        /// The server would not open a channel or run anything on it: nothing ran.
        case refused(String)
        case sudo(String)
        /// Something else than a shell answered: nothing ran.
        case noShell(LoginAnswer)
        /// What happened after the request was sent.
        case afterSending(any Error)
    }

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

    let session: Session
    let shell: RemoteShell
    let waiter: Waiter
    let password: Secret?

    func run(input: Data?, outputLimit: Int) throws -> CommandResult {
        let startedAt = Date()
        let start = ContinuousClock.now
        let channel: OpaquePointer
        do {
            channel = try session.openSessionChannel(waiter)
        } catch let error as LibraryError where error.isRefusedChannel {
            throw Failure.refused(error.message)
        }
        guard let number = session.observer.lastOpened else {
            throw LibraryError(code: LIBSSH2_ERROR_PROTO, message: "a channel was opened and its packet was not seen")
        }
        defer { session.observer.forget(channel: number) }
        var exchange = Exchange(shell: shell, password: password, outputLimit: outputLimit)
        do {
            try request(channel, endsInput: input?.isEmpty != false, &exchange)
        } catch let error as LibraryError where error.isRefusedRequest {
            free(channel)
            throw Failure.refused(error.message)
        } catch {
            throw Failure.afterSending(error)
        }
        do {
            try (input ?? Data()).withUnsafeBytes { try pump(channel, number, $0, &exchange) }
            exchange.finish()
            let outcome = try outcome(of: channel, number)
            free(channel)
            // sudo that refuses ends like any command would.
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

    /// Requests the command. Where its input is empty the end of the input is sent without waiting for the answer, which saves a command
    /// that reads its input one round trip.
    private func request(_ channel: OpaquePointer, endsInput: Bool, _ exchange: inout Exchange) throws {
        let call = {
            Int(libssh2_channel_process_startup(channel, "exec", 4, shell.line, UInt32(shell.line.utf8.count)))
        }
        guard try session.attempt(waiter, call) == nil else { return }
        if endsInput && exchange.takesInput && exchange.prologue.isEmpty { try endInput(channel, &exchange) }
        try session.complete(waiter, call)
    }

    /// Everything the two sides have said so far.
    struct Exchange {
        private(set) var output: Capture
        private(set) var errors: Capture
        /// What came on standard output before the command's: enough of it for an error message.
        private(set) var greeting = Capture(limit: 4096)
        private var outputFilter: MarkerFilter
        /// Where sudo comes before the command.
        private var errorFilter: MarkerFilter?
        private let password: Secret?
        /// The password, once it was asked for; what is left of it.
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

        /// The command runs: its marker has come.
        var hasBegun: Bool { outputFilter.hasMarker }
        /// Standard input may be sent: through sudo not before the command is there to read it.
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

    /// Moves bytes both ways until the channel is closed.
    private func pump(
        _ channel: OpaquePointer, _ number: UInt32, _ input: UnsafeRawBufferPointer, _ exchange: inout Exchange
    ) throws {
        try withBuffer { buffer in
            while true {
                let received = session.received
                try drain(channel, number, buffer, &exchange)
                if isClosed(number) {
                    if libssh2_channel_eof(channel) == 1 { return }
                } else if try send(channel, input, &exchange) {
                    continue
                }
                // Sending takes packets from the socket, too, and no poll(2) reports those again.
                if session.received == received { try session.pause(waiter) }
            }
        }
    }

    /// What is read goes through it, 32 KiB at a time.
    private func withBuffer(_ body: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
        try withUnsafeTemporaryAllocation(byteCount: 32 << 10, alignment: 16, body)
    }

    private func isClosed(_ number: UInt32) -> Bool { session.observer.channels[number]?.isClosed == true }

    /// Takes in all that the socket has. Standard error is read beside standard output: both share one window, and unread bytes
    /// of either block both.
    ///
    /// A read of either stream takes every packet from the socket before it looks for its own. A stream is read again only while
    /// libssh2 has bytes for one of them. At the end both are read: a packet without a byte is in no count, and as long as it is in the
    /// queue the stream has no end.
    private func drain(
        _ channel: OpaquePointer, _ number: UInt32, _ buffer: UnsafeMutableRawBufferPointer, _ exchange: inout Exchange
    ) throws {
        var isError = false
        var inVain = 0
        repeat {
            let stream = isError ? SSH_EXTENDED_DATA_STDERR : 0
            let count = try session.attempt(waiter) { read(channel, stream, buffer) } ?? 0
            if count > 0 {
                inVain = 0
                try exchange.receive(UnsafeRawBufferPointer(rebasing: buffer[..<count]), isError: isError)
                // A stream that never pauses must not hide the deadline.
                try waiter.check()
            } else {
                inVain += 1
                isError.toggle()
            }
        } while inVain < 2 && (kept(channel) > 0 || isClosed(number))
    }

    /// Bytes of either stream that came in and were not read.
    private func kept(_ channel: OpaquePointer) -> UInt {
        var bytes: UInt = 0
        libssh2_channel_window_read_ex(channel, &bytes, nil)
        return bytes
    }

    private func read(_ channel: OpaquePointer, _ stream: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
        libssh2_channel_read_ex(channel, stream, buffer.assumingMemoryBound(to: CChar.self).baseAddress, buffer.count)
    }

    /// - Returns: whether something went out.
    private func send(_ channel: OpaquePointer, _ input: UnsafeRawBufferPointer, _ exchange: inout Exchange) throws
        -> Bool
    {
        if !exchange.secret.isEmpty {
            let count = try exchange.secret.withUnsafeBytes { try write(channel, $0[...]) }
            exchange.secret.removeFirst(count)
            return count > 0
        }
        guard exchange.takesInput, !exchange.isInputClosed else { return false }
        if !exchange.prologue.isEmpty {
            let count = try exchange.prologue.withUnsafeBytes { try write(channel, $0[...]) }
            exchange.prologue.removeFirst(count)
            return count > 0
        }
        if exchange.sentInput < input.count {
            let count = try write(channel, input[exchange.sentInput...])
            exchange.sentInput += count
            return count > 0
        }
        try endInput(channel, &exchange)
        return true
    }

    private func endInput(_ channel: OpaquePointer, _ exchange: inout Exchange) throws {
        try session.complete(waiter) { Int(libssh2_channel_send_eof(channel)) }
        exchange.isInputClosed = true
    }

    private func write(_ channel: OpaquePointer, _ bytes: Slice<UnsafeRawBufferPointer>) throws -> Int {
        let bytes = UnsafeRawBufferPointer(rebasing: bytes)
        let text = bytes.assumingMemoryBound(to: CChar.self).baseAddress
        return try session.attempt(waiter) { libssh2_channel_write_ex(channel, 0, text, bytes.count) } ?? 0
    }

    /// EOF, close, and an exit status or signal whose packet was seen; anything less is no outcome.
    private func outcome(of channel: OpaquePointer, _ number: UInt32) throws -> CommandResult.Outcome {
        guard let seen = session.observer.channels[number], seen.isClosed else {
            throw LibraryError(code: LIBSSH2_ERROR_CHANNEL_CLOSED, message: "the channel was not closed")
        }
        if let signal = seen.exitSignal { return .signalled(signal) }
        guard let status = seen.exitStatus, status == UInt32(bitPattern: libssh2_channel_get_exit_status(channel))
        else {
            throw LibraryError(
                code: LIBSSH2_ERROR_CHANNEL_CLOSED,
                message: "the host closed the channel without an exit status or signal")
        }
        return .exited(Int32(bitPattern: status))
    }

    private func free(_ channel: OpaquePointer) {
        session.free(channel: channel, waiter.with(limit: .seconds(2)))
    }
}
