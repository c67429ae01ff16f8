import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Just enough of Swift's syntax to read a call's arguments.
enum SwiftText {
    /// The arguments of a call, from behind its parenthesis.
    static func arguments(_ text: [Character], from start: Int) -> [(label: String?, text: String)] {
        var arguments: [String] = [""]
        var depth = 0
        var index = start
        while index < text.count {
            let character = text[index]
            if character == "\"" {
                let end = endOfLiteral(text, from: index)
                arguments[arguments.count - 1] += String(text[index..<end])
                index = end
                continue
            }
            if "([{".contains(character) { depth += 1 }
            if ")]}".contains(character) {
                depth -= 1
                if depth < 0 { break }
            }
            if character == ",", depth == 0 {
                arguments.append("")
            } else {
                arguments[arguments.count - 1].append(character)
            }
            index += 1
        }
        return arguments.map { argument in
            let trimmed = argument.trimmingCharacters(in: .whitespacesAndNewlines)
            guard let match = trimmed.firstMatch(of: /^([a-z]\w*):\s*/) else { return (nil, trimmed) }
            return (String(match.1), String(trimmed[match.range.upperBound...]))
        }
    }

    /// Behind the closing quote; interpolations may hold literals themselves.
    private static func endOfLiteral(_ text: [Character], from start: Int) -> Int {
        var index = start + 1
        while index < text.count, text[index] != "\"" {
            if text[index] == "\\", index + 1 < text.count, text[index + 1] == "(" {
                index = endOfParenthesis(text, from: index + 2)
            } else {
                index += text[index] == "\\" ? 2 : 1
            }
        }
        return min(index + 1, text.count)
    }

    private static func endOfParenthesis(_ text: [Character], from start: Int) -> Int {
        var index = start
        var depth = 1
        while index < text.count, depth > 0 {
            if text[index] == "\"" {
                index = endOfLiteral(text, from: index)
                continue
            }
            if text[index] == "(" { depth += 1 }
            if text[index] == ")" { depth -= 1 }
            index += 1
        }
        return index
    }

    /// An expression as a reader of messages sees it: its literals, with an ellipsis for each interpolation.
    static func shown(_ expression: String, _ constants: [String: String]) -> String {
        let expression = expression.trimmingCharacters(in: .whitespacesAndNewlines)
        let isName = expression.allSatisfy { $0.isLetter || $0.isNumber || $0 == "." || $0 == "_" }
        let text = Array(isName ? constants[expression] ?? "" : expression)
        var literals: [String] = []
        var index = 0
        while index < text.count {
            guard text[index] == "\"" else {
                index += 1
                continue
            }
            let end = endOfLiteral(text, from: index)
            literals.append(withoutInterpolations(Array(text[(index + 1)..<max(index + 1, end - 1)])))
            index = end
        }
        // An empty literal alone is what the tests look for.
        if literals.isEmpty { return isName || expression != "\"\"" ? "…" : "" }
        return literals.count == 1 ? literals[0] : literals.filter { !$0.isEmpty }.joined(separator: " / ")
    }

    private static let wordsOfKinds: [String: @Sendable (Inventory.Distribution) -> String] = [
        "etcdctlByHand": \.etcdctlByHand, "etcdLog": \.etcdLog, "alarmQuestion": \.alarmQuestion,
        "statusQuestion": \.statusQuestion, "kubeletUnit": \.kubeletUnit, "certificateRenewal": \.certificateRenewal,
        "removalOfLeft": { $0.removalOfLeft("…") }, "removalByHand": { $0.removalByHand(of: "…", named: "…") },
    ]

    /// What a member of `Distribution` says: `etcdctl alarm list (k3s: …)`; `nil` for any other expression.
    private static func inTheWordsOfEachKind(_ expression: String) -> String? {
        guard let match = expression.wholeMatch(of: /(?:\w+\.)*(?:distribution|kind)\.(\w+)(?:\(.*\))?/),
            let words = wordsOfKinds[String(match.1)]
        else { return nil }
        let others = Inventory.Distribution.allCases.dropFirst().map { "\($0.rawValue): \(words($0))" }
        return "\(words(.kubeadm)) (\(others.joined(separator: "; ")))"
    }

    private static func withoutInterpolations(_ text: [Character]) -> String {
        var shown = ""
        var index = 0
        while index < text.count {
            if text[index] == "\\", index + 1 < text.count {
                if text[index + 1] == "(" {
                    let end = endOfParenthesis(text, from: index + 2)
                    shown += inTheWordsOfEachKind(String(text[(index + 2)..<max(index + 2, end - 1)])) ?? "…"
                    index = end
                } else {
                    shown.append(text[index + 1] == "n" ? " " : text[index + 1])
                    index += 2
                }
                continue
            }
            shown.append(text[index])
            index += 1
        }
        return shown
    }
}
