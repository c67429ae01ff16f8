package import Yams

/// Not to be taken for a Kubernetes node.
package typealias YAMLNode = Yams.Node

/// Collects what is wrong while an inventory is read, so that all of it is told at once.
package final class ProblemList {
    package private(set) var problems: [InventoryError.Problem] = []

    package init() {}

    package func add(_ node: YAMLNode?, _ message: String, fix advice: String) {
        problems.append(.init(line: node?.mark?.line ?? 0, message, fix: advice))
    }
}

/// What stands where only the cluster's people know what belongs there: no name, address or path has this spelling.
package enum Placeholder {
    package static let text = "FILL-IN"
}

/// A YAML mapping read key by key; what is not asked for is an error, with the key that was probably meant.
package struct StrictMapping {
    package let node: YAMLNode
    /// Where it stands, for messages: `hosts.master-1`.
    package let path: String
    package let problems: ProblemList
    private let mapping: YAMLNode.Mapping
    /// Few: looked through faster than hashed.
    private let values: [(key: String, node: YAMLNode)]

    /// `nil`, with a problem, where the node is no mapping.
    package init?(_ node: YAMLNode, path: String, problems: ProblemList) {
        guard let mapping = node.mapping else {
            problems.add(
                node, "\(path): expected keys with values, found \(node.kindName)",
                fix: "write 'key: value' lines under it, or { key: value, ... }")
            return nil
        }
        self.node = node
        self.path = path
        self.problems = problems
        self.mapping = mapping
        values = mapping.compactMap { key, value in key.string.map { ($0, value) } }
    }

    package var entries: [(key: YAMLNode, value: YAMLNode)] { mapping.map { ($0.key, $0.value) } }

    /// Reports every key that is not one of these.
    func allow(_ keys: [String]) {
        for (key, _) in mapping {
            guard let name = key.string else {
                problems.add(
                    key, "\(path): a key must be a plain name", fix: "known here: \(keys.joined(separator: ", "))")
                continue
            }
            if keys.contains(name) { continue }
            let message = "\(path): unknown key '\(name)'"
            if let meant = Spelling.nearest(to: name, in: keys) {
                problems.add(key, message + ", did you mean '\(meant)'?", fix: "write '\(meant)', or take it out")
            } else {
                problems.add(key, message, fix: "known here: \(keys.joined(separator: ", "))")
            }
        }
    }

    package func has(_ key: String) -> Bool { value(key) != nil }

    /// The node under a key; an explicit `null` counts as absent.
    package func value(_ key: String) -> YAMLNode? {
        guard let node = values.first(where: { $0.key == key })?.node else { return nil }
        return node.isNull ? nil : node
    }

    package func required(_ key: String, meaning: String) -> YAMLNode? {
        if let value = value(key) { return value }
        problems.add(node, "\(path): '\(key)' is missing", fix: "add it: \(meaning)")
        return nil
    }

    package func string(_ key: String) -> String? {
        guard let node = value(key) else { return nil }
        return text(node, "\(path).\(key)", meaning: "the value, or leave the key out")
    }

    package func requiredString(_ key: String, meaning: String) -> String? {
        guard let node = required(key, meaning: meaning) else { return nil }
        return text(node, "\(path).\(key)", meaning: meaning)
    }

    package func integer(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let node = value(key) else { return nil }
        guard let number = node.scalar.flatMap({ Int($0.string) }), range.contains(number) else {
            problems.add(
                node,
                "\(path).\(key): expected a number from \(range.lowerBound) to \(range.upperBound), found \(node.kindName)",
                fix: "write such a number, or leave the key out")
            return nil
        }
        return number
    }

    package func choice<T: RawRepresentable & CaseIterable>(_ key: String, _ type: T.Type) -> T?
    where T.RawValue == String {
        guard let node = value(key) else { return nil }
        if let text = node.scalar?.string, let value = T(rawValue: text) { return value }
        let choices = T.allCases.map(\.rawValue).joined(separator: ", ")
        problems.add(
            node, "\(path).\(key): expected one of \(choices), found \(node.kindName)", fix: "write one of those words")
        return nil
    }

    /// - Parameter isShown: whether what stands there in place of a list may be shown: it may have a secret in it.
    func strings(_ key: String, isShown: Bool = true) -> [String]? {
        guard let node = value(key) else { return nil }
        guard let sequence = node.sequence else {
            let found = isShown || node.scalar == nil ? node.kindName : "text"
            problems.add(
                node, "\(path).\(key): expected a list, found \(found)", fix: "write it in brackets: [one, two]")
            return nil
        }
        return sequence.compactMap { text($0, "\(path).\(key)", meaning: "one word a list item") }
    }

    private func text(_ node: YAMLNode, _ place: @autoclosure () -> String, meaning: String) -> String? {
        guard let text = node.scalar?.string else {
            problems.add(node, "\(place()): expected text, found \(node.kindName)", fix: "write \(meaning)")
            return nil
        }
        if text == Placeholder.text {
            problems.add(node, "\(place()): is still to be filled in", fix: "write \(meaning)")
            return nil
        }
        if text.isEmpty || text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) {
            problems.add(
                node, "\(place()): is empty or has control characters in it", fix: "write \(meaning)")
            return nil
        }
        return text
    }
}

extension YAMLNode {
    var isNull: Bool {
        guard let scalar, scalar.style == .plain || scalar.style == .any else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    var kindName: String {
        switch self {
        case .scalar(let scalar): "'\(scalar.string.prefix(40))'"
        case .mapping: "keys with values"
        case .sequence: "a list"
        case .alias: "an alias"
        }
    }
}

enum Spelling {
    /// The candidate within two edits of a word, if there is one: a typing mistake, not another word.
    static func nearest(to word: String, in candidates: [String]) -> String? {
        let scored = candidates.map { ($0, distance(Array(word.utf8), Array($0.utf8))) }
        guard let best = scored.min(by: { $0.1 < $1.1 }), best.1 <= 2, best.1 < best.0.utf8.count else { return nil }
        return best.0
    }

    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        if abs(a.count - b.count) > 2 { return 3 }
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var previous = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let cost = min(row[j] + 1, row[j + 1] + 1, previous + (x == y ? 0 : 1))
                previous = row[j + 1]
                row[j + 1] = cost
            }
        }
        return row[b.count]
    }
}
