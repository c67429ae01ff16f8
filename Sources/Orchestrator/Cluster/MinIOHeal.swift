import Foundation

/// What a MinIO pod's log, read since the pod's start, says of the healing of its disk.
public struct MinIOHeal: Sendable, Hashable {
    /// The summary that MinIO prints as JSON when it is through.
    public struct Summary: Sendable, Hashable, Codable {
        public var objectsHealed: Int
        public var objectsFailed: Int
        public var bytesFailed: Int?
        public var queuedBuckets: [String]
        public var healedBuckets: [String]

        private enum CodingKeys: String, CodingKey {
            case objectsHealed = "ObjectsHealed"
            case objectsFailed = "ObjectsFailed"
            case bytesFailed = "BytesFailed"
            case queuedBuckets = "QueuedBuckets"
            case healedBuckets = "HealedBuckets"
        }
    }

    public enum State: Sendable, Hashable {
        /// Healing may start minutes after the pod (minio#9776).
        case notStarted
        case running
        case failed(String)
        case complete(Summary)
    }

    /// The last heal in the log counts. "complete" alone proves nothing (minio#10791): it takes a summary without failures
    /// and with no bucket left in the queue.
    public static func state(ofLog log: String) -> State {
        guard let start = log.range(of: "Healing disk '", options: .backwards) else { return .notStarted }
        // "Healing disk '/export' on 1st pool complete" is the end of a heal, so the summary stands after the last such line.
        let tail = log[start.lowerBound...]
        guard let firstLine = tail.split(separator: "\n", maxSplits: 1).first, firstLine.contains("complete") else {
            return .running
        }
        guard
            let open = tail.range(of: "Summary:").flatMap({ tail.range(of: "{", range: $0.upperBound..<tail.endIndex) }
            ),
            let close = tail.range(of: "\n}", range: open.lowerBound..<tail.endIndex)
        else { return .running }
        guard
            let summary = try? JSONDecoder().decode(
                Summary.self, from: Data(tail[open.lowerBound..<close.upperBound].utf8))
        else { return .failed("its summary cannot be read") }
        if summary.objectsFailed > 0 { return .failed("\(summary.objectsFailed) objects could not be healed") }
        if let bytes = summary.bytesFailed, bytes > 0 { return .failed("\(bytes) bytes could not be healed") }
        if !summary.queuedBuckets.isEmpty {
            return .failed("buckets still queued: \(summary.queuedBuckets.joined(separator: ", "))")
        }
        return .complete(summary)
    }
}
