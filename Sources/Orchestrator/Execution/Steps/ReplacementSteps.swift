public import Planning

/// The steps of a replacement, in their order.
public enum ReplacementSteps {
    /// Those that an undisturbed replacement does not have: what a resume asks to confirm.
    package static func added(_ plan: Plan) -> [any Step] {
        (plan.fences == true ? [FenceStep(plan: plan)] : [])
            + (plan.nodeReturned == true ? [DeleteNodeStep(plan: plan)] : [])
            + (plan.failedJoin.map { [CleanFailedJoinStep(plan: plan, agreed: $0)] } ?? [])
    }

    public static func make(_ plan: Plan) -> [any Step] {
        var steps: [any Step] = [SaveStep(plan: plan)]
        if plan.fences == true { steps.append(FenceStep(plan: plan)) }
        steps += [
            DrainStep(plan: plan),
            DeleteNodeStep(plan: plan),
            RemoveMemberStep(plan: plan),
        ]
        if plan.hasStaleClusterStatus { steps.append(CleanClusterStatusStep(plan: plan)) }
        if let left = plan.failedJoin { steps.append(CleanFailedJoinStep(plan: plan, agreed: left)) }
        steps += [
            VIPStep(plan: plan),
            JoinStep(plan: plan),
            NodeReadyStep(plan: plan),
        ]
        if plan.promotes { steps.append(PromoteStep(plan: plan)) }
        if !plan.rebuilds.isEmpty {
            steps.append(CordonStep(plan: plan))
            for rebuild in plan.rebuilds {
                switch rebuild.kind {
                case .statefulSet: steps.append(RebuildStatefulSetStep(plan: plan, rebuild: rebuild))
                case .deployment: steps.append(RebuildDeploymentStep(plan: plan, rebuild: rebuild))
                }
            }
        }
        if !plan.volumes.isEmpty { steps.append(DeleteVolumesStep(plan: plan)) }
        if !plan.rebuilds.isEmpty || plan.oldCordons != nil { steps.append(UncordonStep(plan: plan)) }
        steps.append(VerifyStep(plan: plan))
        return steps
    }
}
