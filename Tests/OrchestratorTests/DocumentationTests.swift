import Foundation
import Testing

@testable import Orchestrator

/// The README's tables are promises: they say what the code says.
@Suite struct DocumentationTests {
    let readme: String

    init() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        readme = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
    }

    @Test func everySafetyRuleIsListedWithWhatItPrevents() {
        for rule in SafetyRules.all { #expect(readme.contains("| `\(rule.id)` | \(rule.prevents) |"), "\(rule.id)") }
        let listed = readme.split(separator: "\n").filter { $0.hasPrefix("| `") }
        #expect(listed.count == SafetyRules.all.count)
    }

    @Test func everyExitStatusIsListed() {
        for status in ExitStatus.allCases { #expect(readme.contains("| \(status.rawValue) | "), "\(status)") }
    }
}
