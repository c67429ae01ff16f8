public import Cluster
import Inventories
public import Planning

/// What depends on a node's disk, and what a replacement would do to each: the value behind `inspect`.
public struct Inspection: Sendable, Codable {
    public struct VolumeLine: Sendable, Codable {
        public var volume: String
        public var phase: String
        public var path: String?
        public var claim: String?
        public var pods: [String]
        public var owner: String?
        /// The inventory's word: `critical`, `replicated`, `disposable`, `ignore`; `nil` where it has none.
        public var rule: String?
        public var action: String
        public var isRefused: Bool
        /// Its data is known to be on the node; `false` where that cannot be told.
        public var isOnNode: Bool
    }

    public struct PodLine: Sendable, Codable {
        public var pod: String
        public var phase: String
        public var owner: String?
        /// Nothing recreates it.
        public var isLost: Bool
    }

    public var node: String
    public var address: String
    public var isReady: Bool
    /// The cluster has no such node any more: it is known by its etcd member, kubeadm's ClusterStatus or its volumes.
    public var isDeleted: Bool
    /// A spare, of which nothing says that it ever was a node.
    public var isSpare: Bool
    /// What was concluded from little.
    public var remarks: [String]
    public var volumes: [VolumeLine]
    /// Pods on the node that mount none of its volumes.
    public var otherPods: [PodLine]

    /// - Parameter reference: an inventory name, a node name or an address; of a node that was deleted by hand, too.
    /// - Throws: ``Refused`` where no master answers, or the reference stands for nothing, or for more than one machine.
    public init(_ state: ClusterState, of reference: String) throws {
        guard state.cluster.source != nil else { throw Refused(state.refusalsWithoutAnswer) }
        let requested = try RequestedNode(state, Identity(state), reference)
        let machine = requested.dead
        node = machine.node
        address = machine.address
        let spare = state.inventory.host(named: machine.host).flatMap { $0.role == .spare ? $0 : nil }
        let lost = state.lostVolumes(of: machine)
        isSpare = machine.uid == nil && lost.isEmpty && spare.map { state.nodeNames(at: $0.address).isEmpty } == true
        isDeleted = machine.uid == nil && !isSpare
        isReady = state.objects.nodes.contains { $0.uid == machine.uid && $0.isReady }
        remarks = requested.remarks
        volumes = lost.map { lost in
            VolumeLine(
                volume: lost.volume.name, phase: lost.volume.phase, path: lost.volume.path,
                claim: lost.claim?.reference,
                pods: lost.pods.map(\.reference), owner: lost.owner, rule: lost.rule, action: lost.actionText,
                isRefused: lost.isRefused, isOnNode: lost.isOnDeadNode)
        }
        let mounting = Set(lost.flatMap { $0.pods.map(\.uid) })
        otherPods = state.objects.pods.filter { $0.nodeName == machine.node && !mounting.contains($0.uid) }.map { pod in
            PodLine(
                pod: pod.reference, phase: pod.status?.phase ?? "",
                owner: pod.isMirror
                    ? "static pod" : state.objects.owner(of: pod).map { "\($0.kind.lowercased())/\($0.name)" },
                isLost: pod.controller == nil && !pod.isMirror)
        }
    }
}

extension LostVolume {
    var rule: String? {
        switch action {
        case .rebuild(let workload): if case .rebuild(let data, _, _) = workload.rule { data.rawValue } else { nil }
        case .ignore: "ignore"
        case .deleteVolume, .keep, .noRule, .undecided: nil
        }
    }

    var isRefused: Bool {
        switch action {
        case .noRule, .undecided: true
        case .rebuild, .ignore, .deleteVolume, .keep: false
        }
    }

    /// What a replacement would do, in a phrase.
    public var actionText: String {
        switch action {
        case .rebuild(let workload):
            switch workload.target {
            case .deployment: "delete claim and deployment, the operator recreates both"
            case .statefulSet, .claim:
                if case .rebuild(_, heal: .minio?, _) = workload.rule {
                    "delete claim and pod, MinIO heals the new volume"
                } else {
                    "delete claim and pod, the set recreates both"
                }
            }
        case .ignore: "leave the claim as it is"
        case .deleteVolume: "delete the volume, nothing claims it"
        case .keep(let why): "leave the volume as it is: \(why)"
        case .noRule: "REFUSED: no rule in the inventory"
        case .undecided(let why): "REFUSED: \(why)"
        }
    }
}
