package import SSH

/// An ocboot that is at work on a host, whoever has started it: `run.py` or the Ansible that it runs, in a folder of ocboot's.
public struct OcbootAtWork: Sendable, Hashable, CustomStringConvertible {
    public var process: Int
    public var user: String
    /// As ps(1) tells it: `[[days-]hours:]minutes:seconds`.
    public var runningFor: String
    public var program: String

    package init(process: Int, user: String, runningFor: String, program: String) {
        self.process = process
        self.user = user
        self.runningFor = runningFor
        self.program = program
    }

    public var description: String { "process \(process) (\(program)) of \(user), for \(runningFor)" }

    /// Shell text that prints a line for each. Arguments may hold secrets, and are not printed.
    /// - Parameter directory: ocboot's, by the inventory; others go by their name.
    static func script(_ directory: String?) -> String {
        let own = directory.map { "\(ShellQuoting.quote($0)) | \(ShellQuoting.quote($0))/* | " } ?? ""
        return """
            grep -lzxE '(.*/)?(ansible-playbook|run\\.py|ocboot\\.(py|sh))' /proc/[0-9]*/cmdline 2>/dev/null |
            while IFS=/ read -r _ _ pid _; do
                case $(readlink "/proc/$pid/cwd") in
                    \(own)*/ocboot | */ocboot/*) ps -o pid= -o user= -o etime= -o comm= -p "$pid" ;;
                esac
            done
            true
            """
    }

    static func read(_ lines: [String]) -> [OcbootAtWork] {
        lines.compactMap { line in
            let words = TerminalText.line(line).split(separator: " ", maxSplits: 3, omittingEmptySubsequences: true)
            guard words.count == 4, let process = Int(words[0]) else { return nil }
            return OcbootAtWork(
                process: process, user: String(words[1]), runningFor: String(words[2]), program: String(words[3]))
        }
    }

    /// The question by itself.
    package static func look(_ directory: String?) -> Command {
        .script(script(directory), timeout: .seconds(20), label: "look for an ocboot at work")
    }

    /// - Throws: `SSHError`.
    package static func look(on remote: any Remote, _ directory: String?) async throws -> [OcbootAtWork] {
        read(try await remote.run(look(directory)).text.split(separator: "\n").map(String.init))
    }
}
