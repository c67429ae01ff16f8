import Foundation
import Testing

@testable import SSH

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What a caller or a machine can run out of ends in an error, never in the end of the process.
struct LimitTests {
    @Test(arguments: [
        Duration.seconds(Int64.max), .seconds(Int64.max / 1000), .seconds(1 << 40), .milliseconds(Int64.max),
        .seconds(Int64.min), .seconds(-5), .zero,
    ])
    func anyDurationIsATimeout(duration: Duration) throws {
        let interrupt = Interrupt()
        let waiter = try Waiter(interrupt, limit: duration)
        #expect(waiter.hasPassed == (duration <= .zero))
        _ = (duration.milliseconds, duration.inWords, duration.rounded)
        interrupt.cancel()
        #expect(throws: Stop.cancelled) { try waiter.wait(for: -1, events: 0) }
        let line = RemoteShell(["true"], timeout: duration, become: .none).line
        let seconds = try #require(line.split(separator: " ").dropLast().last.flatMap { Int($0) })
        #expect((1...1_100_000_000).contains(seconds))
    }

    @Test func aThreadThatCannotBeStartedIsAnError() {
        let error = #expect(throws: SystemError.self) { _ = try PooledThread(stackSize: 1 << 47) }
        #expect(error?.call == "start a thread")
    }

    /// A host that cannot be dialled for want of a descriptor is not a dead one.
    @Test func whatThisMachineLacksSaysNothingOfTheHost() {
        for code in [EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL] {
            #expect(SystemError("socket", code: code).isOfThisMachine)
        }
        #expect(SystemError("start a thread", code: EAGAIN).isOfThisMachine)
        for code in [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT] {
            #expect(!SystemError("connect", code: code).isOfThisMachine)
        }
    }

    /// Where nothing of the host can be told, a person is told what to do here.
    @Test func whatThisMachineLacksHasItsOwnAdvice() {
        for error in [SystemError("pipe", code: EMFILE), SystemError("start a thread", code: EAGAIN)] {
            let fault = SSHError.localFault(error, host: "host", operation: "connect")
            #expect(fault.code == .libraryFault)
            #expect(fault.advice?.contains("ulimit -n") == true)
        }
        let other = SSHError.localFault(SystemError("read", code: EIO), host: "host", operation: "connect")
        #expect(other.advice == nil, "that of the code is shown")
    }

    @Test func aWaitForOthersWorkEndsWithTheCancellation() async {
        let (stream, end) = AsyncStream<Void>.makeStream()
        let task = Task { for await _ in stream {} }
        let (first, second) = (Interrupt(), Interrupt())
        let cancelled = Task { await first.value(of: task) == nil }
        first.cancel()
        #expect(await cancelled.value)
        #expect(await first.value(of: task) == nil, "also where it was cancelled before")
        let patient = Task { await second.value(of: task) != nil }
        end.finish()
        #expect(await patient.value)
    }
}
