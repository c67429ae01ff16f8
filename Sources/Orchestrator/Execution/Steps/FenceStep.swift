import Cluster
import Inventories
import Planning
import SSH

/// Takes the old master, which answers again, out of what it still thinks it is: its kubelet (or k3s) stopped and disabled, its static
/// pods' manifests moved away, its containers stopped, the VIP off its interfaces. A copy of the manifests is kept there.
struct FenceStep: Step {
    let plan: Plan

    let id = "fence"
    var title: String { "Fence the old master \(plan.dead.host)" }
    let reason = "It answers again, and thinks that it is MASTER and a member of etcd."
    let estimate = 20
    var effects: [Effect] {
        [
            .makes("a copy of its manifests, there, in /var/lib/masterswap, 0700"),
            .changes("\(plan.kind.fencedService): stopped and disabled"),
            .destroys(plan.kind.fencedContainers),
            .destroys("the VIP \(plan.vip) on its interfaces; node \(plan.dead.node) where it registered again"),
        ]
    }

    func commands(_ inventory: Inventory) -> [String] {
        [
            plan.told(plan.dead.host, Self.look(inventory.cluster.distribution, vip: plan.vip)),
            plan.told(plan.dead.host, act(Plan.runName, inventory.cluster.distribution)),
        ]
    }

    private static func kept(_ run: String) -> String { "\(OcbootRuns.directory)/\(run)/fenced" }

    private func act(_ run: String, _ distribution: Inventory.Distribution) -> Command {
        .script(
            distribution.fence, [distribution.manifestDirectory, Self.kept(run), plan.vip], timeout: .seconds(300),
            label: "\(distribution.fenceLabel), keep the manifests in \(Self.kept(run))")
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        let signs = try await signs(context)
        if let node = try await DeadNode.returned(plan, context.kubectl()) {
            return .needed("\(ObjectReference(.node, node)) registered again")
        }
        guard signs.isEmpty else { return .needed(signs.joined(separator: ", ")) }
        context.armWatch()
        return .satisfied("nothing of a master runs there, and it does not hold the VIP")
    }

    func run(_ context: RunContext) async throws {
        try await Self.refuseUnlessDead(plan, context)
        try context.record(
            Event(
                .destroying, step: id,
                text: "containers of \(plan.dead.host): manifests kept in its \(Self.kept(context.run.id))"))
        let (remote, act) = (try context.remote(plan.dead.host), act(context.run.id, context.distribution))
        let result = try await context.uninterrupted { try await remote.run(act) }
        guard result.succeeded else {
            throw ClusterError(
                .commandFailed, host: plan.dead.host, operation: "fence the old master",
                cause: "\(result.outcome): \(result.errorText.lastLines(3))",
                advice: "shut it down for good, then: masterswap resume")
        }
        context.destroyed("containers of \(plan.dead.host)")
        if let node = try await DeadNode.returned(plan, context.kubectl()) {
            try await context.delete(ObjectReference(.node, node))
            try await DeadNode.awaitEnd(of: node.name, context) { try await DeadNode.returned(plan, context.kubectl()) }
        }
        try await context.wait(for: "\(plan.dead.host) to be out", on: plan.dead.host, limit: .seconds(60)) {
            let signs = try await signs(context)
            return signs.isEmpty ? .done(()) : .pending(signs.joined(separator: ", "))
        }
        try await Self.awaitSilenceOfMember(plan, context)
    }

    static func awaitSilenceOfMember(_ plan: Plan, _ context: RunContext) async throws {
        try await context.wait(for: "its etcd member not to answer", limit: .seconds(60)) {
            let answers = try await context.etcdctl().members().contains { $0.id == plan.member?.id && $0.isHealthy }
            return answers ? .pending("it answers") : .done(())
        }
    }

    /// Whether a run of this tool took its manifests away: what answers then is what was left of it.
    static func wasFenced(_ remote: any Remote) async throws -> Bool {
        try await remote.run(
            .script(
                #"ls -d "$1"/*/fenced/done >/dev/null 2>&1"#, [OcbootRuns.directory], timeout: .seconds(20),
                label: "look whether it was fenced")
        ).succeeded
    }

    /// What on the old master still counts as one; empty where it is fenced.
    private func signs(_ context: RunContext) async throws -> [String] {
        let remote = try context.remote(plan.dead.host)
        let result = try await remote.run(FenceStep.look(context.distribution, vip: plan.vip))
        guard result.succeeded else {
            throw ClusterError(
                .badOutput, host: plan.dead.host, operation: "look what runs there",
                cause: "\(result.outcome): \(result.errorText.lastLines(2))",
                advice: "shut it down for good, then: masterswap resume")
        }
        return result.text.split(separator: "\n").map(String.init)
    }

    /// A line for each sign of a master that lives.
    static func look(_ distribution: Inventory.Distribution, vip: String) -> Command {
        // Without these every sign would be missing, and silence taken for death.
        let script = """
            command -v pidof >/dev/null && command -v ip >/dev/null || { echo 'no pidof or no ip(8) there' >&2; exit 1; }
            \(distribution.signsOfLife)
            for file in "$1"/*; do [ ! -e "$file" ] || echo "$file is there"; done
            ip -o -4 addr | while read -r _ device _ address _; do
                case $address in "$2"/*) echo "it holds $address on $device" ;; esac
            done
            true
            """
        return .script(
            script, [distribution.manifestDirectory, vip], timeout: .seconds(20), label: "look what runs there")
    }

    /// Only a master that the cluster has given up is fenced: its planned node NotReady or deleted, and a quorum without it.
    static func refuseUnlessDead(_ plan: Plan, _ context: RunContext) async throws {
        func refusal(_ cause: String) -> ClusterError {
            ClusterError(
                .changed, host: plan.dead.host, operation: "fence the old master", cause: cause,
                advice: "it is left as it is; look at the cluster: masterswap check")
        }
        let node = try await context.kubectl().find(Node.self, ["node", plan.dead.node])
        if let node, node.uid == plan.dead.uid, node.isReady { throw refusal("node \(node.name) is Ready") }
        let all = try await context.etcdctl().members()
        if let other = all.first(where: {
            plan.dead.isAt($0) && $0.isStarted && $0.id != plan.member?.id
        }) {
            throw refusal(
                "etcd member \(other.id) at \(plan.dead.address) is not the dead one's: it joined again since")
        }
        let quorum = Quorum(all.filter { !plan.dead.isAt($0) && $0.id != plan.member?.id })
        guard quorum.isThere else { throw refusal("without it etcd has \(quorum)") }
        try await context.assertMayAct()
    }
}
