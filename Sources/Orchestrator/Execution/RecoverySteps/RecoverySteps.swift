import Cluster
public import Planning

/// The steps of a recovery, in their order.
public enum RecoverySteps {
    public static func make(_ plan: RecoveryPlan) -> [any Step] {
        var steps: [any Step] = plan.watch > 0 ? [WatchStep(plan: plan)] : []
        steps += [SaveSurvivorStep(plan: plan), CopyDataStep(plan: plan)]
        if plan.kind.hasEtcdctl {
            steps += [RestoreStep(plan: plan), FirstManifestStep(plan: plan)]
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
