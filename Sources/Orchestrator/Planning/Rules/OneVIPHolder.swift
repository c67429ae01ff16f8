import Cluster
import Inventories

/// ocboot joins by way of the VIP and the clients of the cloud live on it: with two holders or none nothing is begun.
public enum OneVIPHolder: SafetyRule {
    public static let id = "one-vip-holder"
    public static let prevents = "joining by way of an address that two masters answer to, or none"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        let state = input.state
        let vip = state.inventory.cluster.vip
        let unread = state.liveMasters.filter { state.facts($0)?.addresses == nil }
        guard unread.isEmpty else {
            return unread.map {
                refusal(
                    "the addresses of \($0.name) could not be read: whether it holds the VIP \(vip) is unknown",
                    advice: "see there that ip works (iproute2): ip -o -4 addr")
            }
        }
        // The kubelet without --node-ip may have taken it for its own; what is told apart by addresses is then mistaken.
        if let node = state.objects.nodes.first(where: {
            $0.name != input.dead.node && $0.internalAddresses.contains(vip)
        }) {
            return [
                refusal(
                    "the node \(node.name) is registered with the VIP \(vip) as its address, which moves to another master",
                    advice: "set its kubelet's --node-ip to the address of its own, and restart that kubelet")
            ]
        }
        let manifests = state.liveMasters.filter { $0.name != input.dead.host }.compactMap { host -> Refusal? in
            guard case .unreadable(let why)? = state.facts(host)?.keepalived else { return nil }
            return refusal(
                "keepalived's manifest on \(host.name) could not be read, so that it may be MASTER: \(why)",
                advice: "look at it there: \(state.inventory.cluster.distribution.keepalivedManifest)")
        }
        guard manifests.isEmpty else { return manifests }
        if let objection = editObjection(input) { return [objection] }
        let strangers = strangers(input)
        guard strangers.isEmpty else { return strangers }
        let services = state.hostsWithVIPOfService
        guard services.isEmpty else {
            return [
                refusal(
                    "kube-proxy has bound the VIP \(vip) to \(HostFacts.serviceInterface) on \(services.listed): a Service has it among its externalIPs or as its load balancer's address, and what these hosts send there goes to that Service",
                    advice:
                        "take it out of that Service: kubectl get services -A -o wide | grep -F \(vip)")
            ]
        }
        // Fencing releases the VIP; VIPStep checks its holder again before the join.
        let holders = state.vipHolders.map(\.name).filter { !(input.fences && $0 == input.dead.host) }
        // Of one that does not let us in, that is not known before its power is cut.
        if input.fences, holders.isEmpty, state.hosts[input.dead.host]?.facts?.holds(vip) ?? true { return [] }
        switch holders.count {
        case 1:
            guard input.survivors.contains(where: { $0.host == holders[0] }) else {
                return [
                    refusal(
                        "the VIP \(vip) is on \(holders[0]), which is \(input.unsound.contains { $0.host == holders[0] } ? "not whole" : "no surviving master")",
                        advice: "see to it that a surviving master that is whole takes it over: masterswap check")
                ]
            }
            guard state.cluster.apiAnswersOnVIP else {
                return [
                    refusal(
                        "no API server answers on \(vip):\(state.inventory.cluster.apiPort), which \(holders[0]) holds",
                        advice: "look at the API server of \(holders[0])")
                ]
            }
            // The one with the higher priority would take it back at any moment, or its keepalived is broken and never does.
            if let primary = input.primary, primary.host != holders[0] {
                return [
                    refusal(
                        "\(primary.host) is keepalived's MASTER, and the VIP \(vip) is on \(holders[0])",
                        advice: "look at the keepalived pod of \(primary.host), and wait until it holds the VIP")
                ]
            }
            return []
        case 0:
            return [
                refusal(
                    "no master holds the VIP \(vip)",
                    advice:
                        "keepalived takes some seconds after a failure; if it stays so, look at the keepalived pods: masterswap check"
                )
            ]
        default:
            return [
                refusal(
                    "\(holders.joined(separator: " and ")) hold the VIP \(vip) at the same time",
                    advice:
                        "keepalived does not hear its peers: compare router id and password of the manifests: masterswap check"
                )
            ]
        }
    }

    /// Survivors that do not take part in moving this VIP, or do not hear one another: two of them would hold it, or none.
    private static func strangers(_ input: PlanningInput) -> [Refusal] {
        let state = input.state
        let vip = state.inventory.cluster.vip
        let manifests = KeepalivedManifests(of: input.survivors.map(\.host), state)
        var refusals = manifests.hosts(without: vip).map {
            refusal(
                "keepalived on \($0) does not carry the VIP \(vip)",
                advice: "compare KEEPALIVED_VIRTUAL_IPS with the other masters: masterswap check")
        }
        for (what, isOne) in [("router ids", manifests.haveOneRouterID), ("passwords", manifests.haveOnePassword)]
        where !isOne {
            refusals.append(
                refusal(
                    "keepalived's \(what) differ on \(manifests.all.map(\.host).listed), so that they do not hear one another",
                    advice: "masters of one cluster share them: masterswap check"))
        }
        refusals += manifests.all.filter(\.manifest.isUnicast).map {
            refusal(
                "keepalived on \($0.host) tells only the peers that its manifest lists (KEEPALIVED_UNICAST_PEERS), so that a new master would hear none and hold the VIP as well",
                advice:
                    "take that variable out of every manifest, so that keepalived uses multicast, before a master is replaced"
            )
        }
        if let primary = input.primary, input.promotes {
            refusals += manifests.all.filter {
                $0.host != primary.host && $0.manifest.priority >= KeepalivedManifest.primaryPriority
            }.map {
                refusal(
                    "keepalived on \($0.host) has the priority \($0.manifest.priority), and \(primary.host) is to get \(KeepalivedManifest.primaryPriority): the VIP would not stay there",
                    advice:
                        "set it to 90 as on the other masters that are BACKUP, in \(state.inventory.cluster.distribution.keepalivedManifest)"
                )
            }
        }
        return refusals
    }

    /// The new primary's manifest is edited after the old master is gone from the cluster: that it can be is seen before.
    private static func editObjection(_ input: PlanningInput) -> Refusal? {
        guard input.promotes, let primary = input.primary, let facts = input.state.hosts[primary.host]?.facts
        else { return nil }
        guard !input.state.keepalivedIsDown(on: primary.node) else {
            return refusal(
                "\(primary.host) is to become keepalived's MASTER, and its keepalived does not run",
                advice: "see why: kubectl -n kube-system describe pod keepalived-\(primary.node)")
        }
        guard let manifest = facts.manifest else {
            return refusal(
                "\(primary.host) is to become keepalived's MASTER, and has no manifest of keepalived",
                advice:
                    "compare it with the other masters, there: \(input.state.inventory.cluster.distribution.keepalivedManifest)"
            )
        }
        do {
            _ = try manifest.promoted()
            return nil
        } catch {
            return refusal(
                "\(primary.host) is to become keepalived's MASTER, and its manifest cannot be edited: \(error)",
                advice:
                    "write each variable in two lines there, its name and then its value, as kubeadm's own manifests are: \(input.state.inventory.cluster.distribution.keepalivedManifest)"
            )
        }
    }
}
