import Cluster
import Inventories
import Planning

/// Looks at all of it once more, and says what the dead masters have left for their replacements.
struct VerifyRecoveryStep: Step {
    let plan: RecoveryPlan

    let id = "verify"
    let title = "Verify the cluster of one master"
    let reason = "What an earlier step saw may have changed since."
    let effects: [Effect] = []
    let estimate = 6

    func commands(_ inventory: Inventory) -> [String] {
        let host = plan.survivor.host
        return ["\(host): \(Kubectl.label(["get", KubernetesObjects.kinds, "-A", "-o", "json"]))"]
            + SurvivorMember.looks(plan) + VIP.commands(plan.vip, on: host, [host], inventory)
    }

    func check(_ context: RunContext) async throws -> StepStatus { .needed("everything is looked at once more") }

    func run(_ context: RunContext) async throws {
        try await context.wait(for: "the cluster of one master to be whole") {
            let problems = try await problems(context)
            return problems.isEmpty ? .done(()) : .pending(problems.joined(separator: "; "))
        }
        for line in try await leftovers(context) { context.note(line) }
    }

    func verify(_ context: RunContext) async throws -> StepStatus {
        .satisfied("\(plan.survivor.node) is Ready, the only etcd member, and holds the VIP; the API answers there")
    }

    private func problems(_ context: RunContext) async throws -> [String] {
        let member = SurvivorMember(plan: plan, context: context)
        let etcd = try await member.look()
        var problems = [member.whyNotAlone(etcd)].compactMap(\.self)
        if etcd.isLeftover { problems.append("etcd is not as it was before the recovery") }
        problems += try await member.etcdctl.alarms().map { "etcd has raised an alarm, \($0.kind)" }
        let node = try await context.kubectl().find(Node.self, ["node", plan.survivor.node])
        if node?.isReady != true { problems.append("\(plan.survivor.node) is not Ready") }
        switch try await VIP.look([plan.survivor.host], context) {
        case .held: break
        case .unsettled(let why): problems.append(why)
        }
        return problems
    }

    /// What `replace` deletes of each dead master, with the plan of its own.
    private func leftovers(_ context: RunContext) async throws -> [String] {
        let objects = try await context.kubectl().objects()
        return plan.dead.map { dead in
            guard let node = objects.node(dead.node) else { return "of \(dead.node) no node is left" }
            let pods = objects.pods.count { $0.nodeName == node.name }
            let volumes = objects.volumes.filter { $0.isOnly(on: node, among: objects.nodes) }
            let claims = volumes.compactMap { $0.spec.claimRef }.map { "\($0.namespace ?? "")/\($0.name ?? "")" }
            return
                "left of \(node.name), for its replacement: the node, \(pods) pods, \(volumes.count) volumes"
                + (claims.isEmpty ? "" : " of the claims \(claims.sorted().joined(separator: ", "))")
        }
    }
}
