import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// A drain of a dead node never ends by itself, and its end is no reason to stop (kubernetes/kubernetes#83307, #80389).
@Suite struct DrainTests {
    @Test func aDrainThatADisruptionBudgetRefusesEndsAtItsLimitAndTheRunGoesOn() async throws {
        let folder = try TemporaryFolder()
        var plan = try Lost.plan(try RunbookCluster.state())
        plan.kubernetes = nil
        let refused =
            #"error when evicting pods/"x" (will retry after 5s): Cannot evict pod as it would violate the pod's disruption budget."#
        let cluster = FakeCluster(try RunbookCluster.objects(dead: 0)) { _, command in
            if command.display.hasSuffix("drain --help") { return FakeCluster.output("--delete-emptydir-data") }
            guard command.display.contains(" drain ") else { return nil }
            return FakeCluster.failure(
                refused + "\nThere are pending pods in node \"x\" when an error occurred: global timeout reached: 30s\n"
            )
        }
        let context = try cluster.context(plan, in: folder)
        let step = DrainStep(plan: plan)
        try await step.run(context)
        guard case .satisfied(let seen) = try await step.verify(context) else {
            Issue.record("the run would stop")
            return
        }
        #expect(seen == "evicted but for 5")
        let events = try Journal.events(at: folder.path + "/journal.jsonl")
        #expect(events.contains { $0.event == .note && $0.text?.contains("ended at its limit") == true })
        #expect(events.contains { $0.event == .warning && $0.text?.contains("onecloud-minio/minio-0") == true })
        #expect(cluster.asked.count { $0.contains(" drain \(RunbookCluster.names[0]) ") } == 1, "it is not given again")
        #expect(cluster.asked.contains { $0.contains("--timeout=30s") })
    }

    @Test func whatTakesHoursIsLookedAtSeldom() {
        func pause(_ elapsed: Int) -> Duration {
            RunContext.pause(.milliseconds(400), elapsed: .seconds(elapsed), upTo: .seconds(30))
        }
        #expect(pause(0) == .milliseconds(400))
        #expect(pause(60) == .seconds(3))
        #expect(pause(7200) == .seconds(30))
        #expect(RunContext.pause(.milliseconds(400), elapsed: .seconds(7200), upTo: nil) == .milliseconds(400))
    }
}
