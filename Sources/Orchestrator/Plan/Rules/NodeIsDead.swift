/// A node that may come back, or works, is not taken apart: only silence on the network and NotReady together count as death.
public enum NodeIsDead: SafetyRule {
    public static let id = "node-is-dead"
    public static let prevents = "taking a working master apart, or one that only its network has left"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        let dead = proposal.dead
        let shutDown = "shut it down for good and wait until it is NotReady, then try again"
        var refusals: [Refusal] = []
        if let node = proposal.deadNode, node.isReady {
            refusals.append(
                refusal(
                    "\(dead.node) is Ready",
                    advice: "a working node is not replaced; if it is the right one, shut it down first"))
        }
        switch proposal.state.hosts[dead.host] {
        case .reached: refusals.append(refusal("\(dead.host) answers over SSH", advice: shutDown))
        case .failed(let failure) where !failure.isSilent:
            refusals.append(refusal("\(dead.host) is alive on the network: \(failure.message)", advice: shutDown))
        case .failed: break
        case nil:
            refusals.append(
                refusal(
                    "\(dead.node) is in no inventory entry, so that nobody looked whether it lives",
                    advice: "add it to the inventory's hosts with 'role: master'"))
        }
        for member in proposal.deadMembers where member.isHealthy {
            refusals.append(refusal("its etcd member \(member.id) is healthy", advice: shutDown))
        }
        return refusals
    }
}
