import Foundation
import Yams

/// The one edit that is ever made to an inventory: after a replacement the new host is a master, and the old one's lines are comments.
/// Every other byte stays.
public enum InventoryEdit {
    /// It is left to a person.
    public struct Impossible: Error, Sendable, CustomStringConvertible {
        public let description: String
        init(_ description: String) { self.description = description }
    }

    /// - Parameters:
    ///   - old: the host that is gone, a master by the text.
    ///   - new: the host that took its place, a spare by the text.
    ///   - file: for messages only.
    /// - Throws: ``Impossible`` where the edited text would say anything else than that; ``InventoryError``.
    public static func replace(_ old: String, by new: String, in text: String, file: String) throws -> String {
        var expected = try Inventory.parse(text, file: file)
        guard expected.host(named: old)?.role == .master, expected.host(named: new)?.role == .spare,
            let index = expected.hosts.firstIndex(where: { $0.name == new })
        else { throw Impossible("\(old) is no master or \(new) no spare in it any more") }
        expected.hosts[index].role = .master
        expected.hosts.removeAll { $0.name == old }
        let root = try Inventory.compose(text, file: file, kind: "an inventory")
        guard let entries = root.mapping, let hosts = root["hosts"]?.mapping else {
            throw Impossible("it has no hosts")
        }
        // Swift takes the line ends of Windows for one character.
        var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        guard let role = hosts.first(where: { $0.key.string == new })?.value["role"]?.mark,
            let line = lines.indices.contains(role.line - 1) ? makeMaster(lines[role.line - 1], at: role.column) : nil
        else { throw Impossible("the word 'spare' of \(new) is not where it should be") }
        lines[role.line - 1] = line
        let starts = (hosts.map(\.key) + entries.map(\.key)).compactMap { $0.mark?.line }
        guard let start = hosts.first(where: { $0.key.string == old })?.key.mark?.line else {
            throw Impossible("\(old) has no line")
        }
        let end = starts.filter { $0 > start }.min() ?? lines.count + 1
        comment(&lines, from: start - 1, to: end - 1)
        let edited = lines.joined(separator: "\n")
        // Lines that others share, an anchor that others name, a jump host: whatever was not foreseen shows here.
        guard let after = try? Inventory.parse(edited, file: file), after == expected else {
            throw Impossible("\(old) cannot be taken out by its lines alone")
        }
        return edited
    }

    /// - Parameter column: from 1, in characters of Unicode.
    private static func makeMaster(_ line: String, at column: Int) -> String? {
        var scalars = Array(line.unicodeScalars)
        var start = column - 1
        if scalars.indices.contains(start), scalars[start] == "\"" || scalars[start] == "'" { start += 1 }
        let word = Array(Inventory.Role.spare.rawValue.unicodeScalars)
        guard start >= 0, scalars.dropFirst(start).starts(with: word) else { return nil }
        scalars.replaceSubrange(start..<start + word.count, with: Inventory.Role.master.rawValue.unicodeScalars)
        return String(String.UnicodeScalarView(scalars))
    }

    /// What stands between two entries belongs to neither.
    private static func comment(_ lines: inout [String], from start: Int, to end: Int) {
        func isEmpty(_ line: String) -> Bool {
            let text = line.drop { $0.isWhitespace }
            return text.isEmpty || text.hasPrefix("#")
        }
        var last = min(end, lines.count) - 1
        while last > start, isEmpty(lines[last]) { last -= 1 }
        guard start <= last else { return }
        for index in start...last where !isEmpty(lines[index]) {
            let indent = lines[index].prefix { $0 == " " }
            lines[index] = indent + "# " + lines[index].dropFirst(indent.count)
        }
    }
}
