import Foundation

/// What a MinIO pod's log, read since the container's start, says of the healing of a drive, in the words of each release since 2020
/// (minio/minio, cmd/background-newdisks-heal-ops.go and cmd/global-heal.go).
public struct MinIOHeal: Sendable, Hashable {
    /// The summary that releases from 2021-03 to 2022-06 print as JSON when a heal has ended.
    public struct Summary: Sendable, Hashable, Decodable {
        public var objectsHealed: Int
        public var objectsFailed: Int
        public var bytesDone: Int?
        public var bytesFailed: Int?
        public var queuedBuckets: [String]
        public var healedBuckets: [String]

        private enum CodingKeys: String, CodingKey {
            case objectsHealed = "ObjectsHealed"
            case objectsFailed = "ObjectsFailed"
            case itemsHealed = "ItemsHealed"
            case itemsFailed = "ItemsFailed"
            case bytesDone = "BytesDone"
            case bytesFailed = "BytesFailed"
            case queuedBuckets = "QueuedBuckets"
            case healedBuckets = "HealedBuckets"
        }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            // The counters are of objects until 2021-07, of items from then on.
            let isOld = container.contains(.objectsHealed)
            objectsHealed = try container.decode(Int.self, forKey: isOld ? .objectsHealed : .itemsHealed)
            objectsFailed = try container.decode(Int.self, forKey: isOld ? .objectsFailed : .itemsFailed)
            bytesDone = try container.decodeIfPresent(Int.self, forKey: .bytesDone)
            bytesFailed = try container.decodeIfPresent(Int.self, forKey: .bytesFailed)
            // Go writes an empty list that was never filled as null.
            queuedBuckets = try container.decodeIfPresent([String].self, forKey: .queuedBuckets) ?? []
            healedBuckets = try container.decodeIfPresent([String].self, forKey: .healedBuckets) ?? []
        }
    }

    public enum State: Sendable, Hashable {
        /// Healing may start minutes after the pod (minio#9776).
        case notStarted
        case running
        case failed(String)
        case complete(Summary)
        /// It says that so many files were healed and none failed.
        case healed(Int)
        /// It has ended, by words without any number (releases before 2021-03), or says something that no known release says: the
        /// disks have to be asked. "complete" alone proves nothing (minio#10791).
        case inconclusive(String)
    }

    /// The last heal in the log counts.
    /// - Parameter drive: the folder of the drive in the container; `nil` where the pod has only one drive.
    public static func state(ofLog log: String, drive: String? = nil) -> State {
        let log = unwrapped(log)
        for line in log.split(separator: "\n").reversed() where line.contains("eal") {
            guard
                let match = line.firstMatch(
                    of: /(?:Healing(?: of)?|Proceeding to heal)(?: disk| drive)? '([^']*)'(.*)/),
                drive.map({ isAbout(match.1, $0) }) ?? true
            else { continue }
            return state(ofLine: match.2, after: log[line.endIndex...])
        }
        return .notStarted
    }

    private static func state(ofLine line: Substring, after rest: Substring) -> State {
        func number(_ name: String) -> Int? {
            guard let range = line.range(of: name + ": ") else { return nil }
            return Int(line[range.upperBound...].prefix { $0.isASCII && $0.isNumber })
        }
        // Words before the numbers, which are `(healed: 61, skipped: 0, failed: 0)`.
        let words = line.prefix { $0 != "(" }
        if words.contains("retrying") { return .running }
        if let failed = number("failed"), failed > 0 { return .failed("\(failed) files could not be healed") }
        let isGood = words.contains(" complete") || words.contains(" finished")
        if words.contains(" failed") || words.contains(" incomplete") {
            return .failed("MinIO says that the heal failed:\(line)")
        }
        if isGood {
            if let healed = number("healed") { return .healed(healed) }
            return state(ofSummary: rest) ?? .inconclusive("a heal has ended, and its log has no numbers")
        }
        // `on 1st pool`, `- 'mc admin heal alias/ --verbose' to check …`, `- use 4 parallel workers.`
        if words.hasPrefix(" on ") || words.hasPrefix(" - ") { return .running }
        return .inconclusive("its log says '\(line.prefix(80))'")
    }

    /// - Returns: `nil` where none follows.
    private static func state(ofSummary text: Substring) -> State? {
        guard let title = text.range(of: "Summary:") else { return nil }
        // It is printed line by line.
        guard let open = text.range(of: "{", range: title.upperBound..<text.endIndex),
            let close = text.range(of: "\n}", range: open.lowerBound..<text.endIndex)
        else { return .running }
        guard
            let summary = try? JSONDecoder().decode(
                Summary.self, from: Data(text[open.lowerBound..<close.upperBound].utf8))
        else { return .failed("its summary cannot be read") }
        if summary.objectsFailed > 0 { return .failed("\(summary.objectsFailed) objects could not be healed") }
        if let bytes = summary.bytesFailed, bytes > 0 { return .failed("\(bytes) bytes could not be healed") }
        if !summary.queuedBuckets.isEmpty {
            return .failed("buckets still queued: \(summary.queuedBuckets.joined(separator: ", "))")
        }
        return .complete(summary)
    }

    /// A line names the drive by its folder, or by its endpoint: `http://minio-3.minio-svc:9000/export`. The drive may be a folder
    /// below the one that is mounted.
    private static func isAbout(_ name: Substring, _ drive: String) -> Bool {
        var path = name
        if let scheme = name.range(of: "://") {
            guard let slash = name[scheme.upperBound...].firstIndex(of: "/") else { return false }
            path = name[slash...]
        }
        return path == drive || path.hasPrefix(drive + "/")
    }

    /// With `--json`, every entry is one line of JSON; its `message` is what would have been printed.
    private static func unwrapped(_ log: String) -> String {
        guard log.contains(#""message""#) else { return log }
        struct Entry: Decodable {
            var message: String?
        }
        return log.split(separator: "\n", omittingEmptySubsequences: false).map { line -> String in
            guard line.hasPrefix("{"), line.contains("eal") || line.contains("Summary"),
                let entry = try? JSONDecoder().decode(Entry.self, from: Data(line.utf8)), let message = entry.message
            else { return String(line) }
            return message
        }.joined(separator: "\n")
    }
}
