public import Inventories

/// A run goes on only with an inventory that means the same cluster, the same machines by the same names, and the same release.
/// Asked before anything else: the lock of another cluster is not taken either.
public enum InventoryIsTheSame: ListedRule {
    public static let id = "same-inventory"
    public static let prevents =
        "resuming a run on another cluster, on other machines, or with another release of ocboot"

    public static func refusals(_ plan: Plan, _ inventory: Inventory, run: String) -> [Refusal] {
        var differences = differences(
            plan.cluster, plan.vip,
            plan.survivors.map { ($0.host, $0.knownAddress) } + [
                (plan.replacement.host, plan.replacement.address), (plan.dead.host, plan.dead.knownAddress),
            ], inventory)
        if let release = plan.onecloudVersion, release != inventory.ocboot?.onecloudVersion {
            differences.append(
                "release \(release) is \(inventory.ocboot?.onecloudVersion ?? "not told") here (ocboot.onecloud_version)"
            )
        }
        return refusals(differences, run: run)
    }

    /// The same for a recovery.
    public static func refusals(_ plan: RecoveryPlan, _ inventory: Inventory, run: String) -> [Refusal] {
        let planned =
            [(plan.survivor.host, plan.survivor.knownAddress)] + plan.dead.map { ($0.host, $0.knownAddress) }
        return refusals(differences(plan.cluster, plan.vip, planned, inventory), run: run)
    }

    private static func differences(
        _ cluster: String, _ vip: String, _ hosts: [(String, String)], _ inventory: Inventory
    ) -> [String] {
        var differences: [String] = []
        if cluster != inventory.cluster.name {
            differences.append("cluster '\(cluster)' is '\(inventory.cluster.name)' here")
        }
        if vip != inventory.cluster.vip { differences.append("VIP \(vip) is \(inventory.cluster.vip) here") }
        for (name, address) in hosts where inventory.host(named: name)?.address != address {
            differences.append(
                "\(name) at \(address) is \(inventory.host(named: name).map { "at \($0.address)" } ?? "not") here")
        }
        return differences
    }

    private static func refusals(_ differences: [String], run: String) -> [Refusal] {
        guard !differences.isEmpty else { return [] }
        return [
            Refusal(
                id, "the run \(run) was begun with another inventory: \(differences.joined(separator: "; "))",
                advice: "name the one that it was begun with, or one that says the same of these: -i FILE")
        ]
    }
}
