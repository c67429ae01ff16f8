import Foundation
import Synchronization

/// The one owner of a file descriptor.
struct Descriptor: ~Copyable {
    let number: Int32

    init(owning number: Int32) {
        self.number = number
    }

    deinit {
        close(number)
    }

    /// Passes ownership to the caller, for a hand-over that the type system cannot express (a continuation, a C library).
    consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }

    // MARK: Options and calls, by number

    static func setNonBlocking(_ number: Int32) {
        _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
    }

    static func setBlocking(_ number: Int32) {
        _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) & ~O_NONBLOCK)
    }

    static func setCloseOnExec(_ number: Int32) {
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
    }

    static func ignoreBrokenPipe(_ number: Int32) {
        #if canImport(Darwin)
            var value: Int32 = 1
            setsockopt(number, SOL_SOCKET, SO_NOSIGPIPE, &value, socklen_t(MemoryLayout<Int32>.size))
        #endif
    }

    /// Raises the soft limit of open files, once, as far as the hard limit or macOS (OPEN_MAX) allows: a connection takes three
    /// descriptors, and the usual soft limit is 1024, on macOS 256.
    static let limitRaised: Void = {
        #if canImport(Glibc)
            let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        #else
            let resource = RLIMIT_NOFILE
        #endif
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return }
        for wanted in [65536, 10240] as [rlim_t] where limit.rlim_cur < min(limit.rlim_max, wanted) {
            var raised = limit
            raised.rlim_cur = min(limit.rlim_max, wanted)
            if setrlimit(resource, &raised) == 0 { return }
        }
    }()

    /// Sends on a socket; a peer that is gone is an error and not a signal.
    static func send(_ bytes: UnsafeRawBufferPointer, on number: Int32) -> Int {
        #if canImport(Darwin)
            // SO_NOSIGPIPE is set where sockets are made.
            let flags: Int32 = 0
        #else
            let flags = Int32(MSG_NOSIGNAL)
        #endif
        return Foundation.send(number, bytes.baseAddress, bytes.count, flags)
    }

    static func pair() throws(SystemError) -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        #if canImport(Darwin)
            let kind = SOCK_STREAM
        #else
            let kind = Int32(SOCK_STREAM.rawValue)
        #endif
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw SystemError("socketpair") }
        for end in ends {
            setNonBlocking(end)
            setCloseOnExec(end)
            ignoreBrokenPipe(end)
        }
        return (ends[0], ends[1])
    }
}

/// A failed system call, with its `errno`.
struct SystemError: Error, CustomStringConvertible {
    let call: String
    let code: Int32

    init(_ call: String, code: Int32 = errno) {
        self.call = call
        self.code = code
    }

    var description: String { "\(call): \(String(cString: strerror(code)))" }

    /// Whether this machine or this process is short of something, so that the error says nothing of any other machine.
    var isOfThisMachine: Bool {
        // EAGAIN: no thread or no port left.
        [EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN, EADDRNOTAVAIL, EADDRINUSE, EAFNOSUPPORT].contains(code)
    }
}

/// Wakes a thread that waits in poll(2). It is a pipe, because that works the same on Linux and macOS.
final class WakePipe: Sendable {
    let readEnd: Int32
    private let writeEnd: Int32

    init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SystemError("pipe") }
        for end in ends {
            Descriptor.setNonBlocking(end)
            Descriptor.setCloseOnExec(end)
        }
        readEnd = ends[0]
        writeEnd = ends[1]
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// The result is ignored: a pipe that is full wakes the thread already.
    func wake() {
        var byte: UInt8 = 1
        _ = write(writeEnd, &byte, 1)
    }

    func drain() {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
            while read(readEnd, buffer.baseAddress, 64) > 0 {}
        }
    }
}
