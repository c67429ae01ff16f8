package import Foundation

/// What the folder of one of MinIO's drives says of it.
public struct MinIODrive: Sendable, Hashable {
    public enum State: Sendable, Hashable {
        /// Formatted, and no heal of it is unfinished.
        case whole
        /// It was formatted empty, and its heal is not through: what is missing on it counts as lost.
        case healing(HealProgress?)
        /// There is nothing of MinIO on it.
        case unformatted
        case unknown(String)
    }

    public var state: State
    /// Its place among the drives; known of each drive that is formatted.
    public var layout: Layout?
    /// Items that its last heal, which has ended, could not heal.
    public var failedItems: Int

    public init(_ state: State, layout: Layout? = nil, failedItems: Int = 0) {
        self.state = state
        self.layout = layout
        self.failedItems = failedItems
    }

    /// What `format.json` says of the drive's place: the drives' ids are those of its pool.
    public struct Layout: Sendable, Hashable {
        /// The same on every drive of a MinIO, in each of its pools.
        public var deployment: String
        public var id: String
        /// Empty where the sets are not listed.
        public var sets: [[String]]

        /// The set that it belongs to.
        public var set: [String]? { sets.first { $0.contains(id) } }

        public init(deployment: String = "", id: String, sets: [[String]]) {
            self.deployment = deployment
            self.id = id
            self.sets = sets
        }

        /// - Parameter format: the content of `.minio.sys/format.json`, version 3.
        /// - Returns: `nil` for what MinIO would not take for a drive of an erasure set, which includes the format `fs`.
        package init?(format: Data) {
            struct Format: Decodable {
                struct Drives: Decodable {
                    var this: String
                    var sets: [[String]]?
                }
                var format: String
                var id: String
                var xl: Drives
            }
            guard let format = try? JSONDecoder().decode(Format.self, from: format),
                format.format == "xl" || format.format == "xl-single"
            else { return nil }
            self.init(deployment: format.id, id: format.xl.this, sets: format.xl.sets ?? [])
            guard sets.isEmpty || set != nil else { return nil }
        }
    }
}

/// How far the heal of a drive is, as MinIO writes it down in `.minio.sys/buckets/.healing.bin`.
public struct HealProgress: Sendable, Hashable, CustomStringConvertible {
    public var items: Int
    public var failed: Int
    public var bytes: Int
    /// Known once the cluster's usage was counted.
    public var totalItems: Int?
    public var totalBytes: Int?
    /// That the drive had already: of a heal that began again.
    public var skipped: Int
    /// The bucket and object that it has come to.
    public var position: String

    public init(
        items: Int, failed: Int = 0, bytes: Int, totalItems: Int? = nil, totalBytes: Int? = nil, skipped: Int = 0,
        position: String = ""
    ) {
        self.items = items
        self.failed = failed
        self.bytes = bytes
        self.totalItems = totalItems
        self.totalBytes = totalBytes
        self.skipped = skipped
        self.position = position
    }

    /// Another one for as long as the heal moves. An object counts when all of it is healed.
    package var mark: String { "\(items) \(failed) \(bytes) \(skipped) \(position)" }

    public var description: String {
        let total = totalItems.map { " of \($0)" } ?? ""
        let totalSize = totalBytes.map { " of \(Self.size($0))" } ?? ""
        let failures = failed > 0 ? ", \(failed) not healed" : ""
        return "\(items)\(total) files, \(Self.size(bytes))\(totalSize)\(failures)"
    }

    /// `1.6 GiB`.
    package static func size(_ bytes: Int) -> String {
        var value = Double(bytes)
        var units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"][...]
        while value >= 1024, units.count > 1 {
            value /= 1024
            units.removeFirst()
        }
        let digits = units.first == "B" ? 0 : 1
        return
            "\(value.formatted(.number.precision(.fractionLength(digits)).grouping(.never).locale(.init(identifier: "en_US_POSIX")))) \(units.first ?? "")"
    }
}

/// MinIO's record of a heal, which it keeps on the drive that is healed: a MessagePack map, the same since 2021-03 but for the names
/// of its counters. Before, it holds nothing but the drive's id.
struct HealingRecord: Sendable, Hashable {
    /// From 2024-08 on the record stays when the heal has ended, well or badly; before, it is deleted then.
    var isFinished: Bool
    /// `nil` where it has no counters.
    var progress: HealProgress?

    /// - Returns: `nil` for bytes that are no such record.
    init?(_ data: Data) {
        var reader = MessagePackReader(data)
        guard case .map(let fields)? = reader.read() else { return nil }
        func number(_ names: String...) -> Int? {
            for name in names { if case .integer(let value)? = fields[name] { return value } }
            return nil
        }
        isFinished = fields["Finished"] == .boolean(true)
        guard let items = number("ItemsHealed", "ObjectsHealed"), let bytes = number("BytesDone") else { return }
        func text(_ name: String) -> String { if case .text(let text)? = fields[name] { text } else { "" } }
        let (totalItems, totalBytes) = (number("ObjectsTotalCount") ?? 0, number("ObjectsTotalSize") ?? 0)
        progress = HealProgress(
            items: items, failed: number("ItemsFailed", "ObjectsFailed") ?? 0, bytes: bytes,
            totalItems: totalItems > 0 ? totalItems : nil, totalBytes: totalBytes > 0 ? totalBytes : nil,
            skipped: number("ItemsSkipped") ?? 0,
            position: [text("Bucket"), text("Object")].filter { !$0.isEmpty }.joined(separator: "/"))
    }
}

/// Reads MessagePack (github.com/msgpack/msgpack/blob/master/spec.md) as far as MinIO's record needs it: what is neither a number, a
/// truth value nor a map is skipped.
struct MessagePackReader {
    enum Value: Hashable {
        case integer(Int)
        case boolean(Bool)
        case text(String)
        case map([String: Value])
        case other
    }

    private var rest: Data.SubSequence
    private var depth = 0

    init(_ data: Data) { rest = data[...] }

    /// The next value; `nil` where the bytes end before it does, or nest too deeply.
    mutating func read() -> Value? {
        guard let kind = rest.popFirst() else { return nil }
        switch kind {
        case 0x00...0x7F: return .integer(Int(kind))
        case 0xE0...0xFF: return .integer(Int(Int8(bitPattern: kind)))
        case 0x80...0x8F: return map(Int(kind & 0x0F))
        case 0x90...0x9F: return array(Int(kind & 0x0F))
        case 0xA0...0xBF: return text(Int(kind & 0x1F))
        case 0xC0: return .other
        case 0xC2, 0xC3: return .boolean(kind == 0xC3)
        case 0xC4...0xC6: return length(1 << (kind - 0xC4)).flatMap { skip($0) }
        case 0xC7...0xC9: return length(1 << (kind - 0xC7)).flatMap { skip($0 + 1) }
        case 0xCA, 0xCB: return skip(kind == 0xCA ? 4 : 8)
        case 0xCC...0xCF: return unsigned(1 << (kind - 0xCC)).map { .integer(Int(clamping: $0)) }
        case 0xD0...0xD3:
            let width = 1 << (kind - 0xD0)
            return unsigned(width).map { .integer(Int(Int64(bitPattern: $0 << (64 - 8 * width)) >> (64 - 8 * width))) }
        case 0xD4...0xD8: return skip(1 + 1 << (kind - 0xD4))
        case 0xD9...0xDB: return length(1 << (kind - 0xD9)).flatMap { text($0) }
        case 0xDC, 0xDD: return length(kind == 0xDC ? 2 : 4).flatMap { array($0) }
        case 0xDE, 0xDF: return length(kind == 0xDE ? 2 : 4).flatMap { map($0) }
        default: return nil
        }
    }

    private mutating func unsigned(_ width: Int) -> UInt64? {
        guard rest.count >= width else { return nil }
        let value = rest.prefix(width).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        rest = rest.dropFirst(width)
        return value
    }

    private mutating func length(_ width: Int) -> Int? { unsigned(width).map { Int($0) } }

    private mutating func skip(_ count: Int) -> Value? {
        guard rest.count >= count else { return nil }
        rest = rest.dropFirst(count)
        return .other
    }

    private mutating func text(_ count: Int) -> Value? {
        guard rest.count >= count else { return nil }
        let value = String(decoding: rest.prefix(count), as: UTF8.self)
        rest = rest.dropFirst(count)
        return .text(value)
    }

    private mutating func array(_ count: Int) -> Value? {
        guard depth < 16 else { return nil }
        depth += 1
        defer { depth -= 1 }
        for _ in 0..<count { guard read() != nil else { return nil } }
        return .other
    }

    private mutating func map(_ count: Int) -> Value? {
        guard depth < 16 else { return nil }
        depth += 1
        defer { depth -= 1 }
        var fields: [String: Value] = [:]
        for _ in 0..<count {
            guard case .text(let key)? = read(), let value = read() else { return nil }
            fields[key] = value
        }
        return .map(fields)
    }
}
