public import Foundation
public import SSH

/// Many read-only questions in one remote script, so that a host costs one round of commands whatever their number.
///
/// Each section is a shell fragment; its standard output and its exit status come back under its name. The markers carry a
/// nonce, so that no file that a section prints can forge one.
public struct SectionedScript: Sendable {
    public struct Section: Sendable, Hashable {
        public var output: Data
        public var status: Int32

        public var succeeded: Bool { status == 0 }
        public var text: String { String(decoding: output, as: UTF8.self).trimmingCharacters(in: .newlines) }
        public var lines: [String] { text.split(separator: "\n").map(String.init) }
    }

    private let nonce: String
    private var body: String
    private var names: [String] = []

    public init() {
        nonce = String((0..<16).map { _ in "0123456789abcdef".randomElement()! })
        body = "export LC_ALL=C\n"
    }

    /// The fragment runs in a subshell: its variables and a failing command of its do not reach the next.
    public mutating func section(_ name: String, _ fragment: String) {
        names.append(name)
        body += "(\n\(fragment)\n)\nprintf '\\n@\(nonce) %s %d\\n' \(ShellQuoting.quote(name)) $?\n"
    }

    /// The same, and without its success nothing more is asked: what would come after could only wait in vain.
    public mutating func neededSection(_ name: String, _ fragment: String) {
        names.append(name)
        body += "(\n\(fragment)\n)\nstatus=$?; printf '\\n@\(nonce) %s %d\\n' \(ShellQuoting.quote(name)) $status\n"
        body += "[ $status -eq 0 ] || exit 0\n"
    }

    public func command(label: String, timeout: Duration?, outputLimit: Int = 512 << 20) -> Command {
        var command = Command.script(body, timeout: timeout, outputLimit: outputLimit, label: label)
        command.sections = .init(names: names, nonce: nonce)
        return command
    }

    /// - Throws: ``ClusterError`` with `badOutput` where the script did not reach its end.
    public func parse(_ result: CommandResult, host: String, operation: String) throws -> [String: Section] {
        guard result.droppedOutput == 0 else {
            throw ClusterError(
                .badOutput, host: host, operation: operation,
                cause: "more output than is kept (\(result.droppedOutput) bytes dropped)",
                advice: "look at the host by hand: something there is far larger than it should be")
        }
        var sections: [String: Section] = [:]
        let marker = Data("\n@\(nonce) ".utf8)
        var rest = result.standardOutput[...]
        while let range = rest.range(of: marker) {
            let output = rest[rest.startIndex..<range.lowerBound]
            let end = rest[range.upperBound...].firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
            let words = String(decoding: rest[range.upperBound..<end], as: UTF8.self).split(separator: " ")
            guard words.count == 2, let status = Int32(words[1]) else { break }
            sections[String(words[0])] = Section(output: Data(output), status: status)
            rest = rest[min(end + 1, rest.endIndex)...]
        }
        guard result.succeeded else {
            throw ClusterError(
                .badOutput, host: host, operation: operation,
                cause: "the script stopped half-way (\(result.outcome)): \(result.errorText.lastLines(3))",
                advice: "try again; if it stays, log in and look at the host")
        }
        return sections
    }
}

extension String {
    /// The last lines of a command's error output: where the cause is.
    func lastLines(_ count: Int) -> String {
        split(separator: "\n").suffix(count).joined(separator: " / ")
    }
}
