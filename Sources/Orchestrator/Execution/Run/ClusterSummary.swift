public import Cluster
import Inventories

/// What a person compares before and after: nodes, etcd members, the VIP, claims.
public struct ClusterSummary: Sendable, Hashable, Codable {
    public struct Node: Sendable, Hashable, Codable {
        public var name: String
        public var address: String
        public var isReady: Bool
        public var isCordoned: Bool
    }
    public struct Claim: Sendable, Hashable, Codable {
        public var reference: String
        public var phase: String
        /// The node that its volume is on; `nil` where it is not bound to one.
        public var node: String?
    }

    public var nodes: [Node]
    public var members: [EtcdMember]
    public var vipHolders: [String]
    public var claims: [Claim]
    public var pendingPods: [String]

    public init(_ state: ClusterState) {
        let identity = Identity(state)
        nodes = state.objects.nodes.map {
            Node(
                name: $0.name, address: $0.address(preferring: identity.host(of: $0)?.address) ?? "",
                isReady: $0.isReady,
                isCordoned: $0.isCordoned)
        }
        members = state.cluster.members
        vipHolders = state.vipHolders.map(\.name)
        let local = Set(state.inventory.cluster.localStorageClasses)
        claims = state.objects.claims.compactMap { claim in
            let volume = claim.spec.volumeName.flatMap { state.objects.volume($0) }
            guard claim.spec.storageClassName.map(local.contains) == true || volume.map(state.isLocal) == true else {
                return nil
            }
            return Claim(
                reference: claim.reference, phase: claim.status?.phase ?? "",
                node: volume?.nodes?.joined(separator: ", ") ?? volume?.node(among: state.objects.nodes)?.name)
        }
        pendingPods = state.objects.pods.filter { $0.isPending }.map(\.reference)
    }
}
