public import Foundation

/// The first line of a run's record: what has to be known of a run to plan, to list it and to choose it.
///
/// A record is kept in a ConfigMap of kube-system and in a file on each surviving master. After this line come the run's events, as the
/// journal has them, one in a line.
public struct RunHead: Sendable, Hashable, Codable {
    public enum State: String, Sendable, Hashable, Codable {
        case unfinished, done
        /// An operator has given it up.
        case abandoned
    }

    /// The version of the record's format.
    public var record = Self.currentFormat
    /// The run's name: that of its folder, and of what it made on the hosts.
    public var run: String
    public var title: String
    public var startedAt: Date
    public var state: State

    public static let currentFormat = 1

    package init(run: String, title: String, startedAt: Date, state: State) {
        self.run = run
        self.title = title
        self.startedAt = startedAt
        self.state = state
    }

    /// Several copies of one record may be of different age: what one says to be over is over.
    package static func merged(_ heads: [RunHead]) -> [RunHead] {
        let merged = heads.reduce(into: [String: RunHead]()) { found, head in
            if found[head.run].map({ $0.state == .unfinished }) ?? true { found[head.run] = head }
        }
        return merged.values.sorted { $0.run < $1.run }
    }

    /// Of lines that are one each; what is none is left out. One of another format is a run all the same, beside which none may begin.
    package static func read(_ lines: [String]) -> [RunHead] {
        lines.compactMap { try? EventCoding.decode(RunHead.self, from: Data($0.utf8)) }
    }

    /// Whether it can be a run's name: folders on this machine and on the masters have it.
    package static func isName(_ text: String) -> Bool {
        text.wholeMatch(of: /[0-9A-Za-z-]{1,64}/) != nil
    }

    // MARK: Where records are

    /// On each surviving master: a folder for each run, with what ocboot printed in it and what its join may have changed.
    package static let directory = "/var/lib/masterswap"
    /// In a run's folder there.
    package static let fileName = "run.jsonl"
    /// In kube-system.
    package static func configMapName(_ run: String) -> String { "masterswap-\(run)" }
    package static let label = (key: "app.kubernetes.io/managed-by", value: "masterswap")
    /// kubectl's words that find all of them.
    package static let selection = ["configmaps", "-n", "kube-system", "-l", "\(label.key)=\(label.value)"]
    /// The keys of the ConfigMap: the first line, and all.
    package static let (headKey, recordKey) = ("head", "record")

    /// Shell text that prints the heads of a host's records.
    static let fileHeads =
        #"for file in \#(directory)/*/\#(fileName); do [ ! -f "$file" ] || head -n 1 "$file"; done; true"#

    /// Shell text that prints the heads that the API server has.
    static func objectHeads(_ kubectl: String) -> String {
        "\(kubectl) --request-timeout=10s get \(selection.joined(separator: " ")) -o jsonpath='{range .items[*]}{.data.\(headKey)}{\"\\n\"}{end}'"
    }
}
