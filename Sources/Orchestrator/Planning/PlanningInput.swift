public import Cluster
public import Inventories

/// A request with its names resolved against what was seen: what the safety rules judge.
public struct PlanningInput: Sendable {
    public var state: ClusterState
    public var request: ReplacementRequest
    public var dead: Plan.DeadNode
    /// `nil` where the node is deleted already.
    public var deadNode: Node?
    public var replacement: Inventory.Host
    /// The dead one's own machine takes its place again, reinstalled.
    public var isSameMachine: Bool { replacement.name == dead.host || replacement.address == dead.knownAddress }
    /// Masters of the cluster that are neither dead nor new, without ``unsound``.
    public var survivors: [Plan.Master]
    /// Those that are not whole and that etcd's quorum can do without, through the removal and the join.
    public var unsound: [Plan.UnsoundMaster]
    /// What is wrong with masters that are neither dead nor new nor spared as ``unsound``.
    var faults: [MasterFault]
    /// What was concluded from little.
    public var remarks: [String]
    /// The survivor that ocboot will run on; `nil` where none can be told.
    public var primary: Plan.Master?
    public var promotes: Bool
    /// The old master is to be fenced before anything else: it answers over SSH, or there is a command that cuts its power.
    public var fences: Bool
    /// That command.
    public var fenceCommand: [String]?
    /// What an earlier join left on the replacement and in the cluster.
    public var failedJoin: FailedJoin.Finding
    public var lost: [LostVolume]
    /// What is lost of each workload that claims are to be rebuilt of, and what is left.
    package var losses: [WorkloadLoss] = []
    /// The cluster's programs; none where no claim is to be rebuilt.
    var services: [Service] = []
    /// etcd members at the dead node's address and with its name.
    public var deadMembers: [EtcdMember]
    /// Names of the nodes whose kubelets report, and of the survivors, which are refused where theirs do not. Of any other node the
    /// last word about its pods' containers stays as it was.
    let readyNodes: Set<String>
    /// Which host is which node.
    package let identity: Identity
    /// Which etcd member is whose.
    package var memberships: Memberships

    /// Resolves a request.
    /// - Throws: ``Refused`` where the cluster says nothing, or a name stands for nothing in it.
    public init(_ state: ClusterState, _ request: ReplacementRequest) throws {
        self.state = state
        self.request = request
        guard state.cluster.source != nil else { throw Refused(state.refusalsWithoutAnswer) }
        let identity = Identity(state)
        self.identity = identity
        let requested = try RequestedNode(state, identity, request.dead)
        let dead = requested.dead
        remarks = requested.remarks
        guard let replacement = state.inventory.host(request.replacement) else {
            throw Refused([
                Refusal(
                    "names-are-known", "'\(request.replacement)' is no host of the inventory",
                    advice:
                        "add it with 'role: spare'; known: \(state.inventory.hosts.map(\.name).joined(separator: ", "))"
                )
            ])
        }
        self.dead = dead
        self.replacement = replacement
        deadNode = dead.uid.flatMap { uid in state.objects.nodes.first { $0.uid == uid } }
        let newNodeName = state.facts(replacement)?.hostname.lowercased()
        // A node of the new host's name is left out as what an earlier part of the run joined; another master's never is.
        let others = state.objects.nodes.filter { node in
            let isTheNewOne =
                node.name == newNodeName && replacement.role == .spare
                && identity.hosts(of: node).allSatisfy { $0.name == replacement.name }
            return node.isControlPlane && node.uid != dead.uid && !isTheNewOne
        }
        memberships = Memberships(state, identity, dead: dead, nodes: others)
        let deadMembers = memberships.ofTheDead
        self.deadMembers = deadMembers
        let remaining = state.cluster.members.filter { member in !deadMembers.contains { $0.id == member.id } }
        let judged = MasterFault.judge(state, identity, others, memberships)
        (survivors, unsound, faults) = (judged.survivors, judged.unsound, judged.faults)
        readyNodes = Set(state.objects.nodes.filter(\.isReady).map(\.name)).union(judged.survivors.map(\.node))
        let isFenced = request.fences && replacement.name != dead.host
        fenceCommand = isFenced ? state.inventory.host(named: dead.host)?.fence : nil
        fences = isFenced && (fenceCommand != nil || state.hosts[dead.host]?.facts != nil)
        (primary, promotes) = Self.choosePrimary(state, survivors, fences: fences)
        lost = state.lostVolumes(of: dead)
        let caCertificateSHA256 = survivors.lazy.compactMap { state.hosts[$0.host]?.facts?.caCertificateSHA256 }.first
        // One of the same name that is elsewhere is another machine's.
        let places = state.addresses(of: replacement)
        let node = state.objects.nodes.first { node in
            guard node.uid != dead.uid else { return false }
            return node.internalAddresses.isEmpty
                ? node.name == newNodeName : node.internalAddresses.contains(where: places.contains)
        }
        let name = newNodeName ?? replacement.name
        let password = state.objects.node(name) == nil ? state.cluster.password(ofNode: name, in: state.inventory) : nil
        failedJoin =
            state.facts(replacement).map { facts in
                FailedJoin.look(
                    facts, at: state.addresses(of: replacement), cluster: state.inventory.cluster,
                    caCertificateSHA256: caCertificateSHA256, node: node, members: remaining, password: password)
            } ?? .nothing
        losses = WorkloadLoss.all(self)
        if !losses.isEmpty { services = Service.all(self) }
    }

    /// etcd's members without the dead one's.
    var remainingMembers: [EtcdMember] {
        state.cluster.members.filter { member in !deadMembers.contains { $0.id == member.id } }
    }

    /// Whether etcd has a majority of healthy members once the dead one's are off.
    var etcdHoldsWithoutTheDead: Bool {
        let voting = Quorum(state.cluster.members).voting
        return Quorum(voting: voting, healthy: Quorum(remainingMembers).healthy).isThere
    }

    /// What of `--accept-data-loss` stands for nothing that is lost: a mistyped name would be found out in the middle of the night.
    var idleAcceptances: [Refusal] {
        request.acceptedLosses.compactMap { name in
            let claims = lost.filter { $0.claim?.name == name }
            if claims.count > 1 {
                return Refusal(
                    "names-are-known",
                    "'\(name)' of --accept-data-loss stands for \(claims.compactMap { $0.claim?.reference }.listed)",
                    advice: "name one of them as NAMESPACE/CLAIM")
            }
            let isClaimed = lost.contains { lost in
                let reference = lost.volume.spec.claimRef
                return lost.volume.name == name || lost.claim?.reference == name
                    || "\(reference?.namespace ?? "")/\(reference?.name ?? "")" == name
            }
            guard claims.isEmpty, !isClaimed else { return nil }
            return Refusal(
                "names-are-known", "'\(name)' of --accept-data-loss is no claim or volume on \(dead.node)",
                advice: "see what hangs on it: masterswap inspect \(dead.host)")
        }
    }

    /// The name that the new node will have: its host's own.
    var newNodeName: String { state.facts(replacement)?.hostname.lowercased() ?? replacement.name }

    /// The new node as far as it is known beforehand: its name, and the labels of Kubernetes and the cloud that every surviving master
    /// has, for the same programs label it. What else the survivors have, somebody gave them by hand.
    var newNode: SelectableNode {
        let masters = survivors.compactMap { state.objects.node($0.node)?.metadata.labels }
        var labels =
            masters.first?.filter { key, value in
                let domain = key.split(separator: "/").first.map(String.init) ?? ""
                let isGiven = ["kubernetes.io", "k8s.io", "yunion.io", "k3s.io"].contains { domain.hasSuffix($0) }
                return isGiven && masters.allSatisfy { $0[key] == value }
            } ?? [:]
        labels[Node.hostnameKey] = newNodeName
        return SelectableNode(name: newNodeName, labels: labels, hasAllLabels: false)
    }

    /// A pod that is Ready, on a node of which that is known to be so, and not on the dead one.
    func isReadyElsewhere(_ pod: Pod) -> Bool {
        pod.isReady && pod.nodeName != dead.node && pod.nodeName.map(readyNodes.contains) == true
    }

    /// Whether the loss of a claim's data was agreed to: by `NAMESPACE/CLAIM`, or by a bare name that stands for one claim only.
    func accepts(_ claim: ObjectReference) -> Bool {
        if request.allAcceptedLosses.contains(claim.reference) { return true }
        return request.allAcceptedLosses.contains(claim.name) && lost.filter { $0.claim?.name == claim.name }.count == 1
    }

    /// Whether deleting a volume that is kept on purpose was agreed to: by the volume's name, or by its claim as `NAMESPACE/CLAIM`.
    func accepts(_ volume: Volume) -> Bool {
        if request.allAcceptedLosses.contains(volume.name) { return true }
        guard let claim = volume.spec.claimRef, let namespace = claim.namespace, let name = claim.name else {
            return false
        }
        // What an older claim left is not what the claim of that name stands for today.
        if let current = state.objects.claim(namespace, name), current.uid != claim.uid { return false }
        return request.allAcceptedLosses.contains("\(namespace)/\(name)")
    }

    /// The primary stays where it is; where the dead one was it, the survivor that holds the VIP takes over, as in the runbook.
    private static func choosePrimary(_ state: ClusterState, _ survivors: [Plan.Master], fences: Bool) -> (
        Plan.Master?, promotes: Bool
    ) {
        if let primary = state.primary, let master = survivors.first(where: { $0.host == primary.name }) {
            return (master, false)
        }
        let holders = state.vipHolders.map(\.name)
        if let holder = survivors.first(where: { holders.contains($0.host) }) { return (holder, true) }
        // The old master holds it until it is fenced: ocboot's rule, the oldest node, of those that can take it.
        func age(_ master: Plan.Master) -> String {
            state.objects.node(master.node)?.metadata.creationTimestamp ?? "~"
        }
        let able = survivors.filter { !state.keepalivedIsDown(on: $0.node) }
        return (fences ? (able.isEmpty ? survivors : able).min { age($0) < age($1) } : nil, true)
    }
}

extension ClusterState {
    /// Why there is nothing to plan on: who did not answer, and, where too few masters are up, that etcd has no quorum.
    public var refusalsWithoutAnswer: [Refusal] {
        let masters = inventory.hosts.filter { $0.role == .master }
        let reached = masters.filter { facts($0) != nil }.count
        let quorum = Quorum(voting: masters.count, healthy: reached)
        var refusals = [
            Refusal(
                "a-master-answers", "no master gave an answer: \(unreachableSummary)",
                advice: "see which masters are up: masterswap check", isUnreachable: true)
        ]
        if !quorum.isThere {
            refusals.append(
                Refusal(
                    QuorumSurvives.id,
                    "\(reached) of \(masters.count) masters answer, and etcd needs \(quorum.needed) of \(masters.count) members: "
                        + "without a quorum nothing can be read or changed, and no member can be removed",
                    advice: survivorOfAll.map {
                        "bring another master back; if all others are dead for good: masterswap recover \($0.name)"
                    } ?? withoutMajority(reached: masters.filter { facts($0) != nil }.map(\.name)),
                    isUnreachable: true))
        }
        return refusals
    }

    /// A master that answers has newer data than any snapshot.
    private func withoutMajority(reached: [String]) -> String {
        guard let first = reached.first else {
            return "bring another master back first; if the disks of all are lost, restore etcd from a snapshot"
        }
        let newer = "restore no snapshot while \(reached.listed) \(reached.count == 1 ? "has" : "have") newer data"
        let alive = inventory.masters.filter { facts($0) == nil && !lifeSigns(of: $0.name).isEmpty }.map(\.name)
        guard alive.isEmpty else { return "bring etcd back on \(alive.listed), which is on; \(newer)" }
        return
            "bring another master back first; \(newer): where all others are dead for good, see masterswap recover \(first) --show"
    }

    package var unreachableSummary: String {
        let failures = hosts.values.compactMap { $0.failure?.message } + cluster.problems
        return failures.isEmpty ? "none was asked" : failures.sorted().joined(separator: "; ")
    }
}
