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
    /// Who has to do something before the object is gone.
    public var finalizers: [String]?

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

public struct ConfigMap: KubernetesObject {
    public var metadata: ObjectMeta
    public var data: [String: String]?
}
