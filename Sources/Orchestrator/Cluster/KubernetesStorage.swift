public struct Claim: KubernetesObject {
    /// Says the class of old claims and templates, and counts before `storageClassName`.
    package static let classAnnotation = "volume.beta.kubernetes.io/storage-class"

    public struct Spec: Sendable, Hashable, Codable {
        public var storageClassName: String?
        public var volumeName: String?
    }
    public struct Status: Sendable, Hashable, Codable {
        public var phase: String?
    }

    public var metadata: ObjectMeta
    public var spec: Spec
    public var status: Status?

    public var isBound: Bool { status?.phase == "Bound" }
    /// Where the scheduler sent a claim that waits for its first consumer.
    public var selectedNode: String? { metadata.annotations?["volume.kubernetes.io/selected-node"] }
}

public struct Volume: KubernetesObject {
    public struct Spec: Sendable, Hashable, Codable {
        public var storageClassName: String?
        public var claimRef: ClaimReference?
        public var nodeAffinity: NodeAffinity?
        public var hostPath: Path?
        public var local: Path?
        /// `Retain`, `Delete` or the deprecated `Recycle`; the API server sets it on every volume.
        public var persistentVolumeReclaimPolicy: String?
        /// Storage that is not on a node's disk by its kind; only that it is there is read.
        public var nfs: Presence?
        public var iscsi: Presence?
        public var cephfs: Presence?
        public var rbd: Presence?
        public var csi: Presence?
    }
    public struct ClaimReference: Sendable, Hashable, Codable {
        public var namespace: String?
        public var name: String?
        public var uid: String?
    }
    public struct Path: Sendable, Hashable, Codable {
        public var path: String
    }
    public struct NodeAffinity: Sendable, Hashable, Codable {
        public var required: NodeSelector?
    }
    public struct Status: Sendable, Hashable, Codable {
        public var phase: String?
    }

    public var metadata: ObjectMeta
    public var spec: Spec
    public var status: Status?

    public var phase: String { status?.phase ?? "" }
    /// The directory on the node's disk.
    public var path: String? { spec.local?.path ?? spec.hostPath?.path }
}

public struct StorageClass: KubernetesObject {
    public var metadata: ObjectMeta
    public var provisioner: String
    /// `WaitForFirstConsumer` or `Immediate`.
    public var volumeBindingMode: String?
    /// The nodes that its volumes may be made on; all, where there are none.
    public var allowedTopologies: [Topology]?

    public struct Topology: Sendable, Hashable, Codable {
        public var matchLabelExpressions: [Labels]?
        public struct Labels: Sendable, Hashable, Codable {
            public var key: String
            public var values: [String]?
        }
    }

    package static let defaultAnnotation = "storageclass.kubernetes.io/is-default-class"
    static let formerDefaultAnnotation = "storageclass.beta.kubernetes.io/is-default-class"

    /// Claims that name no class get this one.
    public var isDefault: Bool {
        [Self.defaultAnnotation, Self.formerDefaultAnnotation].contains { metadata.annotations?[$0] == "true" }
    }

    /// Whether its volumes may be made on a node.
    /// - Returns: `nil` where that depends on a label that is not known.
    package func allows(_ node: SelectableNode) -> Bool? {
        guard let allowedTopologies, !allowedTopologies.isEmpty else { return true }
        let terms = allowedTopologies.map { topology in
            NodeSelector.Term(
                matchExpressions: (topology.matchLabelExpressions ?? []).map {
                    .init(key: $0.key, operator: "In", values: $0.values)
                })
        }
        return NodeSelector(nodeSelectorTerms: terms).matches(node)
    }

    /// Its volumes are made by hand or by a program that watches for disks, before any claim asks for one.
    public var isStatic: Bool { provisioner == "kubernetes.io/no-provisioner" }
}
