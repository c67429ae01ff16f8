import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting
import SSH
import Testing

@testable import masterswap

@Suite struct ExecViewTests {
    func answer(_ name: String, _ result: Result<CommandResult, any Error>) throws -> FanOut.Answer {
        let inventory = try Inventory.parse(
            "cluster: { name: a, vip: 10.0.0.9 }\nhosts: { \(name): { address: 10.0.0.1, role: master } }", file: "x")
        return FanOut.Answer(host: inventory.hosts[0], result: result)
    }

    @Test func equalOutputStandsTogetherAndNothingIsHidden() throws {
        let same = CommandResult(outcome: .exited(0), standardOutput: Data("up\n".utf8))
        let cut = CommandResult(outcome: .exited(0), standardOutput: Data("up\n".utf8), droppedOutput: 7)
        let bad = CommandResult(outcome: .exited(3), standardError: Data("no \u{1B}[31m\n".utf8))
        let dead = SSHError(.unreachable, host: "e", operation: "connect", cause: "no answer")
        let answers = try [
            answer("a", .success(same)), answer("b", .success(same)), answer("c", .success(cut)),
            answer("d", .success(bad)),
            answer("e", .failure(dead)),
        ]
        let options = try GlobalOptions.parse(["--no-color"])
        let lines = ExecView(answers: answers, terminal: Terminal(options)).lines
        #expect(lines.contains("a,b (2)"))
        #expect(lines.contains("up\n(7 more bytes were dropped)"))
        #expect(lines.contains("  d: exit status 3"))
        #expect(lines.contains("  e: connect: no answer; \(SSHError.Code.unreachable.advice)"))
        #expect(!lines.joined().contains("\u{1B}"))
        #expect(ExecView.status(answers) == .unreachableOrUntrusted)
        #expect(ExecView.status(Array(answers.prefix(4))) == .checkOrStepFailed)
        #expect(ExecView.status(Array(answers.prefix(3))) == .done)
    }
}
