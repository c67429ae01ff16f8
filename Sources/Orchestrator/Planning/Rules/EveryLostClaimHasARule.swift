import Cluster
import Inventories

/// A claim that no workload of the inventory names is shown and left alone; nothing is guessed. So is one whose data may be on the
/// dead node, or which nothing would recreate.
public enum EveryLostClaimHasARule: SafetyRule {
    public static let id = "claims-have-rules"
    public static let prevents = "deleting a claim that nobody thought about"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        input.lost.compactMap { lost in
            let claim = lost.claim?.reference ?? lost.volume.name
            let owner = lost.owner.map { " of \($0)" } ?? ""
            let ignore =
                "'{ namespace: \(lost.claim?.namespace ?? ""), claim: \(lost.claim?.name ?? ""), action: ignore }'"
            switch lost.action {
            case .noRule:
                return refusal(
                    "the claim \(claim)\(owner) is bound to \(input.dead.node) and no workload of the inventory names it",
                    advice: "add a rule for it under 'workloads', or \(ignore)")
            case .undecided(let why) where lost.isOnDeadNode:
                return refusal(
                    "the claim \(claim)\(owner) is bound to \(input.dead.node), and \(why)",
                    advice: "scale the workload up first, or leave the claim alone under 'workloads': \(ignore)")
            case .undecided(let why):
                return refusal(
                    "whether the data of the claim \(claim)\(owner), on the volume \(lost.volume.name), was on \(input.dead.node) cannot be told: \(why)",
                    advice:
                        "find out where it is: kubectl get persistentvolume \(lost.volume.name) -o yaml; if it needs nothing, say so under 'workloads': \(ignore)"
                )
            case .rebuild, .ignore, .deleteVolume, .keep: return nil
            }
        } + halves(input)
    }

    /// A pod starts with all of its claims or not at all: where one is left alone, those that are rebuilt wait for ever.
    private static func halves(_ input: PlanningInput) -> [Refusal] {
        let state = input.state
        let ignored = input.lost.filter { $0.action == .ignore }.compactMap(\.claim)
        guard !ignored.isEmpty else { return [] }
        return input.lost.compactMap { lost in
            guard case .rebuild(let workload) = lost.action, let claim = lost.claim else { return nil }
            let other = ignored.first { other in
                guard other.namespace == claim.namespace else { return false }
                switch workload.target {
                case .statefulSet(let name):
                    let set = state.statefulSet(workload.namespace, name)
                    let ordinal = set?.ordinal(ofClaim: claim.name)
                    return ordinal != nil && set?.ordinal(ofClaim: other.name) == ordinal
                case .deployment(let name):
                    return state.deployment(workload.namespace, name)?.spec.template.spec.claimNames.contains(
                        other.name)
                        == true
                case .claim: return false
                }
            }
            return other.map { other in
                refusal(
                    "the claim \(claim.reference) is to be rebuilt, and its pod mounts \(other.reference) as well, which the inventory leaves alone on \(input.dead.node): the pod would wait for that one for ever",
                    advice: "have both rebuilt, or leave both alone under 'workloads'")
            }
        }
    }
}
