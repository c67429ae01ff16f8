package import Cluster
import Foundation
import Inventories

/// One run at a time, and one ocboot: what the first has in hand, the second would take for granted or undo. Who holds the lock is
/// asked besides; a run that was cut off holds none.
public enum NoOtherRun: SafetyRule {
    public static let id = "no-other-run"
    public static let prevents = "a run beside one that is unfinished, or beside an ocboot that is at work"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        let runs = input.state.unfinishedRuns.filter { $0.run != input.request.resumes }.map(refusal)
        let masters = input.state.inventory.masters.filter { $0.name != input.dead.host }
        let ocboots = masters.compactMap { host -> Refusal? in
            // run.py and Ansible are two processes and more.
            guard let processes = input.state.facts(host)?.ocbootAtWork, !processes.isEmpty else { return nil }
            return refusal(
                "ocboot is at work on \(host.name): \(processes.map(\.description).listed)",
                advice: "find out who has started it, and wait for its end")
        }
        return runs + ocboots
    }

    /// Of a run that is unfinished.
    package static func refusal(_ run: RunHead) -> Refusal {
        refusal(
            "run \(run.run) (\(run.title)), begun \(run.startedAt.formatted(.iso8601)), is unfinished",
            advice: run.record != RunHead.currentFormat
                ? "resume it with the masterswap that has begun it"
                : "resume it: masterswap resume \(run.run); if that is not possible, give it up: masterswap runs --abandon \(run.run) --because WHY"
        )
    }
}
