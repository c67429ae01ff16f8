/// New claims are bound by the provisioner. Where its pod was on the dead node, its Deployment starts it elsewhere, unless it is
/// scaled down.
public enum ProvisionerRunsElsewhere: SafetyRule {
    public static let id = "provisioner-runs"
    public static let prevents = "deleting claims that nobody would bind again"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        let needsOne = proposal.lost.contains { if case .rebuild = $0.action { true } else { false } }
        guard needsOne else { return [] }
        // Provisioners of other names are not known here; whether they work shows when the first claim is bound.
        return proposal.state.objects.deployments.filter {
            $0.name.contains("local-path-provisioner") && $0.replicas == 0
        }.map {
            refusal(
                "the provisioner \($0.reference) is scaled to 0",
                advice: "scale it up: kubectl -n \($0.namespace) scale deployment \($0.name) --replicas=1")
        }
    }
}
