import Cluster
import Inventories
import Planning
import SSH

/// Takes away what a join that failed half-way left, so that it can be tried again: the node that never became a master, the
/// member that never started, and what is on the new host's disk. The disk comes last: until then it is a sign of the rest.
struct CleanFailedJoinStep: Step {
    let plan: Plan
    /// What was agreed to.
    let agreed: FailedJoin

    let id = "clean-failed-join"
    var title: String { "Clean \(plan.replacement.host) after a join that failed half-way" }
    let reason =
        "A host that has been in a cluster is skipped or refused, and old etcd data makes a member that never joins."
    let estimate = 30
    var effects: [Effect] {
        var effects: [Effect] = []
        if let node = agreed.node {
            effects.append(.destroys("\(node), which never became a master"))
        } else if agreed.mayStillRegister {
            effects.append(.destroys("node \(plan.replacement.node), should its kubelet register it meanwhile"))
        }
        if let member = agreed.member {
            let who =
                plan.kind.removesMembersItself ? ", by \(plan.kind.rawValue), after five minutes without progress" : ""
            effects.append(
                .destroys(
                    "etcd member \(member.id), never started, at \(member.peerURLs.joined(separator: ", "))\(who)"))
        }
        if let password = agreed.password { effects.append(.destroys("\(password), of a node that is not there")) }
        if !agreed.traces.isEmpty {
            effects.append(
                .destroys(
                    "on \(plan.replacement.host), by \(plan.kind.resetName): \(agreed.traces.joined(separator: ", "))"))
        }
        return effects
    }

    func commands(_ inventory: Inventory) -> [String] {
        let distribution = inventory.cluster.distribution
        let removal = agreed.member.map { member in
            distribution.removesMembersItself
                ? plan.memberQuestions(distribution) : [plan.etcdctl(["member", "remove", member.id])]
        }
        return (agreed.traces.isEmpty ? [] : [plan.told(plan.replacement.host, distribution.stopJoin)])
            + (agreed.node.map { [plan.deletion($0)] } ?? []) + (removal ?? [])
            + (agreed.password.map { [plan.deletion($0)] } ?? [])
            + (agreed.traces.isEmpty
                ? [] : [plan.told(plan.replacement.host, distribution.reset(vip: plan.vip))])
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        guard let left = try await left(context) else { return .satisfied("nothing is left of an earlier join") }
        let what =
            left.traces
            + [
                left.node.map { "\($0)" }, left.member.map { "etcd member \($0.id)" }, left.password.map { "\($0)" },
            ].compactMap(\.self)
        return .needed("left: \(what.joined(separator: ", "))")
    }

    func run(_ context: RunContext) async throws {
        try await refuseIfAtWork(context)
        guard let left = try await left(context) else { return }
        let remote = try context.remote(plan.replacement.host)
        if !left.traces.isEmpty {
            // Waiting for kubeadm's end may have taken long.
            try await context.assertMayAct()
            // A kubelet that runs would register its node again.
            try await run(context.distribution.stopJoin, on: remote)
        }
        if let node = left.node {
            try await context.delete(node)
            try await DeadNode.awaitEnd(of: node.name, context) {
                try await context.kubectl().find(Node.self, ["node", node.name]).flatMap {
                    $0.uid == node.uid ? $0 : nil
                }
            }
        }
        if let member = left.member { try await remove(member, context) }
        if let password = left.password { try await context.delete(password) }
        guard !left.traces.isEmpty else { return }
        try await context.assertMayAct()
        try context.record(
            Event(.destroying, step: id, text: "on \(plan.replacement.host): \(left.traces.joined(separator: ", "))"))
        let reset = context.distribution.reset(vip: plan.vip)
        try await context.uninterrupted { try await run(reset, on: remote) }
        context.destroyed("on \(plan.replacement.host): \(left.traces.joined(separator: ", "))")
    }

    private func run(_ command: Command, on remote: any Remote) async throws {
        let result = try await remote.run(command)
        guard result.succeeded else {
            throw ClusterError(
                .commandFailed, host: plan.replacement.host, operation: command.display,
                cause: "\(result.outcome): \(result.errorText.lastLines(3))",
                advice: "run it there by hand, then: masterswap resume")
        }
    }

    /// What is left of an earlier join, now; it may be less than was agreed to, never more.
    private func left(_ context: RunContext) async throws -> FailedJoin? {
        let left: FailedJoin
        switch try await FailedJoin.look(
            plan, context.inventory, try context.kubectl(), context.remote, wasBare: agreed.wasBare == true)
        {
        case .nothing: return nil
        case .found(let found): left = found
        case .otherwise(let what): throw changed(what)
        }
        if let member = left.member, member.id != agreed.member?.id {
            throw changed("etcd member \(member.id) was added since")
        }
        if let node = left.node, agreed.node.map({ $0.uid != node.uid }) ?? !agreed.mayStillRegister {
            throw changed("\(node) registered since")
        }
        if let password = left.password, password != agreed.password { throw changed("\(password) was made since") }
        let more = left.traces.filter { !agreed.traces.contains($0) }
        if !more.isEmpty { throw changed("\(more.joined(separator: ", ")) came since") }
        return left
    }

    private func changed(_ cause: String) -> ClusterError {
        ClusterError(
            .changed, host: plan.replacement.host, operation: "clean up after a failed join", cause: cause,
            advice: "look at it; to confirm what is there now: masterswap resume")
    }

    /// Never under the hands of an ocboot or what joins for it, which is still at work.
    private func refuseIfAtWork(_ context: RunContext) async throws {
        if let job = try await OcbootRuns.atWork(on: try context.remote(plan.primary.host)) {
            throw ClusterError(
                .changed, host: plan.primary.host, operation: "clean up after a failed join",
                cause: "ocboot is at work there: \(job)", advice: "wait for its end, then: masterswap resume")
        }
        guard let joiner = context.distribution.joiner else { return }
        let remote = try context.remote(plan.replacement.host)
        try await context.wait(for: "\(joiner) to end", on: plan.replacement.host) {
            let found = try await remote.run(
                .script(
                    #"command -v pidof >/dev/null || exit 1; pidof "$1" || true"#, [joiner], timeout: .seconds(20),
                    label: "look for \(joiner)"))
            guard found.succeeded else { throw changed("whether \(joiner) runs there cannot be told: no pidof") }
            return found.text.isEmpty ? .done(()) : .pending("process \(found.text)")
        }
    }

    private func remove(_ member: Plan.PlannedMember, _ context: RunContext) async throws {
        let etcdctl = try context.etcdctl()
        func current() async throws -> EtcdMember? { try await etcdctl.members().first { $0.id == member.id } }
        try await context.assertMayAct()
        guard let now = try await current() else { return }
        guard !now.isStarted, now.peerURLs == member.peerURLs else {
            throw changed("etcd member \(member.id) has started")
        }
        let text = "etcd member \(member.id), which never started"
        try context.record(Event(.destroying, step: id, text: text))
        if context.distribution.removesMembersItself {
            try await context.awaitRemoval(of: member.id) { try await current() != nil }
            return context.destroyed(text)
        }
        do {
            try await etcdctl.remove(member.id)
        } catch {
            // The answer to a removal that was done may be lost on its way.
            if try await current() != nil { throw error }
        }
        context.destroyed(text)
    }
}

extension FailedJoin {
    /// Looks at the new host and the cluster as they are now.
    static func look(
        _ plan: Plan, _ inventory: Inventory, _ kubectl: Kubectl, _ remote: (String) throws -> any Remote,
        wasBare: Bool
    ) async throws -> Finding {
        guard var host = inventory.host(named: plan.replacement.host) else {
            throw ClusterError(
                .changed, host: plan.replacement.host, operation: "look for what a join left",
                cause: "the inventory does not name it any more",
                advice: "resume with the inventory that the run was begun with")
        }
        host.role = .spare
        let facts = try await HostProbe(inventory, for: host, looksAtPeers: false).run(on: try remote(host.name))
        let certificate = inventory.cluster.distribution.caCertificate
        let sum = try await remote(plan.primary.host).run(Command(["sha256sum", certificate], timeout: .seconds(20)))
        let members = try await Etcdctl(
            kubectl, node: plan.primary.node, distribution: inventory.cluster.distribution
        ).members()
        let node = try await ReplacementNode.find(plan, kubectl)
        var password: ObjectReference?
        // The dead one's own goes with its node.
        if let name = inventory.cluster.distribution.passwordSecret(ofNode: plan.replacement.node),
            try await kubectl.find(Node.self, ["node", plan.replacement.node]) == nil
        {
            let secret = ObjectReference(.secret, namespace: "kube-system", name: name, uid: "")
            password = try await kubectl.uid(of: secret).map {
                ObjectReference(.secret, namespace: "kube-system", name: name, uid: $0)
            }
        }
        return look(
            facts, at: plan.replacement.allAddresses, cluster: inventory.cluster,
            caCertificateSHA256: sum.text.split(separator: " ").first.map(String.init), node: node,
            members: members.filter { $0.id != plan.member?.id }, password: password, wasBare: wasBare)
    }
}

/// ocboot's runs on the primary, of whatever run of this tool.
enum OcbootRuns {
    static let directory = "/var/lib/masterswap"

    /// Whether a run has had ocboot started at all.
    static func exist(of run: String, on remote: any Remote) async throws -> Bool {
        try await remote.run(
            .script(
                #"ls -d "$1"/join-* >/dev/null 2>&1"#, [directory + "/" + run], timeout: .seconds(20),
                label: "look for ocboot's runs")
        ).succeeded
    }

    /// The folder of one that is at work; `nil` where none is.
    static func atWork(on remote: any Remote) async throws -> String? {
        let result = try await remote.run(
            .script(
                #"for job in "$1"/*/join-*; do [ -d "$job" ] && [ ! -f "$job/status" ] && echo "$job"; done; true"#,
                [directory], timeout: .seconds(20), label: "look for ocboot at work"))
        for job in result.text.split(separator: "\n").map(String.init) {
            if try await RemoteJob(remote, directory: job).progress(after: .max - 1).state == .running { return job }
        }
        return nil
    }
}
