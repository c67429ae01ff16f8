/// A node that may come back, or works, is not taken apart: only silence on the network and NotReady together count as death.
///
/// Where the machine itself is to take its place again, it answers; it has to be another installation than the node was, and bare.
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
        case .reached(let facts) where proposal.isSameMachine:
            refusals += objections(to: facts, proposal)
        case .reached where proposal.fences:
            if proposal.state.inventory.cluster.distribution != .kubeadm {
                refusals.append(
                    refusal("\(dead.host) cannot be fenced: k3s keeps all of it in one process", advice: shutDown))
            }
        case .reached:
            refusals.append(
                refusal(
                    "\(dead.host) answers over SSH",
                    advice:
                        "shut it down for good and wait until it is NotReady, then try again; or have it stopped over SSH: --fence"
                ))
        case .failed(let failure) where proposal.isSameMachine:
            refusals.append(refusal(failure.message, advice: "it has to be up, installed anew", isUnreachable: true))
        case .failed(let failure) where failure.saysNothing:
            refusals.append(
                refusal(
                    "whether \(dead.host) lives cannot be seen: \(failure.message)",
                    advice: "mend the way to it, or ask from a machine that is on its network", isUnreachable: true))
        case .failed(let failure) where !failure.isSilent:
            refusals.append(refusal("\(dead.host) is alive on the network: \(failure.message)", advice: shutDown))
        case .failed: break
        case nil:
            refusals.append(
                refusal(
                    "\(dead.node) is in no inventory entry, so that nobody looked whether it lives",
                    advice: "add it to the inventory's hosts with 'role: master'"))
        }
        for member in proposal.deadMembers where member.isHealthy && !proposal.fences {
            refusals.append(refusal("its etcd member \(member.id) is healthy", advice: shutDown))
        }
        return refusals
    }

    /// Why a machine that answers may still be the old master.
    private static func objections(to facts: HostFacts, _ proposal: Proposal) -> [Refusal] {
        let host = proposal.dead.host
        var refusals: [Refusal] = []
        if facts.kubeletRuns == nil || facts.clusterTraces == nil {
            refusals.append(
                refusal(
                    "whether \(host) was installed anew is unknown: its processes or its disk could not be read",
                    advice: "see there that pidof works: command -v pidof"))
        } else if !facts.isBare {
            let signs = (facts.kubeletRuns == true ? ["a running kubelet"] : []) + (facts.clusterTraces ?? [])
            refusals.append(
                refusal(
                    "\(host) is the old master, not installed anew: it has \(signs.joined(separator: ", "))",
                    advice: "shut it down for good and name a spare, or install it anew"))
        }
        if facts.holds(proposal.state.inventory.cluster.vip) {
            refusals.append(refusal("\(host) holds the VIP", advice: "take it off that host first"))
        }
        guard let machine = facts.machineID else {
            refusals.append(
                refusal(
                    "\(host) has no machine id, by which a new installation is told from the old one",
                    advice: "run there: systemd-machine-id-setup"))
            return refusals
        }
        if machine == proposal.deadNode?.status?.nodeInfo?.machineID {
            refusals.append(
                refusal(
                    "\(host) has the machine id of \(proposal.dead.node), \(machine): the old installation",
                    advice:
                        "install it anew; if it was, from an image with a machine id in it, run there: rm /etc/machine-id; systemd-machine-id-setup"
                ))
        }
        return refusals
    }
}
