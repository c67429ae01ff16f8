import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting
@testable import masterswap

/// The plan of the recorded run, told as it would be: and what was told is what was done.
@Suite struct PlanGoldenTests {
    static func inventory() throws -> Inventory {
        let root = Golden.folder.deletingLastPathComponent().deletingLastPathComponent()
        return try Inventory.read(root.appendingPathComponent("inventory/lab.yaml").path)
    }

    /// As it was recorded.
    static func plan() throws -> Plan { try #require(try RecordedRun.events().first?.plan) }

    @Test func itIsAsItWasLookedAt() throws {
        let text = PlanText(try Self.plan(), try Self.inventory())
        try Golden.expect(text.lines.map(\.text), in: "plan")
        try Golden.expect(text.summary.map(\.text), in: "plan-summary")
    }

    /// A command as a pattern: words in capitals stand for what no plan knows; what is said to the reader is cut off.
    private func pattern(_ command: String, run: String) throws -> Regex<Substring> {
        let told = command.components(separatedBy: " # ")[0].replacing("RUN", with: run)
        var text = NSRegularExpression.escapedPattern(for: told)
        for word in ["NAMESPACE", "POD"] { text = text.replacing(word, with: "[^/ ]+") }
        if text.hasSuffix("PATCH") { text = text.replacing("PATCH", with: ".*") }
        return try Regex<Substring>(text)
    }

    @Test func whatIsToldIsGiven() throws {
        let events = try RecordedRun.events()
        let run = try #require(events.first?.run)
        for step in ReplacementSteps.make(try Self.plan()) {
            let given = events.filter { $0.event == .command && $0.step == step.id }.compactMap(\.text)
            for command in step.commands(try Self.inventory()) {
                let pattern = try pattern(command, run: run)
                #expect(given.contains { $0.wholeMatch(of: pattern) != nil }, "\(step.id): \(command)")
            }
        }
    }

    /// No command that changes anything was given without being told before.
    @Test func whatIsGivenWasTold() throws {
        let events = try RecordedRun.events()
        let run = try #require(events.first?.run)
        let verbs = [
            "delete", "drain", "patch", "annotate", "cordon", "uncordon", "remove", "rm", "start", "replace", "save",
        ]
        for step in ReplacementSteps.make(try Self.plan()) {
            let told = try step.commands(try Self.inventory()).map { try pattern($0, run: run) }
            for event in events where event.event == .command && event.step == step.id {
                let text = event.text ?? ""
                guard text.split(separator: " ").contains(where: { verbs.contains(String($0)) }) else { continue }
                #expect(told.contains { text.wholeMatch(of: $0) != nil }, "\(step.id): \(text)")
            }
        }
    }
}
