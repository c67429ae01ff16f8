/// A claim that no workload of the inventory names is shown and left alone; nothing is guessed.
public enum EveryLostClaimHasARule: SafetyRule {
    public static let id = "claims-have-rules"
    public static let prevents = "deleting a claim that nobody thought about"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        proposal.lost.filter { $0.action == .noRule }.map { lost in
            let claim = lost.claim?.reference ?? lost.volume.name
            let owner = lost.owner.map { " of \($0)" } ?? ""
            return refusal(
                "the claim \(claim)\(owner) is bound to \(proposal.dead.node) and no workload of the inventory names it",
                advice:
                    "add a rule for it under 'workloads', or '{ namespace: \(lost.claim?.namespace ?? ""), claim: \(lost.claim?.name ?? ""), action: ignore }'"
            )
        }
    }
}
