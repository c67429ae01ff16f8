public struct Node: KubernetesObject {
    public struct Spec: Sendable, Hashable, Codable {
        public var unschedulable: Bool?
        /// Read where nodes are asked for alone.
        public var taints: [Taint]?
    }
    public struct Taint: Sendable, Hashable, Codable, CustomStringConvertible {
        public var key: String
        public var value: String?
        public var effect: String

        /// As kubectl takes it.
        public var description: String { "\(key)\(value.map { "=\($0)" } ?? ""):\(effect)" }
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
    /// The kubelet's; `nil` where it is not told.
    package var kubernetes: KubernetesVersion? { kubeletVersion.flatMap { KubernetesVersion($0) } }

    /// The label is `master` up to 1.19, both from 1.20, `control-plane` alone from 1.24 (KEP-2067).
    public var isControlPlane: Bool {
        let labels = metadata.labels ?? [:]
        return labels["node-role.kubernetes.io/master"] != nil || labels["node-role.kubernetes.io/control-plane"] != nil
    }

    /// A node that a run of this tool cordoned carries this annotation, with the run's name.
    package static let cordonAnnotation = "masterswap.cloudpods.org/cordoned-by"

    package static let hostnameKey = "kubernetes.io/hostname"

    /// What volumes' node affinity names, as a rule.
    public var hostnameLabel: String { metadata.labels?[Self.hostnameKey] ?? name }
}
