import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting

struct ResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Go on with a run that was cut off; the cluster is asked where it stands.",
        discussion: """
            The run is found by its record in the cluster, from any machine with an inventory of it. On a terminal what is left of \
            it is shown, and asked about.

            Before ocboot starts, a resume makes a new plan and checks every safety rule. Anything beyond the confirmed plan is shown \
            and has to be confirmed.

            Examples:
              masterswap resume
              masterswap resume 20261122-0301
              masterswap resume --fence        the old master is back: stop what it runs, then go on
              masterswap resume --with lzx-ocboot-ha-test-5        the spare has died: another one takes its place
              masterswap resume --skip heal-onecloud-minio-minio --because 'its disk is on order'
            """)

    @Argument(
        help: ArgumentHelp(
            "The run, or the beginning of its name (default: the cluster's newest that is not over).", valueName: "run")
    )
    var runName: String?
    @Option(name: .customLong("with"), help: "Another spare, where the new master's join has not begun or has failed.")
    var replacement: String?
    @OptionGroup var losses: LossOptions
    @OptionGroup var skips: SkipOptions
    @OptionGroup var fencing: FenceOptions
    @Flag(
        name: .shortAndLong,
        help: "Do not ask before what was not agreed to when the run began; required where there is no terminal.")
    var yes = false
    @OptionGroup var wait: WaitOption
    @OptionGroup var stalls: StallOptions
    @OptionGroup var update: UpdateOption
    @OptionGroup var options: HostOptions

    func run() async throws {
        try await Session.run(options) {
            [
                options, limits = stalls.limits(wait), wait, update, runName, replacement, losses, skips,
                fence = fencing.fence,
                yes,
            ] session in
            let store = RunStore()
            let known = await KnownRuns(store, session.inventory, session.remotes)
            if !known.hasAskedCluster { known.problems.forEach(session.terminal.say) }
            let found = try known.find(runName, of: session.inventory.cluster)
            let report = RunReport(run: found.id, events: found.events)
            if report.status == 0 {
                if found.isOverHereAlone { try await session.replacement(options.inventory).publish(found) }
                if update.updateInventory, let plan = found.events.last(where: { $0.plan != nil })?.plan {
                    let text = try InventoryUpdate.write(plan, to: options.inventory.path, run: found.id)
                    session.terminal.progress(text)
                    return session.terminal.printEvent(Event(.result, text: text, status: 0, run: found.id))
                }
                let text = "Run \(found.id) is \(report.result ?? "done and verified"); there is nothing to resume."
                session.terminal.progress(text)
                return session.terminal.printEvent(Event(.result, text: text, status: 0, run: found.id))
            }
            try found.refuseIfAbandoned()
            try found.refuseIfDamaged()
            let run = try store.adopt(found, session.inventory, note: session.terminal.say)
            let isAsked = session.terminal.canAsk && !yes
            RunLeft(report, now: session.now).lines.forEach(session.terminal.progress)
            if let plan = try Recovery.plan(of: run) {
                guard !fence, replacement == nil, losses.acceptedLosses.isEmpty, skips.steps.isEmpty else {
                    throw ValidationError(
                        "run \(run.id) is a recovery, which takes neither --fence nor --with nor --accept-data-loss nor --skip"
                    )
                }
                let recovery = session.recovery(wait, resuming: plan)
                try recovery.refuseOtherInventory(plan, run)
                return try await recovery.locked(on: plan.survivor.host) { lock in
                    let survivors = session.inventory.masters.filter { $0.name == plan.survivor.host }
                    try await found.refuseIfChanged(survivors, session.remotes, session.inventory.cluster)
                    if isAsked { try await Confirmation.ask(plan, session.terminal) }
                    try await recovery.resume(run, plan: plan, lock: lock)
                }
            }
            let planned = try Replacement.plan(of: run)
            let work = session.replacement(options.inventory, limits: limits, update, resuming: planned)
            try work.refuseOtherInventory(planned, run)
            try skips.check(planned)
            let masters = planned.survivors.compactMap { session.inventory.host(named: $0.host) }
            try await work.locked(by: masters) { lock in
                try await found.refuseIfChanged(masters, session.remotes, session.inventory.cluster)
                let again = ResumedPlan(
                    run: run, planned: planned, replacement: replacement, losses: losses.acceptedLosses, fence: fence)
                let plan = skips.applied(to: try await again.plan(work, session))
                let news = PlanText(plan, session.inventory).added(to: planned)
                news.flatMap(session.terminal.lines).forEach(session.terminal.progress)
                if isAsked || !news.isEmpty && !yes { try await Confirmation.askForName(plan, session.terminal) }
                try await session.replacement(options.inventory, limits: limits, update, resuming: plan).resume(
                    run, plan: plan, lock: lock)
            }
        }
    }
}

/// What is left of a run: planned again until ocboot is started, and as it was agreed to from then on.
private struct ResumedPlan {
    let run: RunStore.Run
    let planned: Plan
    /// Another spare, as it was asked for.
    let replacement: String?
    let losses: [String]
    let fence: Bool

    /// - Throws: ``Refused``; `ValidationError` where something is asked for that is decided already.
    func plan(_ work: Replacement, _ session: Session) async throws -> Plan {
        let hasBegunJoin = try Replacement.hasBegunJoin(run)
        guard hasBegunJoin else { return try await planAgain(session) }
        guard losses.isEmpty else {
            throw ValidationError(
                "--accept-data-loss: the join of run \(run.id) has begun; what it deletes was agreed to before")
        }
        guard replacement != nil else { return try await work.resumption(of: run, fence: fence) }
        try await work.refuseOtherSpare(than: planned, run)
        return try await planAgain(session)
    }

    /// Right after an act of the run some things take a moment: what may settle is looked at again for a minute before it is refused.
    private func planAgain(_ session: Session) async throws -> Plan {
        let request = ReplacementRequest(
            again: planned, of: run.id, with: replacement, accepting: losses, fences: fence)
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            let state = try await session.observe(for: request)
            let isSilent = state.hosts[planned.dead.host]?.failure?.mayBeDead == true
            do {
                let plan = try Planner.plan(state, request, now: Date())
                if fence, plan.fences != true {
                    session.terminal.progress("\(planned.dead.host) does not answer: there is nothing to fence")
                }
                return plan.continuing(planned)
            } catch let refused as Refused
                where refused.maySettle(whereOldMasterIsSilent: isSilent) && ContinuousClock.now < deadline
            {
                session.terminal.progress("not yet: \(refused.refusals[0].reason); looking again for a minute")
                try await Task.sleep(for: .seconds(5))
            }
        }
    }
}
