import Cluster

/// A program of the cluster that a rebuild depends on, such as a provisioner or an operator, and whether it will be there when the
/// dead node is gone.
package struct Service: Sendable, Hashable {
    package enum State: Sendable, Hashable {
        /// A pod of it is Ready on another node.
        case runs
        /// It was on the dead node, and its controller starts it on another.
        case moves
        /// The text says why.
        case isDown(String, advice: String)
    }

    /// `deployment NAMESPACE/NAME`.
    var name: String
    /// What it may be known by: its name and its containers' names and images.
    var words: [String]
    var state: State
    /// What it is told to call itself (PROVISIONER_NAME); `nil` where it goes by its own default.
    var provisionerName: String?
    /// A pod that no controller recreates.
    var isSinglePod = false

    var isAvailable: Bool { if case .isDown = state { false } else { true } }

    /// Every program of the cluster, whatever its controller is.
    static func all(_ input: PlanningInput) -> [Service] {
        let objects = input.state.objects
        // A large cluster has ten thousand pods, and as many ReplicaSets.
        var parents: [String: String] = [:]
        for set in objects.replicaSets { parents[set.uid] = set.metadata.controller?.uid }
        var pods: [String: [Pod]] = [:]
        var bare: [Pod] = []
        for pod in objects.pods {
            guard let controller = pod.controller else {
                bare.append(pod)
                continue
            }
            pods[parents[controller.uid] ?? controller.uid, default: []].append(pod)
        }
        let deployments = objects.deployments.map { deployment in
            Service(
                "deployment", deployment, template: deployment.spec.template.spec, replicas: deployment.replicas,
                available: deployment.status?.availableReplicas ?? 0, pods: pods[deployment.uid] ?? [], input)
        }
        let sets = objects.statefulSets.map { set in
            Service(
                "statefulset", set, template: set.spec.template?.spec, replicas: set.replicas,
                available: set.status?.readyReplicas ?? 0, pods: pods[set.uid] ?? [], input)
        }
        // A DaemonSet is known by its pods; it has one on each node already, and moves none.
        let daemons = pods.values.compactMap { pods -> Service? in
            guard let owner = pods.first?.controller, owner.kind == "DaemonSet" else { return nil }
            return Service(
                staying: "daemonset \(pods[0].namespace)/\(owner.name)", ownName: owner.name, pods: pods, input)
        }
        let single = bare.filter { !$0.isMirror && !$0.isFinished }.map { pod in
            var service = Service(staying: "pod \(pod.reference)", ownName: pod.name, pods: [pod], input)
            service.isSinglePod = true
            return service
        }
        return (deployments + sets + daemons + single).sorted { $0.name < $1.name }
    }

    private static func isReady(_ pod: Pod, _ input: PlanningInput) -> Bool {
        input.isReadyElsewhere(pod) && pod.metadata.deletionTimestamp == nil
    }

    private static func words(_ name: String, _ containers: [PodSpec.Container]?) -> [String] {
        [name] + (containers ?? []).flatMap { [$0.name] + ($0.image.map { [$0] } ?? []) }
    }

    private init(
        _ kind: String, _ object: some KubernetesObject, template: PodSpec?, replicas: Int, available: Int, pods: [Pod],
        _ input: PlanningInput
    ) {
        name = "\(kind) \(object.reference)"
        provisionerName =
            (template?.containers ?? []).flatMap { $0.env ?? [] }.first { $0.name == "PROVISIONER_NAME" }?.value
        words = Self.words(object.name, template?.containers)
        let dead = input.dead.node
        let scale = "kubectl -n \(object.namespace) scale \(kind) \(object.name) --replicas=1"
        let look = "see why: kubectl -n \(object.namespace) describe \(kind) \(object.name)"
        guard object.metadata.deletionTimestamp == nil else {
            state = .isDown("is being deleted", advice: look)
            return
        }
        guard replicas > 0 else {
            state = .isDown("is scaled to 0", advice: "scale it up: \(scale)")
            return
        }
        // A pod that is on no node yet waits for the one that this replacement brings, or was evicted from the dead one.
        let wasThere = pods.contains { $0.nodeName == dead }
        if pods.contains(where: { Self.isReady($0, input) }) || (pods.isEmpty && available > 0) {
            state = .runs
        } else if wasThere, let why = Self.whyItStays(template, input) {
            state = .isDown("ran only on \(dead), and \(why)", advice: "have it run elsewhere: \(look)")
        } else if wasThere {
            state = .moves
        } else {
            state = .isDown("has no Ready pod", advice: look)
        }
    }

    /// Of pods that no controller starts on another node.
    private init(staying name: String, ownName: String, pods: [Pod], _ input: PlanningInput) {
        self.name = name
        words = Self.words(ownName, pods.first?.spec.containers)
        let look = "see its pods: kubectl -n \(pods[0].namespace) get pods -o wide"
        if pods.contains(where: { Self.isReady($0, input) }) {
            state = .runs
        } else if pods.allSatisfy({ $0.nodeName == input.dead.node }) {
            state = .isDown("ran only on \(input.dead.node), and nothing starts it elsewhere", advice: look)
        } else {
            state = .isDown("has no Ready pod on another node than \(input.dead.node)", advice: look)
        }
    }

    /// Why no other node can run the pod; `nil` where one can.
    private static func whyItStays(_ template: PodSpec?, _ input: PlanningInput) -> String? {
        if let template, !input.schedulable.contains(where: { template.fits($0) == true }) {
            return "no other node that takes pods satisfies its node selector and affinity"
        }
        let lost = Set(input.lost.compactMap { $0.claim?.name })
        if let claim = template?.claimNames.first(where: lost.contains) {
            return "it mounts the claim \(claim), which is lost with that node"
        }
        return nil
    }
}

extension PlanningInput {
    /// Nodes that take pods once the dead one is gone: those that are Ready and not cordoned, and the new one, which is known to have
    /// the labels that every surviving master has.
    fileprivate var schedulable: [SelectableNode] {
        let others = state.objects.nodes.filter { $0.name != dead.node && $0.isReady && !$0.isCordoned }
        var new = newNode
        new.hasAllLabels = true
        return others.map(\.selectable) + [new]
    }
}
