import Cluster
import Crypto
import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The append-only record of one run: a checksummed JSON line per event, on disk before the act that it announces.
///
/// A line is `{"sum":"…","entry":{…}}`; the sum is over the sum before it and the entry's bytes, so that a line that is changed,
/// lost or moved shows.
public final class Journal: Sendable {
    private let path: String
    private let descriptor: Int32
    private struct End {
        var sum: String
        var length: Int
        /// A failed line could not be taken back: nothing may be added to it.
        var isBroken = false
    }
    private let end: Mutex<End>

    /// Opens a journal, making it where it is not there; its folder must be there.
    /// - Throws: ``ClusterError`` with `localFile`.
    public init(path: String) throws {
        self.path = path
        let existing = FileManager.default.contents(atPath: path) ?? Data()
        let (_, intact, sum) = try Self.read(existing, path: path)
        descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        end = Mutex(End(sum: sum, length: intact))
        guard descriptor >= 0 else { throw Self.fault(path, "open", errno) }
        // A line that a crash has torn is cut off before the next one is added to it.
        if intact < existing.count, ftruncate(descriptor, off_t(intact)) != 0 {
            throw Self.fault(path, "truncate", errno)
        }
        try Self.synchronizeFolder(of: path)
    }

    deinit { close(descriptor) }

    /// Appends an event.
    /// - Parameter durable: whether it must be on the disk when this returns. What merely tells of progress need not be.
    /// - Throws: ``ClusterError`` with `localFile`: then the act that it announces must not be done.
    public func append(_ event: Event, durable: Bool = true) throws { try append([event], durable: durable) }

    /// Appends events at once; of those that cannot be written none stays.
    /// - Throws: ``ClusterError`` with `localFile`.
    public func append(_ events: [Event], durable: Bool = true) throws {
        let entries: [Data]
        do { entries = try events.map { try EventCoding.encode($0) } } catch {
            throw Self.fault(path, "encode", EINVAL)
        }
        try end.withLock { end in
            guard !end.isBroken else { throw Self.fault(path, "write", EIO) }
            var (sum, lines) = (end.sum, Data())
            for entry in entries {
                sum = Self.sum(after: sum, entry)
                lines += Data(#"{"sum":"\#(sum)","entry":"#.utf8) + entry + Data("}\n".utf8)
            }
            do {
                try add(lines)
                if durable, fsync(descriptor) != 0 { throw Self.fault(path, "fsync", errno) }
            } catch {
                // A disk that is full has taken a part of a line; the next one must not be glued to it.
                end.isBroken = ftruncate(descriptor, off_t(end.length)) != 0
                throw error
            }
            end.sum = sum
            end.length += lines.count
        }
    }

    private func add(_ lines: Data) throws {
        var offset = 0
        while offset < lines.count {
            let count = lines[offset...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw Self.fault(path, "write", errno)
            }
            offset += count
        }
    }

    /// Every event of a journal.
    /// - Throws: ``ClusterError`` with `localFile` where a line before the last is damaged.
    public static func events(at path: String) throws -> [Event] {
        guard let data = FileManager.default.contents(atPath: path) else { throw fault(path, "open", ENOENT) }
        return try read(data, path: path).events
    }

    private static let entryKey = Data(#","entry":"#.utf8)
    private static let start = Data(#"{"sum":""#.utf8)

    /// - Returns: the events, the bytes up to the end of the last whole line, and its sum.
    private static func read(_ data: Data, path: String) throws -> (events: [Event], intact: Int, sum: String) {
        var events: [Event] = []
        var sum = ""
        var intact = 0
        var number = 0
        while intact < data.count {
            number += 1
            // No newline: the write was cut short by a crash.
            guard let end = data[(data.startIndex + intact)...].firstIndex(of: UInt8(ascii: "\n")) else { break }
            let line = data[(data.startIndex + intact)..<end]
            guard let (event, next) = entry(line, after: sum) else {
                // A power cut may leave a last line whose pages were not all written; a whole line out of place is something else.
                let isTorn = end == data.endIndex - 1 && (try? JSONSerialization.jsonObject(with: line)) == nil
                if isTorn { break }
                throw ClusterError(
                    .localFile, host: "this machine", operation: "read \(path)", cause: "line \(number) is damaged",
                    advice: "the journal was changed by something else; look at the cluster with: masterswap check")
            }
            events.append(event)
            sum = next
            intact = end - data.startIndex + 1
        }
        return (events, intact, sum)
    }

    private static func entry(_ line: Data, after previous: String) -> (Event, sum: String)? {
        guard line.starts(with: start), let key = line.range(of: entryKey), line.last == UInt8(ascii: "}") else {
            return nil
        }
        let entry = line[key.upperBound..<(line.endIndex - 1)]
        let sum = String(decoding: line[(line.startIndex + start.count)..<(key.lowerBound - 1)], as: UTF8.self)
        guard sum == Self.sum(after: previous, Data(entry)),
            let event = try? EventCoding.decode(Event.self, from: Data(entry))
        else { return nil }
        return (event, sum)
    }

    private static func sum(after previous: String, _ entry: Data) -> String {
        SHA256.hash(data: Data(previous.utf8) + entry).prefix(16).hexadecimal
    }

    /// A new file is there after a power cut only if its folder was synchronized as well (fsync(2)).
    static func synchronizeFolder(of path: String) throws {
        let folder = open((path as NSString).deletingLastPathComponent, O_RDONLY | O_CLOEXEC)
        guard folder >= 0 else { throw fault(path, "open the folder", errno) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw fault(path, "fsync the folder", errno) }
    }

    private static func fault(_ path: String, _ operation: String, _ code: Int32) -> ClusterError {
        ClusterError(
            .localFile, host: "this machine", operation: "\(operation) \(path)", cause: String(cString: strerror(code)),
            advice: "nothing further is done without a journal; fix it, then: masterswap resume")
    }
}
