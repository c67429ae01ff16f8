import Foundation
import Inventories
public import SSH
import Yams

/// keepalived's static pod manifest: what its environment says, and the one edit that is ever made to it.
public struct KeepalivedManifest: Sendable, Hashable {
    public enum State: String, Sendable, Hashable, Codable {
        case master = "MASTER"
        case backup = "BACKUP"
    }

    public static let primaryPriority = 100

    public var priority: Int
    public var state: State
    public var virtualIPs: [String]
    public var routerID: String
    public var nodeIP: String
    public var interface: String
    /// It tells its peers one by one, and hears no other.
    public var isUnicast: Bool
    /// For comparison across masters only.
    public var password: Secret
    /// The file, byte for byte.
    public let text: String

    public struct Unreadable: Error, Sendable, CustomStringConvertible {
        public var description: String

        package init(description: String) {
            self.description = description
        }
    }

    /// - Throws: ``Unreadable`` where it is no pod with keepalived's environment.
    public init(_ text: String) throws {
        self.text = text
        let root: Yams.Node?
        do { root = try Yams.compose(yaml: text) } catch { throw Unreadable(description: Self.problem(error)) }
        guard let containers = root?["spec"]?["containers"]?.sequence else {
            throw Unreadable(description: "no pod with containers")
        }
        var environment: [String: String] = [:]
        for variable in containers.flatMap({ $0["env"]?.sequence.map(Array.init) ?? [] }) {
            guard let name = variable["name"]?.string, name.hasPrefix("KEEPALIVED_") else { continue }
            guard environment[name] == nil else { throw Unreadable(description: "\(name) stands in it twice") }
            environment[name] = variable["value"]?.scalar?.string ?? ""
        }
        func required(_ name: String) throws -> String {
            guard let value = environment["KEEPALIVED_" + name] else {
                throw Unreadable(description: "KEEPALIVED_\(name) is missing")
            }
            return value
        }
        guard let priority = Int(try required("PRIORITY")) else {
            throw Unreadable(description: "KEEPALIVED_PRIORITY is no number")
        }
        guard let state = State(rawValue: try required("STATE")) else {
            throw Unreadable(description: "KEEPALIVED_STATE is neither MASTER nor BACKUP")
        }
        self.priority = priority
        self.state = state
        self.virtualIPs = Self.addresses(in: try required("VIRTUAL_IPS"))
        self.routerID = environment["KEEPALIVED_ROUTER_ID"] ?? ""
        self.nodeIP = environment["KEEPALIVED_NODE_IP"] ?? ""
        self.interface = environment["KEEPALIVED_INTERFACE"] ?? ""
        self.isUnicast = environment["KEEPALIVED_UNICAST_PEERS"].map { !$0.isEmpty } ?? false
        self.password = Secret(environment["KEEPALIVED_PASSWORD"] ?? "")
    }

    /// What is wrong and where, without the line itself: it may be the one with the password.
    private static func problem(_ error: any Error) -> String {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _)?, .parser(_, let problem, let mark, _)?,
            .composer(_, let problem, let mark, _)?:
            "not YAML: \(TerminalText.line(problem)) (line \(mark.line), column \(mark.column))"
        default: "not YAML"
        }
    }

    /// The addresses in `#PYTHON2BASH:['10.127.100.102']`, the image's own notation for a list.
    package static func addresses(in text: String) -> [String] {
        text.split { !($0.isNumber || $0 == ".") }.map(String.init).filter(IPv4.isValid)
    }

    /// The same file with priority 100 and state MASTER: the two value lines change, every other byte stays.
    /// - Throws: ``Unreadable`` where a value does not stand on the line after its name, so that nothing is guessed.
    public func promoted() throws -> String {
        var lines = Self.lines(text)
        try Self.replaceValue(of: "KEEPALIVED_PRIORITY", with: "\"\(Self.primaryPriority)\"", in: &lines)
        try Self.replaceValue(of: "KEEPALIVED_STATE", with: State.master.rawValue, in: &lines)
        let edited = lines.joined(separator: "\n")
        let result = try KeepalivedManifest(edited)
        guard result.priority == Self.primaryPriority, result.state == .master, result.virtualIPs == virtualIPs,
            result.password == password, result.routerID == routerID, result.nodeIP == nodeIP
        else {
            throw Unreadable(description: "the edit would change more than priority and state")
        }
        return edited
    }

    /// Without their newlines. Of a file with the line ends of Windows each keeps its `\r`, which Swift takes for one character with
    /// the newline.
    private static func lines(_ text: String) -> [String] {
        text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    private static func replaceValue(of name: String, with value: String, in lines: inout [String]) throws {
        let found = lines.indices.filter { index in
            let line = lines[index].drop { $0 == " " || $0 == "-" }
            return line.hasPrefix("name:") && line.dropFirst(5).filter { !" \"'\r".contains($0) } == name
        }
        guard found.count == 1, let index = found.first, index + 1 < lines.count,
            let colon = lines[index + 1].range(of: "value:")
        else {
            throw Unreadable(description: "the value of \(name) is not on the line after its name")
        }
        let old = lines[index + 1]
        let ending = old.hasSuffix("\r") ? "\r" : ""
        lines[index + 1] = old[..<colon.upperBound] + " " + value + ending
    }

    /// What `promoted` changes, as `diff -u` has it, the password masked; `nil` where nothing is to change or it cannot be edited.
    public func promotionDiff(path: String) -> [String]? {
        guard let edited = try? promoted(), edited != text else { return nil }
        let old = masked(text)
        let new = masked(edited)
        let changed = old.indices.filter { old[$0] != new[$0] }
        // Lines are changed in place, none is added: a hunk is the neighbourhood of changes that are near one another.
        var hunks: [ClosedRange<Int>] = []
        for index in changed {
            let range = max(0, index - 3)...min(old.count - 1, index + 3)
            if let last = hunks.last, last.upperBound + 1 >= range.lowerBound {
                hunks[hunks.count - 1] = last.lowerBound...range.upperBound
            } else {
                hunks.append(range)
            }
        }
        return ["--- \(path)", "+++ \(path)"]
            + hunks.flatMap { range -> [String] in
                let place = "\(range.lowerBound + 1),\(range.count)"
                return ["@@ -\(place) +\(place) @@"]
                    + range.flatMap { old[$0] == new[$0] ? [" " + old[$0]] : ["-" + old[$0], "+" + new[$0]] }
            }
    }

    /// Variables that are no secret.
    private static let shown = Set(
        ["PRIORITY", "STATE", "VIRTUAL_IPS", "ROUTER_ID", "NODE_IP", "INTERFACE"].map { "KEEPALIVED_" + $0 })

    /// Its lines, without the values of all other variables.
    private func masked(_ text: String) -> [String] {
        var lines = Self.lines(text)
        if lines.last == "" { lines.removeLast() }
        var name = ""
        // Further lines of a value stand deeper than its key.
        var deeperThan: Int?
        for index in lines.indices {
            let line = lines[index]
            let depth = line.prefix { $0 == " " || $0 == "-" }.count
            if let deeper = deeperThan, depth > deeper || line.allSatisfy(\.isWhitespace) {
                lines[index] = String(repeating: " ", count: depth) + "••••"
                continue
            }
            deeperThan = nil
            if line.drop(while: { $0 == " " }).hasPrefix("-") { name = "" }
            if let key = line.range(of: "name:") {
                name = line[key.upperBound...].trimmingCharacters(in: CharacterSet(charactersIn: " \"'\r"))
            }
            guard let colon = line.range(of: "value:") else { continue }
            if Self.shown.contains(name) { continue }
            lines[index] = line[..<colon.upperBound] + " ••••"
            deeperThan = depth
        }
        return lines
    }

    /// Lines that differ, as `- old` and `+ new`.
    public static func difference(_ old: String, _ new: String) -> [String] {
        zip(lines(old), lines(new)).filter { $0 != $1 }.flatMap { ["- \($0)", "+ \($1)"] }
    }
}
