import Cluster
import Synchronization

/// Keeps a run's record in its cluster, beside the journal. It writes in the background, all that has happened since the last time at
/// once; a place that does not answer for a while gets all of it the next time, and is no reason to end a run.
final class RunRecorder: Sendable {
    private struct State {
        var record: RunRecord
        /// Grows with each event; what is written was this one then.
        var version = 0
        var written = 0
        var writer: Task<Void, Never>?
        /// Places that the record did not reach the last time.
        var missed: Set<String> = []
        var reached = 0
        var isLost = false
    }

    private let state: Mutex<State>
    private let records: ClusterRecords
    private let lock: (any RunLock)?
    /// Told what is worth a note.
    private let note: @Sendable (String) -> Void

    /// - Parameter lock: without it nothing is written: the record is another run's then.
    init(
        _ record: RunRecord, in records: ClusterRecords, lock: (any RunLock)?,
        note: @escaping @Sendable (String) -> Void
    ) {
        state = Mutex(State(record: record))
        self.records = records
        self.lock = lock
        self.note = note
    }

    /// A note in the journal and for whoever watches.
    static func note(_ journal: Journal, _ emit: @escaping @Sendable (Event) -> Void) -> @Sendable (String) -> Void {
        { text in
            let event = Event(.note, text: text)
            try? journal.append(event, durable: false)
            emit(event)
        }
    }

    func add(_ event: Event) {
        state.withLock { state in
            guard state.record.add(event) else { return }
            state.version += 1
            // A run that is cancelled has its record written all the same: the task is nobody's child.
            if state.writer == nil { state.writer = Task { await self.write() } }
        }
    }

    /// Returns when all that was added is written, as far as it can be.
    func flush() async {
        while let writer = state.withLock(\.writer) { await writer.value }
    }

    /// Nothing may be done before the record is somewhere.
    /// - Throws: ``ClusterError`` where it reached no place.
    func flushBeforeTheFirstAct(host: String) async throws {
        await flush()
        let (reached, missed) = state.withLock { ($0.reached, $0.missed) }
        guard reached == 0 else { return }
        throw ClusterError(
            .commandFailed, host: host, operation: "keep the run's record in the cluster",
            cause: "it reached none of: \(missed.sorted().joined(separator: ", "))",
            advice:
                "nothing was changed; see that \(RunHead.directory) can be written on a surviving master, or that the API server takes a ConfigMap in kube-system, then: masterswap resume"
        )
    }

    private func write() async {
        while let (record, version) = next() {
            do { try await lock?.assertNotTakenOver() } catch is Locked {
                // Another run has it by now, and its record is the newer one.
                return state.withLock {
                    $0.isLost = true
                    $0.writer = nil
                }
            } catch {
                // An API server that is away says nothing about the lock.
            }
            let outcome = await records.write(record)
            let faults = outcome.compactMapValues(\.self)
            let news = state.withLock { state in
                let news = faults.filter { !state.missed.contains($0.key) }
                state.missed = Set(faults.keys)
                state.reached = max(state.reached, outcome.count - faults.count)
                state.written = version
                return news
            }
            for (place, cause) in news.sorted(by: { $0.key < $1.key }) {
                note(
                    "the run's record could not be written to \(place): \(cause); it is tried again as the run goes on")
            }
        }
    }

    /// What is to be written; `nil` where nothing is, and then there is no writer any more.
    private func next() -> (RunRecord, version: Int)? {
        state.withLock { state in
            guard state.written < state.version, !state.isLost else {
                state.writer = nil
                return nil
            }
            return (state.record, state.version)
        }
    }

    /// At a run's end that is one: what is older than the last few goes.
    func deleteOld() async {
        await flush()
        await records.delete(ClusterRecords.old(await records.read().records))
    }
}
