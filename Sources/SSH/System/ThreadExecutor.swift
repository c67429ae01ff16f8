import Dispatch
import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

enum OwnThread {
    /// libssh2 and its crypto need far less stack than the 8 MiB default; with hundreds of hosts the address space shows.
    static let stackSize = 512 << 10

    /// Runs `body` on a thread of its own. Every signal is blocked there: libssh2 takes EINTR for a fatal error.
    static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let thread = Thread {
            var all = sigset_t()
            sigfillset(&all)
            pthread_sigmask(SIG_SETMASK, &all, nil)
            body()
        }
        thread.stackSize = stackSize
        thread.name = name
        thread.start()
    }
}

/// Runs an actor's jobs on a thread of its own, one after another, so that its blocking calls (poll, key decryption, an agent
/// that asks its user) never hold a thread of the cooperative pool.
final class ThreadExecutor: SerialExecutor {
    private struct State {
        var jobs: [UnownedJob] = []
        var isStopped = false
    }

    private let state = Mutex(State())
    private let pending = DispatchSemaphore(value: 0)

    init(name: String) {
        OwnThread.start(name) { [self] in loop() }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        state.withLock { $0.jobs.append(job) }
        pending.signal()
    }

    /// Ends the thread when the jobs queued so far are done.
    func stop() {
        state.withLock { $0.isStopped = true }
        pending.signal()
    }

    private func loop() {
        while true {
            pending.wait()
            let (jobs, isStopped) = state.withLock { state in
                defer { state.jobs = [] }
                return (state.jobs, state.isStopped)
            }
            for job in jobs {
                job.runSynchronously(on: asUnownedSerialExecutor())
            }
            if isStopped && jobs.isEmpty { return }
        }
    }
}
