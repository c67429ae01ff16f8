/// One reason for which nothing may be done. Pure: it judges what was seen and asks nobody.
public protocol ListedRule: Sendable {
    /// In refusals and in the README's list.
    static var id: String { get }
    /// What it prevents, in a sentence.
    static var prevents: String { get }
}

/// One that judges an input, before there is a plan.
public protocol SafetyRule: ListedRule {
    /// - Returns: why not; empty where the rule has nothing against it.
    static func refusals(_ input: PlanningInput) -> [Refusal]
}

extension SafetyRule {
    package static func refusal(_ reason: String, advice: String, isUnreachable: Bool = false) -> Refusal {
        Refusal(id, reason, advice: advice, isUnreachable: isUnreachable)
    }
}

/// All that judge an input, in the order in which their refusals are shown.
public enum SafetyRules {
    public static let all: [any SafetyRule.Type] = [
        NoOtherRun.self, NodeIsAMaster.self, NodeIsDead.self, HostsAreNodes.self, SurvivorsAreSound.self,
        MembersHaveNodes.self,
        EtcdIsWell.self, QuorumSurvives.self, OneVIPHolder.self, ReplacementIsBare.self,
        ReplacementFits.self, OcbootMatches.self, HostsSuitOcboot.self, EveryLostClaimHasARule.self,
        CriticalDataSurvives.self,
        OtherReplicasAreHealthy.self, OperatorRuns.self, ProvisionerRunsElsewhere.self,
    ]

    /// Those and the two that judge a plan: one that was saved, and one that is resumed.
    public static let listed: [any ListedRule.Type] = all + [PlanIsCurrent.self, InventoryIsTheSame.self]
}
