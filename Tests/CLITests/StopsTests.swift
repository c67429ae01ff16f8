import ArgumentParser
import Foundation
import Testing

@testable import masterswap

/// What `docs/stops.md` tells people to type is what the program takes.
@Suite struct StopsTests {
    @Test func everyCommandInTheTableIsOne() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("docs/stops.md"), encoding: .utf8)
        let commands = Set(text.matches(of: /`masterswap ([^`…]+)`/).map { String($0.1) })
        #expect(commands.count >= 5)
        for command in commands {
            #expect(throws: Never.self, "\(command)") {
                try Masterswap.parseAsRoot(command.split(separator: " ").map(String.init))
            }
        }
    }
}
