/// The parts of Kubernetes' objects that decisions rest on; everything else in kubectl's JSON is left unread.
/// Shapes are those of the core/v1 and apps/v1 APIs, the same from 1.15 on.
public struct ObjectMeta: Sendable, Hashable, Codable {
    public var name: String
    public var namespace: String?
    public var uid: String
    public var creationTimestamp: String?
    public var deletionTimestamp: String?
    public var labels: [String: String]?
    public var annotations: [String: String]?
    public var ownerReferences: [OwnerReference]?

    public struct OwnerReference: Sendable, Hashable, Codable {
        public var kind: String
        public var name: String
        public var uid: String
    }
}

public protocol KubernetesObject: Sendable, Hashable, Codable {
    var metadata: ObjectMeta { get }
}

extension KubernetesObject {
    public var name: String { metadata.name }
    public var namespace: String { metadata.namespace ?? "" }
    public var uid: String { metadata.uid }
    /// `namespace/name`, or the name alone for what has no namespace.
    public var reference: String { metadata.namespace.map { "\($0)/\(name)" } ?? name }
}

public struct Node: KubernetesObject {
    public struct Spec: Sendable, Hashable, Codable {
        public var unschedulable: Bool?
    }
    public struct Status: Sendable, Hashable, Codable {
        public var conditions: [Condition]?
        public var addresses: [Address]?
        public var nodeInfo: NodeInfo?
    }
    public struct Condition: Sendable, Hashable, Codable {
        public var type: String
        public var status: String
        public var reason: String?
        /// When `status` last changed, as RFC 3339.
        public var lastTransitionTime: String?
    }
    public struct Address: Sendable, Hashable, Codable {
        public var type: String
        public var address: String
    }
    public struct NodeInfo: Sendable, Hashable, Codable {
        public var kubeletVersion: String?
        /// The content of /etc/machine-id, made when a machine is installed.
        public var machineID: String?
        public var containerRuntimeVersion: String?
    }

    public var metadata: ObjectMeta
    public var spec: Spec?
    public var status: Status?

    public var isReady: Bool { status?.conditions?.first { $0.type == "Ready" }?.status == "True" }
    public var isCordoned: Bool { spec?.unschedulable == true }
    public var kubeletVersion: String? { status?.nodeInfo?.kubeletVersion }

    /// The label is `master` up to 1.19, both from 1.20, `control-plane` alone from 1.24 (KEP-2067).
    public var isControlPlane: Bool {
        let labels = metadata.labels ?? [:]
        return labels["node-role.kubernetes.io/master"] != nil || labels["node-role.kubernetes.io/control-plane"] != nil
    }

    /// What volumes' node affinity names.
    public var hostnameLabel: String { metadata.labels?["kubernetes.io/hostname"] ?? name }
}

public struct PodSpec: Sendable, Hashable, Codable {
    public var nodeName: String?
    public var volumes: [PodVolume]?
    public var containers: [Container]?

    public struct PodVolume: Sendable, Hashable, Codable {
        public var name: String
        public var persistentVolumeClaim: ClaimSource?
        public struct ClaimSource: Sendable, Hashable, Codable {
            public var claimName: String
        }
    }
    public struct Container: Sendable, Hashable, Codable {
        public var name: String
        public var image: String?
        public var env: [Variable]?
    }
    /// Values are read for keepalived's container only, and its password is never kept (``KeepalivedManifest``).
    public struct Variable: Sendable, Hashable, Codable {
        public var name: String
        public var value: String?
    }

    /// Names of the claims that the pod mounts.
    public var claimNames: [String] { (volumes ?? []).compactMap { $0.persistentVolumeClaim?.claimName } }
}

public struct Pod: KubernetesObject {
    public struct Status: Sendable, Hashable, Codable {
        public var phase: String?
        public var startTime: String?
        public var containerStatuses: [ContainerStatus]?
    }
    public struct ContainerStatus: Sendable, Hashable, Codable {
        public var name: String
        public var ready: Bool
        public var containerID: String?
        public var state: State?
        public struct State: Sendable, Hashable, Codable {
            public var running: Running?
            public struct Running: Sendable, Hashable, Codable {
                public var startedAt: String?
            }
        }
    }

    public var metadata: ObjectMeta
    public var spec: PodSpec
    public var status: Status?

    public var nodeName: String? { spec.nodeName }
    public var isPending: Bool { status?.phase == "Pending" }
    /// Done means ready, not merely running.
    public var isReady: Bool {
        guard status?.phase == "Running", let containers = status?.containerStatuses else { return false }
        return !containers.isEmpty && containers.allSatisfy(\.ready)
    }
    public var isFinished: Bool { status?.phase == "Succeeded" || status?.phase == "Failed" }
    public var controller: ObjectMeta.OwnerReference? { metadata.ownerReferences?.first }
    /// A static pod's mirror: the kubelet makes it, nobody else can.
    public var isMirror: Bool { metadata.annotations?["kubernetes.io/config.mirror"] != nil }
}

public struct Claim: KubernetesObject {
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
        public var required: Required?
        public struct Required: Sendable, Hashable, Codable {
            public var nodeSelectorTerms: [Term]
        }
        public struct Term: Sendable, Hashable, Codable {
            public var matchExpressions: [Expression]?
        }
        public struct Expression: Sendable, Hashable, Codable {
            public var key: String
            public var `operator`: String
            public var values: [String]?
        }
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

    /// The nodes, by their hostname label, that the volume can be mounted on; `nil` where it is not bound to nodes.
    /// Terms are alternatives (OR), expressions within one must all hold (core/v1 NodeSelector).
    public var nodes: [String]? {
        guard let terms = spec.nodeAffinity?.required?.nodeSelectorTerms else { return nil }
        let named = terms.map { term in
            (term.matchExpressions ?? []).first { $0.key == "kubernetes.io/hostname" && $0.operator == "In" }?.values
        }
        guard !named.isEmpty, named.allSatisfy({ $0 != nil }) else { return nil }
        return named.flatMap { $0 ?? [] }
    }

    /// Its data is on that node's disk and nowhere else.
    public func isOnly(on node: Node) -> Bool { isOnly(onHostname: node.hostnameLabel) }

    func isOnly(onHostname hostname: String) -> Bool {
        guard let nodes, !nodes.isEmpty else { return false }
        return nodes.allSatisfy { $0 == hostname }
    }
}

public struct StatefulSet: KubernetesObject {
    public struct Spec: Sendable, Hashable, Codable {
        public var replicas: Int?
        public var volumeClaimTemplates: [Template]?
        public struct Template: Sendable, Hashable, Codable {
            public var metadata: Name
            public struct Name: Sendable, Hashable, Codable {
                public var name: String
            }
        }
    }
    public struct Status: Sendable, Hashable, Codable {
        public var readyReplicas: Int?
    }

    public var metadata: ObjectMeta
    public var spec: Spec
    public var status: Status?

    public var replicas: Int { spec.replicas ?? 1 }

    /// The ordinal of the replica that a claim belongs to: claims are named TEMPLATE-SET-ORDINAL (apps/v1 StatefulSet).
    public func ordinal(ofClaim claim: String) -> Int? {
        for template in spec.volumeClaimTemplates ?? [] {
            let prefix = "\(template.metadata.name)-\(name)-"
            guard claim.hasPrefix(prefix) else { continue }
            let rest = claim.dropFirst(prefix.count)
            if let ordinal = Int(rest), String(ordinal) == rest { return ordinal }
        }
        return nil
    }
}

public struct Deployment: KubernetesObject {
    public struct Spec: Sendable, Hashable, Codable {
        public var replicas: Int?
        public var template: Template
        public struct Template: Sendable, Hashable, Codable {
            public var spec: PodSpec
        }
    }
    public struct Status: Sendable, Hashable, Codable {
        public var availableReplicas: Int?
    }

    public var metadata: ObjectMeta
    public var spec: Spec
    public var status: Status?

    public var replicas: Int { spec.replicas ?? 1 }
}

public struct ReplicaSet: KubernetesObject {
    public var metadata: ObjectMeta
}

public struct ConfigMap: KubernetesObject {
    public var metadata: ObjectMeta
    public var data: [String: String]?
}

/// Everything of the cluster that a plan rests on, read in one call.
public struct KubernetesObjects: Sendable, Hashable {
    public var nodes: [Node] = []
    public var pods: [Pod] = []
    public var volumes: [Volume] = []
    public var claims: [Claim] = []
    public var statefulSets: [StatefulSet] = []
    public var deployments: [Deployment] = []
    public var replicaSets: [ReplicaSet] = []

    public init() {}

    /// What to ask kubectl for.
    static let kinds =
        "nodes,pods,persistentvolumes,persistentvolumeclaims,statefulsets.apps,deployments.apps,replicasets.apps"

    public func node(_ name: String) -> Node? { nodes.first { $0.name == name } }
    public func volume(_ name: String) -> Volume? { volumes.first { $0.name == name } }
    public func claim(_ namespace: String, _ name: String) -> Claim? {
        claims.first { $0.namespace == namespace && $0.name == name }
    }

    /// The workload behind a pod: a Deployment for a ReplicaSet's pod, else the pod's own controller.
    public func owner(of pod: Pod) -> ObjectMeta.OwnerReference? {
        guard let controller = pod.controller else { return nil }
        guard controller.kind == "ReplicaSet",
            let set = replicaSets.first(where: { $0.uid == controller.uid }),
            let owner = set.metadata.ownerReferences?.first
        else { return controller }
        return owner
    }
}

extension KubernetesObjects: Decodable {
    private struct Kind: Decodable {
        var kind: String
    }
    private enum Keys: CodingKey {
        case kind, items
    }

    /// A `List` of mixed kinds, as `kubectl get A,B,C -A -o json` prints it; kinds not asked for are an error, so that a
    /// change of kubectl's output cannot pass for an empty cluster.
    public init(from decoder: any Decoder) throws {
        self.init()
        let list = try decoder.container(keyedBy: Keys.self)
        let listKind = try list.decode(String.self, forKey: .kind)
        guard listKind == "List" else {
            throw DecodingError.dataCorruptedError(
                forKey: .kind, in: list, debugDescription: "expected a List, found \(listKind)")
        }
        var kinds = try list.nestedUnkeyedContainer(forKey: .items)
        var items = try list.nestedUnkeyedContainer(forKey: .items)
        while !items.isAtEnd {
            switch try kinds.decode(Kind.self).kind {
            case "Node": nodes.append(try items.decode(Node.self))
            case "Pod": pods.append(try items.decode(Pod.self))
            case "PersistentVolume": volumes.append(try items.decode(Volume.self))
            case "PersistentVolumeClaim": claims.append(try items.decode(Claim.self))
            case "StatefulSet": statefulSets.append(try items.decode(StatefulSet.self))
            case "Deployment": deployments.append(try items.decode(Deployment.self))
            case "ReplicaSet": replicaSets.append(try items.decode(ReplicaSet.self))
            case let kind:
                throw DecodingError.dataCorruptedError(
                    in: items, debugDescription: "an object of kind \(kind), which was not asked for")
            }
        }
    }
}
