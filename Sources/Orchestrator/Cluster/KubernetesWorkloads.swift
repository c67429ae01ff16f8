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
    package var claimNames: [String] { spec.jobTemplate.spec.template.spec.claimNames }
}
