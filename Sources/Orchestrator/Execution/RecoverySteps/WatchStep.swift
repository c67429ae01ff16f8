import Cluster
import Foundation
import Inventories
import Planning

/// Waits for as long as machines may take that only restart, and looks at them all the time. What was so before the run is not counted: a
/// survivor that was cut off alone has a database that is as old, while the others have their majority.
struct WatchStep: Step {
    let plan: RecoveryPlan

    let id = "watch"
    var title: String { "See for \(plan.watch) s that \(plan.dead.map(\.host).joined(separator: " and ")) stay silent" }
    let reason = "Two masters that only restart would have a majority of their own, beside the new cluster."
    let effects: [Effect] = []
    var estimate: Int { plan.watch }

    func commands(_ inventory: Inventory) -> [String] { SurvivorMember.looks(plan) }

    func check(_ context: RunContext) async throws -> StepStatus {
        // A later step began only after it.
        let isPast = try context.run.events().contains { $0.event == .stepFinished && $0.step == id }
        return isPast || plan.watch == 0 ? .satisfied("they were silent") : .needed("\(plan.watch) s are to pass")
    }

    func run(_ context: RunContext) async throws {
        let until = ContinuousClock.now + .seconds(plan.watch)
        try await context.wait(
            for: "the dead masters to stay silent", limit: .seconds(plan.watch + 60), every: .seconds(2)
        ) {
            try await context.assertMayAct()
            let left = until - .now
            return left > .zero ? .pending("\(Int(left.seconds.rounded(.up))) s are left") : .done(())
        }
    }

    /// There is no majority still.
    func verify(_ context: RunContext) async throws -> StepStatus {
        guard plan.snapshot == nil else { return .satisfied("nothing was seen of them") }
        let etcd = try await SurvivorProbe.run(on: try context.remote(plan.survivor.host), plan.kind)
        return plan.objection(to: etcd).map { .needed($0) }
            ?? .satisfied("nothing was seen of them, and etcd has no leader")
    }
}
