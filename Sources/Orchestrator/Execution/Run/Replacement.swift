public import Cluster
import Foundation
public import Inventories
public import Planning
public import SSH

/// A replacement from its plan to its end: makes the run's folder and journal, runs the steps, looks once more, and tells.
public struct Replacement: Sendable {
    package let inventory: Inventory
    let remotes: Remotes
    package let store: RunStore
    let limits: RunContext.Limits
    let databasePassword: @Sendable () throws -> Secret
    let emit: @Sendable (Event) -> Void
    /// Where each master's API server is, by the inventory's name of the host; the inventory's address where none is known.
    package let apiAddresses: [String: String]
    /// The file that the new roles are written to once all is verified; `nil` where they are only shown.
    let updatedInventory: String?

    public init(
        inventory: Inventory, remotes: Remotes, store: RunStore, limits: RunContext.Limits,
        databasePassword: @escaping @Sendable () throws -> Secret, apiAddresses: [String: String] = [:],
        updatedInventory: String? = nil,
        emit: @escaping @Sendable (Event) -> Void
    ) {
        self.inventory = inventory
        self.remotes = remotes
        self.store = store
        self.limits = limits
        self.databasePassword = databasePassword
        self.apiAddresses = apiAddresses
        self.updatedInventory = updatedInventory
        self.emit = emit
    }

    /// Does work under the cluster's lock, which is given back on every way out.
    /// - Parameter masters: those that answer; one of them is asked.
    /// - Throws: ``Locked`` where another run holds it.
    public func locked<T: Sendable>(
        by masters: [Inventory.Host], _ work: @Sendable (ClusterLock) async throws -> T
    ) async throws -> T {
        let lock = try await ClusterLock.acquire(try kubectl(masters)) { emit(Event(.note, text: $0)) }
        do {
            let result = try await work(lock)
            await lock.release()
            return result
        } catch {
            // A run that is cancelled gives it back all the same: in a task of its own.
            await Task { await lock.release() }.value
            throw error
        }
    }

    /// kubectl on the first of these masters that answers.
    /// - Parameter version: theirs; kubectl's and etcdctl's words follow it.
    public func kubectl(_ masters: [Inventory.Host], version: KubernetesVersion? = nil) throws -> Kubectl {
        let targets = try masters.map {
            Kubectl.Target(
                remote: try remotes[$0],
                apiServer:
                    "\(IPAddress.inURL(apiAddresses[$0.name] ?? $0.address)):\(inventory.cluster.apiPort)")
        }
        guard !targets.isEmpty else {
            throw ClusterError(
                .noMaster, host: inventory.cluster.name, operation: "find a master to ask", cause: "none answers",
                advice: "see which are up: masterswap check")
        }
        return Kubectl(
            targets, distribution: inventory.cluster.distribution, version: version, retryTimeout: .seconds(60))
    }

    /// Begins a run of a plan and goes through it.
    /// - Parameter before: what the plan was made from.
    /// - Throws: what ended the run, after it was journaled and told.
    public func begin(_ plan: Plan, before: ClusterState, lock: ClusterLock) async throws {
        // Asked for before the first act: a join without it would stop half-way.
        _ = try databasePassword()
        let run = try store.create()
        let journal = try Journal(path: run.journalPath)
        let context = context(
            plan, run, journal, try recorder(plan, run, journal, lock), lock,
            DeadMasterWatch.start(plan, inventory, remotes))
        defer { context.stopWatches() }
        try context.record(
            Event(
                .runStarted, title: "Replace \(plan.dead.node) with \(plan.replacement.node)", run: run.id, plan: plan,
                planHash: try plan.hash))
        try context.record(Event(.stateBefore, run: run.id, state: ClusterSummary(before)))
        try await Runner(ReplacementSteps.make(plan), context).runToItsEnd { updateInventory(plan, context) }
    }

    /// The cluster is verified: what goes wrong with a file here is told, and stops nothing.
    private func updateInventory(_ plan: Plan, _ context: RunContext) {
        guard let file = updatedInventory, plan.dead.host != plan.replacement.host else { return }
        do {
            let text = try InventoryUpdate.write(plan, to: file, run: context.run.id)
            context.tell(Event(.note, title: InventoryUpdate.title, text: text))
        } catch { context.warn("\(file) is as it was: \(error)") }
    }

    /// The plan of a run, and what has to be done beside it since a join failed or the old master came back: to be agreed to
    /// before ``resume(_:plan:lock:)``.
    /// - Parameter fence: an old master that answers is fenced.
    public func resumption(of run: RunStore.Run, fence: Bool) async throws -> Plan {
        var plan = try Self.plan(of: run)
        let wasBare =
            try run.events().compactMap(\.plan).first { $0.replacement.host == plan.replacement.host }?.failedJoin
            == nil
        // Agreed to once and done or not: what there is now counts.
        plan.failedJoin = nil
        plan.fences = nil
        plan.fenceCommand = nil
        plan.nodeReturned = nil
        let remote: (String) throws -> any Remote = { name in
            guard let host = inventory.host(named: name) else {
                throw ClusterError(
                    .changed, host: name, operation: "find the host", cause: "the inventory does not name it any more",
                    advice: "resume with the inventory that the run was begun with")
            }
            return try remotes[host]
        }
        let kubectl = try kubectl(
            plan.survivors.compactMap { inventory.host(named: $0.host) }, version: plan.kubectlVersion)
        if fence, plan.dead.host != plan.replacement.host, let command = inventory.host(named: plan.dead.host)?.fence {
            (plan.fences, plan.fenceCommand) = (true, command)
        } else if fence, plan.dead.host != plan.replacement.host {
            do {
                _ = try await remote(plan.dead.host).run(Command(["true"], timeout: .seconds(20)))
                plan.fences = true
            } catch let error as SSHError where ClusterState.HostFailure(error, of: plan.dead.host).mayBeDead {
                emit(Event(.note, text: "\(plan.dead.host) does not answer: there is nothing to fence"))
            }
        }
        // A fence deletes it itself, when nothing can register it again.
        if plan.fences != true, let node = try await DeadNode.returned(plan, kubectl) {
            plan.dead.uid = node.uid
            plan.nodeReturned = true
        }
        if try await OcbootRuns.atWork(on: remote(plan.primary.host)) == nil,
            try await OcbootRuns.exist(of: run.id, on: remote(plan.primary.host))
        {
            plan.failedJoin = try await FailedJoin.look(plan, inventory, kubectl, remote, wasBare: wasBare).found
        }
        return plan
    }

    /// A new master that has joined is one of the cluster's: another spare beside it would be a fourth master.
    /// - Throws: ``ClusterError`` with `changed`.
    public func refuseOtherSpare(than plan: Plan, _ run: RunStore.Run) async throws {
        let survivors = plan.survivors.compactMap { inventory.host(named: $0.host) }
        let node = try await ReplacementNode.find(plan, try kubectl(survivors, version: plan.kubectlVersion))
        guard let node, node.isControlPlane else { return }
        throw ClusterError(
            .changed, host: plan.primary.host, operation: "take another spare for \(plan.dead.node)",
            cause: "\(node.name) has joined as a master",
            advice:
                "resume without --with: masterswap resume \(run.id); if it has died since, replace it as any other master"
        )
    }

    /// Goes on with a run. Where it stands is asked of the cluster: steps that are true already are skipped.
    /// - Parameter plan: from ``resumption(of:fence:)``.
    public func resume(_ run: RunStore.Run, plan: Plan, lock: ClusterLock) async throws {
        // As for a new run; but where the join is done, nobody is bothered for it.
        let isJoined = try run.events().contains {
            $0.step == "join" && ($0.event == .stepFinished || $0.event == .stepSkipped)
        }
        if !isJoined { _ = try databasePassword() }
        let journal = try Journal(path: run.journalPath)
        let context = context(
            plan, run, journal, try recorder(plan, run, journal, lock), lock,
            DeadMasterWatch.start(plan, inventory, remotes))
        defer { context.stopWatches() }
        try context.record(
            Event(
                .runStarted, title: "Resume: replace \(plan.dead.node) with \(plan.replacement.node)", run: run.id,
                // With what was agreed to beside the first one: a fence, a clean-up.
                plan: plan, planHash: try plan.hash))
        try await Runner(ReplacementSteps.make(plan), context).runToItsEnd { updateInventory(plan, context) }
    }

    /// Asked before anything else: the lock of another cluster is not taken either.
    /// - Throws: ``Refused``.
    public func refuseOtherInventory(_ plan: Plan, _ run: RunStore.Run) throws {
        let refusals = InventoryIsTheSame.refusals(plan, inventory, run: run.id)
        guard refusals.isEmpty else { throw Refused(refusals) }
    }

    /// Whether a run had ocboot started for the spare that was agreed to last, so that what it joins is agreed to for good.
    public static func hasBegunJoin(_ run: RunStore.Run) throws -> Bool {
        var (spare, hasBegun): (String?, Bool) = (nil, false)
        for event in try run.events() {
            if let other = event.plan?.replacement.host, other != spare { (spare, hasBegun) = (other, false) }
            if event.step == "join", event.event == .stepBegan { hasBegun = true }
        }
        return hasBegun
    }

    /// The plan of a run that was agreed to last.
    /// - Throws: ``ClusterError`` with `localFile`.
    public static func plan(of run: RunStore.Run) throws -> Plan {
        guard let plan = try run.events().last(where: { $0.plan != nil })?.plan else {
            throw ClusterError(
                .localFile, host: "this machine", operation: "read \(run.journalPath)",
                cause: "it holds no plan: the run ended before it began",
                advice: "begin a new one: masterswap replace NODE --with HOST")
        }
        return plan
    }

    /// Whether each step has anything to do, without doing it.
    public func dryRun(_ plan: Plan) async throws -> [(step: any Step, status: Result<StepStatus, any Error>)] {
        let run = RunStore.Run(
            id: "dry-run", directory: NSTemporaryDirectory() + "masterswap-dry-run-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            atPath: run.directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(atPath: run.directory) }
        let context = context(plan, run, try Journal(path: run.journalPath), nil, nil, nil)
        var results: [(step: any Step, status: Result<StepStatus, any Error>)] = []
        for step in ReplacementSteps.make(plan) {
            var context = context
            context.step = step.id
            do {
                results.append((step, .success(try await step.check(context))))
            } catch {
                results.append((step, .failure(error)))
            }
        }
        return results
    }

    private func context(
        _ plan: Plan, _ run: RunStore.Run, _ journal: Journal, _ recorder: RunRecorder?, _ lock: ClusterLock?,
        _ watch: DeadMasterWatch?
    ) -> RunContext {
        RunContext(
            plan: plan, inventory: inventory, remotes: remotes, run: run, journal: journal, recorder: recorder,
            lock: lock, watch: watch,
            others: lock == nil ? [] : DeadMasterWatch.startOthers(plan, inventory, remotes), limits: limits,
            databasePassword: databasePassword, emit: emit)
    }

    private func recorder(_ plan: Plan, _ run: RunStore.Run, _ journal: Journal, _ lock: ClusterLock) throws
        -> RunRecorder
    {
        let survivors = plan.survivors.compactMap { inventory.host(named: $0.host) }
        return RunRecorder(
            RunRecord(run: run.id, try run.events()),
            in: try ClusterRecords(survivors, remotes, inventory.cluster, apiAddresses: plan.apiAddresses), lock: lock,
            note: RunRecorder.note(journal, emit))
    }
}
