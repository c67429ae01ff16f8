import Cluster
public import Planning

/// The steps of a recovery, in their order.
public enum RecoverySteps {
    public static func make(_ plan: RecoveryPlan) -> [any Step] {
        var steps: [any Step] = plan.watch > 0 ? [WatchStep(plan: plan)] : []
        steps.append(SaveSurvivorStep(plan: plan))
        // One that was cut off has changed the data already.
        if plan.isUnfinished != true { steps.append(CopyDataStep(plan: plan)) }
        if plan.kind.hasEtcdctl {
            steps.append(plan.snapshot == nil ? NewClusterStep(plan: plan) : RestoreStep(plan: plan))
            steps.append(FirstManifestStep(plan: plan))
        } else {
            steps += [ResetStep(plan: plan), StartServerStep(plan: plan)]
        }
        steps.append(APIServerStep(plan: plan))
        steps.append(plan.promotes ? PromoteStep(plan.scene) : VIPStep(plan.scene))
        if plan.kind.hasKubeadmConfig {
            steps.append(CleanClusterStatusStep(nodes: plan.dead.map(\.node), on: plan.survivor.host))
        }
        return steps + [DeadNodesStep(plan: plan), VerifyRecoveryStep(plan: plan)]
    }
}
