import Dispatch
import Foundation
import Synchronization

/// A thread of the pool for calls that block: of libssh2, of the resolver, to an agent, and for key derivation. They must not run on
/// Swift's cooperative threads.
///
/// A thread is the executor of one actor, or runs one call, and is reused afterwards. Every signal is blocked on it, because libssh2 takes
/// EINTR for a fatal error.
final class PooledThread: SerialExecutor {
    private let work = Mutex<[@Sendable () -> Void]>([])
    private let pending = DispatchSemaphore(value: 0)

    /// libssh2 and its cryptography need far less than the usual 8 MiB, which for hundreds of hosts would be gigabytes of addresses.
    private static let stackSize = 512 << 10
    /// Threads without work. Each ends after ten seconds.
    private static let idle = Mutex<[PooledThread]>([])
    private static let idleLimit = DispatchTimeInterval.seconds(10)

    // MARK: The pool

    /// A thread for one owner, until it is given back by ``release()``.
    /// - Throws: where the system has no thread left (RLIMIT_NPROC, a container's pids limit) or no memory for its stack.
    static func acquire() throws(SystemError) -> PooledThread {
        if let thread = idle.withLock({ $0.popLast() }) { return thread }
        return try PooledThread()
    }

    /// Call this when none of the owner's work is queued any more.
    func release() {
        Self.idle.withLock { $0.append(self) }
    }

    /// Runs `body` on a thread of the pool.
    /// - Throws: as ``acquire()``.
    static func start(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        let thread = try acquire()
        thread.add {
            body()
            thread.release()
        }
    }

    /// Runs `body` on a thread of the pool and waits for its value.
    static func value<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Result<Value, SystemError> {
        await withCheckedContinuation { continuation in
            do throws(SystemError) {
                try start { continuation.resume(returning: .success(body())) }
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
    }

    // MARK: One thread

    init(stackSize: Int = stackSize) throws(SystemError) {
        let attributes = UnsafeMutablePointer<pthread_attr_t>.allocate(capacity: 1)
        defer { attributes.deallocate() }
        pthread_attr_init(attributes)
        defer { pthread_attr_destroy(attributes) }
        pthread_attr_setstacksize(attributes, stackSize)
        pthread_attr_setdetachstate(attributes, Int32(PTHREAD_CREATE_DETACHED))
        let retained = Unmanaged.passRetained(self)
        let argument = retained.toOpaque()
        #if canImport(Darwin)
            var thread: pthread_t?
            let code = pthread_create(&thread, attributes, { PooledThread.main($0) }, argument)
        #else
            var thread = pthread_t()
            let code = pthread_create(&thread, attributes, { PooledThread.main($0!) }, argument)
        #endif
        guard code == 0 else {
            retained.release()
            throw SystemError("start a thread", code: code)
        }
    }

    private static func main(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, nil)
        Unmanaged<PooledThread>.fromOpaque(argument).takeRetainedValue().run()
        return nil
    }

    private func run() {
        while true {
            if pending.wait(timeout: .now() + Self.idleLimit) == .timedOut {
                // Where another thread has taken it from the list meanwhile, work follows.
                let isUnused = Self.idle.withLock { idle in
                    let count = idle.count
                    idle.removeAll { $0 === self }
                    return idle.count < count
                }
                if isUnused { return }
            }
            let bodies = work.withLock { work in
                defer { work = [] }
                return work
            }
            for body in bodies { body() }
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        add { [self] in job.runSynchronously(on: asUnownedSerialExecutor()) }
    }

    private func add(_ body: @escaping @Sendable () -> Void) {
        work.withLock { $0.append(body) }
        pending.signal()
    }
}
