import Cluster
import Inventories

/// Every member of etcd belongs to exactly one master, or is the dead one's, and every master that is left has one: the rule of
/// Cluster API's control plane.
public enum MembersHaveNodes: SafetyRule {
    public static let id = "members-have-nodes"
    public static let prevents = "removing another's etcd member, or counting on one that nobody runs"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        let state = input.state
        let distribution = state.inventory.cluster.distribution
        let memberships = input.memberships
        var refusals: [Refusal] = []
        if distribution.removesMembersItself, input.deadNode == nil {
            refusals += memberships.ofTheDead.map { member in
                refusal(
                    "etcd member \(member.id) '\(member.name)' is left of \(input.dead.node), whose node is gone, and \(distribution.rawValue) removes only the member of a node that is deleted",
                    advice:
                        "make sure that its machine stays off for good; then remove it by hand, on a master: \(distribution.removalOfLeft(member.id))"
                )
            }
        }
        if memberships.ofTheDead.count > 1 {
            let ids = memberships.ofTheDead.map(\.id).joined(separator: ", ")
            refusals.append(
                refusal(
                    "\(memberships.ofTheDead.count) etcd members are at \(input.dead.node)'s addresses: \(ids)",
                    advice:
                        "find out which one it was, and remove the other by hand: \(distribution.etcdctlByHand) member list"
                ))
        }
        for stray in memberships.strays {
            // Nobody is told how to remove a member that is at work.
            let advice =
                stray.member.isHealthy
                ? "it is healthy, so that somebody runs it: find out who, by its addresses: \(distribution.etcdctlByHand) member list"
                : "find out whose it is: \(distribution.etcdctlByHand) member list; a member whose machine is gone for good is removed by hand: \(distribution.removalOfLeft(stray.member.id))"
            refusals.append(refusal(stray.reason, advice: advice))
        }
        for member in input.remainingMembers
        where (member.isLearner || !member.isStarted) && member.id != input.failedJoin.found?.member?.id {
            refusals.append(
                refusal(
                    "etcd member \(member.id) at \(member.addresses.joined(separator: ", ")) \(member.isLearner ? "is a learner" : "has never started")",
                    advice: member.isHealthy
                        ? "it answers, so that somebody runs it: finish its join, or find out whose it is: \(distribution.etcdctlByHand) member list"
                        : "a join was left half done; finish or remove it first: \(distribution.removalOfLeft(member.id))"
                ))
        }
        guard !state.cluster.members.isEmpty else { return refusals }
        for master in input.survivors {
            guard let node = state.objects.node(master.node), memberships.members(of: node).isEmpty else { continue }
            refusals.append(
                refusal(
                    "the master \(master.node) (\(master.address)) has no etcd member",
                    advice:
                        "look at \(distribution.etcdLog), and at \(distribution.etcdctlByHand) member list; a master without etcd is joined again"
                ))
        }
        return refusals
    }
}
