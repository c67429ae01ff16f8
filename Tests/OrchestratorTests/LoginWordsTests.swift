import Foundation
import TestSupport
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting
@testable import SSH

/// What a login writes to standard error before, or in place of, a script.
struct LoginWordsTests {
    private func script() -> SectionedScript {
        var script = SectionedScript()
        script.section("one", "echo 1")
        return script
    }

    /// The script's own output, as a host gives it.
    private func output(of script: SectionedScript) throws -> Data {
        let command = script.command(label: "s", timeout: nil)
        return try LocalProcess.output(of: "/bin/sh", Array(command.arguments.dropFirst())).output
    }

    @Test func aLocaleThatTheHostLacksIsNotInTheWay() throws {
        let script = script()
        let warning = "bash: warning: setlocale: LC_ALL: cannot change locale (zh_CN.UTF-8)\n"
        let result = CommandResult(
            outcome: .exited(0), standardOutput: try output(of: script), standardError: Data(warning.utf8))
        #expect(try script.parse(result, host: "m1", operation: "look").mapValues(\.text) == ["one": "1"])
    }

    @Test func anExpiredPasswordIsShown() throws {
        let words = "WARNING: Your password has expired.\nPassword change required but no TTY available.\n"
        let result = CommandResult(outcome: .exited(1), standardError: Data(words.utf8))
        let error = #expect(throws: ClusterError.self) { try script().parse(result, host: "m1", operation: "look") }
        #expect(error?.description.contains("Your password has expired") == true)
    }
}
