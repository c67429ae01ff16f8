/// One reason for which nothing may be done. Pure: it judges a proposal and asks nobody.
public protocol SafetyRule: Sendable {
    /// In refusals and in the README's list.
    static var id: String { get }
    /// What it prevents, in a sentence.
    static var prevents: String { get }

    /// - Returns: why not; empty where the rule has nothing against it.
    static func refusals(_ proposal: Proposal) -> [Refusal]
}

extension SafetyRule {
    static func refusal(_ reason: String, advice: String, isUnreachable: Bool = false) -> Refusal {
        Refusal(id, reason, advice: advice, isUnreachable: isUnreachable)
    }
}

/// All of them, in the order in which their refusals are shown.
public enum SafetyRules {
    public static let all: [any SafetyRule.Type] = [
        NodeIsDead.self, SurvivorsAreSound.self, QuorumSurvives.self, OneVIPHolder.self, ReplacementIsBare.self,
        ReplacementFits.self, OcbootIsConfigured.self, EveryLostClaimHasARule.self, CriticalDataSurvives.self,
        ProvisionerRunsElsewhere.self,
    ]
}
