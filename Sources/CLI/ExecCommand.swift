import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting
import SSH

struct ExecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "Run one command on many hosts; equal output is grouped.",
        discussion: """
            Ends with 0 where it did on every host, with 2 where it did not on one, with 4 where a host could not be reached \
            or trusted.

            Examples:
              masterswap exec -- uptime
              masterswap exec --limit 'master*' -- systemctl is-active kubelet
            """)

    @OptionGroup var limit: LimitOption
    @OptionGroup var options: HostOptions
    @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.") var command: [String] = []

    func validate() throws {
        if command.isEmpty { throw ValidationError("no command: masterswap exec -- COMMAND ...") }
    }

    func run() async throws {
        try await Session.run(options, keepsConnections: false) {
            [limit, connection = options.connection, command] session in
            let hosts = try session.hosts(limit: limit.pattern)
            let fanOut = FanOut(remotes: session.remotes, concurrency: connection.concurrency)
            let terminal = session.terminal
            let count = HostCount(hosts, terminal)
            let answers = await fanOut.run(Command(command, timeout: .seconds(connection.commandTimeout)), on: hosts) {
                answer in
                if terminal.isJSON { try? terminal.printJSON(ExecLine(answer), pretty: false) }
                count.done(answer.host)
            }
            count.end()
            let status = ExecView.status(answers)
            if !terminal.isJSON { ExecView(answers: answers, terminal: terminal).lines.forEach(terminal.print) }
            terminal.printResult(ResultLine(status: status))
            if status != .done { throw ExitCode(status.rawValue) }
        }
    }
}

private struct ExecLine: Encodable {
    var event = "host"
    var host: String
    var outcome: String
    var stdout: String?
    var stderr: String?
    /// Bytes of both streams that came beyond what is kept.
    var droppedBytes: Int?
    var error: String?

    init(_ answer: FanOut.Answer) {
        host = answer.host.name
        switch answer.result {
        case .success(let result):
            outcome = result.outcome.description
            stdout = result.text
            stderr = result.errorText
            let dropped = result.droppedOutput + result.droppedError
            droppedBytes = dropped > 0 ? dropped : nil
        case .failure(let error):
            outcome = "failed"
            self.error = "\(error)"
        }
    }
}

/// Hosts that gave the same output stand together, as with `clush -b`; failures come last.
struct ExecView {
    let answers: [FanOut.Answer]
    let terminal: Terminal

    var lines: [String] {
        var groups: [(key: String, hosts: [String])] = []
        var failures: [String] = []
        for answer in answers {
            switch answer.result {
            case .success(let result):
                if !result.succeeded { failures.append("\(answer.host.name): \(result.outcome)") }
                var text = result.text + result.errorText
                while text.hasSuffix("\n") { text.removeLast() }
                let dropped = result.droppedOutput + result.droppedError
                if dropped > 0 { text += "\n(\(dropped) more bytes were dropped)" }
                let key = TerminalText.sanitize(text)
                if let index = groups.firstIndex(where: { $0.key == key }) {
                    groups[index].hosts.append(answer.host.name)
                } else {
                    groups.append((key, [answer.host.name]))
                }
            case .failure(let error): failures.append(TerminalText.sanitize("\(error)"))
            }
        }
        let rule = String(repeating: "-", count: 15)
        var lines = groups.flatMap { group in
            [rule, terminal.paint("\(group.hosts.joined(separator: ",")) (\(group.hosts.count))", .bold), rule]
                + (group.key.isEmpty ? [] : [group.key])
        }
        if !failures.isEmpty {
            lines +=
                ["", terminal.paint("\(failures.count) of \(answers.count) hosts failed:", .red)]
                + failures.map { "  \($0)" }
        }
        return lines
    }

    static func status(_ answers: [FanOut.Answer]) -> ExitStatus {
        let statuses = answers.map { answer -> ExitStatus in
            switch answer.result {
            case .success(let result): result.succeeded ? .done : .checkOrStepFailed
            case .failure(let error): ExitStatus(error)
            }
        }
        return statuses.first { $0 == .unreachableOrUntrusted } ?? statuses.first { $0 != .done } ?? .done
    }
}
