import Cluster
import Inventories
import Planning

/// What to do about a host that is not reached, or a node that is not Ready. A replacement is suggested only where every sign says
/// that a master is dead; these are the signs by which `plan` goes, too.
enum DeathAdvice {
    static func unreachable(_ host: Inventory.Host, _ failure: ClusterState.HostFailure, _ state: ClusterState)
        -> String
    {
        switch failure.sign {
        case .alive: return "it is alive, and nothing is to be replaced: see what the error names"
        case .inconclusive: return "nothing is known of the host itself: correct what the error names, then check again"
        case .unresponsive, .noRoute: break
        }
        if let sight = state.lifeSigns(of: host.name).first {
            return
                "it is alive, seen from \(sight.text); look at routes and firewalls between this machine and it; nothing is to be replaced"
        }
        if host.role == .master, state.nodeNames(at: host.address).isEmpty,
            state.mastersInThePlaceOf(host) != nil
        {
            return NodeIsAMaster.leftInInventoryAdvice(host)
        }
        let node = state.node(of: host)
        if node?.isReportedByItsKubelet == true {
            return
                "its kubelet still reports to the API server; look at routes and firewalls between this machine and it; nothing is to be replaced"
        }
        let sights = state.sights(of: host.name, by: state.liveMasters.map(\.name).filter { $0 != host.name })
        guard state.isMaster(node: node, addresses: [host.address] + (node?.internalAddresses ?? []), role: host.role)
        else {
            return node.map { NodeIsAMaster.workerAdvice($0.name) }
                ?? "it is a spare: start it, or name another one; nothing is to be replaced"
        }
        guard !sights.isEmpty else {
            return "no other master could be asked about it: look at this machine's own network first"
        }
        guard sights.contains(where: \.isUnresponsive) else {
            return
                "whether it is dead is not clear (\(sights.map(\.text).joined(separator: "; "))); check again in a minute"
        }
        guard state.cluster.source != nil else {
            return "no other master sees it either; see first that the others give an answer about the cluster"
        }
        if state.cluster.members.contains(where: { $0.isHealthy && $0.addresses.contains(host.address) }) {
            return
                "no other master sees it either, and its etcd member is healthy: look at the network between the masters"
        }
        let limit = Double(ReplacementRequest.usualNotReadyFor)
        let later =
            "once it has been NotReady for \(NotReadyAge.words(limit)): masterswap plan \(host.name) --with SPARE"
        if let node {
            if node.isReady { return "no other master sees it either; \(later)" }
            guard case .known(let age) = state.notReadyAge(of: node), age >= limit else {
                return "no other master sees it either; if it does not come back, \(later)"
            }
        }
        return "no other master sees it either; if it is dead for good: masterswap plan \(host.name) --with SPARE"
    }

    static func notReady(_ node: Node, _ state: ClusterState) -> String {
        let host = state.host(of: node)
        let unit = state.inventory.cluster.distribution.kubeletUnit
        guard state.isMaster(node: node, addresses: node.internalAddresses, role: host?.role) else {
            return NodeIsAMaster.workerAdvice(node.name)
        }
        guard let host, let observation = state.hosts[host.name] else {
            return "see why: kubectl describe node \(node.name); then look at the kubelet there: journalctl -u \(unit)"
        }
        switch observation {
        case .reached: return "its host answers: look at the kubelet there: journalctl -u \(unit)"
        case .failed(let failure): return unreachable(host, failure, state)
        }
    }
}
