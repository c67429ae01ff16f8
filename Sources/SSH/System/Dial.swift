import Foundation
import Synchronization

/// Makes TCP connections, with a deadline and a way to cancel.
enum Dial {
    enum Failure: Error {
        case unresolved(String)
        case unreachable(String)
    }

    /// - Throws: ``Failure`` or ``Stop``; any other error is a fault of this machine, which says nothing of the host.
    static func connect(host: String, port: Int, waiter: Waiter) throws -> Descriptor {
        let addresses = try resolve(host: host, port: port, waiter: waiter)
        var reasons: [String] = []
        var localFault: SystemError?
        for (index, address) in addresses.enumerated() {
            // A name with a dead IPv6 address leaves time for the IPv4 one behind it.
            let share = waiter.remaining / (addresses.count - index)
            do {
                return try connect(to: address, waiter: waiter.with(limit: share))
            } catch let error as SystemError where !error.isOfThisMachine {
                reasons.append(String(cString: strerror(error.code)))
            } catch let error as SystemError where isMissingIPv6(error, family: address.family) {
                localFault = error
            } catch Stop.deadline {
                reasons.append("no answer within \(share.rounded.inWords)")
            }
        }
        if reasons.isEmpty, let localFault { throw localFault }
        throw Failure.unreachable(reasons.first ?? "no address")
    }

    /// Whether this machine has no IPv6, as in many containers, so that only the host's other addresses can be tried.
    static func isMissingIPv6(_ error: SystemError, family: Int32) -> Bool {
        family == AF_INET6 && [EAFNOSUPPORT, EADDRNOTAVAIL].contains(error.code)
    }

    private static func connect(to address: Address, waiter: Waiter) throws -> Descriptor {
        #if canImport(Darwin)
            let number = socket(address.family, SOCK_STREAM, 0)
        #else
            let kind = SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
            let number = socket(address.family, Int32(kind), 0)
        #endif
        guard number >= 0 else { throw SystemError("socket") }
        let descriptor = Descriptor(owning: number)
        #if canImport(Darwin)
            Descriptor.setNonBlocking(number)
            Descriptor.setCloseOnExec(number)
        #endif
        Descriptor.ignoreBrokenPipe(number)
        setOptions(number)
        let result = address.withSockAddr { Foundation.connect(number, $0, $1) }
        if result != 0 {
            guard errno == EINPROGRESS else { throw SystemError("connect") }
            do throws(Stop) {
                while try !waiter.wait(for: number, events: Int16(POLLOUT)) {}
            } catch {
                // On an overloaded machine the deadline may pass before this thread runs again. A host that has answered by
                // then must not be reported as one that does not answer.
                var polled = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
                guard error == .deadline, poll(&polled, 1, 0) == 1 else { throw error }
            }
            var code: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(number, SOL_SOCKET, SO_ERROR, &code, &size)
            guard code == 0 else { throw SystemError("connect", code: code) }
        }
        return descriptor
    }

    private static func setOptions(_ number: Int32) {
        // libssh2 sends small packets one by one: with Nagle's algorithm each waits for the peer's delayed ACK.
        set(number, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        // The kernel notices after 15 + 3 × 5 s that a host has lost its power while we wait for output. libssh2's own keepalive
        // is not used, because it ends a blocking call at its interval.
        set(number, SOL_SOCKET, SO_KEEPALIVE, 1)
        #if os(Linux)
            set(number, Int32(IPPROTO_TCP), TCP_KEEPIDLE, 15)
            // The same while we send: data that is not acknowledged for so many milliseconds ends the connection.
            set(number, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, 30000)
        #else
            set(number, Int32(IPPROTO_TCP), TCP_KEEPALIVE, 15)
        #endif
        set(number, Int32(IPPROTO_TCP), TCP_KEEPINTVL, 5)
        set(number, Int32(IPPROTO_TCP), TCP_KEEPCNT, 3)
    }

    /// Acknowledges at once what was received, because a server that sends with Nagle's algorithm waits for that before its next packet.
    /// It brings the time in which a channel opens on loopback from 43 ms to 1.2 ms. Linux takes the option as a hint for the next
    /// segments only, so that it is set before every poll. A socket that is not TCP ignores it.
    static func acknowledgeQuickly(_ number: Int32) {
        #if os(Linux)
            set(number, Int32(IPPROTO_TCP), TCP_QUICKACK, 1)
        #endif
    }

    private static func set(_ number: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        setsockopt(number, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    // MARK: Addresses

    private struct Address: Sendable {
        let family: Int32
        private let bytes: [UInt8]

        init(_ info: addrinfo) {
            family = info.ai_family
            bytes = Array(UnsafeRawBufferPointer(start: info.ai_addr, count: Int(info.ai_addrlen)))
        }

        func withSockAddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
            bytes.withUnsafeBytes { buffer in
                // getaddrinfo made these bytes from a sockaddr; heap storage of an array is aligned for it.
                body(buffer.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(buffer.count))
            }
        }
    }

    private static func resolve(host: String, port: Int, waiter: Waiter) throws -> [Address] {
        // An address needs no resolver, and so no thread.
        if case .success(let found) = look(up: host, port: port, flags: AI_NUMERICHOST | AI_NUMERICSERV) {
            return found
        }
        // getaddrinfo has no deadline of its own. Its thread may outlive this call, and holds nothing but what it captures here.
        let answer = Mutex<Result<[Address], Failure>?>(nil)
        let pipe = try WakePipe()
        try PooledThread.start {
            let found = look(up: host, port: port, flags: AI_NUMERICSERV)
            answer.withLock { $0 = found }
            pipe.wake()
        }
        do {
            while true {
                if let found = answer.withLock({ $0 }) { return try found.get() }
                try waiter.wait(for: pipe.readEnd, events: Int16(POLLIN))
            }
        } catch Stop.deadline {
            throw Failure.unresolved("no answer from the resolver in time")
        }
    }

    private static func look(up host: String, port: Int, flags: Int32) -> Result<[Address], Failure> {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        #if canImport(Darwin)
            hints.ai_socktype = SOCK_STREAM
        #else
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #endif
        hints.ai_flags = flags
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &list)
        guard status == 0, let list else { return .failure(.unresolved(String(cString: gai_strerror(status)))) }
        defer { freeaddrinfo(list) }
        let found = sequence(first: list, next: { $0.pointee.ai_next }).map { Address($0.pointee) }
        return .success(found)
    }
}
