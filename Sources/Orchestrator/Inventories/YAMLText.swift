/// YAML for a file that people go on editing: one line a value, quoted just where it must be.
package enum YAMLText {
    /// A scalar, in double quotes where a YAML reader could take it for something else than these characters.
    package static func scalar(_ text: String) -> String { isPlain(text) ? text : quoted(text) }

    package static func list(_ items: [String]) -> String { "[\(items.map(scalar).joined(separator: ", "))]" }

    /// A free-form value in flow style; what was quoted stays quoted.
    package static func value(_ value: YAMLValue) -> String {
        switch value {
        case .scalar(let text, let quoted): quoted ? Self.quoted(text) : isSafe(text) ? text : Self.quoted(text)
        case .sequence(let values): "[\(values.map(Self.value).joined(separator: ", "))]"
        case .mapping(let entries): entries.isEmpty ? "{}" : "{ \(flow(entries)) }"
        }
    }

    private static func flow(_ entries: [YAMLEntry]) -> String {
        entries.map { "\(scalar($0.key)): \(value($0.value))" }.joined(separator: ", ")
    }

    /// JSON's escapes are YAML's, too (YAML 1.2, 5.7).
    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            default:
                if scalar.properties.generalCategory == .control || scalar.value == 0x2028 || scalar.value == 0x2029 {
                    quoted += "\\U" + hex(scalar.value)
                } else {
                    quoted.unicodeScalars.append(scalar)
                }
            }
        }
        return quoted + "\""
    }

    private static func hex(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// No indicator, no blank, and nothing that is a number, a truth or nothing to YAML 1.1 or 1.2.
    private static func isPlain(_ text: String) -> Bool {
        isSafe(text) && Double(text) == nil
            && !["true", "false", "yes", "no", "on", "off", "y", "n", "null"].contains(text.lowercased())
    }

    private static func isSafe(_ text: String) -> Bool {
        guard let first = text.utf8.first, isWord(first) || "/.".utf8.contains(first) || text.hasPrefix("~/") else {
            return false
        }
        return text.utf8.allSatisfy { isWord($0) || "/.-+@~".utf8.contains($0) }
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
