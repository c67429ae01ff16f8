import Cluster
import Inventories

/// ocboot looks at every host that it names before it begins, and ends where one is not as it wants it.
public enum HostsSuitOcboot: SafetyRule {
    public static let id = "hosts-suit-ocboot"
    public static let prevents = "finding out after the old node is gone that ocboot refuses one of the hosts"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        guard let ocboot = input.state.inventory.ocboot, let primary = input.primary,
            let facts = input.state.hosts[primary.host]?.facts?.ocboot,
            let row = facts.release.flatMap({ OcbootRelease.find($0, hasK3s: facts.hasK3s) })
        else { return [] }
        // What another release wants, which has to go anyway, is of no interest.
        do throws(OcbootInvocation.Obstacle) {
            _ = try OcbootMatches.invocation(input, ocboot, on: primary)
        } catch {
            if case .ocboot? = error.remedy { return [] }
        }
        var refusals: [Refusal] = []
        let hosts = OcbootRequirements.hosts(input)
        for host in hosts {
            guard let seen = input.state.facts(host) else { continue }
            let isNew = host.name == input.replacement.name
            refusals += OcbootRequirements.unmet(
                seen, row, isNew: isNew, distribution: input.state.inventory.cluster.distribution
            ).map {
                refusal(
                    "\(host.name) \($0)",
                    advice: isNew ? "take another host, or change that there" : "change that there first")
            }
        }
        // ansible_become is written from 3.11 on.
        let others = hosts.filter { ($0.ssh.user ?? "root") != "root" }
        if !row.takesOtherUsers, let other = others.first {
            refusals.append(
                refusal(
                    "ocboot \(row.name) logs in to \(other.name) as \(other.ssh.user ?? ""), and does not become root there",
                    advice: "use root in the inventory for \(others.map(\.name).listed), or an ocboot of 3.11 or newer")
            )
        }
        if !row.takesPortOfVIP, input.state.inventory.cluster.distribution.ocbootAsksVIP {
            refusals += input.state.vipHolders.filter { $0.name != input.dead.host }.compactMap { holder in
                guard let listening = input.state.facts(holder)?.listening, (holder.ssh.port ?? 22) != 22,
                    !listening.contains(22)
                else { return nil }
                return refusal(
                    "ocboot \(row.name) asks \(holder.name), which holds the VIP, for the join token by SSH on port 22, and nothing listens there",
                    advice: "have its sshd listen on port 22 as well, for as long as the replacement takes")
            }
        }
        if hostRole(input) == nil, !ocboot.masterNodes.contains(where: { $0.key == "as_host" }) {
            refusals.append(
                refusal(
                    "whether \(input.dead.node) ran the host service is not known, as its node is deleted and the other masters differ",
                    advice: "say it in the inventory: ocboot.master_nodes: { as_host: true } or { as_host: false }"))
        }
        return refusals
    }

    /// Whether the dead master ran onecloud's host service; where its node is deleted, what the other masters have in common.
    static func hostRole(_ input: PlanningInput) -> Bool? {
        if let node = input.deadNode { return node.runsHostService }
        let nodes = input.survivors.compactMap { input.state.objects.node($0.node) }
        let roles = Set(nodes.map(\.runsHostService))
        return roles.count == 1 ? roles.first : nil
    }
}

extension Node {
    var runsHostService: Bool { metadata.labels?[OcbootConfiguration.hostLabel] == "enable" }
}
