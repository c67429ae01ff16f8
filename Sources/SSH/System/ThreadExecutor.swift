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

    private final class Start {
        let body: @Sendable () -> Void

        init(_ body: @escaping @Sendable () -> Void) {
            self.body = body
        }

        func run() {
            var all = sigset_t()
            sigfillset(&all)
            pthread_sigmask(SIG_SETMASK, &all, nil)
            body()
        }
    }

    /// Runs `body` on a thread of its own. Every signal is blocked there: libssh2 takes EINTR for a fatal error.
    /// - Throws: where the system has no thread left (RLIMIT_NPROC, a container's pids limit) or no memory for its stack.
    static func start(stackSize: Int = stackSize, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        let attributes = UnsafeMutablePointer<pthread_attr_t>.allocate(capacity: 1)
        defer { attributes.deallocate() }
        pthread_attr_init(attributes)
        defer { pthread_attr_destroy(attributes) }
        pthread_attr_setstacksize(attributes, stackSize)
        pthread_attr_setdetachstate(attributes, Int32(PTHREAD_CREATE_DETACHED))
        let retained = Unmanaged.passRetained(Start(body))
        let start = retained.toOpaque()
        #if canImport(Darwin)
            var thread: pthread_t?
            let code = pthread_create(&thread, attributes, { OwnThread.run($0) }, start)
        #else
            var thread = pthread_t()
            let code = pthread_create(&thread, attributes, { OwnThread.run($0!) }, start)
        #endif
        guard code == 0 else {
            retained.release()
            throw SystemError("start a thread", code: code)
        }
    }

    /// The same for a value that is waited for.
    static func value<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Result<Value, SystemError> {
        await withCheckedContinuation { continuation in
            do throws(SystemError) {
                try start { continuation.resume(returning: .success(body())) }
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
    }

    private static func run(_ start: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
        Unmanaged<Start>.fromOpaque(start).takeRetainedValue().run()
        return nil
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
    /// Wakes the thread where it waits for a descriptor.
    let bell: WakePipe

    init() throws(SystemError) {
        bell = try WakePipe()
        try OwnThread.start { [self] in loop() }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        state.withLock { $0.jobs.append(job) }
        pending.signal()
    }

    /// Ends the thread when the jobs queued so far are done. To be called when the last reference to the actor goes.
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
