/// ocboot joins the new master, and it must be the ocboot of what runs now.
public enum OcbootIsConfigured: SafetyRule {
    public static let id = "ocboot-matches"
    public static let prevents = "an ocboot run that downgrades or upgrades the survivors"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        guard let ocboot = proposal.state.inventory.ocboot else {
            return [
                refusal(
                    "the inventory has no 'ocboot' section",
                    advice: "add it: directory, onecloud_version, image_repository, database")
            ]
        }
        var refusals: [Refusal] = []
        if let primary = proposal.primary, proposal.state.hosts[primary.host]?.facts?.hasOcboot == false {
            refusals.append(
                refusal(
                    "\(primary.host) has no \(ocboot.command.first ?? "") in \(ocboot.directory)",
                    advice: "put the ocboot of release \(ocboot.onecloudVersion) there, or set ocboot.directory"))
        }
        if let problem = proposal.state.cluster.onecloudProblem {
            refusals.append(
                refusal(
                    "the release that runs cannot be read: \(problem)",
                    advice: "see why, on a master: kubectl get onecloudclusters -n onecloud"))
        }
        if let live = proposal.state.cluster.onecloudVersion, live != ocboot.onecloudVersion {
            refusals.append(
                refusal(
                    "the cluster runs \(live), the inventory says \(ocboot.onecloudVersion)",
                    advice: "set ocboot.onecloud_version to what runs, and use the ocboot of that release"))
        }
        return refusals
    }
}
