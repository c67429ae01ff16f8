/// etcd must keep its quorum when the dead member is out: of the voting members that remain, a majority must be healthy.
/// The rule of Cluster API's control plane: voting − unhealthy ≥ voting / 2 + 1, counted after the removal.
public enum QuorumSurvives: SafetyRule {
    public static let id = "quorum-survives"
    public static let prevents = "an etcd without a majority: a cluster that takes no writes any more"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        let members = proposal.state.cluster.members
        guard !members.isEmpty else {
            return [
                refusal(
                    "etcd's members are not known: \(proposal.state.cluster.problems.joined(separator: "; "))",
                    advice: "see that etcd answers: masterswap check")
            ]
        }
        guard proposal.deadMembers.count <= 1 else {
            let ids = proposal.deadMembers.map(\.id).joined(separator: ", ")
            return [
                refusal(
                    "\(proposal.deadMembers.count) members stand for \(proposal.dead.node): \(ids)",
                    advice: "remove the stale one by hand: etcdctl member list")
            ]
        }
        let remaining = members.filter { member in !proposal.deadMembers.contains { $0.id == member.id } }
        var refusals: [Refusal] = []
        for member in remaining where member.addresses.contains(proposal.dead.address) {
            refusals.append(
                refusal(
                    "member \(member.id) '\(member.name)' is at \(proposal.dead.address) but does not have \(proposal.dead.node)'s name",
                    advice: "find out whose it is: etcdctl member list"))
        }
        for member in remaining
        where (member.isLearner || !member.isStarted) && member.id != proposal.failedJoin.found?.member?.id {
            refusals.append(
                refusal(
                    "member \(member.id) at \(member.addresses.joined(separator: ", ")) \(member.isLearner ? "is a learner" : "has never started")",
                    advice: "a join was left half done; finish or remove it first: etcdctl member remove \(member.id)"))
        }
        let voting = remaining.filter { !$0.isLearner }
        let healthy = voting.filter(\.isHealthy).count
        let needed = voting.count / 2 + 1
        if healthy < needed {
            refusals.append(
                refusal(
                    "after the removal etcd has \(voting.count) voting member\(voting.count == 1 ? "" : "s"), of which \(needed) must be healthy; \(healthy) \(healthy == 1 ? "is" : "are")",
                    advice: "bring another master's etcd back first, or restore from a snapshot"))
        }
        return refusals
    }
}
