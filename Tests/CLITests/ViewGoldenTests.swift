import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting
@testable import masterswap

/// What a person reads before, instead of and after a run, on a narrow and on a wide screen, as it was looked at.
@Suite struct ViewGoldenTests {
    static let sizes = [("80x24", 80), ("200x50", 200)]

    private func expect(_ name: String, _ lines: (Terminal) throws -> [String]) throws {
        for (folder, width) in Self.sizes {
            let lines = try lines(Terminal(width: width))
            for line in lines { #expect(Columns.width(line) <= width, "\(name): \(line)") }
            try Golden.expect(lines, in: "\(folder)/\(name)")
        }
    }

    @Test func theQuestion() throws {
        let plan = try PlanGoldenTests.plan()
        let inventory = try PlanGoldenTests.inventory()
        try expect("question") { Confirmation.lines(plan, inventory, $0) + [Confirmation.question(plan)] }
    }

    @Test func aRefusal() throws {
        let refused = Refused([
            Refusal(
                "node-is-dead", "lzx-ocboot-ha-test answers over SSH",
                advice:
                    "shut it down for good and wait until it is NotReady, then try again; or have it stopped over SSH: --fence"
            ),
            Refusal(
                "critical-data-survives",
                "onecloud-minio/minio is critical: 3 of 4 volumes are lost, 2 may be",
                advice:
                    "bring the dead node's disks back; if the data may go: --accept-data-loss onecloud-minio/export-minio-0"
            ),
        ])
        try expect("refusal") { Session.lines(refused, $0) }
    }

    @Test func theEnd() throws {
        let events = try RecordedRun.events()
        let report = RunReport(run: try #require(events.first?.run), events: events)
        try expect("end") { OutcomeView(report: report, terminal: $0, isLive: true).lines }
        var partly = report
        let place = try #require(partly.steps.firstIndex { $0.id == "delete-volumes" })
        partly.steps[place].outcome = .passedOver
        let last = OutcomeView(report: partly, terminal: Terminal(width: 200), isLive: true).lines.joined(
            separator: " ")
        #expect(last.contains("Done and verified, but for what was passed over: delete-volumes."))
        let began = try RecordedRun.events { $0.event == .stepStarted && $0.step == "join" }
        let stopped = RunReport(
            run: report.run,
            events: began + [Event(.result, at: began.last?.at ?? Date(), text: "x", status: 2, run: report.run)])
        try expect("stopped") { OutcomeView(report: stopped, terminal: $0, isLive: true).lines }
    }

    /// Lines to paste are not broken, however narrow the screen is.
    @Test func whatIsToBePasted() async throws {
        let file = RecordingsTests.folder.appendingPathComponent("healthy.jsonl").path
        let replay = Replay(try Recording(contentsOf: file), path: file, program: "test")
        var state = await Observer(try replay.inventory(), replay.remotes, isOrdered: true).observe()
        let hosts = state.inventory.hosts
        state.inventory.workloads.removeAll { $0.namespace == "onecloud-monitoring" }
        for (host, observation) in state.hosts {
            guard case .reached(var facts) = observation else { continue }
            if host == hosts[0].name {
                facts.deniedLogins[hosts[3].address] = "Permission denied (publickey,password)."
            }
            if host == hosts[1].name { facts.ocboot = nil }
            if host == hosts[2].name {
                facts.snapshots = [.init(path: "/var/backups/etcd.db", at: replay.now - 7200)]
            }
            state.hosts[host] = .reached(facts)
        }
        let readiness = Readiness(state, now: replay.now)
        let lines = ReadyView(readiness: readiness, terminal: Terminal(width: 80)).lines
        let commands = readiness.commands ?? []
        for command in commands { #expect(lines.contains("  \(command.command)")) }
        // What stands between the headings may be pasted as a whole.
        let block = lines.drop { !$0.hasPrefix("To paste on") }.prefix { !$0.hasPrefix("To add to") }
        let other = block.filter { !$0.isEmpty && !$0.hasPrefix("To paste on") && !$0.hasPrefix("  # ") }
        #expect(Array(other) == commands.map { "  \($0.command)" })
        try Golden.expect(lines, in: "80x24/ready")
    }
}
