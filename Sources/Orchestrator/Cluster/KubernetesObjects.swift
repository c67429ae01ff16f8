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
        /// Of several owners, at most one is the controller, which recreates the object; the others are for garbage collection.
        public var controller: Bool?

        public init(kind: String, name: String, uid: String, controller: Bool? = true) {
            self.kind = kind
            self.name = name
            self.uid = uid
            self.controller = controller
        }
    }

    /// The owner that recreates the object (apimachinery's `GetControllerOf`).
    public var controller: OwnerReference? { ownerReferences?.first { $0.controller == true } }
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

    public var isReady: Bool { isTrue("Ready") }
    /// - Parameter condition: its type.
    public func isTrue(_ condition: String) -> Bool {
        status?.conditions?.first { $0.type == condition }?.status == "True"
    }
    public var isCordoned: Bool { spec?.unschedulable == true }
    public var kubeletVersion: String? { status?.nodeInfo?.kubeletVersion }

    /// The label is `master` up to 1.19, both from 1.20, `control-plane` alone from 1.24 (KEP-2067).
    public var isControlPlane: Bool {
        let labels = metadata.labels ?? [:]
        return labels["node-role.kubernetes.io/master"] != nil || labels["node-role.kubernetes.io/control-plane"] != nil
    }

    static let hostnameKey = "kubernetes.io/hostname"

    /// What volumes' node affinity names, as a rule.
    public var hostnameLabel: String { metadata.labels?[Self.hostnameKey] ?? name }
}

public struct PodSpec: Sendable, Hashable, Codable {
    public var nodeName: String?
    public var volumes: [PodVolume]?
    public var containers: [Container]?
    /// Read in workloads' templates only.
    public var nodeSelector: [String: String]?
    public var affinity: Affinity?

    public struct Affinity: Sendable, Hashable, Codable {
        public var nodeAffinity: NodeAffinity?
        public struct NodeAffinity: Sendable, Hashable, Codable {
            public var requiredDuringSchedulingIgnoredDuringExecution: NodeSelector?
        }
    }
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
        /// Read in workloads' templates only.
        public var envFrom: [Presence]?
        /// Read where a pod is asked for alone.
        public var volumeMounts: [Mount]?

        public struct Mount: Sendable, Hashable, Codable {
            public var name: String
            public var mountPath: String
        }
    }
    /// Values are read for keepalived's container, whose password is never kept (``KeepalivedManifest``), and for MinIO's variables
    /// that say how its drives are coded (``MinIOParity``).
    public struct Variable: Sendable, Hashable, Codable {
        public var name: String
        public var value: String?
        public var valueFrom: Presence?
    }

    /// Names of the claims that the pod mounts.
    public var claimNames: [String] { (volumes ?? []).compactMap { $0.persistentVolumeClaim?.claimName } }
}

/// A part of an object of which nothing is read but that it is there.
public struct Presence: Sendable, Hashable, Codable {
    public init() {}
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
    public var controller: ObjectMeta.OwnerReference? { metadata.controller }
    /// A static pod's mirror: the kubelet makes it, nobody else can.
    public var isMirror: Bool { metadata.annotations?["kubernetes.io/config.mirror"] != nil }
}

public struct Claim: KubernetesObject {
    /// Says the class of old claims and templates, and counts before `storageClassName`.
    static let classAnnotation = "volume.beta.kubernetes.io/storage-class"

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

public struct StatefulSet: KubernetesObject {
    public struct Spec: Sendable, Hashable, Codable {
        public var replicas: Int?
        public var volumeClaimTemplates: [Template]?
        public var template: PodTemplate?
        public var ordinals: Ordinals?
        public struct Template: Sendable, Hashable, Codable {
            public var metadata: Name
            /// Always there; recordings of older versions lack it.
            public var spec: Spec?
            public struct Name: Sendable, Hashable, Codable {
                public var name: String
                public var annotations: [String: String]?
            }
            public struct Spec: Sendable, Hashable, Codable {
                /// Empty: a volume that was made by hand is asked for. Missing: the default class is.
                public var storageClassName: String?
            }
        }
        /// From 1.26 on, the first replica may have another number than 0.
        public struct Ordinals: Sendable, Hashable, Codable {
            public var start: Int?
        }
    }
    public struct Status: Sendable, Hashable, Codable {
        public var readyReplicas: Int?
    }

    public var metadata: ObjectMeta
    public var spec: Spec
    public var status: Status?

    public var replicas: Int { spec.replicas ?? 1 }
    /// The numbers of its replicas.
    public var ordinals: Range<Int> {
        // Both are of 32 bits in the API.
        func bounded(_ number: Int) -> Int { min(max(0, number), Int(Int32.max)) }
        let start = bounded(spec.ordinals?.start ?? 0)
        return start..<start + bounded(replicas)
    }
    /// The names of its claim templates.
    public var templates: [String] { (spec.volumeClaimTemplates ?? []).map(\.metadata.name) }

    public func claimName(template: String, ordinal: Int) -> String { "\(template)-\(name)-\(ordinal)" }

    /// The ordinal of the replica that a claim belongs to: claims are named TEMPLATE-SET-ORDINAL (apps/v1 StatefulSet).
    public func ordinal(ofClaim claim: String) -> Int? { place(ofClaim: claim)?.ordinal }

    /// What a claim of this set is made from.
    public func template(ofClaim claim: String) -> Spec.Template? { place(ofClaim: claim)?.template }

    private func place(ofClaim claim: String) -> (template: Spec.Template, ordinal: Int)? {
        for template in spec.volumeClaimTemplates ?? [] {
            let prefix = "\(template.metadata.name)-\(name)-"
            guard claim.hasPrefix(prefix) else { continue }
            let rest = claim.dropFirst(prefix.count)
            if let ordinal = Int(rest), String(ordinal) == rest { return (template, ordinal) }
        }
        return nil
    }
}

public struct Deployment: KubernetesObject {
    public struct Spec: Sendable, Hashable, Codable {
        public var replicas: Int?
        public var template: PodTemplate
    }
    public struct Status: Sendable, Hashable, Codable {
        public var availableReplicas: Int?
    }

    public var metadata: ObjectMeta
    public var spec: Spec
    public var status: Status?

    public var replicas: Int { spec.replicas ?? 1 }
}

/// What a workload makes its pods from.
public struct PodTemplate: Sendable, Hashable, Codable {
    public var spec: PodSpec
}

public struct ReplicaSet: KubernetesObject {
    public var metadata: ObjectMeta
}

public struct Job: KubernetesObject {
    public struct Spec: Sendable, Hashable, Codable {
        public var template: PodTemplate
    }

    public var metadata: ObjectMeta
    public var spec: Spec
}

public struct CronJob: KubernetesObject {
    public struct Spec: Sendable, Hashable, Codable {
        public var jobTemplate: JobTemplate
        public struct JobTemplate: Sendable, Hashable, Codable {
            public var spec: Job.Spec
        }
    }

    public var metadata: ObjectMeta
    public var spec: Spec

    /// Names of the claims that its jobs' pods mount.
    var claimNames: [String] { spec.jobTemplate.spec.template.spec.claimNames }
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

    static let defaultAnnotation = "storageclass.kubernetes.io/is-default-class"
    static let formerDefaultAnnotation = "storageclass.beta.kubernetes.io/is-default-class"

    /// Claims that name no class get this one.
    public var isDefault: Bool {
        [Self.defaultAnnotation, Self.formerDefaultAnnotation].contains { metadata.annotations?[$0] == "true" }
    }

    /// Whether its volumes may be made on a node.
    /// - Returns: `nil` where that depends on a label that is not known.
    func allows(_ node: SelectableNode) -> Bool? {
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
    public var jobs: [Job] = []
    public var cronJobs: [CronJob] = []
    public var storageClasses: [StorageClass] = []

    public init() {}

    /// What to ask kubectl for.
    static let kinds =
        "nodes,pods,persistentvolumes,persistentvolumeclaims,statefulsets.apps,deployments.apps,replicasets.apps,jobs.batch,cronjobs.batch,storageclasses.storage.k8s.io"

    public func node(_ name: String) -> Node? { nodes.first { $0.name == name } }
    public func volume(_ name: String) -> Volume? { volumes.first { $0.name == name } }
    public func claim(_ namespace: String, _ name: String) -> Claim? {
        claims.first { $0.namespace == namespace && $0.name == name }
    }

    public func storageClass(_ name: String) -> StorageClass? { storageClasses.first { $0.name == name } }

    /// The workload behind a pod: a Deployment for a ReplicaSet's pod, a CronJob for a Job's, else the pod's own controller, which may
    /// be an operator's custom resource.
    public func owner(of pod: Pod) -> ObjectMeta.OwnerReference? {
        guard let controller = pod.controller else { return nil }
        let metadata: ObjectMeta? =
            switch controller.kind {
            case "ReplicaSet": replicaSets.first { $0.uid == controller.uid }?.metadata
            case "Job": jobs.first { $0.uid == controller.uid }?.metadata
            default: nil
            }
        return metadata?.controller ?? controller
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
            case "Job": jobs.append(try items.decode(Job.self))
            case "CronJob": cronJobs.append(try items.decode(CronJob.self))
            case "StorageClass": storageClasses.append(try items.decode(StorageClass.self))
            case let kind:
                throw DecodingError.dataCorruptedError(
                    in: items, debugDescription: "an object of kind \(kind), which was not asked for")
            }
        }
    }
}
