public import Cluster
public import Foundation
public import Inventories
public import Planning
import SSH

/// A recovery from its plan to its end: makes the run's folder and journal, runs the steps, looks once more, and tells.
public struct Recovery: Sendable {
    private let inventory: Inventory
    private let remotes: Remotes
    private let store: RunStore
    private let limits: RunContext.Limits
    private let emit: @Sendable (Event) -> Void

    public init(
        inventory: Inventory, remotes: Remotes, store: RunStore, limits: RunContext.Limits,
        emit: @escaping @Sendable (Event) -> Void
    ) {
        self.inventory = inventory
        self.remotes = remotes
        self.store = store
        self.limits = limits
        self.emit = emit
    }

    /// Plans on what was seen, and on what the survivor's own etcd says.
    /// - Throws: ``Refused``; `SSHError`; ``ClusterError``.
    public func plan(_ state: ClusterState, _ request: RecoveryRequest, now: Date) async throws -> RecoveryPlan {
        let host = try RecoveryPlanner.survivor(state, request)
        var state = state
        var etcd: SurvivorEtcd?
        if case .reached(var facts)? = state.hosts[host.name] {
            let remote = try remotes[host]
            let seen = try await look(at: host, remote)
            // Where a member is that the inventory has under another address, nobody has looked yet.
            for other in inventory.masters where other.name != host.name {
                let further = seen.others.flatMap(\.addresses).filter { facts.peers[$0] == nil }
                let peers = Array(uniqued: further).map { PeerView.Peer(other, at: $0, inventory.cluster) }
                guard !peers.isEmpty else { continue }
                facts.peers.merge(await PeerView.look(at: peers, of: other.name, from: remote) ?? [:]) { $1 }
            }
            state.hosts[host.name] = .reached(facts)
            etcd = seen
        }
        return try RecoveryPlanner.plan(state, etcd, request, room: store.room, now: now)
    }

    /// The kubelet starts an etcd that has no majority again and again; in between, for five minutes at the longest, nothing runs that
    /// could be asked.
    private func look(at host: Inventory.Host, _ remote: any Remote) async throws -> SurvivorEtcd {
        let until = ContinuousClock.now + .seconds(330)
        var isTold = false
        while true {
            let seen = try await SurvivorProbe.run(on: remote, inventory.cluster.distribution)
            if seen.own != nil || !seen.mayRun || ContinuousClock.now > until { return seen }
            if !isTold {
                emit(
                    Event(
                        .note,
                        text:
                            "etcd on \(host.name) does not run at this moment; waiting until it does, or for five minutes"
                    ))
            }
            isTold = true
            try await Task.sleep(for: .seconds(5))
        }
    }

    /// Does work under the survivor's lock, which is given back on every way out.
    /// - Throws: ``Locked`` where another run holds it.
    public func locked<T: Sendable>(
        on survivor: String, _ work: @Sendable (Lock) async throws -> T
    ) async throws -> T {
        let lock = try await SurvivorLock.acquire(on: try remote(survivor))
        do {
            let result = try await work(Lock(base: lock))
            await lock.release()
            return result
        } catch {
            // A run that is cancelled gives it back all the same: in a task of its own.
            await Task { await lock.release() }.value
            throw error
        }
    }

    /// The survivor's lock, as long as it is held.
    public struct Lock: Sendable {
        let base: any RunLock
    }

    /// - Throws: what ended the run, after it was journaled and told.
    public func begin(_ plan: RecoveryPlan, before: ClusterState, lock: Lock) async throws {
        let run = try store.create()
        let context = try context(plan, run, lock)
        defer { context.stopWatches() }
        try context.record(
            Event(.runStarted, title: plan.title, run: run.id, recovery: plan, planHash: try plan.hash))
        try context.record(Event(.stateBefore, run: run.id, state: ClusterSummary(before)))
        try await runToItsEnd(plan, context)
    }

    /// Goes on with a run. Steps that are true already are skipped.
    public func resume(_ run: RunStore.Run, plan: RecoveryPlan, lock: Lock) async throws {
        let context = try context(plan, run, lock)
        defer { context.stopWatches() }
        try context.record(
            Event(
                .runStarted, title: "Resume: \(plan.title)", run: run.id, recovery: plan, planHash: try plan.hash))
        try await runToItsEnd(plan, context)
    }

    private func runToItsEnd(_ plan: RecoveryPlan, _ context: RunContext) async throws {
        try await records(plan).giveUp(plan.givesUp ?? [], for: context.run.id)
        try await Runner(RecoverySteps.make(plan), context).runToItsEnd()
    }

    /// The plan that a run was begun with; `nil` where it is no recovery.
    public static func plan(of run: RunStore.Run) throws -> RecoveryPlan? { try run.events().first?.recovery }

    /// Asked before anything else.
    /// - Throws: ``Refused``.
    public func refuseOtherInventory(_ plan: RecoveryPlan, _ run: RunStore.Run) throws {
        let refusals = InventoryIsTheSame.refusals(plan, inventory, run: run.id)
        guard refusals.isEmpty else { throw Refused(refusals) }
    }

    private func remote(_ name: String) throws -> any Remote {
        guard let host = inventory.host(named: name) else {
            throw ClusterError(
                .changed, host: name, operation: "find the host", cause: "the inventory does not name it any more",
                advice: "resume with the inventory that the run was begun with")
        }
        return try remotes[host]
    }

    /// Without etcd's majority the API server takes nothing.
    private func records(_ plan: RecoveryPlan) throws -> ClusterRecords {
        let survivors = [inventory.host(named: plan.survivor.host)].compactMap(\.self)
        return try ClusterRecords(
            survivors, remotes, inventory.cluster, apiAddresses: [plan.survivor.host: plan.survivor.address],
            isWrittenToAPI: false)
    }

    private func context(_ plan: RecoveryPlan, _ run: RunStore.Run, _ lock: Lock) throws -> RunContext {
        let journal = try Journal(path: run.journalPath)
        let recorder = RunRecorder(
            RunRecord(run: run.id, try run.events()), in: try records(plan), lock: lock.base,
            note: RunRecorder.note(journal, emit))
        return RunContext(
            plan.scene, inventory: inventory, remotes: remotes, run: run, journal: journal, recorder: recorder,
            lock: lock.base,
            watches: DeadMasterWatch.start(plan, inventory, remotes), limits: limits,
            databasePassword: {
                throw ClusterError(
                    .secretMissing, host: "this machine", operation: "read the database password",
                    cause: "a recovery has no use for it", advice: "this is a fault of masterswap itself")
            }, emit: emit)
    }
}

extension RunStore {
    /// Bytes that are free where runs are kept; `nil` where that is not known.
    var room: Int? {
        var folder = root
        while !FileManager.default.fileExists(atPath: folder), folder.count > 1 {
            folder = (folder as NSString).deletingLastPathComponent
        }
        let attributes = try? FileManager.default.attributesOfFileSystem(forPath: folder)
        return (attributes?[.systemFreeSize] as? NSNumber)?.intValue
    }
}
