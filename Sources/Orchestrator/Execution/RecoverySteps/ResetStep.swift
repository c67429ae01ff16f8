import Cluster
import Inventories
import Planning
import SSH

/// Has k3s make a cluster of one member of a snapshot, be it of its own database: `k3s server --cluster-reset`, which ends once that is
/// done. Nothing but etcd runs in it, on loopback alone (pkg/etcd/etcd.go and pkg/cli/server/server.go of k3s 1.28). Without a snapshot
/// it gives etcd `--force-new-cluster`, and masters that join may get other data (k3s-io/k3s#11992).
struct ResetStep: Step {
    let plan: RecoveryPlan

    let id = RestoreStep.stepID
    var title: String {
        plan.snapshot == nil
            ? "Have k3s on \(plan.survivor.host) restore its own database, without the other members"
            : "Have k3s on \(plan.survivor.host) make its data of the snapshot"
    }
    var reason: String {
        plan.snapshot == nil
            ? "Its majority is gone for good. k3s moves the data aside, and makes a cluster of one member of the same database."
            : "Its own data are not usable. k3s moves them aside, and begins with a cluster of new ids."
    }
    /// Of the lab's stand-in; k3s itself waits some seconds more.
    let estimate = 8
    var effects: [Effect] {
        let host = plan.survivor.host
        return [
            .makes(
                "\(plan.kind.restoredSnapshot) on \(host), \(SurvivorMember.restoredBytes(plan) >> 10) KiB, until it is restored"
            ),
            .changes(
                "\(plan.kind.etcdDataDirectory) on \(host): k3s moves it to \(plan.kind.etcdDataDirectory)-old-TIME"),
        ] + SurvivorMember.forgotten(plan).map { .destroys($0) }
    }

    private var command: [String] {
        ["k3s", "server", "--cluster-reset", "--cluster-reset-restore-path=\(plan.kind.restoredSnapshot)"]
    }

    func commands(_ inventory: Inventory) -> [String] {
        let host = plan.survivor.host
        return [
            SurvivorMember.snapshotCommand(plan),
            "\(host): \(RemoteJob.label(command)) # detached; the token is read from its file there",
            PlannedCommands.told(host, plan.kind.removeRestoredSnapshot),
        ]
    }

    private func job(_ context: RunContext) throws -> RemoteJob {
        RemoteJob(try context.remote(plan.survivor.host), directory: Self.directory(context.run.id))
    }

    static func directory(_ run: String) -> String { "\(OcbootRuns.directory)/\(run)/cluster-reset" }

    private func state(_ context: RunContext) async throws -> RemoteJob.State {
        try await job(context).progress(after: .max - 1).state
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        let member = SurvivorMember(plan: plan, context: context)
        let state = try await state(context)
        guard state != .running else { return .needed("k3s is at work at it") }
        let etcd = try await member.look()
        if etcd.isPutAside {
            return state == .ended(0) && etcd.mark == .stopped
                ? .satisfied("k3s has done it, and is not started yet")
                : .needed("k3s is stopped, its members are as they were")
        }
        return try await member.checkAlone(id)
    }

    func run(_ context: RunContext) async throws {
        let member = SurvivorMember(plan: plan, context: context)
        let job = try job(context)
        let state = try await state(context)
        let etcd = try await member.look()
        if state == .ended(0), etcd.mark == nil {
            // It was done, and k3s was started since.
            _ = try await member.answering()
            return
        }
        let isRestored = state == .ended(0) && etcd.mark == .restoring
        if state != .running, !isRestored {
            // From the mark on the old data may not be in their place, and the snapshot of them is whole.
            let isMarked = etcd.mark == .restoring
            if !isMarked { try await member.assertNoMajorityAndStop() }
            if !isMarked || plan.snapshot != nil { try await member.bringSnapshot() }
            try await begin(job, member)
        }
        try await follow(job, context)
        try await member.act(plan.kind.removeRestoredSnapshot)
        try await member.act(Inventory.Distribution.mark(.stopped))
        for member in SurvivorMember.forgotten(plan) { context.destroyed(member) }
    }

    private func begin(_ job: RemoteJob, _ member: SurvivorMember) async throws {
        let context = member.context
        for member in SurvivorMember.forgotten(plan) { try context.record(Event(.destroying, step: id, text: member)) }
        try await context.assertMayAct()
        // From here on there may be no data in their place: k3s started as a service would begin an empty cluster.
        try await member.act(Inventory.Distribution.mark(.restoring))
        // An earlier try has come to its end.
        try await member.act(Command(["rm", "-rf", "--", job.directory], timeout: .seconds(20)))
        try await job.start(
            command, in: "/",
            environment: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
    }

    private func follow(_ job: RemoteJob, _ context: RunContext) async throws {
        var offset = 0
        var log = ""
        let status = try await context.wait(for: "k3s server --cluster-reset", every: .milliseconds(700)) {
            () -> RunContext.Poll<Int> in
            let progress = try await job.progress(after: offset)
            offset += progress.log.count
            log = String((log + String(decoding: progress.log, as: UTF8.self)).suffix(4096))
            switch progress.state {
            case .ended(let status): return progress.log.isEmpty ? .done(status) : .pending("it has ended")
            case .running: return .pending("it is at work")
            case .absent, .lost:
                throw failure("it was cut off without an exit status", job)
            }
        }
        guard status == 0 else {
            let last = log.split(separator: "\n").last { $0.contains("level=fatal") } ?? log.split(separator: "\n").last
            throw failure("it ended with status \(status): \(last ?? "it printed nothing")", job)
        }
    }

    private func failure(_ cause: String, _ job: RemoteJob) -> ClusterError {
        ClusterError(
            .commandFailed, host: plan.survivor.host, operation: "k3s server --cluster-reset", cause: cause,
            advice: "its log is \(job.directory)/log there; fix the cause, then: masterswap resume")
    }

    /// A reset that is at work comes to its end by itself; nothing of it is taken back. The snapshot holds every secret of the cluster.
    func undo(_ context: RunContext) async throws {
        let member = SurvivorMember(plan: plan, context: context)
        guard try await state(context) != .running else { return }
        // What is restored of its own database may lie nowhere else there.
        if plan.snapshot == nil, try await member.look().mark == .restoring,
            try await !context.remote(plan.survivor.host).run(Inventory.Distribution.unmarkUnchanged).succeeded
        {
            return
        }
        try await member.act(plan.kind.removeRestoredSnapshot)
    }
}
