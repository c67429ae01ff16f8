public import Foundation
public import Inventories

/// Everything that was seen of a cluster at one time: the value that checks, rules and the planner decide on.
public struct ClusterState: Sendable {
    public var inventory: Inventory
    /// By inventory name.
    public var hosts: [String: HostObservation]
    public var cluster: ClusterObservation
    /// MinIO's drives, by their volumes' names: of the inventory's MinIO sets, those on hosts that were reached.
    public var drives: [String: MinIODrive] = [:]
    /// By the inventory's name of a host, which registries and package sources it reaches; without those of which it is not known.
    public var sources: [String: [Source: Bool]] = [:]

    public init(inventory: Inventory, hosts: [String: HostObservation], cluster: ClusterObservation) {
        self.inventory = inventory
        self.hosts = hosts
        self.cluster = cluster
    }

    public enum HostObservation: Sendable {
        case reached(HostFacts)
        /// No answer, or one that cannot be trusted or read.
        case failed(HostFailure)

        public var facts: HostFacts? { if case .reached(let facts) = self { facts } else { nil } }
        public var failure: HostFailure? { if case .failed(let failure) = self { failure } else { nil } }
    }
}

/// What the API server and etcd said, by way of one master.
public struct ClusterObservation: Sendable {
    /// The inventory name of the master that was asked; `nil` where none answered.
    public var source: String?
    /// Why there is nothing here, or not all of it.
    public var problems: [String]
    public var objects: KubernetesObjects
    public var members: [EtcdMember]
    /// What the members say of themselves, and etcd's alarms.
    public var etcd: EtcdCondition
    public var clusterStatus: ClusterStatus?
    /// Why kubeadm's ClusterStatus is not known, where there may be one.
    public var clusterStatusProblem: String?
    public var apiAnswersOnVIP: Bool
    /// `.spec.version` of the OnecloudCluster, where there is one.
    public var onecloudVersion: String?
    /// Settings of the cloud and the cluster that ocboot's configuration has, too.
    public var cloud = CloudFacts()
    /// Why the release is not known, where there may be one.
    public var onecloudProblem: String?
    /// The source's kubectl; `nil` where it did not tell.
    public var kubectl: KubernetesVersion?
    /// The runs of this tool whose records the API server has.
    public var runs: [RunHead] = []
    /// k3s' secrets with which it knows its nodes again, by name; UIDs.
    public var nodePasswords: [String: String] = [:]
    /// The source's own clock right before the cluster was read; `nil` where it is not known.
    public var clock: Date?

    public init(
        source: String? = nil, problems: [String] = [], objects: KubernetesObjects = KubernetesObjects(),
        members: [EtcdMember] = [], etcd: EtcdCondition = EtcdCondition(), clusterStatus: ClusterStatus? = nil,
        apiAnswersOnVIP: Bool = false, onecloudVersion: String? = nil
    ) {
        self.source = source
        self.problems = problems
        self.objects = objects
        self.members = members
        self.etcd = etcd
        self.clusterStatus = clusterStatus
        self.apiAnswersOnVIP = apiAnswersOnVIP
        self.onecloudVersion = onecloudVersion
    }
}

extension ClusterObservation {
    /// The secret with the password of a node; `nil` where there is none.
    package func password(ofNode node: String, in inventory: Inventory) -> ObjectReference? {
        guard let name = inventory.cluster.distribution.passwordSecret(ofNode: node), let uid = nodePasswords[name]
        else {
            return nil
        }
        return ObjectReference(.secret, namespace: "kube-system", name: name, uid: uid)
    }
}

extension ClusterState {
    public var objects: KubernetesObjects { cluster.objects }

    public func facts(_ host: Inventory.Host) -> HostFacts? { hosts[host.name]?.facts }

    /// Runs of this tool that nobody has come to the end of, by every copy of their records that was seen.
    public var unfinishedRuns: [RunHead] {
        RunHead.merged(cluster.runs + hosts.values.flatMap { $0.facts?.runs ?? [] }).filter { $0.state == .unfinished }
    }

    /// Hosts whose interfaces carry the VIP right now.
    public var vipHolders: [Inventory.Host] {
        inventory.hosts.filter { facts($0)?.holds(inventory.cluster.vip) == true }
    }

    /// Masters that answer and have not been reinstalled: by the cluster's word, or by the inventory's where the cluster says nothing.
    public var liveMasters: [Inventory.Host] {
        inventory.hosts.filter { host in
            guard let facts = facts(host), !facts.isBare else { return false }
            return node(of: host).map(\.isControlPlane) ?? (objects.nodes.isEmpty && host.role == .master)
        }
    }

    /// The primary is the master whose keepalived is in state MASTER; of several, the one whose node is oldest, as ocboot names
    /// it. `nil` where no live master has it: then the dead one was it.
    public var primary: Inventory.Host? {
        liveMasters.filter { facts($0)?.manifest?.state == .master }
            .min { age($0) < age($1) }
    }

    /// Whether the kubelet says of a node's keepalived, a static pod, that it does not run; `false` where the pod is not known.
    package func keepalivedIsDown(on node: String) -> Bool {
        let pod = objects.pods.first { $0.namespace == "kube-system" && $0.name == "keepalived-\(node)" && $0.isMirror }
        return pod.map { !$0.isReady } ?? false
    }

    private func age(_ host: Inventory.Host) -> String { node(of: host)?.metadata.creationTimestamp ?? "~" }

    /// The workload rule that covers a claim: the claim's own, else that of the set or deployment that mounts it.
    public func rule(for claim: Claim) -> Inventory.Workload? {
        let candidates = inventory.workloads.filter { $0.namespace == claim.namespace }
        if let own = candidates.first(where: { $0.target == .claim(claim.name) }) { return own }
        return candidates.first { candidate in
            switch candidate.target {
            case .claim: false
            case .statefulSet(let name):
                statefulSet(claim.namespace, name)?.ordinal(ofClaim: claim.name) != nil
            case .deployment(let name):
                deployment(claim.namespace, name)?.spec.template.spec.claimNames.contains(claim.name) == true
            }
        }
    }

    public func statefulSet(_ namespace: String, _ name: String) -> StatefulSet? {
        objects.statefulSets.first { $0.namespace == namespace && $0.name == name }
    }

    public func deployment(_ namespace: String, _ name: String) -> Deployment? {
        objects.deployments.first { $0.namespace == namespace && $0.name == name }
    }

    /// Pods that mount a claim, and the pod that a generic ephemeral volume's claim was made for.
    public func pods(mounting claim: Claim) -> [Pod] {
        objects.pods.filter {
            $0.namespace == claim.namespace
                && ($0.spec.claimNames.contains(claim.name) || $0.uid == claim.metadata.controller?.uid)
        }
    }

    /// The workload that has a claim, as `kind/name`, whether the inventory names it or not: by its template, its pods or the
    /// claim's own owner. It may be a Job, a CronJob, an operator's custom resource or a pod without a controller. `nil` where
    /// nothing has it.
    public func owner(of claim: Claim) -> String? {
        func named(_ kind: String, _ object: some KubernetesObject) -> String { "\(kind)/\(object.name)" }
        let namespace = claim.namespace
        if let set = objects.statefulSets.first(where: {
            $0.namespace == namespace && $0.ordinal(ofClaim: claim.name) != nil
        }) {
            return named("statefulset", set)
        }
        if let deployment = objects.deployments.first(where: {
            $0.namespace == namespace && $0.spec.template.spec.claimNames.contains(claim.name)
        }) {
            return named("deployment", deployment)
        }
        if let cronJob = objects.cronJobs.first(where: {
            $0.namespace == namespace && $0.claimNames.contains(claim.name)
        }) {
            return named("cronjob", cronJob)
        }
        if let job = objects.jobs.first(where: {
            $0.namespace == namespace && $0.spec.template.spec.claimNames.contains(claim.name)
        }) {
            return named("job", job)
        }
        if let pod = pods(mounting: claim).first {
            return objects.owner(of: pod).map { "\($0.kind.lowercased())/\($0.name)" } ?? named("pod", pod)
        }
        return (claim.metadata.controller ?? claim.metadata.ownerReferences?.first).map {
            "\($0.kind.lowercased())/\($0.name)"
        }
    }

    /// The claim that a volume is bound to, if it is still that claim.
    public func claim(of volume: Volume) -> Claim? {
        guard let reference = volume.spec.claimRef, let namespace = reference.namespace, let name = reference.name,
            let claim = objects.claim(namespace, name), claim.uid == reference.uid
        else { return nil }
        return claim
    }
}
