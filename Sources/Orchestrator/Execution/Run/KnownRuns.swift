public import Cluster
import Foundation
public import Inventories
import Planning

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The runs that this machine and a cluster know of, each as both know it together: one that was begun elsewhere is found by its record
/// in the cluster, and one that was resumed elsewhere is shown to its end.
public struct KnownRuns: Sendable {
    public struct Run: Sendable {
        package let record: RunRecord
        /// `nil` where nothing of it is on this machine.
        package let local: RunStore.Run?
        public let isInCluster: Bool
        /// It came to its end here, and this machine was cut off before the cluster heard of it.
        public let isOverHereAlone: Bool
        /// Why the journal of this machine cannot be read; `nil` where it can.
        package let journalFault: String?
        /// The journal of this machine with what the cluster has beside it.
        public let events: [Event]

        public var id: String { record.run }
        public var isHere: Bool { local != nil }
        package var isUnfinished: Bool { record.isUnfinished }
    }

    /// The oldest first.
    public let runs: [Run]
    /// Who told nothing, or not all, and why.
    public let problems: [String]
    /// Whether any master answered.
    public let hasAskedCluster: Bool

    /// This machine's alone.
    public init(_ store: RunStore) { self.init(store, ClusterRecords.Reading()) }

    /// - Parameter inventory: of the cluster that is asked, all its masters at once.
    public init(_ store: RunStore, _ inventory: Inventory, _ remotes: Remotes) async {
        let masters = inventory.masters
        let records = masters.isEmpty ? nil : try? ClusterRecords(masters, remotes, inventory.cluster)
        self.init(store, await records?.read() ?? ClusterRecords.Reading())
    }

    package init(_ store: RunStore, _ cluster: ClusterRecords.Reading) {
        var problems = cluster.problems
        var runs: [Run] = []
        let inCluster = Dictionary(cluster.records.map { ($0.run, $0) }, uniquingKeysWith: { first, _ in first })
        let local = store.runs()
        for run in local {
            var (events, fault): ([Event], String?) = ([], nil)
            do { events = try run.events() } catch { fault = "\(error)" }
            if let fault { problems.append(fault) }
            let known = RunRecord(run: run.id, events)
            var record = known
            if let other = inCluster[run.id] {
                if known.events.isEmpty { record = other } else { record.add(other) }
            }
            runs.append(
                Run(
                    record: record, local: run, isInCluster: inCluster[run.id] != nil,
                    isOverHereAlone: inCluster[run.id]?.state == .unfinished && record.state != .unfinished,
                    journalFault: fault, events: events + record.events(beside: known)))
        }
        let here = Set(local.map(\.id))
        runs += cluster.records.filter { !here.contains($0.run) }.map {
            Run(
                record: $0, local: nil, isInCluster: true, isOverHereAlone: false, journalFault: nil, events: $0.events)
        }
        self.runs = runs.sorted { $0.id < $1.id }
        self.problems = problems
        hasAskedCluster = cluster.isAnswer
    }

    /// The run of that name, or whose name begins so; without a name the newest of the cluster's that is not over, else its newest.
    /// - Throws: ``ClusterError`` with `localFile`.
    public func find(_ name: String?, of cluster: Inventory.Cluster) throws -> Run {
        func failure(_ cause: String) -> ClusterError {
            ClusterError(
                .localFile, host: "this machine", operation: "find a run of \(cluster.name)", cause: cause,
                advice: "list them: masterswap runs")
        }
        if let name {
            let found = runs.first { $0.id == name }.map { [$0] } ?? runs.filter { $0.id.hasPrefix(name) }
            guard found.count == 1 else {
                throw failure(
                    found.isEmpty ? "there is no run '\(name)'" : "'\(name)' stands for \(found.count) runs")
            }
            return found[0]
        }
        // What the cluster itself knows of comes before what this machine takes for its.
        let own = runs.filter(\.isInCluster) + runs.filter { !$0.isInCluster && $0.record.isOf(cluster) }
        let unfinished = own.filter(\.isUnfinished)
        guard
            let run = unfinished.last(where: \.isInCluster) ?? unfinished.last ?? own.max(by: { $0.id < $1.id })
        else { throw failure("there is none, neither here nor in the cluster") }
        return run
    }
}

extension RunStore {
    /// A run with its journal on this machine, made or added to where the cluster knows more of it. A journal that cannot be read is set
    /// aside where the cluster has a record.
    /// - Parameters:
    ///   - inventory: has what is kept out of the cluster's record.
    ///   - note: told what was set aside.
    /// - Throws: ``ClusterError`` with `localFile`.
    public func adopt(_ run: KnownRuns.Run, _ inventory: Inventory, note: (String) -> Void = { _ in }) throws -> Run {
        let local = try run.local ?? create(run.id)
        if let fault = run.journalFault, run.isInCluster {
            let aside = local.journalPath + ".damaged-" + Self.stamp(Date())
            guard rename(local.journalPath, aside) == 0 else { return local }
            note("\(fault); it is kept as \(aside), and the cluster's record of the run takes its place")
        }
        let journal = try Journal(path: local.journalPath)
        let missing = run.record.events(beside: RunRecord(run: run.id, try local.events()))
        try journal.append(
            missing.map { event in
                var event = event
                if let plan = event.plan?.completed(by: inventory) {
                    event.plan = plan
                    event.planHash = try plan.hash
                }
                return event
            })
        return local
    }
}

extension KnownRuns.Run {
    /// - Throws: ``ClusterError`` with `localFile` where no copy of its record is whole.
    public func refuseIfDamaged() throws {
        guard record.isDamaged, !record.hasPlan else { return }
        throw ClusterError(
            .localFile, host: "this machine", operation: "go on with run \(id)",
            cause: "a line of its record is damaged, or of a newer masterswap",
            advice:
                "resume it with the masterswap that has begun it; if that is not possible, give it up: masterswap runs --abandon \(id) --because WHY"
        )
    }

    /// Called under the lock, for a run that was found before it was taken: another operator may have resumed, ended or abandoned it since.
    /// - Parameter masters: whose copies of the record are looked at.
    /// - Throws: ``ClusterError`` with `changed`.
    public func refuseIfChanged(_ masters: [Inventory.Host], _ remotes: Remotes, _ cluster: Inventory.Cluster)
        async throws
    {
        let read = await (try ClusterRecords(masters, remotes, cluster)).read().records.first { $0.run == id }
        guard let now = read, !now.events(beside: record).isEmpty else { return }
        let cause =
            switch now.state {
            case .abandoned: "it was given up since it was found: \(now.abandonment ?? "")"
            case .done: "it has ended since it was found"
            case .unfinished: "another operator has resumed it since it was found"
            }
        throw ClusterError(
            .changed, host: cluster.name, operation: "look at run \(id) once more", cause: cause,
            advice: "see where it stands: masterswap runs")
    }

    /// - Throws: ``ClusterError`` with `changed` where an operator has given it up.
    public func refuseIfAbandoned() throws {
        guard record.state == .abandoned else { return }
        throw ClusterError(
            .changed, host: "this machine", operation: "go on with run \(id)",
            cause: "it was given up: \(record.abandonment ?? "")",
            advice: "begin a new one: masterswap replace NODE --with HOST")
    }
}

extension Replacement {
    /// Has the cluster know as much of a run as this machine does.
    public func publish(_ run: KnownRuns.Run) async throws {
        try await locked(by: inventory.masters) { _ in
            _ = await (try ClusterRecords(inventory.masters, remotes, inventory.cluster)).write(run.record)
        }
    }

    /// Gives a run up: its record says so from then on, and nothing else is changed.
    /// - Parameter confirm: called when the lock is held, so that the run does not live.
    /// - Throws: ``Locked``; ``ClusterError`` where it is over already, or its record reached no place; whatever `confirm` throws.
    public func abandon(
        _ run: KnownRuns.Run, because why: String, confirm: @Sendable () async throws -> Void
    ) async throws {
        guard run.isUnfinished || run.isOverHereAlone && run.record.state == .abandoned else {
            throw ClusterError(
                .changed, host: "this machine", operation: "give run \(run.id) up",
                cause: run.record.state == .done ? "it is done and verified" : "it is given up, or was never begun",
                advice: "list the runs: masterswap runs")
        }
        let records = try ClusterRecords(inventory.masters, remotes, inventory.cluster)
        try await locked(by: inventory.masters) { lock in
            try await run.refuseIfChanged(inventory.masters, remotes, inventory.cluster)
            try await confirm()
            let owner = ClusterLock.Owner.current()
            let event = Event(.runAbandoned, text: "\(owner.user) on \(owner.machine): \(why)", run: run.id)
            let recorder = RunRecorder(run.record, in: records, lock: lock, note: { emit(Event(.note, text: $0)) })
            recorder.add(event)
            // Where the cluster has not heard of it, it is not given up, and can be tried again.
            try await recorder.flushBeforeTheFirstAct(host: inventory.cluster.name)
            do { try run.local.map { try Journal(path: $0.journalPath).append(event) } } catch {
                emit(
                    Event(
                        .note,
                        text: "the cluster knows that it is given up; the journal of this machine does not: \(error)"))
            }
        }
    }

    /// Under the lock, before a run is begun: somebody may have begun one, and been cut off, since the cluster was looked at.
    /// - Throws: ``Refused`` by ``NoOtherRun``.
    public func refuseBesideAnother(_ masters: [Inventory.Host]) async throws {
        let records = await (try ClusterRecords(masters, remotes, inventory.cluster, apiAddresses: apiAddresses)).read()
            .records
        let refusals = records.filter(\.isUnfinished).map { NoOtherRun.refusal($0.head) }
        guard refusals.isEmpty else { throw Refused(refusals) }
    }
}

extension RunRecord {
    var hasPlan: Bool { plan != nil || recovery != nil }
    /// Of one that is damaged nobody knows that it has done nothing.
    var isUnfinished: Bool { state == .unfinished && (hasPlan || isDamaged) }
}
