public import Cluster
public import Inventories

/// What a join that failed half-way left behind: on the new host's disk, in etcd, among the nodes. It is cleaned away, with
/// consent, before the join is tried again.
public struct FailedJoin: Sendable, Hashable, Codable {
    /// Paths on the new host, with which ocboot or kubeadm would not join it.
    public var traces: [String]
    /// Its etcd member, which never started.
    public var member: Plan.PlannedMember?
    /// The node that its kubelet registered, which never became a control plane.
    public var node: ObjectReference?
    /// k3s' secret with the password of a node that is not there: another host of that name would be refused.
    public var password: ObjectReference?
    /// The run that joins it had found it bare: etcd data that no member waits for is of its join then. `nil` where that is not known.
    public var wasBare: Bool?

    /// The host itself is bare, and nothing of its own waits for it.
    package var isPasswordAlone: Bool { traces.isEmpty && member == nil && node == nil }

    /// Until it is stopped, a kubelet that kubeadm has begun to set up may register its node at any moment: that is no other join.
    package var mayStillRegister: Bool { node == nil && !traces.isEmpty }

    public enum Finding: Sendable, Hashable {
        /// The host is bare, and nothing waits for it.
        case nothing
        case found(FailedJoin)
        /// There is something, and it is no failed join: it is never cleaned. The text says what it is.
        case otherwise(String)

        public var found: FailedJoin? { if case .found(let found) = self { found } else { nil } }
    }

    /// Judges a host that is to be joined.
    /// - Parameters:
    ///   - caCertificateSHA256: the SHA-256 of this cluster's own CA certificate.
    ///   - node: the node with the host's name or address, if there is one; never the dead one.
    ///   - members: without the dead one's.
    ///   - password: of the host's name, where no node has that name.
    ///   - wasBare: the run that goes on had found it bare.
    public static func look(
        _ facts: HostFacts, at addresses: Set<String>, cluster: Inventory.Cluster, caCertificateSHA256: String?,
        node: Node?,
        members: [EtcdMember], password: ObjectReference? = nil, wasBare: Bool = false
    ) -> Finding {
        let distribution = cluster.distribution
        let members = members.filter { !addresses.isDisjoint(with: $0.addresses) }
        guard let traces = facts.clusterTraces, let kubeletRuns = facts.kubeletRuns else {
            return .otherwise("what is on it could not be read")
        }
        if facts.isBare, members.isEmpty, password == nil { return .nothing }
        if let started = members.first(where: { $0.isStarted || $0.isHealthy }) {
            return .otherwise("its etcd member \(started.id) has started")
        }
        guard members.count <= 1 else {
            return .otherwise("several etcd members are at its addresses: \(members.map(\.id).joined(separator: ", "))")
        }
        if let node, node.isControlPlane { return .otherwise("\(node.name) is a master") }
        // keepalived's manifest is among the first things that ocboot writes; the CA certificate comes with the join. What
        // waits for that is a kubelet already where it is one process with all the rest.
        let isPrepared =
            !traces.isEmpty && traces.allSatisfy(distribution.isPreparation)
            && (!kubeletRuns || distribution.joiner == nil)
            && facts.manifest?.virtualIPs.contains(cluster.vip) == true
        let isOurs =
            facts.isBare || (facts.caCertificateSHA256 != nil && facts.caCertificateSHA256 == caCertificateSHA256)
            || (facts.caCertificateSHA256 == nil && isPrepared)
        guard isOurs else {
            return .otherwise(
                "it has been in another cluster: \((traces + (kubeletRuns ? ["a running kubelet"] : [])).joined(separator: ", "))"
            )
        }
        if members.isEmpty, !wasBare, traces.contains(distribution.etcdDataDirectory + "/member") {
            return .otherwise("it has etcd data, and no member waits for it: it looks like a former master")
        }
        if let node, members.isEmpty, !traces.contains(distribution.masterTrace) {
            return .otherwise("it is the node \(node.name), and nothing says that it was to be a master")
        }
        return .found(
            FailedJoin(
                traces: traces,
                member: members.first.map { .init(id: $0.id, name: $0.name, peerURLs: $0.peerURLs) },
                node: node.map { ObjectReference(.node, $0) }, password: password, wasBare: wasBare ? true : nil))
    }
}
