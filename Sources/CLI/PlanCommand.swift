import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting
import SSH

struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Show what a replacement would do, or why it is refused; changes nothing.",
        discussion: """
            Reads like a runbook: every step with its reason, the commands, what is made (+), changed (~) and destroyed (-), \
            the data at risk, the time.

            Examples:
              masterswap plan lzx-ocboot-ha-test --with lzx-ocboot-ha-test-4
              masterswap plan lzx-ocboot-ha-test --with lzx-ocboot-ha-test-4 --out plan.json
              masterswap plan lzx-ocboot-ha-test --with lzx-ocboot-ha-test-4 --record plan.jsonl
            """)

    @Argument(help: "The dead master: an inventory name, a node name or an address.") var node: String
    @Option(name: .customLong("with"), help: "The spare that takes its place.") var replacement: String
    @OptionGroup var losses: LossOptions
    @OptionGroup var fencing: FenceOptions
    @OptionGroup var death: DeathOptions
    @OptionGroup var ocboot: OcbootOptions
    @Option(help: "Save the plan, for: masterswap replace --plan FILE.") var out: String?
    @OptionGroup var recording: RecordingOptions
    @OptionGroup var drain: DrainOption
    @OptionGroup var options: HostOptions

    func run() async throws {
        let request = ReplacementRequest(
            dead: node, replacement: replacement, acceptedLosses: losses.acceptedLosses,
            drainTimeout: drain.seconds, fences: fencing.fence, restoresSurvivors: ocboot.restoreSurvivors,
            notReadyFor: death.notReadyFor)
        let verb = RecordedVerb(options: recording, name: "plan", arguments: request.arguments)
        try await Session.run(options, verb: verb) { [out, death, options] session in
            let plan = try Planner.plan(try await session.observe(for: request), request, now: session.now)
            let document = try EventCoding.encode(PlanDocument(plan, session.inventory))
            if let out { try PlanFile.write(document, to: out) }
            if session.terminal.isJSON {
                return session.terminal.printDocument(String(decoding: document, as: UTF8.self))
            }
            PlanText(plan, session.inventory).lines.flatMap(session.terminal.lines).forEach(session.terminal.print)
            let words = out.map { ["--plan", $0] + death.words } ?? request.words
            session.terminal.print(
                "\nNothing was changed. To do it: masterswap replace \(ShellQuoting.join(words + options.inventory.words))"
            )
        }
    }
}

extension ReplacementRequest {
    /// As a person types them: defaults are left out.
    fileprivate var words: [String] { arguments(withDefaults: false) }

    /// As a recording keeps them.
    fileprivate var arguments: [String] { arguments(withDefaults: true) }

    private func arguments(withDefaults: Bool) -> [String] {
        let hasDrain = withDefaults || drainTimeout != DrainOption.usual
        let hasAge = withDefaults || notReadyFor != Self.usualNotReadyFor
        return [dead, "--with", replacement] + (acceptedLosses.isEmpty ? [] : ["--accept-data-loss"] + acceptedLosses)
            + (fences ? ["--fence"] : []) + (restoresSurvivors ? ["--restore-survivors"] : [])
            + (hasDrain ? ["--drain-timeout", "\(drainTimeout)"] : [])
            + (hasAge ? ["--not-ready-for", "\(notReadyFor)"] : [])
    }
}

extension Terminal {
    /// Broken between words where the screen ends, but for commands: those are there to be copied.
    func lines(_ line: PlanText.Line) -> [String] {
        guard let width, line.kind != .command, Columns.width(line.text) > width else {
            return [paint(line.text, line.kind)]
        }
        let indent = line.text.prefix { $0 == " " }.count
        return Columns.wrap(line.text, to: width - indent - 2).enumerated().map { index, part in
            paint(String(repeating: " ", count: index == 0 ? indent : indent + 2) + part, line.kind)
        }
    }

    private func paint(_ text: String, _ kind: PlanText.Line.Kind) -> String {
        switch kind {
        case .heading, .step: paint(text, .bold)
        case .plain: text
        case .made: paint(text, .green)
        case .changed: paint(text, .yellow)
        case .destroyed, .warning: paint(text, .red)
        case .command: paint(text, .dim)
        }
    }
}

/// A saved plan.
enum PlanFile {
    /// An older plan may be written over, and no other file.
    static func write(_ document: Data, to path: String) throws {
        try OutputFile.write(document, to: path) { old in
            old.isEmpty || (try? EventCoding.decode(Plan.self, from: old)) != nil
        }
    }

    static func read(_ path: String) throws -> Plan {
        func failure(_ cause: String) -> ClusterError {
            ClusterError(
                .localFile, host: "this machine", operation: "read the plan \(path)", cause: cause,
                advice: "name a plan that masterswap plan has saved with --out, or plan again into a new file")
        }
        let expanded = (path as NSString).expandingTildeInPath
        guard let data = FileManager.default.contents(atPath: expanded) else {
            throw failure(FileProblem.reading(expanded))
        }
        let plan: Plan
        do { plan = try EventCoding.decode(Plan.self, from: data) } catch {
            throw failure("it is no plan of this program")
        }
        guard plan.version == Plan.currentVersion else {
            throw failure("it is of format \(plan.version), this program's is \(Plan.currentVersion)")
        }
        return plan
    }
}
