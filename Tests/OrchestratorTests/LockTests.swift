import Foundation
import SSH
import Synchronization
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// The lock's Lease, by a watch that the test turns: who waits sleeps no real second.
@Suite struct LockTests {
    /// Moves on by what is slept, and by what the test says.
    final class Watch: Sendable {
        private let time = Mutex((elapsed: Duration.zero, start: ContinuousClock.now))
        let renews: Bool
        /// Called after each second of watching.
        let onSecond: @Sendable (Duration) -> Void

        init(renews: Bool = false, onSecond: @escaping @Sendable (Duration) -> Void = { _ in }) {
            self.renews = renews
            self.onSecond = onSecond
        }

        var elapsed: Duration { time.withLock(\.elapsed) }
        func pass(_ duration: Duration) { time.withLock { $0.elapsed += duration } }

        var clock: ClusterLock.MonotonicClock {
            .init(
                now: { self.time.withLock { $0.start + $0.elapsed } },
                sleep: { duration in
                    if duration == ClusterLock.renewInterval {
                        // The renewal in the background: at once and again, or not before it is cancelled.
                        try await Task.sleep(for: self.renews ? .milliseconds(1) : .seconds(3600))
                        return
                    }
                    self.pass(duration)
                    self.onSecond(self.elapsed)
                })
        }
    }

    static let other = ClusterLock.Owner(user: "mei", machine: "laptop", process: 7, token: "t")

    /// Another run's Lease, taken when its own clock said so.
    static func lease(
        of owner: ClusterLock.Owner? = other, clockIsOffBy seconds: TimeInterval = 0, fencingNumber: Int = 4
    ) -> ClusterLock.Lease {
        let time = Date(timeIntervalSinceNow: seconds).formatted(.iso8601)
        return ClusterLock.Lease(
            metadata: .init(name: "masterswap", namespace: "kube-system", resourceVersion: "1"),
            spec: .init(
                holderIdentity: owner?.identity ?? "", leaseDurationSeconds: ClusterLock.duration, acquireTime: time,
                renewTime: time, leaseTransitions: fencingNumber))
    }

    let server = ClusterLockTests.LeaseServer()

    init() {}

    /// - Parameter beforeRead: called with each look at the Lease.
    func kubectl(beforeRead: @escaping @Sendable () throws -> Void = {}) -> Kubectl {
        let remote = KubectlTests.ScriptedRemote("a") { [server] command in
            if command.display.hasPrefix("kubectl get lease") { try beforeRead() }
            return try server.answer(command)
        }
        return Kubectl([.init(remote: remote)], distribution: .kubeadm)
    }

    func acquire(_ watch: Watch = Watch(), _ kubectl: Kubectl? = nil) async throws -> ClusterLock {
        try await ClusterLock.acquire(kubectl ?? self.kubectl(), clock: watch.clock) { _ in }
    }

    var lease: ClusterLock.Lease? {
        get { server.lease.withLock { $0 } }
        nonmutating set { server.lease.withLock { $0 = newValue } }
    }

    // MARK: Taking it

    @Test func whereThereIsNoneItIsMade() async throws {
        let watch = Watch()
        let lock = try await acquire(watch)
        try await lock.assertHeld()
        #expect(lease?.spec.leaseTransitions == 1)
        #expect(lease?.holder.flatMap { ClusterLock.Owner(identity: $0) }?.user == NSUserName())
        #expect(watch.elapsed == .zero, "nobody was waited for")
    }

    @Test func twoAtOnceAreOneAndALocked() async throws {
        server.beforeWrite.withLock { $0 = { $0.lease.withLock { $0 = Self.lease() } } }
        let watch = Watch { [server] _ in server.renew() }
        await #expect(throws: Locked.self) { try await acquire(watch) }
        #expect(lease?.holder == Self.other.identity)
    }

    @Test(arguments: [-3600.0, 0, 3600]) func whoRenewsKeepsIt(offset: TimeInterval) async throws {
        lease = Self.lease(clockIsOffBy: offset)
        let watch = Watch { [server] elapsed in if elapsed == .seconds(29) { server.renew() } }
        let locked = try await #require(throws: Locked.self) { try await acquire(watch) }
        let since = try #require(lease?.spec.acquireTime)
        #expect(locked.description.contains("mei on laptop, process 7, since \(since)"))
        #expect(ExitStatus(locked) == .locked)
        #expect(lease?.holder == Self.other.identity)
        #expect(lease?.spec.leaseTransitions == 4)
    }

    /// By the watcher's time alone: what the holder's clock said is never looked at.
    @Test(arguments: [-3600.0, 0, 3600]) func anAbandonedOneIsTakenAfterItsWholeDuration(offset: TimeInterval)
        async throws
    {
        lease = Self.lease(clockIsOffBy: offset)
        let watch = Watch { [server] elapsed in
            guard elapsed < .seconds(ClusterLock.duration) else { return }
            #expect(server.lease.withLock { $0?.holder } == Self.other.identity, "after \(elapsed)")
        }
        let lock = try await acquire(watch)
        try await lock.assertHeld()
        #expect(watch.elapsed == .seconds(ClusterLock.duration))
        #expect(lease?.spec.leaseTransitions == 5)
    }

    @Test func aRunOfThisMachineThatIsGoneIsNotWaitedFor() async throws {
        var gone = ClusterLock.Owner.current()
        gone.process = .max
        lease = Self.lease(of: gone)
        let watch = Watch()
        _ = try await acquire(watch)
        #expect(watch.elapsed == .zero)
        #expect(lease?.spec.leaseTransitions == 5)
    }

    @Test func oneThatIsGivenBackMeanwhileIsTakenAtOnce() async throws {
        lease = Self.lease()
        let watch = Watch { [server] elapsed in
            if elapsed == .seconds(3) { server.lease.withLock { $0 = Self.lease(of: nil) } }
        }
        _ = try await acquire(watch)
        #expect(watch.elapsed == .seconds(3))
        #expect(lease?.spec.leaseTransitions == 5)
    }

    /// A renewal between the watcher's last look and its write: the write is a conflict.
    @Test func aRenewalAtTheLastMomentWins() async throws {
        lease = Self.lease()
        server.beforeWrite.withLock { $0 = { $0.renew() } }
        let watch = Watch { [server] elapsed in if elapsed > .seconds(40) { server.renew() } }
        await #expect(throws: Locked.self) { try await acquire(watch) }
        #expect(lease?.holder == Self.other.identity)
    }

    // MARK: What is taken back

    /// A run that fails, and finds that another one has the cluster by then: what that one cordoned is not uncordoned.
    @Test func nothingIsTakenBackWithoutTheLock() async throws {
        let folder = try TemporaryFolder()
        let lock = try await acquire()
        for isTaken in [false, true] {
            let log = RunnerTests.Log()
            let step = RunnerTests.FakeStep(
                id: "a", log: log.add, isDone: { false },
                act: { [server] in
                    if isTaken { server.lease.withLock { $0 = Self.lease() } }
                    throw RunnerTests.Broken()
                })
            let journal = try Journal(path: folder.path + "/journal-\(isTaken)")
            let runner = Runner([step], try RunnerTests().context(log, journal, lock: lock))
            await #expect(throws: RunnerTests.Broken.self) { try await runner.run() }
            #expect(log.all.contains("undo a") == !isTaken)
        }
    }

    // MARK: An API server that is away

    /// In the fifth look, the server is away for forty seconds.
    private func kubectlThatIsAway(_ watch: Watch) -> Kubectl {
        let reads = Mutex(0)
        return kubectl {
            let count = reads.withLock {
                $0 += 1
                return $0
            }
            if count == 5 { watch.pass(.seconds(40)) }
        }
    }

    /// The read that was retried through the outage; the holder could not renew either, and does right after.
    @Test func anOutageDoesNotCountAgainstTheHolder() async throws {
        lease = Self.lease()
        let renewed = Flag()
        let watch = Watch { [server] elapsed in
            guard elapsed > .seconds(45) else { return }
            server.renew()
            renewed.set()
        }
        await #expect(throws: Locked.self) { try await acquire(watch, kubectlThatIsAway(watch)) }
        #expect(renewed.isSet, "it was given the time")
        #expect(lease?.holder == Self.other.identity)
    }

    @Test func afterAnOutageAnAbandonedOneIsWatchedAnew() async throws {
        lease = Self.lease()
        let watch = Watch()
        let lock = try await acquire(watch, kubectlThatIsAway(watch))
        try await lock.assertHeld()
        // Three seconds before the outage, forty in it, and then the whole duration.
        #expect(watch.elapsed == .seconds(3 + 40 + ClusterLock.duration))
    }

    /// Reads that take a few seconds each are none: the lease would never be taken over otherwise.
    @Test func aSlowServerIsNoOutage() async throws {
        lease = Self.lease()
        let watch = Watch()
        let lock = try await acquire(watch, kubectl { watch.pass(.seconds(4)) })
        try await lock.assertHeld()
        #expect(lease?.spec.leaseTransitions == 5)
    }

    // MARK: Holding it

    @Test func itIsRenewedWhileTheRunLives() async throws {
        let lock = try await acquire(Watch(renews: true))
        for _ in 1...3 {
            let before = lease?.metadata.resourceVersion
            while lease?.metadata.resourceVersion == before { try await Task.sleep(for: .milliseconds(1)) }
        }
        try await lock.assertHeld()
        #expect(lease?.spec.leaseTransitions == 1, "a renewal is no change of hands")
        await lock.release()
        #expect(lease?.holder == nil)
    }

    static let losses: [@Sendable (inout ClusterLock.Lease?) -> Void] = [
        { $0?.spec.holderIdentity = other.identity },
        { $0?.spec.holderIdentity = "" },
        { $0?.spec.leaseTransitions = 2 },
        { $0?.spec.leaseTransitions = nil },
        { $0 = nil },
    ]

    @Test(arguments: losses.indices) func whatIsNotOursAnyMoreIsNotHeld(index: Int) async throws {
        let lock = try await acquire()
        try await lock.assertHeld()
        server.lease.withLock { Self.losses[index](&$0) }
        let before = lease
        await #expect(throws: Locked.self) { try await lock.assertHeld() }
        await lock.release()
        #expect(lease == before, "what is another's is not given back")
    }

    @Test func whatCannotBeAskedIsNotHeld() async throws {
        let isAway = Flag()
        let kubectl = kubectl {
            if isAway.isSet { throw SSHError(.unreachable, host: "a", operation: "connect", cause: "no route") }
        }
        let lock = try await acquire(Watch(), kubectl)
        isAway.set()
        await #expect(throws: SSHError.self) { try await lock.assertHeld() }
    }

    /// A run that could not renew for a while might be taken over right after it asked: it renews before it acts.
    @Test func aLeaseThatIsAboutToRunOutIsRenewedBeforeTheAct() async throws {
        let watch = Watch()
        let lock = try await acquire(watch)
        let version = lease?.metadata.resourceVersion
        try await lock.assertHeld()
        #expect(lease?.metadata.resourceVersion == version, "it was renewed just now")
        watch.pass(.seconds(29))
        try await lock.assertHeld()
        #expect(lease?.metadata.resourceVersion != version)
        watch.pass(.seconds(29))
        server.beforeWrite.withLock { $0 = { $0.lease.withLock { $0 = Self.lease() } } }
        await #expect(throws: Locked.self) { try await lock.assertHeld() }
        #expect(lease == Self.lease(), "the other's is left as it is")
    }

    @Test func theFencingNumberGrowsWithEveryChangeOfHands() async throws {
        let first = try await acquire()
        #expect(lease?.spec.leaseTransitions == 1)
        await first.release()
        #expect(lease?.spec.leaseTransitions == 1)
        let second = try await acquire()
        #expect(lease?.spec.leaseTransitions == 2)
        await #expect(throws: Locked.self) { try await first.assertHeld() }
        await first.release()
        try await second.assertHeld()
        server.lease.withLock { $0?.spec.holderIdentity = Self.other.identity }
        let third = try await acquire()
        #expect(lease?.spec.leaseTransitions == 3)
        await second.release()
        try await third.assertHeld()
    }

    // MARK: Unlocking by hand

    @Test func unlockEndsTheRunThatHadIt() async throws {
        let lock = try await acquire()
        let kubectl = kubectl()
        let holder = try #require(try await ClusterLock.holder(kubectl))
        #expect(holder.description.hasPrefix("\(NSUserName()) on "))
        try await ClusterLock.breakLock(kubectl, of: holder)
        #expect(try await ClusterLock.holder(kubectl) == nil)
        #expect(lease?.spec.leaseTransitions == 2)
        await #expect(throws: Locked.self) { try await lock.assertHeld() }
        _ = try await acquire()
        #expect(lease?.spec.leaseTransitions == 3)
        await #expect(throws: Locked.self) { try await lock.assertHeld() }
    }

    /// The holder that still lives renews between the read and the write.
    @Test func unlockMeetsARenewal() async throws {
        let lock = try await acquire()
        let holder = try #require(try await ClusterLock.holder(kubectl()))
        server.beforeWrite.withLock { $0 = { $0.renew() } }
        try await ClusterLock.breakLock(kubectl(), of: holder)
        #expect(lease?.holder == nil)
        await #expect(throws: Locked.self) { try await lock.assertHeld() }
    }

    /// While the operator was asked, the run ended and another began: that one was not agreed to.
    @Test func unlockTakesFromNobodyElse() async throws {
        lease = Self.lease()
        let holder = try #require(try await ClusterLock.holder(kubectl()))
        var next = Self.other
        next.token = "u"
        lease = Self.lease(of: next)
        await #expect(throws: Locked.self) { try await ClusterLock.breakLock(kubectl(), of: holder) }
        #expect(lease?.holder == next.identity)
        lease = nil
        try await ClusterLock.breakLock(kubectl(), of: holder)
        #expect(lease == nil, "there is nothing left to take away")
    }
}
