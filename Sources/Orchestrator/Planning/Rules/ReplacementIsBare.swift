import Cluster
import Inventories

/// The new host has no trace of a cluster: ocboot skips a host that has a kubelet configuration, and old etcd data makes a
/// member that never joins (etcd-io/etcd#2676).
public enum ReplacementIsBare: SafetyRule {
    public static let id = "replacement-is-bare"
    public static let prevents = "a join that is skipped or fails half-way, and the loss of what another host holds"

    /// Ports that kubeadm's preflight wants free on a new master: of etcd, the API server, the kubelet, and, in this order, the
    /// scheduler and the controller manager, old and new (kubeadm's `RunInitNodeChecks`).
    static let ports = [2379, 2380, 6443, 10250, 10251, 10252, 10257, 10259]

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        let host = input.replacement
        let state = input.state
        let masters =
            input.survivors.filter { $0.host == host.name || $0.isAt(host.address) }.map(\.node)
            + input.unsound.filter { $0.host == host.name }.map(\.node)
        if let master = masters.first {
            return [refusal("\(master) is a master already", advice: "name a spare: --with HOST")]
        }
        if host.role == .spare, let facts = state.facts(host) {
            let unread = unread(facts)
            guard unread.isEmpty else {
                return unread.map { refusal("\($0.what) on \(host.name) could not be read", advice: $0.advice) }
            }
        }
        if case .otherwise(let what) = input.failedJoin, host.role == .spare {
            return [
                refusal(
                    "\(host.name) is not bare: \(what)",
                    advice:
                        "name another spare; or find out what runs there, and install the machine again when nothing needs it"
                )
            ]
        }
        // One that was this very machine, `hosts-are-nodes` refuses.
        let addresses = state.addresses(of: host)
        let names = state.objects.nodes.filter { node in
            node.name != input.dead.node && node.uid != input.failedJoin.found?.node?.uid
                && (node.isControlPlane || !node.internalAddresses.contains(where: addresses.contains))
        }.map(\.name)
        if host.role == .spare, let name = state.facts(host)?.hostname, names.contains(name.lowercased()) {
            return [
                refusal(
                    "\(host.name) calls itself '\(name)', the name of another node",
                    advice: "give it a host name of its own: hostnamectl set-hostname NAME")
            ]
        }
        // What a failed join left is cleaned by a step of its own, which is shown and agreed to.
        if let left = input.failedJoin.found, !left.isPasswordAlone, host.role == .spare { return [] }
        guard host.role == .spare else {
            return [
                refusal(
                    "\(host.name) is no spare in the inventory, so that nobody looked whether it fits",
                    advice: "if it is bare, give it 'role: spare'")
            ]
        }
        guard let facts = state.facts(host) else {
            let failure = state.hosts[host.name]?.failure
            return [
                refusal(
                    failure?.message ?? "\(host.name) was not looked at",
                    advice: "see that it is up and that the key is on it",
                    isUnreachable: failure?.isUnreachableOrUntrusted ?? true)
            ]
        }
        var refusals = remains(facts, host)
        let taken = ports.filter { facts.listening?.contains($0) == true }
        if !taken.isEmpty {
            refusals.append(
                refusal(
                    "on \(host.name) something listens on \(taken.map(String.init).joined(separator: ", "))",
                    advice: "see what it is, there: ss -ltnp"))
        }
        return refusals
    }
    /// What `kubeadm reset` and the removal of k3s leave: kubeadm takes old certificates as they are, and ends where they are another
    /// authority's; a bridge of flannel's keeps the old pod network's address, and pods do not start.
    private static func remains(_ facts: HostFacts, _ host: Inventory.Host) -> [Refusal] {
        var remains: [(what: String, advice: String)] = []
        if facts.caCertificateSHA256 != nil || facts.certificates?.isEmpty == false {
            let path = facts.certificates?.first?.path ?? "a CA certificate"
            remains.append(
                (
                    "certificates of a cluster: \(path)",
                    "see whose they are; if nothing needs them, move that folder away"
                ))
        }
        if facts.addresses?.contains(where: { $0.interface == "cni0" }) == true {
            remains.append(("the interface cni0 of an older pod network", "if nothing runs there: ip link delete cni0"))
        }
        return remains.map { refusal("\(host.name) has \($0.what)", advice: $0.advice) }
    }

    /// Facts that this rule needs and that could not be read.
    private static func unread(_ facts: HostFacts) -> [(what: String, advice: String)] {
        var unread: [(what: String, advice: String)] = []
        if facts.hostname.isEmpty { unread.append(("the host name", "run there: uname -n")) }
        if facts.kubeletRuns == nil { unread.append(("which processes run", "install pidof there (procps)")) }
        if facts.clusterTraces == nil {
            unread.append(("what a cluster left on the disk", "see that the user may read /etc and /var/lib there"))
        }
        if facts.listening == nil { unread.append(("what listens", "install ss there (iproute2), or netstat")) }
        return unread
    }
}
