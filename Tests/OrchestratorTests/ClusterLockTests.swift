import Foundation
import SSH
import Synchronization
import Testing

@testable import Orchestrator

@Suite struct ClusterLockTests {
    /// The Lease as the API server keeps it: a replacement of another version than the present one is a conflict.
    final class LeaseServer: Sendable {
        let lease = Mutex<ClusterLock.Lease?>(nil)
        let reads = Mutex(0)
        let writes = Mutex(0)
        /// Called with each read, before it is answered; they are counted from one.
        let beforeRead = Mutex<(@Sendable (LeaseServer, Int) -> Void)?>(nil)
        /// Called with each write, before it is looked at.
        let beforeWrite = Mutex<(@Sendable (LeaseServer) -> Void)?>(nil)

        func answer(_ command: Command) throws -> CommandResult {
            if command.display.hasPrefix("kubectl get lease") {
                let count = reads.withLock {
                    $0 += 1
                    return $0
                }
                beforeRead.withLock { $0 }?(self, count)
                guard let lease = lease.withLock({ $0 }) else {
                    return KubectlTests.failure("Error from server (NotFound): leases not found")
                }
                return CommandResult(outcome: .exited(0), standardOutput: try JSONEncoder().encode(lease))
            }
            let hook = beforeWrite.withLock { hook in
                defer { hook = nil }
                return hook
            }
            hook?(self)
            writes.withLock { $0 += 1 }
            let next = try JSONDecoder().decode(ClusterLock.Lease.self, from: command.input ?? Data())
            return lease.withLock { lease in
                guard next.metadata.resourceVersion == lease?.metadata.resourceVersion else {
                    return KubectlTests.failure("Error from server (Conflict): the object has been modified")
                }
                store(next, in: &lease)
                return KubectlTests.output("")
            }
        }

        private func store(_ next: ClusterLock.Lease, in lease: inout ClusterLock.Lease?) {
            var next = next
            next.metadata.resourceVersion = String((Int(lease?.metadata.resourceVersion ?? "0") ?? 0) + 1)
            lease = next
        }

        /// What a renewal that is on its way does.
        func renew() {
            lease.withLock { lease in
                guard let now = lease else { return }
                store(now, in: &lease)
            }
        }
    }

    let server = LeaseServer()
    var kubectl: Kubectl {
        Kubectl(
            [.init(remote: KubectlTests.ScriptedRemote("a") { [server] in try server.answer($0) })],
            distribution: .kubeadm)
    }

    /// Somebody else's, on another machine, of so many seconds; its times are an hour off, which nobody reads.
    static func foreign(_ seconds: Int, number: Int = 4) -> ClusterLock.Lease {
        let owner = ClusterLock.Owner(user: "ann", machine: "far", process: 7, token: "t")
        let time = "2001-01-01T00:00:00.000000Z"
        return .init(
            metadata: .init(name: "masterswap", namespace: "kube-system", resourceVersion: "9"),
            spec: .init(
                holderIdentity: owner.identity, leaseDurationSeconds: seconds, acquireTime: time, renewTime: time,
                leaseTransitions: number))
    }

    @Test func aLivingRunKeepsItsLockAndIsTold() async throws {
        server.lease.withLock { $0 = Self.foreign(30) }
        // It is renewed while it is watched.
        server.beforeRead.withLock { $0 = { server, count in if count == 2 { server.renew() } } }
        let error = try await #require(throws: Locked.self) { _ = try await ClusterLock.acquire(kubectl) { _ in } }
        #expect(error.description.contains("ann on far, process 7, since 2001-01-01T00:00:00.000000Z"))
        #expect(server.lease.withLock { $0?.spec.leaseTransitions } == 4)
        #expect(server.writes.withLock { $0 } == 0)
    }

    @Test func anAbandonedOneIsTakenOverAfterItsWholeDuration() async throws {
        server.lease.withLock { $0 = Self.foreign(1) }
        let waits = Mutex<[String]>([])
        let lock = try await ClusterLock.acquire(kubectl) { note in waits.withLock { $0.append(note) } }
        #expect(waits.withLock { $0.count } == 1, "it was watched first")
        #expect(server.reads.withLock { $0 } >= 3)
        #expect(server.lease.withLock { $0?.spec.leaseTransitions } == 5, "the fencing number grows")
        try await lock.assertHeld()
        // Whoever held it finds out at the next act, though it writes its own name again.
        server.lease.withLock { $0?.spec.leaseTransitions = 6 }
        await #expect(throws: Locked.self) { try await lock.assertHeld() }
        await lock.release()
        #expect(server.lease.withLock { $0?.holder } != nil, "what is not ours is not given back")
    }

    /// An API server that was away kept the holder from renewing as well.
    @Test func timeInWhichNothingCouldBeReadDoesNotCount() async throws {
        server.lease.withLock { $0 = Self.foreign(2) }
        let clock = SteppedClock()
        server.beforeRead.withLock {
            $0 = { server, count in
                // The second answer comes a minute late; by the third the holder has renewed it.
                if count == 2 { clock.advance(.seconds(60)) }
                if count == 3 { server.renew() }
            }
        }
        await #expect(throws: Locked.self) {
            _ = try await ClusterLock.acquire(kubectl, now: clock.now) { _ in }
        }
        #expect(server.writes.withLock { $0 } == 0)
    }

    @Test func aLockThatWasTakenAwayIsGoneForGood() async throws {
        let lock = try await ClusterLock.acquire(kubectl) { _ in }
        try await ClusterLock.breakLock(kubectl)
        #expect(try await ClusterLock.holder(kubectl) == nil)
        let error = try await #require(throws: Locked.self) { try await lock.assertHeld() }
        #expect(error.description.contains("masterswap resume"))
        let next = try await ClusterLock.acquire(kubectl) { _ in }
        try await next.assertHeld()
        await lock.release()
        try await next.assertHeld()
    }

    // MARK: Every act asks

    /// Each step that has something to destroy, with a lock that was lost meanwhile: nothing is done.
    @Test func noStepActsWithoutTheLock() async throws {
        let folder = try TemporaryFolder()
        var state = try FailedJoinTests().state()
        var plan = try Planner.plan(state, RunbookCluster.request, now: Date())
        plan.kubernetes = nil
        plan.fences = true
        state.cluster.objects.nodes.removeAll { $0.name == RunbookCluster.spare }
        let cluster = FakeCluster(state.objects, members: state.cluster.members) { [server] host, command in
            if command.display.contains(" lease ") || command.display.contains(" replace -f") {
                return try server.answer(command)
            }
            return nil
        }
        let kubectl = Kubectl(
            [.init(remote: FakeCluster.Seat(name: RunbookCluster.names[1], cluster: cluster))], distribution: .kubeadm)
        let lock = try await ClusterLock.acquire(self.kubectl) { _ in }
        try await ClusterLock.breakLock(kubectl)
        var stopped: [String] = []
        // Those that take something away.
        let ids = ["fence", "delete-node", "remove-member", "clean-failed-join"]
        for step in ReplacementSteps.make(plan) where ids.contains(step.id) {
            let context = try cluster.context(
                plan, in: folder, limits: .init(wait: .milliseconds(50)), lock: lock)
            do { try await step.run(context) } catch is Locked { stopped.append(step.id) }
        }
        #expect(cluster.acts == [])
        #expect(stopped == ids)
        // And a whole run stops before its first act, whatever that is.
        let runner = Runner(ReplacementSteps.make(plan), try cluster.context(plan, in: folder, lock: lock))
        await #expect(throws: Locked.self) { try await runner.run() }
        #expect(cluster.acts == [])
    }

    @Test func aReleaseThatMeetsARenewalStillReleases() async throws {
        let lock = try await ClusterLock.acquire(kubectl) { _ in }
        try await lock.assertHeld()
        server.beforeWrite.withLock { $0 = { $0.renew() } }
        await lock.release()
        #expect(try await ClusterLock.holder(kubectl) == nil)
        await #expect(throws: Locked.self) { try await lock.assertHeld() }
    }

    @Test func anotherNamespacesProcessIdSaysNothing() throws {
        let own = ClusterLock.Owner.current()
        #expect(ClusterLock.Owner(identity: own.identity) == own)
        var gone = own
        gone.process = Int32.max
        #expect(gone.isGoneFromHere, "no process has that number")
        guard let dot = own.machine.lastIndex(of: ".") else { return }
        gone.machine = own.machine[...dot] + "1"
        #expect(!gone.isGoneFromHere, "it may live in a container of the same name")
    }
}

/// A clock that goes on as it is told, beside the true one.
private final class SteppedClock: Sendable {
    private let ahead = Mutex(Duration.zero)

    func advance(_ duration: Duration) { ahead.withLock { $0 += duration } }
    var now: @Sendable () -> ContinuousClock.Instant {
        { [self] in ContinuousClock.now + ahead.withLock { $0 } }
    }
}
