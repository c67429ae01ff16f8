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
        /// Read where a pod is asked for alone, as the following.
        public var initContainerStatuses: [ContainerStatus]?
        public var conditions: [Condition]?
    }
    public struct Condition: Sendable, Hashable, Codable {
        public var type: String
        public var status: String
        public var reason: String?
        public var message: String?
    }
    public struct ContainerStatus: Sendable, Hashable, Codable {
        public var name: String
        public var ready: Bool
        public var containerID: String?
        public var state: State?
        public struct State: Sendable, Hashable, Codable {
            public var running: Running?
            public var waiting: Waiting?
            public struct Running: Sendable, Hashable, Codable {
                public var startedAt: String?
            }
            public struct Waiting: Sendable, Hashable, Codable {
                public var reason: String?
                public var message: String?
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
    /// Why it does not run, in the scheduler's or the kubelet's words: `the scheduler: 0/4 nodes are available: …`, `container minio:
    /// CrashLoopBackOff: back-off 5m0s …`; `nil` where neither says anything.
    public var hindrance: String? {
        func told(_ who: String, _ reason: String?, _ message: String?) -> String? {
            let words = [reason, message].compactMap(\.self).filter { !$0.isEmpty }
            return words.isEmpty ? nil : "\(who): \(words.joined(separator: ": "))"
        }
        if let scheduled = status?.conditions?.first(where: { $0.type == "PodScheduled" }), scheduled.status == "False"
        {
            return told("the scheduler", nil, scheduled.message ?? scheduled.reason)
        }
        for container in (status?.initContainerStatuses ?? []) + (status?.containerStatuses ?? []) {
            // These come before every start.
            guard let waiting = container.state?.waiting,
                !["ContainerCreating", "PodInitializing"].contains(waiting.reason)
            else { continue }
            return told("container \(container.name)", waiting.reason, waiting.message)
        }
        return nil
    }
    public var isFinished: Bool { status?.phase == "Succeeded" || status?.phase == "Failed" }
    public var controller: ObjectMeta.OwnerReference? { metadata.controller }
    /// A static pod's mirror: the kubelet makes it, nobody else can.
    public var isMirror: Bool { metadata.annotations?["kubernetes.io/config.mirror"] != nil }
}
