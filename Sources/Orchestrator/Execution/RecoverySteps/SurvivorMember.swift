import Cluster
import Foundation
import Inventories
import Planning
import SSH

/// The survivor's own etcd, as the steps of a recovery look at it and run it.
struct SurvivorMember {
    let plan: RecoveryPlan
    let context: RunContext

    static let next = "go on with: masterswap resume"

    private var remote: any Remote { get throws { try context.remote(plan.survivor.host) } }
    /// etcdctl beside it, or what stands for it.
    var etcdctl: Etcdctl {
        get throws { kind.hasEtcdctl ? Etcdctl(inContainerOn: try remote) : try context.etcdctl() }
    }

    var kind: Inventory.Distribution { plan.kind }

    func look() async throws -> SurvivorEtcd { try await SurvivorProbe.look(on: try remote, kind) }

    /// Why it is not the only member; `nil` where it is, and leads itself.
    func whyNotAlone(_ etcd: SurvivorEtcd) -> String? {
        guard etcd.isRunning else { return "\(kind.etcdRunner) does not run" }
        guard let status = etcd.status else { return "etcd does not answer: \(etcd.problems.joined(separator: "; "))" }
        // Restored, it may have an id that nobody knew before.
        let own = status.memberID
        guard etcd.members.map(\.id) == [own] else {
            return "its members are \(etcd.members.map { "\($0.id) '\($0.name)'" }.joined(separator: ", "))"
        }
        return status.leader == own ? nil : "it has no leader yet"
    }

    /// Stops etcd, so that it stays so, and waits until it has ended. A kubelet that does not stop it is restarted.
    func stop() async throws {
        try await act(kind.stopEtcd)
        do { try await waitForStop(context.limits.kubelet) } catch let error as ClusterError
            where error.code == .waitTimedOut
        {
            try await restartKubelet("does not stop etcd")
            try await waitForStop(.seconds(180))
        }
    }

    /// Has a kubelet that does not do what its folder says do it, and ends the etcd that it has left running; nothing where etcd is no
    /// static pod.
    func restartKubelet(_ why: String) async throws {
        guard let restartKubelet = kind.restartKubelet, let endEtcd = kind.endEtcd else { return }
        context.note("the kubelet on \(plan.survivor.host) \(why): it is restarted")
        try await act(restartKubelet)
        try await act(endEtcd)
    }

    private func waitForStop(_ limit: Duration) async throws {
        try await context.wait(for: "etcd on \(plan.survivor.host) to stop", limit: limit) {
            let etcd = try await look()
            return etcd.isRunning && etcd.manifest?.isRestoring != true ? .pending("it runs") : .done(())
        }
    }

    /// Starts it as it was, but for a flag that would have each start forget who has joined.
    func start() async throws {
        try await act(kind.startEtcd)
        if let manifest = try await look().manifest, manifest.isForcing { try await write(manifest.first) }
    }

    func act(_ command: Command) async throws {
        let result = try await remote.run(command)
        guard result.succeeded else { throw failure(command.display, result) }
    }

    /// The members that are forgotten.
    static func forgotten(_ plan: RecoveryPlan) -> [String] {
        plan.dead.compactMap { dead in dead.memberID.map { "etcd member \($0) '\(dead.node)'" } }
    }

    /// What is asked while etcd restarts says nothing of its members.
    func answering() async throws -> SurvivorEtcd {
        try await context.wait(for: "etcd on \(plan.survivor.host) to answer") {
            let etcd = try await look()
            return etcd.status?.leader == nil || etcd.members.isEmpty ? .pending("it has no leader") : .done(etcd)
        }
    }

    /// Of a step that makes it the only member: whether it is so.
    /// - Throws: ``ClusterError`` with `changed` where it was so before, and others have joined.
    func checkAlone(_ step: String) async throws -> StepStatus {
        let isDone = try events(of: step, [.stepFinished, .stepSkipped])
        let etcd = isDone ? try await answering() : try await look()
        if let why = whyNotAlone(etcd) {
            guard !isDone else {
                throw ClusterError(
                    .changed, host: plan.survivor.host, operation: "look at etcd's members",
                    cause: "\(why), and this run has made it a cluster of one member before",
                    advice: "others have joined, and are not to be cut off: look at the cluster: masterswap check")
            }
            return .needed(why)
        }
        return .satisfied("\(etcd.members[0].id) is the only member; \(try compareData(etcd))")
    }

    /// Right before an act that cuts the others off for good: since the plan was made a majority may have come back, and masters may
    /// have joined. An etcd that an earlier part of the run has stopped is started again for it, as it was.
    /// - Throws: ``ClusterError`` with `changed`.
    func assertNoMajority() async throws {
        // Data that are not usable tell nothing; the others themselves are looked at before each act.
        guard plan.snapshot == nil else { return }
        if try await look().isPutAside { try await start() }
        // The kubelet starts a container that has ended often after five minutes.
        let etcd = try await context.wait(
            for: "etcd on \(plan.survivor.host) to tell its members", limit: .seconds(420)
        ) { () -> RunContext.Poll<SurvivorEtcd> in
            let etcd = try await SurvivorProbe.run(on: try remote, kind)
            return etcd.members.isEmpty ? .pending(etcd.problems.last ?? "it does not run") : .done(etcd)
        }
        if let why = plan.objection(to: etcd) {
            throw ClusterError(
                .changed, host: plan.survivor.host, operation: "see that etcd has no majority", cause: why,
                advice: "this run has come to its end: look at the cluster: masterswap check")
        }
    }

    /// Of its own data, before they are replaced: they are looked at, and etcd is stopped.
    /// - Throws: ``ClusterError`` with `changed` where a majority has come back.
    func assertNoMajorityAndStop() async throws {
        guard plan.snapshot == nil else { return }
        if try !hasLooked { try await assertNoMajority() }
        try await stop()
    }

    /// Whether this run has replaced etcd's data, or may have replaced a part of them.
    func areDataReplaced() async throws -> Bool {
        let run = context.run.id
        return try await remote.run(kind.areDataReplaced(by: run, job: ResetStep.directory(run))).succeeded
    }

    /// Brings what is restored to its host: the snapshot from here, or one of its own database, which no etcd has open.
    func bringSnapshot() async throws {
        guard let snapshot = plan.snapshot else { return try await act(kind.snapshotDatabase) }
        try await RemoteFile(try remote, next: Self.next).upload(
            snapshot.path, to: kind.restoredSnapshot, sha256: snapshot.sha256 ?? "")
    }

    static func snapshotCommand(_ plan: RecoveryPlan) -> String {
        plan.snapshot == nil
            ? PlannedCommands.told(plan.survivor.host, plan.kind.snapshotDatabase)
            : "\(plan.survivor.host): write \(plan.kind.restoredSnapshot)"
    }

    static func restoredBytes(_ plan: RecoveryPlan) -> Int { plan.snapshot?.bytes ?? plan.etcd.databaseBytes }

    /// Whether this part of the run, since it was begun or resumed, has seen that there is no majority.
    var hasLooked: Bool {
        get throws {
            let events = try context.run.events()
            let part = events.lastIndex { $0.event == .runStarted }.map { events[$0...] } ?? events[...]
            // It is the first thing that this step does.
            return part.contains { $0.event == .stepBegan && $0.step == CopyDataStep.stepID }
        }
    }

    func events(of step: String, _ names: Set<Event.Name>) throws -> Bool {
        try context.run.events().contains { names.contains($0.event) && $0.step == step }
    }

    /// What the copy of the data holds; `nil` where there is none, or nothing could read it.
    var copied: EtcdDatabase? {
        FileManager.default.contents(atPath: "\(context.run.savedDirectory)/\(Self.copiedName)")
            .flatMap { try? EventCoding.decode(EtcdDatabase.self, from: $0) }
    }
    static let copiedName = "etcd-data.json"

    /// It has all that the copy has, or the snapshot.
    /// - Returns: what was compared.
    /// - Throws: ``ClusterError`` with `changed`.
    func compareData(_ etcd: SurvivorEtcd) throws -> String {
        func changed(_ cause: String) -> ClusterError {
            ClusterError(
                .changed, host: plan.survivor.host, operation: "compare etcd's data", cause: cause,
                advice:
                    "do nothing more to this cluster: the data of before is in \(context.run.savedDirectory), to be restored by hand"
            )
        }
        guard let status = etcd.status else { throw changed("it tells nothing") }
        let source = plan.snapshot == nil ? "copy" : "snapshot"
        guard let least = plan.snapshot.map({ $0.revision }) ?? copied?.revision ?? plan.etcd.revision else {
            return "it is at revision \(status.revision)"
        }
        guard status.revision >= least else {
            throw changed("it is at revision \(status.revision), and the \(source) at \(least)")
        }
        return "it is at revision \(status.revision), the \(source) is at \(least)"
    }

    /// Gives the kubelet a manifest, at once: a file beside it, renamed into place.
    func write(_ manifest: EtcdManifest) async throws {
        try await remote.upload(Data(manifest.text.utf8), to: EtcdManifest.path, mode: 0o600)
    }

    /// What the kubelet has, or what was put aside.
    /// - Throws: ``ClusterError`` with `changed` where there is neither.
    func manifest(_ etcd: SurvivorEtcd) throws -> EtcdManifest {
        if let manifest = etcd.manifest ?? etcd.kept { return manifest }
        throw ClusterError(
            .changed, host: plan.survivor.host, operation: "read \(EtcdManifest.path)",
            cause: "it is not there, nor at \(EtcdManifest.keptPath)",
            advice:
                "put it back: it is in \(context.run.savedDirectory)/\(LocalFile.safeName(plan.survivor.host)).tar; then: masterswap resume"
        )
    }

    func failure(_ operation: String, _ result: CommandResult) -> ClusterError {
        ClusterError(
            .commandFailed, host: plan.survivor.host, operation: operation,
            cause: "\(result.outcome): \(result.errorText.lastLines(2))", advice: Self.next)
    }

    /// The commands by which it is looked at, for a plan.
    static func looks(_ plan: RecoveryPlan) -> [String] { ["\(plan.survivor.host): \(SurvivorProbe.operation)"] }
}
