import ArgumentParser
import Foundation
import Orchestrator

struct ReadyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ready", abstract: "For each master: could it be replaced if it died now? Read-only.",
        discussion: """
            Looks at every host once, as 'check' does. For each master in turn its death is then supposed (no answer, node NotReady, \
            etcd member down, the VIP with each survivor that could have it), and its replacement by each spare is planned. What the \
            plan would be refused for is told, with what to do about it now.

            Exit status, for cron: 0 where every master could be replaced, 2 where one could not, 4 where no master gave an answer, \
            65 where the inventory is wrong. The JSON document has a schema: docs/ready.schema.json.

            Examples:
              masterswap ready
              masterswap ready --output json
              30 7 * * *  masterswap ready -i /etc/masterswap/ha-test.yaml >/tmp/ready 2>&1 || mail -s "ha-test" root </tmp/ready
            """)

    @OptionGroup var losses: LossOptions
    @OptionGroup var recording: RecordingOptions
    @OptionGroup var options: HostOptions

    func run() async throws {
        let words = losses.acceptedLosses.flatMap { ["--accept-data-loss", $0] }
        let verb = RecordedVerb(options: recording, name: "ready", arguments: words)
        try await Session.run(options, verb: verb) { [losses] session in
            let readiness = Readiness(
                try await session.observe(), accepting: losses.acceptedLosses, now: session.now)
            if session.terminal.isJSON {
                try session.terminal.printJSON(readiness)
            } else {
                ReadyView(readiness: readiness, terminal: session.terminal).lines.forEach(session.terminal.print)
            }
            if readiness.status != 0 { throw ExitCode(Int32(readiness.status)) }
        }
    }
}

/// One line for each master and spare, then what would be refused.
struct ReadyView {
    let readiness: Readiness
    let terminal: Terminal

    var lines: [String] {
        var lines = terminal.lines(table)
        let refused = refusals
        if refused.isEmpty {
            lines += ["", terminal.paint("Each master could be replaced now.", .green)]
        } else {
            lines += [""] + refused
        }
        return lines + [terminal.paint("(cluster \(readiness.cluster))", .dim)]
    }

    private var table: Table {
        var table = Table(["MASTER", "COULD BE REPLACED", "WITH", "PRIMARY THEN", "CLAIMS MADE AGAIN"])
        for master in readiness.masters {
            var spares: [String] = []
            for trial in master.trials where !spares.contains(trial.spare) { spares.append(trial.spare) }
            if spares.isEmpty { table.rows.append([master.host, "NO", "-", "-", "-"]) }
            for spare in spares {
                let trials = master.trials.filter { $0.spare == spare }
                let isAccepted = trials.allSatisfy(\.isAccepted)
                let primaries = Set(trials.compactMap(\.primary)).sorted()
                table.rows.append([
                    master.host, isAccepted ? "yes" : "NO", spare,
                    primaries.isEmpty ? "-" : primaries.joined(separator: " or "), claims(trials),
                ])
            }
        }
        return table
    }

    private func claims(_ trials: [Readiness.Trial]) -> String {
        guard let lost = trials.first(where: \.isAccepted)?.lost else { return "-" }
        guard !lost.isEmpty else { return "none" }
        let healed = lost.count(where: \.isHealed)
        return "\(lost.count)" + (healed > 0 ? ", \(healed) healed" : "")
            + (healed < lost.count ? ", \(lost.count - healed) empty" : "")
    }

    /// Each once, with the masters that it is about.
    private var refusals: [String] {
        var order = readiness.problems
        var masters: [Refusal: [String]] = [:]
        for master in readiness.masters {
            for refusal in master.trials.flatMap(\.refusals) where masters[refusal]?.contains(master.host) != true {
                if masters[refusal] == nil { order.append(refusal) }
                masters[refusal, default: []].append(master.host)
            }
        }
        return order.flatMap { refusal in
            let whose = masters[refusal].map { $0.joined(separator: ", ") + ": " } ?? ""
            return terminal.lines("NO  ", "\(whose)\(refusal.rule): \(refusal.reason)", style: .red)
                + terminal.lines("    → ", refusal.advice)
        }
    }
}
