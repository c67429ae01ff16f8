import Foundation
import TestSupport

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A program on a pseudo-terminal of its own, with a test in the person's place.
final class PseudoTerminal {
    private let master: Int32
    private let process: LocalProcess
    private var status: Int32?
    /// All that the program has shown.
    private(set) var transcript = ""
    private var seen = 0

    init(_ path: String, _ arguments: [String], environment: [String: String]) throws {
        let name: String
        (master, name) = try Self.open()
        _ = fcntl(master, F_SETFD, FD_CLOEXEC)
        process = try LocalProcess.start(path, arguments, environment: environment, terminal: name)
    }

    deinit {
        if status == nil {
            process.signal(SIGKILL)
            process.wait()
        }
        close(master)
    }

    #if canImport(Darwin)
        private static func open() throws -> (master: Int32, name: String) {
            let master = posix_openpt(O_RDWR | O_NOCTTY)
            guard master >= 0, grantpt(master) == 0, unlockpt(master) == 0, let name = ptsname(master) else {
                throw Failure("no pseudo-terminal: \(String(cString: strerror(errno)))")
            }
            return (master, String(cString: name))
        }
    #else
        /// Swift's module of glibc leaves out posix_openpt(3) and what belongs to it.
        /// TIOCSPTLCK and TIOCGPTN of asm-generic/ioctls.h: unlock, and tell the number.
        private static let (unlock, number): (UInt, UInt) = (0x4004_5431, 0x8004_5430)

        private static func open() throws -> (master: Int32, name: String) {
            let master = Glibc.open("/dev/ptmx", O_RDWR | O_NOCTTY)
            var locked: Int32 = 0
            var number: UInt32 = 0
            guard master >= 0, ioctl(master, unlock, &locked) == 0, ioctl(master, Self.number, &number) == 0 else {
                throw Failure("no pseudo-terminal: \(String(cString: strerror(errno)))")
            }
            return (master, "/dev/pts/\(number)")
        }
    #endif

    /// Whether what is typed is shown.
    var echoes: Bool {
        var settings = termios()
        tcgetattr(master, &settings)
        return settings.c_lflag & tcflag_t(ECHO) != 0
    }

    func type(_ text: String) throws {
        let bytes = Array(text.utf8)
        guard write(master, bytes, bytes.count) == bytes.count else { throw Failure("cannot type") }
    }

    /// Until it shows that, after what was waited for before.
    func wait(for text: String) throws {
        while true {
            if let range = transcript.dropFirst(seen).range(of: text) {
                seen = transcript.distance(from: transcript.startIndex, to: range.upperBound)
                return
            }
            guard try receive() else { throw Failure("ended without '\(text)': \(transcript)") }
        }
    }

    /// - Returns: the exit status; 128 and its number for a signal.
    func end() throws -> Int32 {
        while try receive() {}
        let exit = process.wait()
        status = exit
        return exit
    }

    /// - Returns: false at the end.
    private func receive() throws -> Bool {
        var waiting = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, 60_000) != 0 else { throw Failure("nothing was shown for a minute: \(transcript)") }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(master, &buffer, buffer.count)
        // Linux says EIO when nobody has the terminal open any more.
        guard count > 0 else { return false }
        transcript += String(decoding: buffer[..<count], as: UTF8.self)
        return true
    }
}
