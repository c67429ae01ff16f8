public import Planning

/// The steps of a recovery, in their order.
public enum RecoverySteps {
    public static func make(_ plan: RecoveryPlan) -> [any Step] {
        var steps: [any Step] = plan.watch > 0 ? [WatchStep(plan: plan)] : []
        steps.append(SaveSurvivorStep(plan: plan))
        // One that was cut off has changed the data already.
        if plan.isUnfinished != true { steps.append(CopyDataStep(plan: plan)) }
        steps += [
            NewClusterStep(plan: plan), FirstManifestStep(plan: plan), APIServerStep(plan: plan),
        ]
        steps.append(plan.promotes ? PromoteStep(plan.scene) : VIPStep(plan.scene))
        return steps + [
            CleanClusterStatusStep(nodes: plan.dead.map(\.node), on: plan.survivor.host), DeadNodesStep(plan: plan),
            VerifyRecoveryStep(plan: plan),
        ]
    }
}
