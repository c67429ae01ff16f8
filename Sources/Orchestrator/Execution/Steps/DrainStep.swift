import Cluster
import Inventories
import Planning

/// Evicts what runs on the dead node, with a limit: its kubelet confirms nothing any more, so that a drain never ends by itself.
struct DrainStep: Step {
    let plan: Plan

    let id = "drain"
    var title: String { "Drain \(plan.dead.node), at most \(plan.drainTimeout) s" }
    let reason =
        "Has every controller make its pods again elsewhere; with a limit, because a dead kubelet confirms nothing."
    var estimate: Int { min(9, plan.drainTimeout) }
    var leftUndone: String? { "its pods end with the node, without an eviction" }
    var effects: [Effect] {
        [.changes("node \(plan.dead.node): cordoned, its pods evicted")]
            + plan.lostPods.map { .destroys("\($0), which nothing makes again") }
    }

    private static let helpArguments = ["drain", "--help"]

    func commands(_ inventory: Inventory) -> [String] {
        // As of these versions of kubectl; the run asks kubectl itself.
        let since = [
            "--delete-emptydir-data": KubernetesVersion(1, 20),
            "--skip-wait-for-delete-timeout": KubernetesVersion(1, 18),
        ]
        let flags = arguments { flag in
            guard let version = plan.kubectlVersion, let first = since[flag] else { return true }
            return version >= first
        }
        return [plan.kubectl(Self.helpArguments) + " # its flags are used as it knows them", plan.kubectl(flags)]
    }

    private func arguments(isKnown: (String) -> Bool) -> [String] {
        var arguments = ["drain", plan.dead.node, "--ignore-daemonsets", "--timeout=\(plan.drainTimeout)s"]
        // --delete-local-data became --delete-emptydir-data in 1.20.
        arguments.append(isKnown("--delete-emptydir-data") ? "--delete-emptydir-data" : "--delete-local-data")
        // Nobody will confirm the end of a pod on a dead node: its eviction is enough.
        if isKnown("--skip-wait-for-delete-timeout") { arguments.append("--skip-wait-for-delete-timeout=1") }
        if !plan.lostPods.isEmpty { arguments.append("--force") }
        return arguments
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        let kubectl = try context.kubectl()
        guard let node = try await DeadNode.find(plan, kubectl) else { return .satisfied("the node is gone") }
        let pods = try await DeadNode.evictable(plan, kubectl)
        if node.isCordoned, pods.isEmpty { return .satisfied("cordoned, every pod evicted") }
        return .needed("\(pods.count) pods to evict")
    }

    func run(_ context: RunContext) async throws {
        let kubectl = try context.kubectl()
        try await DeadNode.refuseIfAlive(plan, context)
        let help = String(decoding: try await kubectl.run(Self.helpArguments), as: UTF8.self)
        let arguments = arguments(isKnown: help.contains)
        do {
            try await kubectl.run(arguments, timeout: .seconds(plan.drainTimeout + 30))
        } catch let error as ClusterError where error.code == .commandFailed && !Transient.isTransient(error) {
            context.note("the drain ended at its limit, as it does on a dead node: \(error.cause.prefix(200))")
        }
    }

    /// A pod that a disruption budget keeps is no reason to stop: its node is dead, and is deleted next.
    func verify(_ context: RunContext) async throws -> StepStatus {
        let left = try await DeadNode.evictable(plan, try context.kubectl())
        if left.isEmpty { return .satisfied("every pod is evicted") }
        context.warn("still there, and gone with the node: \(left.map(\.reference).joined(separator: ", "))")
        return .satisfied("evicted but for \(left.count)")
    }
}

/// What the steps that take the dead node apart ask about it.
enum DeadNode {
    /// The node, if it is there.
    /// - Throws: ``ClusterError`` with `changed` where its name stands for a node by now that is not the replacement either.
    static func find(_ plan: Plan, _ kubectl: Kubectl) async throws -> Node? {
        guard let node = try await kubectl.find(Node.self, ["node", plan.dead.node]) else { return nil }
        guard node.uid == plan.dead.uid else {
            if plan.isReplacement(node) { return nil }
            if isAnew(node, plan) {
                throw ClusterError(
                    .changed, host: plan.dead.host, operation: "look at node \(plan.dead.node)",
                    cause: "it has registered again, with the uid \(node.uid): the old master was back",
                    advice: "shut it down for good, then: masterswap resume")
            }
            throw ClusterError(
                .changed, host: plan.primary.host, operation: "look at node \(plan.dead.node)",
                cause: "it has the uid \(node.uid), planned was \(plan.dead.uid ?? "none")",
                advice: "somebody joined a node of that name; make a new plan: masterswap plan")
        }
        return node
    }

    /// The old master's node where its kubelet registered it again after the planned one was deleted.
    static func returned(_ plan: Plan, _ kubectl: Kubectl) async throws -> Node? {
        guard let node = try await kubectl.find(Node.self, ["node", plan.dead.node]), isAnew(node, plan) else {
            return nil
        }
        return node
    }

    /// Waits for the end of a node that was told to go. k3s' finalizers keep it until its etcd member and its password are removed. They
    /// are waited for, and never taken off: what they stand for would stay.
    static func awaitEnd(
        of name: String, _ context: RunContext, _ find: () async throws -> Node?
    ) async throws {
        do {
            try await context.wait(for: "node \(name) to be gone") {
                guard let node = try await find() else { return .done(()) }
                let finalizers = node.metadata.finalizers ?? []
                return .pending(
                    finalizers.isEmpty ? "it is there" : "its finalizers stay: \(finalizers.joined(separator: ", "))")
            }
        } catch var error as ClusterError where error.code == .waitTimedOut {
            let unit = context.distribution.kubeletUnit
            error.advice =
                "see in the log of \(unit) on the masters why: journalctl -u \(unit); leave the finalizers where they are, and go on with: masterswap resume"
            throw error
        }
    }

    private static func isAnew(_ node: Node, _ plan: Plan) -> Bool {
        !plan.reusesName && node.uid != plan.dead.uid && node.internalAddresses.contains(where: plan.dead.isAt)
    }

    /// Right before the act: the dead one is still dead.
    static func refuseIfAlive(_ plan: Plan, _ context: RunContext) async throws {
        guard let node = try await find(plan, try context.kubectl()), node.isReady else { return }
        throw ClusterError(
            .changed, host: plan.dead.host, operation: "look at node \(plan.dead.node)", cause: "it is Ready again",
            advice: "shut it down for good, then go on with: masterswap resume")
    }

    /// All pods on it. Where the replacement has taken over its name, those of that name are the replacement's.
    static func pods(_ plan: Plan, _ kubectl: Kubectl) async throws -> [Pod] {
        if try await ReplacementNode.hasItsName(plan, kubectl) { return [] }
        return try await kubectl.list(Pod.self, ["pods", "-A", "--field-selector", "spec.nodeName=\(plan.dead.node)"])
    }

    /// Those that a drain evicts and that are not on their way out yet.
    static func evictable(_ plan: Plan, _ kubectl: Kubectl) async throws -> [Pod] {
        try await pods(plan, kubectl).filter {
            !$0.isMirror && $0.controller?.kind != "DaemonSet" && $0.metadata.deletionTimestamp == nil && !$0.isFinished
        }
    }
}
