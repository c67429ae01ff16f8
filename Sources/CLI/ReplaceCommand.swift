import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting

struct ReplaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replace",
        abstract: "Replace a dead master by a spare: plan, ask, save, remove, join, rebuild, verify.",
        discussion: """
            Nothing is touched before the plan is shown and the dead node's name typed. A run that is cut off goes on with \
            'masterswap resume'.

            Examples:
              masterswap replace lzx-ocboot-ha-test --with lzx-ocboot-ha-test-4
              masterswap replace lzx-ocboot-ha-test --with lzx-ocboot-ha-test-4 --dry-run
              masterswap replace --plan plan.json --yes
            """)

    @Argument(help: "The dead master: an inventory name, a node name or an address; not needed with --plan.")
    var node: String?
    @Option(name: .customLong("with"), help: "The spare that takes its place; not needed with --plan.")
    var replacement: String?
    @OptionGroup var losses: LossOptions
    @OptionGroup var fencing: FenceOptions
    @OptionGroup var death: DeathOptions
    @OptionGroup var ocboot: OcbootOptions
    @Option(help: "Run just this saved plan; refused where the cluster asks for another by now.") var plan: String?
    @Flag(help: "Look at every step and change nothing.") var dryRun = false
    @Flag(name: .shortAndLong, help: "Do not ask; required where there is no terminal.") var yes = false
    @OptionGroup var drain: DrainOption
    @OptionGroup var wait: WaitOption
    @OptionGroup var stalls: StallOptions
    @OptionGroup var update: UpdateOption
    @OptionGroup var options: HostOptions

    func validate() throws {
        guard plan == nil else { return }
        if node == nil { throw ValidationError("NODE is missing: the dead master") }
        if replacement == nil { throw ValidationError("--with HOST is missing: the spare that takes its place") }
    }

    func run() async throws {
        let saved: Plan?
        do { saved = try plan.map(PlanFile.read) } catch { throw Session.fail(error, Terminal(options)) }
        try saved.map(refuseWhatIsNotOf)
        let asked = ReplacementRequest(
            dead: node ?? saved?.dead.node ?? "", replacement: replacement ?? saved?.replacement.host ?? "",
            acceptedLosses: losses.acceptedLosses + (saved?.acceptedLosses ?? []), drainTimeout: drain.seconds,
            fences: fencing.fence || saved?.fences == true,
            restoresSurvivors: ocboot.restoreSurvivors || saved?.ocboot?.restoresSurvivors == true,
            notReadyFor: death.notReadyFor)
        try await Session.run(options) { [options, limits = stalls.limits(wait), update, dryRun, yes] session in
            let state = try await session.observe(for: asked)
            let replacement = session.replacement(
                options.inventory, limits: limits, update, apiAddresses: state.apiAddresses)
            let seenAt = ContinuousClock.now
            if dryRun {
                let plan = try Self.plan(state, asked, saved, session)
                let results = try await replacement.dryRun(plan)
                return try Self.show(results, session.terminal)
            }
            // Without a master there is no lock to take either; the planner says why nothing can be done.
            if state.cluster.source == nil { _ = try Planner.plan(state, asked, now: Date()) }
            // An old master that is to be fenced is not asked for the lock.
            let masters = state.liveMasters.filter { $0 != session.inventory.host(asked.dead) }
            try await replacement.locked(by: masters) { lock in
                let plan = try Self.plan(state, asked, saved, session)
                try await replacement.refuseBesideAnother(masters)
                if !yes { try await Confirmation.ask(plan, session) }
                // Waiting for another run's lock or for an answer takes its time: what was seen before must still be so.
                if ContinuousClock.now - seenAt > .seconds(30) {
                    try Self.refuseIfOther(
                        plan, try Planner.plan(await session.observe(for: asked), asked, now: Date()), session.inventory
                    )
                }
                try await replacement.begin(plan, before: state, lock: lock)
            }
        }
    }

    /// A saved plan is run as it is, or not at all.
    private func refuseWhatIsNotOf(_ saved: Plan) throws {
        func isOther(_ name: String?, _ names: [String]) -> Bool { name.map { !names.contains($0) } ?? false }
        let other: [(isGiven: Bool, words: String)] = [
            (
                isOther(node, [saved.dead.host, saved.dead.node] + saved.dead.allAddresses),
                "replaces \(saved.dead.node), not \(node ?? "")"
            ),
            (
                isOther(replacement, [saved.replacement.host] + saved.replacement.allAddresses),
                "joins \(saved.replacement.host), not \(replacement ?? "")"
            ),
            (
                !Set(losses.acceptedLosses).isSubset(of: saved.acceptedLosses),
                "was made without that --accept-data-loss"
            ),
            (fencing.fence && saved.fences != true, "was made without --fence"),
            (
                ocboot.restoreSurvivors && saved.ocboot?.restoresSurvivors != true,
                "was made without --restore-survivors"
            ),
            (drain.isGiven && drain.seconds != saved.drainTimeout, "has a drain timeout of \(saved.drainTimeout) s"),
        ]
        guard let found = other.first(where: \.isGiven) else { return }
        throw ValidationError(
            "--plan \(plan ?? ""): that plan \(found.words); leave it out, or plan again with masterswap plan")
    }

    private static func plan(
        _ state: ClusterState, _ request: ReplacementRequest, _ saved: Plan?, _ session: Session
    ) throws -> Plan {
        let current = try Planner.plan(state, request, now: Date())
        if let saved { try refuseIfOther(saved, current, session.inventory) }
        let plan = saved ?? current
        PlanText(plan, session.inventory).lines.flatMap(session.terminal.lines).forEach(session.terminal.progress)
        return plan
    }

    /// - Throws: ``Refused`` where the saved plan is another than what would be planned now.
    private static func refuseIfOther(_ saved: Plan, _ current: Plan, _ inventory: Inventory) throws {
        let refusals = PlanIsCurrent.refusals(saved, current) { PlanText($0, inventory).lines.map(\.text) }
        guard refusals.isEmpty else { throw Refused(refusals) }
    }

    private static func show(_ results: [(step: any Step, status: Result<StepStatus, any Error>)], _ terminal: Terminal)
        throws
    {
        terminal.progress("")
        for result in results {
            let text =
                switch result.status {
                case .success(.satisfied(let seen)): "nothing to do: \(seen)"
                case .success(.needed(let why)): "would act: \(why)"
                case .success(.passedOver(let why)): "passed over: \(why)"
                case .failure(let error): "could not look: \(error)"
                }
            terminal.progress("\(result.step.title): \(text)")
            terminal.printEvent(Event(.note, step: result.step.id, title: result.step.title, text: text))
        }
        let isWhole = results.allSatisfy { if case .success = $0.status { true } else { false } }
        let text = isWhole ? "nothing was changed" : "nothing was changed; not every step could look: masterswap check"
        terminal.progress("\nDry run: \(text).")
        let status = isWhole ? ExitStatus.done : .checkOrStepFailed
        terminal.printEvent(Event(.result, text: "dry run: \(text)", status: Int(status.rawValue)))
        if !isWhole { throw ExitCode(status.rawValue) }
    }
}

/// The operator types the dead node's name: a `y` is typed too easily at 3 a.m.
enum Confirmation {
    static func ask(_ plan: Plan, _ session: Session) async throws {
        let terminal = session.terminal
        if terminal.canAsk { lines(plan, session.inventory, terminal).forEach(terminal.say) }
        try await askForName(plan, terminal)
    }

    /// What is about to be done, right above the question.
    static func lines(_ plan: Plan, _ inventory: Inventory, _ terminal: Terminal) -> [String] {
        [""] + PlanText(plan, inventory).summary.flatMap(terminal.lines)
    }

    static func question(_ plan: Plan) -> String { "Type the dead node's name, \(plan.dead.node), to go on: " }

    static func askForName(_ plan: Plan, _ terminal: Terminal) async throws {
        try await ask(question(plan), expecting: plan.dead.node, terminal)
    }

    /// - Throws: `Declined` where there is no terminal, or something else is typed; `CancellationError` on Ctrl-C.
    static func ask(_ question: String, expecting answer: String, _ terminal: Terminal) async throws {
        guard terminal.canAsk else {
            throw Declined("there is no terminal to ask on; nothing was changed; to go on without being asked: --yes")
        }
        let typed: String?
        do { typed = try await terminal.ask(question) } catch {
            terminal.say("nothing was changed")
            throw error
        }
        guard typed == answer else {
            throw Declined("not confirmed; nothing was changed; to confirm it after all, run the same command")
        }
    }
}

extension Session {
    /// - Parameters:
    ///   - plan: of the run that is resumed.
    ///   - apiAddresses: where each master's API server is, where that is known.
    func replacement(
        _ file: InventoryOption, limits: RunContext.Limits = .init(), _ update: UpdateOption? = nil,
        resuming plan: Plan? = nil,
        apiAddresses: [String: String] = [:]
    ) -> Replacement {
        let view = RunView(terminal, plan: plan)
        let source = inventory.ocboot?.database.password
        return Replacement(
            inventory: inventory, remotes: remotes, store: RunStore(), limits: limits,
            databasePassword: {
                guard let source else {
                    throw InventoryError(
                        file: file.path,
                        problems: [
                            .init(
                                line: 0, "it has no 'ocboot' section",
                                fix: "add it: directory, onecloud_version, image_repository, database")
                        ])
                }
                return try source.read()
            },
            apiAddresses: plan?.apiAddresses ?? apiAddresses,
            updatedInventory: update?.updateInventory == true ? file.path : nil, emit: { view.show($0) })
    }
}
