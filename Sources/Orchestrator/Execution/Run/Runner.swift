import Cluster
import Foundation
import Planning

/// Runs steps one after another: check, journal, act, check again, journal.
public struct Runner: Sendable {
    package let steps: [any Step]
    let context: RunContext

    public init(_ steps: [any Step], _ context: RunContext) {
        self.steps = steps
        self.context = context
    }

    /// The whole run: its steps, the state after them, and its result, which is journaled and told whatever it is.
    /// - Parameter finish: done after all is verified, before the result is told.
    /// - Throws: what ended the run.
    func runToItsEnd(_ finish: () -> Void = {}) async throws {
        do {
            try await context.recordFirst()
            let passed = try await run()
            let after = await Observer(context.inventory, context.remotes).observe()
            try context.record(Event(.stateAfter, run: context.run.id, state: ClusterSummary(after)))
            finish()
            try context.record(Event(.result, text: Self.result(passed), status: 0, run: context.run.id))
            await context.deleteOldRecords()
        } catch {
            let status = ExitStatus(error)
            context.tell(Event(.result, text: "\(error)", status: Int(status.rawValue), run: context.run.id))
            await context.recorded()
            throw error
        }
    }

    private static func result(_ passed: [String]) -> String {
        "done and verified"
            + (passed.isEmpty ? "" : ", but for what was passed over: \(passed.joined(separator: ", "))")
    }

    /// Steps that are true already are skipped; the first that fails ends the run, after what must not outlive it is undone.
    /// - Returns: the ids of those that were passed over.
    @discardableResult
    public func run() async throws -> [String] {
        var passed: [String] = []
        // Also those that this run began before it was cut off and resumed: what they left must not outlive it.
        let begun = Set(((try? context.run.events()) ?? []).filter { $0.event == .stepBegan }.compactMap(\.step))
        var reached = steps.filter { begun.contains($0.id) }
        do {
            for step in steps {
                try Task.checkCancellation()
                if !begun.contains(step.id) { reached.append(step) }
                if try await run(step) == .stepPassedOver { passed.append(step.id) }
            }
            return passed
        } catch let error as Locked {
            // The cluster is another run's by now: nothing of it is touched.
            throw error
        } catch {
            await undo(reached)
            throw error
        }
    }

    /// - Returns: how it ended.
    private func run(_ step: any Step) async throws -> Event.Name {
        var context = context
        context.step = step.id
        let started = ContinuousClock.now
        let waitedBefore = context.stopwatch.waited
        func timed(_ name: Event.Name, _ text: String) -> Event {
            Event(
                name, step: step.id, title: step.title, text: text, elapsed: (ContinuousClock.now - started).seconds,
                waited: (context.stopwatch.waited - waitedBefore).seconds)
        }
        context.tell(Event(.stepStarted, step: step.id, title: step.title))
        do {
            switch try await Self.withRetry(context, { try await step.check(context) }) {
            case .satisfied(let seen):
                try context.record(timed(.stepSkipped, seen))
                return .stepSkipped
            case .passedOver(let why):
                try context.record(timed(.stepPassedOver, why))
                return .stepPassedOver
            case .needed(let why):
                try context.record(Event(.stepBegan, step: step.id, title: step.title, text: why))
            }
            await context.stopwatch.waiting { await context.recorded() }
            try await context.assertMayAct()
            do { try await step.run(context) } catch { throw Self.advised(error, step, run: context.run.id) }
            switch try await Self.withRetry(context, { try await step.verify(context) }) {
            case .satisfied(let seen), .passedOver(let seen):
                try context.record(timed(.stepFinished, seen))
                return .stepFinished
            case .needed(let why):
                throw ClusterError(
                    .changed, host: context.scene.primary.host, operation: step.title, cause: "done, and yet: \(why)",
                    advice: "look at it, then go on with: masterswap resume")
            }
        } catch {
            // The failure itself is what has to be told; a journal that cannot be written any more is told beside it.
            do { try context.record(timed(.stepFailed, "\(error)")) } catch { context.warn("\(error)") }
            if ![.interrupted, .locked].contains(ExitStatus(error)) { try context.assertOldMasterNotSeen() }
            throw error
        }
    }

    /// What was waited for in vain may be passed over.
    private static func advised(_ error: any Error, _ step: any Step, run: String) -> any Error {
        guard var failure = error as? ClusterError, failure.code == .waitTimedOut, step.leftUndone != nil else {
            return error
        }
        failure.advice += "; where it cannot come true: masterswap resume \(run) --skip \(step.id) --because WHY"
        return failure
    }

    /// A question that a restarting API server does not answer is retried for a minute and a half.
    private static func withRetry(_ context: RunContext, _ ask: () async throws -> StepStatus) async throws
        -> StepStatus
    {
        try await context.wait(for: "an answer", limit: .seconds(90)) { .done(try await ask()) }
    }

    private func undo(_ steps: [any Step]) async {
        // A run that is cancelled still has to uncordon: the work is a task of its own.
        await Task { [context] in
            do { try await context.assertLockHeld() } catch is Locked {
                return context.warn("another run has the cluster now: nothing of it is taken back")
            } catch {
                // An answer that did not come is asked for again by what is taken back.
            }
            for step in steps.reversed() {
                var context = context
                context.step = step.id
                do {
                    try await step.undo(context)
                } catch {
                    context.warn("could not take back '\(step.title)': \(error)")
                }
            }
        }.value
    }
}
