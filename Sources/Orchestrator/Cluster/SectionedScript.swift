public import Foundation
public import SSH

/// Many read-only questions in one remote script, so that a host costs one round of commands whatever their number.
///
/// Each section is a shell fragment; its standard output, its standard error and its exit status come back under its name. Both
/// streams carry a marker after each section, with a nonce that no file that a section prints can forge. An answer counts only
/// if the marker of the script's end arrived.
public struct SectionedScript: Sendable {
    public struct Section: Sendable, Hashable {
        public var output: Data
        public var errors: Data
        public var status: Int32

        public init(output: Data, errors: Data = Data(), status: Int32) {
            self.output = output
            self.errors = errors
            self.status = status
        }

        public var succeeded: Bool { status == 0 }
        public var text: String { String(decoding: output, as: UTF8.self).trimmingCharacters(in: .newlines) }
        public var lines: [String] { text.split(separator: "\n").map(String.init) }
        public var errorText: String { String(decoding: errors, as: UTF8.self).trimmingCharacters(in: .newlines) }
        /// What it printed, if it succeeded and printed anything: a fact that could not be read has no value.
        public var answer: String? { succeeded && !text.isEmpty ? text : nil }
    }

    private let nonce: String
    private var body: String
    private var names: [String] = []
    private var optional: Set<String> = []

    /// The name in the marker of the script's end.
    private static let end = "end-of-script"

    public init() {
        nonce = String((0..<16).map { _ in "0123456789abcdef".randomElement()! })
        body = "export LC_ALL=C\n"
    }

    /// The fragment runs in a subshell: its variables and a failing command of its do not reach the next.
    public mutating func section(_ name: String, _ fragment: String) {
        names.append(name)
        body += "(\n\(fragment)\n)\nstatus=$?\n\(marker(ShellQuoting.quote(name)))\n"
    }

    /// The same, of a question that is younger than recordings that are still replayed: there it has no answer, and the fact is unknown.
    public mutating func optionalSection(_ name: String, _ fragment: String) {
        section(name, fragment)
        optional.insert(name)
    }

    /// The same, and without its success nothing more is asked: what would come after could only wait in vain.
    public mutating func neededSection(_ name: String, _ fragment: String) {
        section(name, fragment)
        body += "[ $status -eq 0 ] || { status=0; \(marker(Self.end)); exit 0; }\n"
    }

    private func marker(_ name: String) -> String {
        "printf '\\n@\(nonce) %s %d\\n' \(name) $status; printf '\\n@\(nonce) %s %d\\n' \(name) $status >&2"
    }

    public func command(label: String, timeout: Duration?, outputLimit: Int = 512 << 20) -> Command {
        var command = Command.script(
            body + "status=0\n\(marker(Self.end))\n", timeout: timeout, outputLimit: outputLimit, label: label)
        command.sections = .init(names: names, nonce: nonce)
        command.sections?.optional = optional
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
        let outputs = parts(of: result.standardOutput)
        let errors = Dictionary(
            parts(of: result.standardError).map { ($0.name, $0.text) }, uniquingKeysWith: { first, _ in first })
        guard result.succeeded, outputs.last?.name == Self.end else {
            let reached = outputs.last.map { "it ended after '\($0.name)'" } ?? "no part of it was answered"
            let words = result.errorText.split(separator: "\n").filter { !$0.hasPrefix("@\(nonce)") }
            let said = words.joined(separator: "\n").lastLines(3)
            throw ClusterError(
                .badOutput, host: host, operation: operation,
                cause: "the script stopped half-way (\(result.outcome)), \(reached)"
                    + (said.isEmpty ? "" : ": \(said)"),
                advice: "log in there and see what ends a script: memory, limits, a full disk")
        }
        return Dictionary(
            outputs.dropLast().map { part in
                (part.name, Section(output: part.text, errors: errors[part.name] ?? Data(), status: part.status))
            }, uniquingKeysWith: { first, _ in first })
    }

    /// What stands before each marker, in order.
    private func parts(of stream: Data) -> [(name: String, text: Data, status: Int32)] {
        let marker = Data("\n@\(nonce) ".utf8)
        var parts: [(name: String, text: Data, status: Int32)] = []
        var rest = stream[...]
        while let range = rest.range(of: marker) {
            let text = rest[rest.startIndex..<range.lowerBound]
            // Cut off within a marker: the section's status is not known.
            guard let end = rest[range.upperBound...].firstIndex(of: UInt8(ascii: "\n")) else { break }
            let words = String(decoding: rest[range.upperBound..<end], as: UTF8.self).split(separator: " ")
            guard words.count == 2, let status = Int32(words[1]) else { break }
            parts.append((String(words[0]), Data(text), status))
            rest = rest[(end + 1)...]
        }
        return parts
    }
}

extension String {
    /// The last lines of a command's error output: where the cause is.
    package func lastLines(_ count: Int) -> String {
        split(separator: "\n").suffix(count).joined(separator: " / ")
    }
}
