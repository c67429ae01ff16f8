public import Cluster
import Foundation
public import Inventories
public import Planning
public import SSH
import Synchronization

/// All that a step may use: the plan, the hosts, and the ways to wait and to tell.
public struct RunContext: Sendable {
    public struct Limits: Sendable {
        /// For each single wait whose end is a matter of minutes.
        public var wait: Duration
        /// For ocboot, since its log had a new line.
        public var joinStalled: Duration
        /// For a heal, since an object or a byte of it was healed.
        public var healStalled: Duration
        /// For the kubelet to do what its folder of static pods says, until it is restarted.
        package var kubelet = Duration.seconds(30)

        /// Half an hour: ocboot says nothing while it waits up to 15 minutes for a restart, and MinIO may begin a heal minutes late.
        public static let usualStall = Duration.seconds(1800)

        public init(
            wait: Duration = .seconds(900), joinStalled: Duration = usualStall, healStalled: Duration = usualStall
        ) {
            self.wait = wait
            self.joinStalled = joinStalled
            self.healStalled = healStalled
        }
    }

    public let scene: RunScene
    public let inventory: Inventory
    public let run: RunStore.Run
    public let limits: Limits
    /// Fetched when first needed, by the join.
    public let databasePassword: @Sendable () throws -> Secret
    let stopwatch = Stopwatch()
    private let told = CommandsTold()
    let remotes: Remotes
    private let journal: Journal
    /// `nil` for a dry run, which leaves nothing behind.
    private let recorder: RunRecorder?
    private let lock: (any RunLock)?
    private let watches: [DeadMasterWatch]
    private let emit: @Sendable (Event) -> Void
    package var step: String?

    init(
        plan: Plan, inventory: Inventory, remotes: Remotes, run: RunStore.Run, journal: Journal,
        recorder: RunRecorder? = nil, lock: ClusterLock?, watch: DeadMasterWatch?,
        others: [DeadMasterWatch] = [], limits: Limits,
        databasePassword: @escaping @Sendable () throws -> Secret, emit: @escaping @Sendable (Event) -> Void
    ) {
        self.init(
            plan.scene, inventory: inventory, remotes: remotes, run: run, journal: journal, recorder: recorder,
            lock: lock,
            watches: [watch].compactMap(\.self) + others, limits: limits, databasePassword: databasePassword, emit: emit
        )
    }

    init(
        _ scene: RunScene, inventory: Inventory, remotes: Remotes, run: RunStore.Run, journal: Journal,
        recorder: RunRecorder?, lock: (any RunLock)?, watches: [DeadMasterWatch], limits: Limits,
        databasePassword: @escaping @Sendable () throws -> Secret, emit: @escaping @Sendable (Event) -> Void
    ) {
        self.scene = scene
        self.inventory = inventory
        self.run = run
        self.limits = limits
        self.journal = journal
        self.recorder = recorder
        self.lock = lock
        self.watches = watches
        self.databasePassword = databasePassword
        self.emit = emit
        self.remotes = remotes
    }

    public var distribution: Inventory.Distribution { inventory.cluster.distribution }

    // MARK: Hosts

    /// - Parameter name: an inventory name out of the plan.
    public func remote(_ name: String) throws -> any Remote {
        guard let host = inventory.host(named: name) else {
            throw ClusterError(
                .changed, host: name, operation: "find the host", cause: "the inventory does not name it any more",
                advice: "resume with the inventory that the run was begun with")
        }
        return LoggingRemote(base: try remotes[host], stopwatch: stopwatch) { [self] command in
            // What is polled is told once a step.
            let text = String("\(name): \(command.display)".prefix(400))
            if told.insert("\(step ?? "") \(text)") { tell(Event(.command, step: step, text: text)) }
        }
    }

    /// kubectl on the primary, and on the next survivor where that one does not answer.
    public func kubectl() throws -> Kubectl {
        let masters = [scene.primary] + scene.masters.filter { $0.host != scene.primary.host }
        let targets = try masters.map { master in
            Kubectl.Target(
                remote: try remote(master.host),
                apiServer: "\(IPAddress.inURL(master.address)):\(inventory.cluster.apiPort)")
        }
        return Kubectl(
            targets, distribution: distribution, version: scene.kubectlVersion, kubernetes: scene.kubernetes,
            retryTimeout: .seconds(90)
        ) {
            [self] text in
            note(text)
        }
    }

    /// etcdctl in the primary's static etcd pod, or what stands for it.
    public func etcdctl() throws -> Etcdctl {
        Etcdctl(
            try kubectl(), node: scene.primary.node, distribution: distribution,
            newcomer: distribution.hasEtcdctl ? nil : try scene.newcomer.map(remote))
    }

    // MARK: Destroying

    /// Asked before every act: no other run has taken over, and the dead master is still dead.
    /// - Throws: ``Locked``; ``ClusterError`` with `changed`.
    public func assertMayAct() async throws {
        try await stopwatch.waiting {
            for watch in watches { try await watch.assertDead() }
            try await lock?.assertHeld()
        }
    }

    /// Asked after a failure: an old master that is back takes the VIP, and then this or that fails.
    /// - Throws: ``ClusterError`` with `changed`.
    func assertOldMasterNotSeen() throws { for watch in watches { try watch.assertNotSeen() } }

    /// Asked before something is taken back, whatever became of the dead master.
    /// - Throws: ``Locked``.
    func assertLockHeld() async throws { try await lock?.assertHeld() }

    func stopWatches() { for watch in watches { watch.stop() } }

    /// What the survivors see of the dead master, now.
    func sightsOfTheDead(_ plan: Plan) async -> [PeerSight] {
        await stopwatch.waiting { await DeadMasterWatch.sights(plan, inventory, remotes) }
    }

    /// The old master is fenced: from here on it has to stay so.
    func armWatch() { for watch in watches { watch.arm() } }

    /// Deletes a planned object, by its UID, and tells so.
    public func delete(_ object: ObjectReference, force: Bool = false) async throws {
        try await assertMayAct()
        try record(Event(.destroying, step: step, text: "\(object)"))
        if try await kubectl().delete(object, force: force) { destroyed("\(object)") }
    }

    /// An act that must not be left half-done: it goes on to its end where the run is interrupted meanwhile, which is the safe
    /// point that the interrupt waits for.
    /// - Throws: what the act throws; `CancellationError` after it where the run was interrupted.
    func uninterrupted<T: Sendable>(_ act: @escaping @Sendable () async throws -> T) async throws -> T {
        let result = try await Task { try await act() }.value
        try Task.checkCancellation()
        return result
    }

    // MARK: Telling

    public func note(_ text: String) { tell(Event(.note, step: step, text: text)) }
    public func warn(_ text: String) { tell(Event(.warning, step: step, text: text)) }
    public func output(_ line: String) { tell(Event(.output, step: step, text: line)) }
    public func destroyed(_ object: String) { tell(Event(.destroyed, step: step, text: object)) }

    /// Shows an event, and keeps it as well as can be: where the journal cannot be written, the next `record` stops the run.
    func tell(_ event: Event) {
        try? journal.append(event, durable: event.event == .destroyed)
        recorder?.add(event)
        emit(event)
    }

    /// Keeps an event on the disk, then shows it.
    /// - Throws: ``ClusterError`` with `localFile`: then nothing may be done.
    func record(_ event: Event) throws {
        try journal.append(event)
        recorder?.add(event)
        emit(event)
    }

    /// Before anything is done: what would be needed to go on with the run from elsewhere is in its cluster.
    /// - Throws: ``ClusterError``.
    func recordFirst() async throws {
        try await stopwatch.waiting { try await recorder?.flushBeforeTheFirstAct(host: scene.primary.host) }
    }

    /// Before a step acts, and at the end: the run's record is in its cluster as far as that can be.
    func recorded() async { await recorder?.flush() }

    /// At the end of a run that is done.
    func deleteOldRecords() async { await recorder?.deleteOld() }

    // MARK: Waiting

    public enum Poll<T: Sendable>: Sendable {
        case done(T)
        /// Not yet; the text says what is seen. `progress` is new with each step forward; shown to nobody.
        case pending(String, progress: String? = nil)
    }

    /// When a wait for what may take hours is given up: so long after something moved last in it.
    public struct Stall: Sendable {
        public var limit: Duration
        /// Makes it longer.
        public var option: String
    }

    /// Asks until it is so. Says what it waits for when that changes, and every ten seconds; a host that does not answer for a
    /// while is no reason to give up before the limit.
    /// - Parameters:
    ///   - limit: of the whole wait; `nil` for ``Limits/wait``.
    ///   - stall: in place of `limit`.
    ///   - longest: the interval grows with the time waited so far, up to this; `nil` where it stays as it is.
    /// - Throws: ``ClusterError`` with `waitTimedOut`; whatever `ask` throws that waiting cannot fix; `CancellationError`.
    public func wait<T: Sendable>(
        for what: String, on host: String? = nil, limit: Duration? = nil, stall: Stall? = nil,
        every interval: Duration = .milliseconds(400), growingTo longest: Duration? = nil,
        _ ask: () async throws -> Poll<T>
    ) async throws -> T {
        let limit = stall?.limit ?? limit ?? limits.wait
        let started = ContinuousClock.now
        var told: (text: String, at: ContinuousClock.Instant)?
        var marks: Set<String> = []
        var movedAt = started
        while true {
            var seen: String
            do {
                switch try await ask() {
                case .done(let value): return value
                case .pending(let text, let progress):
                    seen = text
                    // A heal that begins again, and an answer that comes and goes, are no steps forward.
                    if let progress, marks.insert(progress).inserted { movedAt = .now }
                }
            } catch let error where Transient.isTransient(error) {
                seen = "\(error)"
            }
            try Task.checkCancellation()
            let elapsed = ContinuousClock.now - started
            let still = stall.map { _ in ContinuousClock.now - movedAt }
            guard still ?? elapsed < limit else {
                throw Self.givenUp(what, host ?? scene.primary.host, after: still ?? elapsed, stall, seen: seen)
            }
            if told.map({ $0.text != seen || ContinuousClock.now - $0.at > .seconds(10) }) ?? true {
                tell(
                    Event(
                        .waiting, step: step, title: what, text: seen, elapsed: elapsed.seconds, limit: limit.seconds,
                        still: still?.seconds))
                told = (seen, .now)
            }
            let pause = Self.pause(interval, elapsed: elapsed, upTo: longest)
            // Not beyond the limit, so that the last look is at the limit.
            try await stopwatch.waiting { try await Task.sleep(for: min(pause, limit - (still ?? elapsed))) }
        }
    }

    private static func givenUp(
        _ what: String, _ host: String, after time: Duration, _ stall: Stall?, seen: String
    ) -> ClusterError {
        guard let stall else {
            return ClusterError(
                .waitTimedOut, host: host, operation: "wait for \(what)",
                cause: "not so after \(Int(time.seconds)) s: \(seen)",
                advice:
                    "look at it there; when it is so, go on with: masterswap resume (a longer limit: --wait-timeout)")
        }
        return ClusterError(
            .waitTimedOut, host: host, operation: "wait for \(what)",
            cause: "nothing has moved for \(Int(time.seconds)) s; seen last: \(seen)",
            advice:
                "it was left at work: look at it there; masterswap resume goes on waiting (a longer limit: \(stall.option))"
        )
    }

    /// A twentieth of the time waited so far: what takes hours is looked at seldom, and its end is seen at most 5 % late.
    static func pause(_ interval: Duration, elapsed: Duration, upTo longest: Duration?) -> Duration {
        longest.map { max(interval, min(elapsed / 20, $0)) } ?? interval
    }
}

/// Counts the time in which a remote host works as waiting, and tells what it is given to do.
private struct LoggingRemote: Remote {
    let base: any Remote
    let stopwatch: Stopwatch
    let tell: @Sendable (Command) -> Void
    var name: String { base.name }

    func run(_ command: Command) async throws -> CommandResult {
        tell(command)
        return try await stopwatch.waiting { try await base.run(command) }
    }
    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {
        tell(Command(["upload", "\(contents.count) bytes", path]))
        try await stopwatch.waiting { try await base.upload(contents, to: path, mode: mode) }
    }
    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {
        tell(Command(["replace", path]))
        try await stopwatch.waiting { try await base.replaceFile(path, expected: expected, with: contents) }
    }
}

/// The commands of a run that were told already.
private final class CommandsTold: Sendable {
    private let seen = Mutex<Set<String>>([])

    func insert(_ key: String) -> Bool { seen.withLock { $0.insert(key).inserted } }
}
