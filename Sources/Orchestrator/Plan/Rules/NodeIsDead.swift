/// A node that may come back, or works, is not taken apart: only silence on SSH and NotReady together count as death. One that
/// answers counts as dead when it is fenced: no kubelet, no keepalived, no etcd on it.
public enum NodeIsDead: SafetyRule {
    public static let id = "node-is-dead"
    public static let prevents = "taking a working master apart, or one that only its network has left"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        let dead = proposal.dead
        let shutDown = "shut it down for good and wait until it is NotReady, or fence it: --fence"
        var refusals: [Refusal] = []
        if let node = proposal.deadNode, node.isReady {
            refusals.append(
                refusal(
                    "\(dead.node) is Ready",
                    advice: "a working node is not replaced; if it is the right one, shut it down first"))
        }
        switch proposal.state.hosts[dead.host] {
        case .reached(let facts):
            let life = facts.signsOfLife(vip: proposal.state.inventory.cluster.vip)
            if !life.isEmpty {
                refusals.append(
                    refusal("\(dead.host) answers over SSH: \(life.joined(separator: ", "))", advice: shutDown))
            }
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

extension HostFacts {
    /// What on a master that answers over SSH still takes part in the cluster; empty where it is fenced.
    public func signsOfLife(vip: String) -> [String] {
        var signs: [String] = []
        if kubeletRuns { signs.append("its kubelet runs") }
        if keepalived != .absent { signs.append("it has a keepalived manifest") }
        if listening.contains(2379) || listening.contains(2380) { signs.append("something listens on etcd's ports") }
        if holds(vip) { signs.append("it holds the VIP") }
        return signs
    }
}
