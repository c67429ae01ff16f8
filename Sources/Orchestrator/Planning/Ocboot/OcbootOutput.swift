package import Foundation
import SSH

/// ocboot's output, read line by line: what its Ansible came to, and why it ended where Ansible never ran.
///
/// Its exit status alone proves nothing: a configuration file that it does not find ends with 0 from 3.9 on.
package struct OcbootOutput: Sendable {
    /// Bytes of a line that has not ended.
    private var partial = Data()
    private var isInRecap = false
    /// A `PLAY RECAP` was there.
    package private(set) var hasRecap = false
    /// Hosts of the recap with `failed=` or `unreachable=` above zero, each with what it says.
    package private(set) var failures: [String] = []
    /// What a person is told where Ansible never ran: the last line of a usage error or a traceback, a file that is not there.
    package private(set) var problem: String?
    private var isInTraceback = false

    package init() {}

    /// - Returns: the lines that have ended, without colours; of one that was written over by a carriage return, what stands last.
    package mutating func read(_ data: Data) -> [String] {
        partial += data
        var lines: [String] = []
        while let end = partial.firstIndex(of: UInt8(ascii: "\n")) {
            let line = Self.plain(String(decoding: partial[..<end], as: UTF8.self))
            partial = Data(partial[(end + 1)...])
            notice(line)
            lines.append(line)
        }
        return lines
    }

    /// Why the join is not to be believed, though ocboot may have ended with 0; `nil` where its recap has no failure.
    package func objection(status: Int) -> String? {
        if let problem, !hasRecap { return problem }
        if !failures.isEmpty { return "Ansible failed: " + failures.joined(separator: "; ") }
        if status != 0 { return "it ended with status \(status)" }
        return hasRecap ? nil : "it ended with status 0, and Ansible never ran: there is no PLAY RECAP"
    }

    private mutating func notice(_ line: String) {
        if line.hasPrefix("PLAY RECAP") {
            (isInRecap, hasRecap) = (true, true)
            return
        }
        if isInRecap {
            if line.contains(" : ") {
                if line.firstMatch(of: /\b(failed|unreachable)=[1-9]/) != nil {
                    failures.append(line.split(whereSeparator: \.isWhitespace).joined(separator: " "))
                }
                return
            }
            isInRecap = line.allSatisfy(\.isWhitespace)
        }
        if line.hasPrefix("Traceback (most recent call last)") { isInTraceback = true }
        // The error is the first line after the frames, which are indented.
        if isInTraceback, let first = line.first, !first.isWhitespace, !line.hasPrefix("Traceback") {
            problem = "it stumbled: \(Self.withoutValues(line))"
            isInTraceback = false
        }
        if line.contains("does not exist or is not valid!") { problem = "it did not find its configuration: \(line)" }
        if line.firstMatch(of: #/^\S*run\.py: error: /#) != nil { problem = "it did not take its arguments: \(line)" }
        if line.hasPrefix("Usage: ") { problem = "it did not take its arguments: \(line)" }
    }

    /// ocboot's ConfigNotFoundException prints the whole section, the password in it.
    private static func withoutValues(_ line: String) -> String {
        line.firstIndex(of: "{").map { String(line[..<$0]) + "{…}" } ?? String(line.prefix(200))
    }

    /// What a terminal would show of it: colours and other escape sequences taken out (ECMA-48, `ESC [ … final byte`).
    package static func plain(_ line: String) -> String {
        let text = line.replacing(/\u{1B}\[[0-?]*[ -\/]*[@-~]/, with: "")
        // Not one that ends the line.
        let shown = text.split(separator: "\r", omittingEmptySubsequences: true).last ?? ""
        return TerminalText.sanitize(String(shown))
    }
}
