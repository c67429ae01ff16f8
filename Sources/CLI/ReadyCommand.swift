import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting
import SSH

struct ReadyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ready", abstract: "For each master: could it be replaced if it died now? Read-only.",
        discussion: """
            Looks at every host once, as 'check' does. For each master in turn its death is then supposed (no answer, node NotReady, \
            etcd member down, the VIP with each survivor that could have it), and its replacement by each spare is planned. What the \
            plan would be refused for is told, with what to do about it now: where commands, or lines for the inventory, can do that, they \
            are printed to be pasted, and none of them is run. For each pair of masters it says what their death at once would leave.

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
            // A replay prints the same wherever and whenever it is run: nothing of this machine is in it.
            let isHosts = session.source.isHosts
            let state = try await session.observe()
            let here = isHosts ? KnownSnapshot.Here(of: state.inventory.cluster.name) : nil
            var readiness = Readiness(state, accepting: losses.acceptedLosses, here: here, now: session.now)
            if isHosts {
                let history = ReportHistory()
                readiness.lastReplacement = .init(of: readiness.cluster, in: RunStore())
                if let last = history.last(of: readiness.cluster, Readiness.self) { readiness.compare(with: last) }
                do { try history.keep(readiness) } catch { session.terminal.say("warning: \(error)") }
            }
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
        if readiness.ready { lines += ["", terminal.paint("Each master could be replaced now.", .green)] }
        let refused = refusals
        if !refused.isEmpty { lines += [""] + refused }
        return lines + preparation + twoDeaths + changes + [""] + history + [
            terminal.paint("(cluster \(readiness.cluster))", .dim)
        ]
    }

    private var table: Table {
        var table = Table(["MASTER", "COULD BE REPLACED", "WITH", "PRIMARY THEN", "CLAIMS RECREATED"])
        for master in readiness.masters {
            let spares = Array(uniqued: master.trials.map(\.spare))
            if spares.isEmpty { table.rows.append([master.host, "NO", "-", "-", "-"]) }
            for spare in spares {
                let trials = master.trials.filter { $0.spare == spare }
                let primaries = Set(trials.compactMap(\.primary)).sorted()
                table.rows.append([
                    master.host, trials.allSatisfy(\.isAccepted) ? "yes" : "NO", spare,
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
        let empty = lost.count - healed
        return "\(lost.count)" + (healed > 0 ? ", \(healed) healed" : "") + (empty > 0 ? ", \(empty) empty" : "")
    }

    /// Each once, with the masters that it is about, and with who would have the VIP where it depends on that. What another spare makes
    /// good is worth knowing, and no reason to get up.
    private var refusals: [String] {
        var order = readiness.problems
        var about: [Refusal: [String]] = [:]
        var isGrave = Set(readiness.problems)
        for master in readiness.masters {
            for refusal in Array(uniqued: master.trials.flatMap(\.refusals)) {
                if about[refusal] == nil { order.append(refusal) }
                about[refusal, default: []].append(subject(master, refusal))
                if !master.ready { isGrave.insert(refusal) }
            }
        }
        return order.flatMap { refusal in
            let whose = about[refusal].map { $0.joined(separator: ", ") + ": " } ?? ""
            let grave = isGrave.contains(refusal)
            return terminal.lines(
                grave ? "NO    " : "note  ", "\(whose)\(refusal.rule): \(refusal.reason)", style: grave ? .red : .yellow
            )
                + terminal.lines("      → ", refusal.advice)
        }
    }

    /// No line is broken: the whole of it may be pasted, and the rest of a comment would be run.
    private var preparation: [String] {
        var lines: [String] = []
        let commands = readiness.commands ?? []
        for host in Array(uniqued: commands.map(\.host)) {
            lines += ["", "To paste on \(host):"]
            var reason: String?
            for command in commands where command.host == host {
                if command.reason != reason {
                    lines.append(terminal.paint("  # \(command.comment)", .dim))
                }
                reason = command.reason
                lines.append("  \(command.command)")
            }
        }
        if let rules = readiness.inventoryLines {
            lines += ["", "To add to the inventory, under 'workloads':"] + rules.map { "  \($0)" }
        }
        return lines
    }

    private var twoDeaths: [String] {
        guard let pairs = readiness.twoDeaths, !pairs.isEmpty else { return [] }
        var table = Table(["TWO DEAD AT ONCE", "ETCD", "THEN", "DATA LOST"])
        for pair in pairs {
            table.rows.append([
                pair.hosts.joined(separator: ", "),
                pair.keepsMajority.map { $0 ? "keeps its majority" : "no majority" } ?? "not known", then(pair),
                data(pair),
            ])
        }
        var lines = [""] + terminal.lines(table)
        if pairs.contains(where: { $0.keepsMajority == false }) {
            lines += terminal.lines(
                "",
                "Without a majority nothing is replaced: first masterswap recover SURVIVOR, then masterswap replace for each (docs/two-masters-dead.md)."
            )
        }
        // Of each rule one refusal: the others differ in names. All of them are in the JSON.
        var told: Set<String> = []
        for pair in pairs {
            for refusal in pair.refusals where told.insert(refusal.rule).inserted {
                lines += terminal.lines(
                    "note  ", "\(pair.hosts.joined(separator: " and ")): \(refusal.rule): \(refusal.reason)",
                    style: .yellow)
                lines += terminal.lines("      → ", refusal.advice)
            }
        }
        return lines
    }

    private func then(_ pair: TwoDeaths) -> String {
        if pair.keepsMajority == true {
            let rules = Array(uniqued: pair.refusals.map(\.rule)).joined(separator: ", ")
            return pair.replaceable.isEmpty
                ? "goes on; before a replacement: \(rules)"
                : "goes on; to be replaced first: \(pair.replaceable.joined(separator: " or "))"
        }
        let snapshot = pair.snapshots.first.map { "from a snapshot, \($0.text(at: readiness.at))" }
        guard pair.isRecoverable else {
            return "NOT RECOVERABLE by what is known: no other etcd that answers, and no snapshot"
        }
        let survivors = pair.survivors.joined(separator: " or ")
        let own = survivors.isEmpty ? nil : "recover from the data of \(survivors)"
        return [own, snapshot].compactMap(\.self).joined(separator: ", or ")
    }

    private func data(_ pair: TwoDeaths) -> String {
        let lost = pair.lostData.map {
            "\($0.workload): \($0.lost) of \($0.size) volumes lost, and its redundancy tolerates \($0.mayBeLost)"
        }
        let unknown = pair.unknownData.map { "\($0): not known" }
        return lost.isEmpty && unknown.isEmpty ? "-" : (lost + unknown).joined(separator: "; ")
    }

    private func subject(_ master: Readiness.Master, _ refusal: Refusal) -> String {
        let holders = master.trials.filter { $0.refusals.contains(refusal) }.compactMap(\.vipTo)
        let all = Set(master.trials.compactMap(\.vipTo))
        guard !holders.isEmpty, Set(holders) != all else { return master.host }
        return "\(master.host), if the VIP goes to \(Set(holders).sorted().joined(separator: " or "))"
    }

    private var changes: [String] {
        guard let since = readiness.since, let changes = readiness.changes else { return [] }
        let moment = since.formatted(.iso8601.dateTimeSeparator(.space)).replacing("Z", with: " UTC")
        if changes.isEmpty {
            return ["", terminal.paint("Nothing else than when it was last asked, \(moment).", .dim)]
        }
        return ["", "Since it was last asked, \(moment):"]
            + changes.flatMap {
                terminal.lines($0.kind == .newProblem ? "  new   " : "  gone  ", "\($0.subject): \($0.text)")
            }
    }

    /// What this machine has of the cluster; nothing where a recording is replayed.
    private var history: [String] {
        var lines: [String] = []
        if let last = readiness.lastReplacement {
            lines.append(
                String(format: "the last replacement took %.0f s: masterswap report \(last.run)", last.seconds))
        }
        lines += (readiness.snapshots ?? []).map { "newest snapshot of etcd: \($0.text(at: readiness.at))" }
        return lines
    }
}
