import Cluster
import Inventories
import Planning

/// Looks at all of it once more, as a whole: what earlier steps saw may have changed since.
struct VerifyStep: Step {
    let plan: Plan

    let id = "verify"
    let title = "Verify the whole cluster"
    let reason = "What an earlier step saw may have changed since."
    let effects: [Effect] = []
    /// The kubelet takes that long to call its static pods Ready.
    let estimate = 12

    func commands(_ inventory: Inventory) -> [String] {
        [
            plan.kubectl(["get", KubernetesObjects.kinds, "-A"])
        ] + plan.memberQuestions(inventory.cluster.distribution)
            + [plan.told(plan.replacement.host, MasterTraits.command(inventory.cluster.distribution))]
            + VIP.commands(
                plan.vip, on: plan.primary.host, plan.survivors.map(\.host) + [plan.replacement.host], inventory)
    }

    /// Always looked at in `run`, which gives what is still on its way the time to settle.
    func check(_ context: RunContext) async throws -> StepStatus { .needed("everything is looked at once more") }

    func run(_ context: RunContext) async throws {
        do {
            try await context.wait(for: "the cluster to be whole") {
                let problems = try await problems(context)
                return problems.isEmpty ? .done(()) : .pending(problems.joined(separator: "; "))
            }
        } catch var error as ClusterError where error.code == .waitTimedOut {
            // The failure itself is what has to be told, also where this question is not answered.
            guard plan.reasonToPassOver(PodsReadyStep.id) == nil,
                let missing = try? await PodsReadyStep(plan: plan).missing(context.kubectl().objects(), context),
                !missing.isEmpty
            else { throw error }
            error.advice +=
                "; where a pod cannot become Ready: masterswap resume --skip \(PodsReadyStep.id) --because WHY"
            throw error
        }
    }

    func verify(_ context: RunContext) async throws -> StepStatus {
        let masters =
            "\(plan.survivors.count + 1) masters Ready and as many healthy etcd members, one VIP holder"
        let passed = (plan.passedOver ?? []).map(\.step)
        return .satisfied(
            passed.isEmpty
                ? "\(masters), every claim and pod of the rebuilt workloads in place"
                : "\(masters); not looked at where it was passed over: \(passed.joined(separator: ", "))")
    }

    private func problems(_ context: RunContext) async throws -> [String] {
        let objects = try await context.kubectl().objects()
        var problems = nodes(objects)
        if let node = try await ReplacementNode.find(plan, try context.kubectl()) {
            let newMaster = NewMaster(plan: plan)
            problems += try await newMaster.lacks(node, context).map { "\(node.name) lacks \($0): \($0.remedy)" }
            problems += newMaster.staticPods(objects)
        }
        problems += try await members(context)
        problems += try await vip(context)
        problems += rebuilds(objects)
        if plan.reasonToPassOver(PodsReadyStep.id) == nil {
            problems += try await PodsReadyStep(plan: plan).missing(objects, context)
        }
        let planned = Set(plan.reasonToPassOver(DeleteVolumesStep.id) == nil ? plan.volumesToDelete.map(\.uid) : [])
        problems += objects.volumes.filter { planned.contains($0.uid) }.map { "volume \($0.name) is still there" }
        problems += objects.nodes.filter { $0.metadata.annotations?[Node.cordonAnnotation] != nil }.map {
            "\($0.name) is still cordoned by this tool"
        }
        return problems
    }

    private func nodes(_ objects: KubernetesObjects) -> [String] {
        var problems = (plan.survivors.map(\.node) + [plan.replacement.node]).compactMap { name -> String? in
            guard let node = objects.node(name) else { return "\(name) is no node" }
            guard node.isControlPlane else {
                return "\(name) is not labelled as a master: kubectl label node \(name) node-role.kubernetes.io/master="
            }
            return node.isReady ? nil : "\(name) is not Ready"
        }
        if let dead = objects.node(plan.dead.node), dead.uid == plan.dead.uid || !plan.reusesName {
            problems.append("\(plan.dead.node) is \(dead.uid == plan.dead.uid ? "still a node" : "a node again")")
        }
        problems += NewMaster(plan: plan).unreadyOfSurvivors(objects)
        let keepalived = "keepalived-\(plan.primary.node)"
        if plan.promotes, !objects.pods.contains(where: { $0.isMirror && $0.name == keepalived }) {
            problems.append("the kubelet of \(plan.primary.node) has not told of its keepalived yet")
        }
        return problems
    }

    private func members(_ context: RunContext) async throws -> [String] {
        let members = try await context.etcdctl().members()
            .filter { !plan.unsoundMemberIDs.contains($0.id) }
        let masters: [any Plan.Addressed] = plan.survivors + [plan.replacement]
        let isOneEach =
            members.count == masters.count
            && masters.allSatisfy { master in members.filter(master.isAt).count == 1 }
        var problems =
            isOneEach
            ? [] : ["etcd's members are at \(members.flatMap(\.addresses).sorted().joined(separator: ", "))"]
        problems += members.filter { !$0.isHealthy || !$0.isStarted || $0.isLearner }.map {
            "etcd member \($0.id) is not healthy"
        }
        problems += try await context.etcdctl().alarms().map {
            "etcd has raised an alarm, \($0.kind), of member \($0.memberID)"
        }
        return problems
    }

    private func vip(_ context: RunContext) async throws -> [String] {
        switch try await VIP.look(plan.survivors.map(\.host) + [plan.replacement.host], context) {
        case .held(let holder) where holder == plan.primary.host: []
        case .held(let holder): ["\(holder) holds the VIP, not \(plan.primary.host)"]
        case .unsettled(let why): [why]
        }
    }

    private func rebuilds(_ objects: KubernetesObjects) -> [String] {
        guard let node = objects.node(plan.replacement.node) else { return [] }
        return plan.rebuilds.filter { plan.reasonToPassOver($0.id) == nil }.flatMap { rebuild in
            rebuild.claims.filter { lost in
                guard let claim = objects.claim(rebuild.namespace, lost.claim.name), claim.uid != lost.claim.uid,
                    claim.isBound, let volume = claim.spec.volumeName.flatMap({ objects.volume($0) })
                else { return true }
                return !volume.isOnly(on: node, among: objects.nodes)
            }.map { "the claim \($0.claim.reference) is not Bound on \(node.name)" }
        }
    }
}
