import Inventories
public import Planning

/// The steps of a replacement, in their order.
public enum ReplacementSteps {
    /// Those that an undisturbed replacement does not have: what a resume asks to confirm.
    package static func added(_ plan: Plan) -> [any Step] {
        fence(plan)
            + (plan.nodeReturned == true ? [DeleteNodeStep(plan: plan)] : [])
            + (plan.failedJoin.map { [CleanFailedJoinStep(plan: plan, agreed: $0)] } ?? [])
    }

    private static func fence(_ plan: Plan) -> [any Step] {
        guard plan.fences == true else { return [] }
        return [plan.fenceCommand.map { PowerFenceStep(plan: plan, command: $0) } ?? FenceStep(plan: plan)]
    }

    public static func make(_ plan: Plan) -> [any Step] {
        var steps: [any Step] = [SaveStep(plan: plan)]
        steps += fence(plan)
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
        for round in RebuildRound.of(plan) {
            steps.append(CordonStep(plan: plan, round: round))
            steps += round.rebuilds.map { rebuild -> any Step in
                switch rebuild.kind {
                case .statefulSet: RebuildStatefulSetStep(plan: plan, rebuild: rebuild)
                case .deployment: RebuildDeploymentStep(plan: plan, rebuild: rebuild)
                }
            }
            steps.append(UncordonStep(plan: plan, round: round))
            steps += round.rebuilds.filter { !$0.drives.isEmpty }.map { HealStep(plan: plan, rebuild: $0) }
        }
        if !plan.volumes.isEmpty { steps.append(DeleteVolumesStep(plan: plan)) }
        if plan.rebuilds.isEmpty, plan.oldCordons != nil { steps.append(UncordonStep(plan: plan, round: nil)) }
        steps += [PodsReadyStep(plan: plan), VerifyStep(plan: plan)]
        return steps.map { step in
            plan.reasonToPassOver(step.id).map { PassedOver(step: step, because: $0) } ?? step
        }
    }
}

/// Workloads that are placed under one cordon, and then healed without it: all of them, but that a set with critical data waits for the
/// heals before it.
struct RebuildRound: Sendable {
    /// From 1.
    var number: Int
    var rebuilds: [Plan.Rebuild]

    static func of(_ plan: Plan) -> [RebuildRound] {
        var rounds: [RebuildRound] = []
        for rebuild in plan.rebuilds {
            let waits = rebuild.data == .critical && rounds.last?.rebuilds.contains { !$0.drives.isEmpty } == true
            if rounds.isEmpty || waits { rounds.append(RebuildRound(number: rounds.count + 1, rebuilds: [])) }
            rounds[rounds.count - 1].rebuilds.append(rebuild)
        }
        return rounds
    }

    /// A step's id has to be its own: `cordon`, `cordon-2`.
    func id(_ name: String) -> String { number == 1 ? name : "\(name)-\(number)" }
}
