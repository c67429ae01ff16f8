import Cluster
package import Inventories

/// ocboot joins the new master: it must be the ocboot of what runs now, of this kind of cluster, and able to run.
public enum OcbootMatches: SafetyRule {
    public static let id = "ocboot-matches"
    public static let prevents =
        "an ocboot that cannot run, that downgrades or upgrades the survivors, or that resets the cloud's administrator"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        guard let ocboot = input.state.inventory.ocboot else {
            return [
                refusal(
                    "the inventory has no 'ocboot' section",
                    advice: "add it: directory, onecloud_version, image_repository, database")
            ]
        }
        var refusals: [Refusal] = []
        if let primary = input.primary {
            do throws(OcbootInvocation.Obstacle) {
                _ = try invocation(input, ocboot, on: primary)
            } catch {
                refusals.append(refusal("ocboot on \(primary.host): \(error.reason)", advice: error.advice))
            }
        }
        if let problem = input.state.cluster.onecloudProblem {
            refusals.append(
                refusal(
                    "the release that runs cannot be read: \(problem)",
                    advice: "see why, on a master: kubectl get onecloudclusters -n onecloud"))
        }
        if let live = input.state.cluster.onecloudVersion, live != ocboot.onecloudVersion {
            refusals.append(
                refusal(
                    "the cluster runs \(live), the inventory says \(ocboot.onecloudVersion)",
                    advice: "set ocboot.onecloud_version to what runs, and use the ocboot of that release"))
        }
        return refusals
    }

    /// How ocboot is run on the primary.
    /// - Throws: why it cannot be.
    package static func invocation(
        _ input: PlanningInput, _ ocboot: Inventory.Ocboot, on primary: Plan.Master
    ) throws(OcbootInvocation.Obstacle) -> OcbootInvocation {
        guard let facts = input.state.hosts[primary.host]?.facts?.ocboot else {
            throw .init(
                reason: "\(ocboot.directory) is not there, or could not be read",
                advice: "put the ocboot of release \(ocboot.onecloudVersion) there, or set ocboot.directory",
                remedy: .ocboot)
        }
        return try OcbootInvocation(
            ocboot, facts, distribution: input.state.inventory.cluster.distribution,
            product: input.state.cluster.cloud.product)
    }
}
