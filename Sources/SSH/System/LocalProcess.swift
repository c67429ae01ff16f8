import Foundation

/// A program that runs on this machine.
///
/// Foundation's `Process` is not used: on Linux its one reaping thread blocks, for all processes, as soon as one of them closes the
/// descriptors that it was started with, as sshd does.
struct LocalProcess: Sendable {
    let pid: pid_t

    /// - Parameter input: a descriptor for standard input; by default `/dev/null`, as for the other two.
    static func start(
        _ path: String, _ arguments: [String], environment: [String: String]? = nil, input: Int32? = nil,
        output: Int32? = nil, error: Int32? = nil
    ) throws(SystemError) -> LocalProcess {
        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
            var attributes: posix_spawnattr_t?
        #else
            var actions = posix_spawn_file_actions_t()
            var attributes = posix_spawnattr_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        for (number, descriptor) in [input, output, error].enumerated() {
            if let descriptor {
                posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
            } else {
                posix_spawn_file_actions_addopen(&actions, Int32(number), "/dev/null", O_RDWR, 0)
            }
        }
        // The threads of the pool block all signals, and the program would inherit that.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        let environment = environment ?? ProcessInfo.processInfo.environment
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for word in words + variables { free(word) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, path, &actions, &attributes, &words, &variables)
        guard code == 0 else { throw SystemError("start \(path)", code: code) }
        return LocalProcess(pid: pid)
    }

    /// Waits for the end, on the calling thread.
    /// - Returns: the exit status; for a signal 128 plus its number, as in a shell.
    @discardableResult
    func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return Self.exitStatus(status)
    }

    /// The exit status, or `nil` while the program runs. Once a status was returned the process id may belong to another process.
    func poll() -> Int32? {
        var status: Int32 = 0
        return waitpid(pid, &status, WNOHANG) == pid ? Self.exitStatus(status) : nil
    }

    func signal(_ number: Int32) {
        kill(pid, number)
    }

    private static func exitStatus(_ status: Int32) -> Int32 {
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    }

    /// Runs a program to its end and returns what it wrote to standard output. Blocks the calling thread.
    static func output(
        of path: String, _ arguments: [String], input: Data = Data(), limit: Duration = .seconds(10)
    ) throws -> (status: Int32, output: Data) {
        let output = try finish(path, arguments, input: input, limit: limit)
        return (output.status, output.output)
    }

    /// Runs a program to its end and returns what it wrote; of standard error as much as a socket has room for. Blocks the calling
    /// thread.
    /// - Throws: ``Stop/deadline`` where it lasted longer than the limit; then it was killed.
    static func finish(
        _ path: String, _ arguments: [String], input: Data = Data(), limit: Duration
    ) throws -> (status: Int32, output: Data, errors: Data) {
        let (readEnd, writeEnd) = try Descriptor.pair()
        let ours = Descriptor(owning: readEnd)
        let process: LocalProcess
        let errors: Descriptor
        // A descriptor that is duplicated onto 0 or 1 loses its close-on-exec flag there and only there.
        do {
            let theirs = Descriptor(owning: writeEnd)
            let (readErrors, writeErrors) = try Descriptor.pair()
            errors = Descriptor(owning: readErrors)
            let theirErrors = Descriptor(owning: writeErrors)
            // The end for errors stays non-blocking: what does not fit is lost, and the program never waits for us to read it.
            Descriptor.setBlocking(theirs.number)
            process = try start(
                path, arguments, input: theirs.number, output: theirs.number, error: theirErrors.number)
        }
        var output = Data()
        do {
            let waiter = Waiter(limit: limit)
            var rest = input[...]
            if rest.isEmpty { shutdown(ours.number, Int32(SHUT_WR)) }
            while true {
                if !rest.isEmpty {
                    let count = rest.withUnsafeBytes { Descriptor.send($0, on: ours.number) }
                    if count > 0 { rest = rest.dropFirst(count) }
                    if rest.isEmpty || (count < 0 && errno != EAGAIN) {
                        rest = rest.suffix(0)
                        shutdown(ours.number, Int32(SHUT_WR))
                    }
                }
                if read(ours.number, into: &output) { break }
                try waiter.wait(for: ours.number, events: Int16(POLLIN | (rest.isEmpty ? 0 : POLLOUT)))
            }
        } catch {
            process.signal(SIGKILL)
            process.wait()
            throw error
        }
        let status = process.wait()
        var words = Data()
        _ = read(errors.number, into: &words)
        return (status, output, words)
    }

    /// Reads what has arrived.
    /// - Returns: whether the end has been reached.
    private static func read(_ number: Int32, into data: inout Data) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 1) { buffer in
            while true {
                let count = Foundation.read(number, buffer.baseAddress!, buffer.count)
                if count > 0 {
                    data.append(contentsOf: buffer[..<count])
                } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
                    return true
                } else if errno == EAGAIN {
                    return false
                }
            }
        }
    }
}
