import Cluster
import Inventories

/// etcd must keep its quorum when the dead member is out, and while the new one joins: of the voting members that there are then, a
/// majority must be healthy. The rule of Cluster API's control plane: voting − unhealthy ≥ voting / 2 + 1.
public enum QuorumSurvives: SafetyRule {
    public static let id = "quorum-survives"
    public static let prevents = "an etcd without a majority: a cluster that takes no writes any more"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        guard !input.state.cluster.members.isEmpty else {
            return [
                refusal(
                    "etcd's members are not known: \(input.state.cluster.problems.isEmpty ? "the list of them is empty" : input.state.cluster.problems.joined(separator: "; "))",
                    advice: "see that etcd answers: masterswap check")
            ]
        }
        let voting = input.remainingMembers.filter { !$0.isLearner }
        let after = Quorum(voting)
        // A fence stops a member that may answer still, and until it is removed, which takes a majority, it is counted.
        let fenced = Quorum(voting: Quorum(input.state.cluster.members).voting, healthy: after.healthy)
        if input.fences, !fenced.isThere {
            return [
                refusal(
                    "once \(input.dead.host) is fenced, and before its member is removed, etcd has \(fenced)",
                    advice: "leave it running, and add another master first"
                )
            ]
        }
        if !after.isThere {
            return [
                refusal(
                    "after the removal etcd has \(after)",
                    advice:
                        "bring back first: \(voting.filter { !$0.isHealthy }.map { input.state.cluster.name(ofMember: $0.id) }.listed); where that cannot be, restore etcd from a snapshot"
                )
            ]
        }
        // What a failed join left is removed before; the new member counts, and is not healthy before it has caught up. One at the
        // dead one's address under another name is nothing to bring back: what to do about it, `members-have-nodes` says.
        let down = voting.filter {
            !$0.isHealthy && $0.id != input.failedJoin.found?.member?.id && !input.dead.isAt($0)
        }
        guard !down.isEmpty else { return [] }
        let joined = Quorum(
            voting: voting.count - (input.failedJoin.found?.member == nil ? 0 : 1) + 1, healthy: after.healthy)
        if !joined.isThere {
            return [
                refusal(
                    "while the new member joins etcd has \(joined)",
                    advice: "bring another master's etcd back first: \(down.map(\.name).listed)")
            ]
        }
        return down.filter { input.state.cluster.etcd.status(of: $0) == nil }.compactMap {
            joinIsRefused($0, input)
        }
    }

    /// Two members need each other: until the second one has started, neither has a majority.
    static func warnings(_ input: PlanningInput) -> [String] {
        let left = Quorum(input.remainingMembers.filter { $0.id != input.failedJoin.found?.member?.id })
        guard left.voting == 1, let survivor = input.primary?.host else { return [] }
        return [
            "etcd has one member left: from the moment that the new one is listed until it has started, there is no majority and the API answers nothing. If the join is cut off there, resume; where the new host is lost, too, shut it down for good, then: masterswap recover \(survivor)"
        ]
    }

    /// Why no member can be added while that one is down; `nil` where it can.
    private static func joinIsRefused(_ member: EtcdMember, _ input: PlanningInput) -> Refusal? {
        let cluster = input.state.cluster
        var causes: [String] = []
        let versions = (cluster.etcd.statuses ?? []).map { EtcdVersion($0.version) }
        if versions.isEmpty || versions.contains(where: { $0?.addsMemberBesideOneThatIsDown != true }) {
            let version = versions.compactMap(\.self).min().map { " \($0)" } ?? ""
            causes.append("etcd\(version) adds none (strict-reconfig-check; fixed in 3.5.30 and 3.6.11)")
        }
        let distribution = input.state.inventory.cluster.distribution
        let node = input.primary.flatMap { input.state.objects.node($0.node) }
        if distribution.joinWantsEveryMember(node?.kubernetes) {
            causes.append(
                "kubeadm\((node?.kubeletVersion).map { " \($0)" } ?? "") joins no master (kubernetes/kubernetes#138403)"
            )
        }
        guard !causes.isEmpty else { return nil }
        return refusal(
            "\(cluster.name(ofMember: member.id)) does not answer, and as long as it is listed \(causes.joined(separator: ", and "))",
            advice:
                "bring it back first; if its machine is gone for good, too, take the member out by hand, which etcd's quorum allows: \(distribution.removalByHand(of: member.id, named: member.name)); replace that machine after this one"
        )
    }
}
