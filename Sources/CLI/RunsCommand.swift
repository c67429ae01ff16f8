import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting
import SSH

struct RunsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runs", abstract: "List the cluster's runs and those of this machine, or give one up.",
        discussion: """
            While a run is unfinished, no other run can start. --abandon gives up a run that cannot be resumed; it changes \
            nothing in the cluster but the run's record: look first how far it came (masterswap report, masterswap check).

            Examples:
              masterswap runs
              masterswap runs --output json
              masterswap runs --abandon 20261122-0301 --because "the new host's disk is broken as well"
            """)

    @Option(help: "Give this unfinished run up, so that another one can be begun.") var abandon: String?
    @Option(help: "Why: it is kept in the run's record.") var because: String?
    @Flag(name: .shortAndLong, help: "Do not ask before a run is given up; required where there is no terminal.")
    var yes = false
    @OptionGroup var options: HostOptions

    func validate() throws {
        guard (abandon == nil) == (because == nil) else {
            throw ValidationError("--abandon RUN and --because WHY go together")
        }
        try Reason.validate(because)
    }

    func run() async throws {
        if let abandon, let because {
            return try await Session.run(options) { [options, yes] session in
                try await Self.abandon(abandon, because, isAsked: !yes, session, options.inventory)
            }
        }
        let terminal = Terminal(options.global)
        let session: Session?
        do { session = try await Session(options) } catch let error as ValidationError { throw error } catch {
            // The runs of this machine are there without one.
            terminal.say("only the runs of this machine: \(error)")
            session = nil
        }
        try await Interrupt.cancelling { try await Self.list(session, terminal) }
        await session?.pool.close()
    }

    private static func list(_ session: Session?, _ terminal: Terminal) async throws {
        let store = RunStore()
        let known: KnownRuns
        if let session {
            known = await KnownRuns(store, session.inventory, session.remotes)
            try Task.checkCancellation()
            if !known.hasAskedCluster { terminal.say("only the runs of this machine: no master answers") }
        } else {
            known = KnownRuns(store)
        }
        known.problems.forEach(terminal.say)
        let reports = known.runs.map { run in
            var report = RunReport(run: run.id, events: run.events)
            if known.hasAskedCluster { report.place = run.isInCluster ? run.isHere ? .both : .cluster : .here }
            return report
        }
        if terminal.isJSON { return try terminal.printJSON(reports) }
        guard !reports.isEmpty else {
            return terminal.print(
                known.hasAskedCluster
                    ? "No run yet, neither in the cluster nor under \(store.root)." : "No run yet, under \(store.root)."
            )
        }
        terminal.lines(table(reports)).forEach(terminal.print)
    }

    static func table(_ reports: [RunReport]) -> Table {
        var table = Table(["RUN", "BEGAN", "CLUSTER", "DEAD", "WITH", "OUTCOME", "SECONDS", "WHERE"])
        table.rows = reports.map { report in
            [
                report.run, report.startedAt?.formatted(.iso8601) ?? "-",
                report.plan?.cluster ?? report.recovery?.cluster ?? "-",
                report.plan?.dead.node ?? report.recovery?.dead.map(\.node).joined(separator: ", ") ?? "-",
                report.plan?.replacement.node ?? (report.recovery == nil ? "-" : "a recovery"), report.outcome,
                String(format: "%.0f", report.elapsed), place(report.place),
            ]
        }
        return table
    }

    private static func place(_ place: RunReport.Place?) -> String {
        switch place {
        case .both: "both"
        case .cluster: "cluster"
        case .here, nil: "this machine"
        }
    }

    private static func abandon(
        _ name: String, _ why: String, isAsked: Bool, _ session: Session, _ file: InventoryOption
    ) async throws {
        let terminal = session.terminal
        let known = await KnownRuns(RunStore(), session.inventory, session.remotes)
        let run = try known.find(name, of: session.inventory.cluster)
        let report = RunReport(run: run.id, events: run.events)
        RunLeft(report, now: session.now).lines.forEach(terminal.progress)
        let replacement = session.replacement(file)
        try await replacement.abandon(run, because: Reason.of(why)) {
            if isAsked { try await Confirmation.ask("Type 'abandon' to give it up: ", expecting: "abandon", terminal) }
        }
        let text = "Run \(run.id) is given up; what it did stays as it is: see masterswap check."
        terminal.progress(text)
        terminal.printEvent(Event(.result, text: text, status: 0, run: run.id))
    }
}

/// How old a run is and what is left of it: what an operator looks at before going on with it, or giving it up.
struct RunLeft {
    let lines: [String]

    init(_ report: RunReport, now: Date) {
        let steps =
            report.plan.map { ReplacementSteps.make($0).map { (id: $0.id, title: $0.title) } }
            ?? report.recovery.map { RecoverySteps.make($0).map { (id: $0.id, title: $0.title) } } ?? []
        let done = Set(report.steps.filter { [.done, .skipped].contains($0.outcome) }.map(\.id))
        let left = steps.filter { !done.contains($0.id) }
        let title = report.title ?? ""
        let begun = report.startedAt.map {
            "begun \($0.formatted(.iso8601)), \(Self.age(now.timeIntervalSince($0))) ago"
        }
        var lines = ["Run \(report.run): \(title), \(begun ?? "never begun"): \(report.outcome)."]
        if let abandoned = report.abandoned { lines.append("  given up: \(abandoned)") }
        lines.append("  \(steps.count - left.count) of \(steps.count) steps are done; left:")
        self.lines =
            lines
            + left.map { step in
                let why = report.plan?.passedOver?.first { $0.step == step.id }?.because
                return "    \(step.title) (\(step.id))" + (why.map { ", passed over: \($0)" } ?? "")
            }
    }

    static func age(_ seconds: TimeInterval) -> String {
        switch Int(max(0, seconds)) {
        case let seconds where seconds < 120: "\(seconds) s"
        case let seconds where seconds < 7200: "\(seconds / 60) min"
        case let seconds where seconds < 172_800: "\(seconds / 3600) h"
        case let seconds: "\(seconds / 86400) days"
        }
    }
}
