import Synchronization
import Testing

@testable import Cluster
@testable import Execution

/// What the watch of a dead master tells, by what it sees and when.
@Suite struct DeadMasterWatchTests {
    @Test func theWatchKeepsWhatItSawWhereItSeesNothing() async throws {
        struct Unseen: Error {}
        let looks = Mutex(0)
        let watch = DeadMasterWatch(host: "a", every: .milliseconds(1), firstLookLimit: .seconds(600)) {
            guard
                looks.withLock({
                    $0 += 1
                    return $0
                }) == 1
            else { throw Unseen() }
            return nil
        }
        try await watch.assertDead()
        while looks.withLock({ $0 }) < 5 { try await Task.sleep(for: .milliseconds(1)) }
        try await watch.assertDead()
        watch.stop()
        let blind = DeadMasterWatch(host: "a", every: .milliseconds(1), firstLookLimit: .milliseconds(20)) {
            throw Unseen()
        }
        let error = try #require(await #expect(throws: ClusterError.self) { try await blind.assertDead() })
        #expect(error.cause.contains("nothing can be seen"))
        blind.stop()
    }

    /// What was seen long ago says nothing of what is now.
    @Test func aDeathThatWasSeenLongAgoDoesNotCount() async throws {
        struct Unseen: Error {}
        let looks = Mutex(0)
        let watch = DeadMasterWatch(
            host: "a", every: .milliseconds(1), firstLookLimit: .milliseconds(20), memory: .milliseconds(1)
        ) {
            guard
                looks.withLock({
                    $0 += 1
                    return $0
                }) == 1
            else { throw Unseen() }
            return nil
        }
        while looks.withLock({ $0 }) < 5 { try await Task.sleep(for: .milliseconds(1)) }
        let error = try #require(await #expect(throws: ClusterError.self) { try await watch.assertDead() })
        #expect(error.cause.contains("nothing can be seen"))
        watch.stop()
    }

    @Test func theWatchWaitsForTheFence() async throws {
        let watch = DeadMasterWatch(host: "a", every: .milliseconds(10), isArmed: false) { .back("it answers") }
        try await watch.assertDead()
        watch.arm()
        await #expect(throws: ClusterError.self) { try await watch.assertDead() }
        watch.stop()
    }

    /// A look that began before the fence was done, and ended after it, says nothing of what is now.
    @Test func aLookFromBeforeTheFenceDoesNotCount() async throws {
        let (looks, continuation) = AsyncStream.makeStream(of: String?.self)
        let began = Mutex(0)
        let watch = DeadMasterWatch(host: "a", every: .milliseconds(1), firstLookLimit: .seconds(600), isArmed: false) {
            began.withLock { $0 += 1 }
            var iterator = looks.makeAsyncIterator()
            guard let seen = await iterator.next() else { throw CancellationError() }
            return seen.map { .back($0) }
        }
        while began.withLock({ $0 }) < 1 { try await Task.sleep(for: .milliseconds(1)) }
        watch.arm()
        continuation.yield("it answers")
        while began.withLock({ $0 }) < 2 { try await Task.sleep(for: .milliseconds(1)) }
        try watch.assertNotSeen()
        continuation.yield(nil)
        try await watch.assertDead()
        watch.stop()
        continuation.finish()
    }
}
