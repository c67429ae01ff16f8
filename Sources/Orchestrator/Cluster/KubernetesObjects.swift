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
    package static let kinds =
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
