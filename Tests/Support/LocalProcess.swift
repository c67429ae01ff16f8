package import Foundation

/// A program that a test runs beside it.
///
/// Foundation's `Process` is not used: on Linux its one reaping thread blocks, for all processes, as soon as one of them closes the
/// descriptors that it was started with, as sshd does.
package struct LocalProcess: Sendable {
    package let pid: pid_t

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// - Parameters:
    ///   - input: a descriptor for standard input; by default `/dev/null`, as for the other two.
    ///   - terminal: a terminal's path for all three, and to be that of a new session: `/dev/tty`.
    package static func start(
        _ path: String, _ arguments: [String], environment: [String: String]? = nil, input: Int32? = nil,
        output: Int32? = nil, terminal: String? = nil
    ) throws -> LocalProcess {
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
        for (number, descriptor) in [input, output, nil].enumerated() {
            if let descriptor {
                posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
            } else {
                // A session's leader gets the first terminal that it opens as its own.
                posix_spawn_file_actions_addopen(&actions, Int32(number), terminal ?? "/dev/null", O_RDWR, 0)
            }
        }
        // Threads that block signals start programs, too, which would inherit that.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK) | (terminal == nil ? 0 : Int16(newSession)))
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        let environment = environment ?? ProcessInfo.processInfo.environment
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for word in words + variables { free(word) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, path, &actions, &attributes, &words, &variables)
        guard code == 0 else { throw Failure(description: "start \(path): \(String(cString: strerror(code)))") }
        return LocalProcess(pid: pid)
    }

    #if canImport(Darwin)
        private static let newSession = POSIX_SPAWN_SETSID
    #else
        /// POSIX_SPAWN_SETSID of spawn.h, which Swift's module of glibc leaves out.
        private static let newSession = 0x80
    #endif

    /// Waits for the end, on the calling thread.
    /// - Returns: the exit status; for a signal 128 plus its number, as in a shell.
    @discardableResult
    package func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return Self.exitStatus(status)
    }

    /// The exit status, or `nil` while the program runs. Once a status was returned the process id may belong to another process.
    package func poll() -> Int32? {
        var status: Int32 = 0
        return waitpid(pid, &status, WNOHANG) == pid ? Self.exitStatus(status) : nil
    }

    package func signal(_ number: Int32) {
        kill(pid, number)
    }

    /// Ends it, on the calling thread: by SIGTERM, and by SIGKILL where it still runs five seconds later. Dropbear looks for a signal
    /// before it waits in select(2), without a limit, and so misses, once in some hundreds of times, one that comes in between.
    /// - Returns: as of `wait()`.
    @discardableResult
    package func end() -> Int32 {
        signal(SIGTERM)
        for _ in 0..<2500 {
            if let status = poll() { return status }
            usleep(2000)
        }
        signal(SIGKILL)
        return wait()
    }

    private static func exitStatus(_ status: Int32) -> Int32 {
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    }

    /// Runs a program to its end, and ends it after a minute. Blocks the calling thread.
    /// - Returns: its exit status, and what it wrote to standard output.
    package static func output(of path: String, _ arguments: [String], input: Data = Data()) throws -> (
        status: Int32, output: Data
    ) {
        let (theirInput, theirOutput) = (try TemporaryFile(), try TemporaryFile())
        try theirInput.handle.write(contentsOf: input)
        try theirInput.handle.seek(toOffset: 0)
        let process = try start(
            "/usr/bin/timeout", ["-s", "KILL", "60", path] + arguments, input: theirInput.handle.fileDescriptor,
            output: theirOutput.handle.fileDescriptor)
        let status = process.wait()
        try theirOutput.handle.seek(toOffset: 0)
        return (status, try theirOutput.handle.readToEnd() ?? Data())
    }

    /// A file without a name, which ends with its handle.
    private struct TemporaryFile {
        let handle: FileHandle

        init() throws {
            let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
            let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else {
                throw Failure(description: "make \(path): \(String(cString: strerror(errno)))")
            }
            unlink(path)
            handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        }
    }
}
