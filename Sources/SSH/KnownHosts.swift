import Crypto
import Foundation

/// The lines of known_hosts files, and what they say of a host.
///
/// The format is that of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". libssh2's own matcher is not used: it ignores `@revoked`, knows no
/// wildcards, stops at the first bad line of a file and reports an unknown host where only the key type differs.
public struct KnownHosts: Sendable {
    /// What stands before the host names (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
    public enum Marker: Sendable, Hashable {
        case none
        case revoked
        case certAuthority
    }

    /// One line that could be read.
    public struct Entry: Sendable, Hashable {
        /// `@revoked`, `@cert-authority`, or none.
        public var marker: Marker
        /// The key that the line holds.
        public var key: HostKey
        /// The file's path, as it was given.
        public var file: String
        /// The number of the line, counted from 1.
        public var line: Int
        var names: Names
    }

    /// A line that was skipped, and why.
    public struct Warning: Sendable, Hashable, CustomStringConvertible {
        /// The file's path, as it was given.
        public var file: String
        /// The number of the line, counted from 1.
        public var line: Int
        /// Why it was skipped.
        public var reason: String

        public var description: String { "\(file):\(line): \(reason)" }
    }

    /// What the files say of one key of one host.
    public enum Verdict: Sendable, Hashable {
        case trusted
        /// No line is for this host; `hasCertAuthority` where one names an authority for it, which cannot be checked here.
        case unknown(hasCertAuthority: Bool)
        /// There are lines for this host, and none has this key: they have another key of the same type, or other types only.
        case mismatch([Entry])
        case revoked(Entry)
    }

    /// The lines that could be read, in the order of the files.
    public private(set) var entries: [Entry] = []
    /// Lines that could not be read, and were skipped.
    public private(set) var warnings: [Warning] = []
    /// The positions of entries by plain name, for files with hundreds of hosts.
    private var plain: [String: [Int]] = [:]
    /// The positions of entries that have to be tried one by one: hashed names, wildcards, negations.
    private var others: [Int] = []

    /// - Parameter file: what warnings and entries are named after.
    public init(parsing text: String, file: String) {
        read(Array(text.utf8), file: file)
    }

    /// Reads files in order. One that does not exist counts as empty; one that cannot be read is a warning.
    public init(files: [String]) {
        for file in files {
            let path = LocalAccount.expand(path: file)
            guard FileManager.default.fileExists(atPath: path) else { continue }
            guard let data = FileManager.default.contents(atPath: path) else {
                warnings.append(Warning(file: file, line: 0, reason: "cannot be read"))
                continue
            }
            read(Array(data), file: file)
        }
    }

    private mutating func read(_ bytes: [UInt8], file: String) {
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            do throws(Failure) {
                if let entry = try Self.parse(line, file: file, number: index + 1) { add(entry) }
            } catch {
                warnings.append(Warning(file: file, line: index + 1, reason: error.description))
            }
        }
    }

    private mutating func add(_ entry: Entry) {
        let position = entries.count
        entries.append(entry)
        switch entry.names {
        case .patterns(let patterns) where patterns.allSatisfy(\.isPlain):
            for pattern in patterns { plain[pattern.text, default: []].append(position) }
        default:
            others.append(position)
        }
    }

    // MARK: Questions

    /// The lines for this host, in the order of the files.
    public func entries(host: String, port: Int) -> [Entry] {
        entries(named: Self.name(host: host, port: port))
    }

    /// - Parameter name: the name as lines have it: ``name(host:port:)``, or a HostKeyAlias in lower case.
    func entries(named name: String) -> [Entry] {
        let found = plain[name, default: []] + others.filter { entries[$0].names.match(name) }
        return found.sorted().map { entries[$0] }
    }

    /// What the files say of a key that a host shows: revoked before known, known before changed.
    public func judge(host: String, port: Int, key: HostKey) -> Verdict {
        Self.judge(key, by: entries(host: host, port: port))
    }

    /// - Parameter lines: those that are for the host.
    static func judge(_ key: HostKey, by lines: [Entry]) -> Verdict {
        if let revoked = lines.first(where: { $0.marker == .revoked && $0.key == key }) { return .revoked(revoked) }
        let keys = lines.filter { $0.marker == .none }
        if keys.contains(where: { $0.key == key }) { return .trusted }
        if keys.isEmpty { return .unknown(hasCertAuthority: lines.contains { $0.marker == .certAuthority }) }
        return .mismatch(keys)
    }

    /// The types of the keys on file for this host, to ask the server for.
    public func keyTypes(host: String, port: Int) -> [String] {
        Self.keyTypes(of: entries(host: host, port: port))
    }

    static func keyTypes(of lines: [Entry]) -> [String] {
        lines.filter { $0.marker == .none }.map(\.key.type).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    /// The name that a host has in the files: in brackets with the port where that is not 22; lower case, as OpenSSH compares.
    static func name(host: String, port: Int) -> String {
        port == 22 ? host.lowercased() : "[\(host.lowercased())]:\(port)"
    }

    // MARK: Lines

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
    }

    /// - Returns: `nil` where the line is empty or a comment.
    /// - Throws: for a line that cannot be read.
    // It works on bytes, because `\r\n` is one character to Swift, and files have thousands of lines.
    static func parse(_ line: ArraySlice<UInt8>, file: String, number: Int) throws(Failure) -> Entry? {
        var fields = line.split(whereSeparator: isBlank)[...]
        guard let first = fields.first, first.first != UInt8(ascii: "#") else { return nil }
        var marker = Marker.none
        if first.first == UInt8(ascii: "@") {
            switch String(decoding: first, as: UTF8.self) {
            case "@revoked": marker = .revoked
            case "@cert-authority": marker = .certAuthority
            case let other: throw Failure(description: "an unknown marker, \(TerminalText.sanitize(other))")
            }
            fields = fields.dropFirst()
        }
        guard fields.count >= 3 else { throw Failure(description: "not a host, a key type and a key") }
        let (name, type, base64) = (
            fields[fields.startIndex], fields[fields.startIndex + 1], fields[fields.startIndex + 2]
        )
        if type.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains) {
            throw Failure(description: "an SSH 1 key")
        }
        guard let blob = Data(base64Encoded: Data(base64)), let key = HostKey(blob: blob) else {
            throw Failure(description: "the key is not Base64 of a key")
        }
        guard key.type.utf8.elementsEqual(type) else {
            throw Failure(description: "the key is not of the type that the line names")
        }
        guard let names = Names(name) else { throw Failure(description: "the hashed name cannot be read") }
        return Entry(marker: marker, key: key, file: file, line: number, names: names)
    }

    /// The first field of a line.
    enum Names: Sendable, Hashable {
        case hashed(salt: Data, digest: Data)
        case patterns([Pattern])

        init?(_ field: ArraySlice<UInt8>) {
            let bar = UInt8(ascii: "|")
            guard field.first == bar else {
                let names = field.split(separator: UInt8(ascii: ","))
                self = .patterns(names.map { Pattern(String(decoding: $0, as: UTF8.self)) })
                return
            }
            let parts = field.split(separator: bar, omittingEmptySubsequences: false)
            guard parts.count == 4, parts[1].elementsEqual("1".utf8),
                let salt = Data(base64Encoded: Data(parts[2])),
                let digest = Data(base64Encoded: Data(parts[3])), digest.count == 20
            else { return nil }
            self = .hashed(salt: salt, digest: digest)
        }

        /// HMAC-SHA1 with the salt for a key (OpenSSH's host_hash).
        static func digest(of name: String, salt: Data) -> Data {
            Data(HMAC<Insecure.SHA1>.authenticationCode(for: Data(name.utf8), using: SymmetricKey(data: salt)))
        }

        func match(_ name: String) -> Bool {
            switch self {
            case .hashed(let salt, let digest):
                return digest == Self.digest(of: name, salt: salt)
            case .patterns(let patterns):
                // Where a negated pattern matches, the line is not for the host, whatever else matches.
                let matching = patterns.filter { $0.matches(name) }
                return !matching.isEmpty && !matching.contains(where: \.isNegated)
            }
        }
    }

    struct Pattern: Sendable, Hashable {
        let text: String
        let isNegated: Bool

        init(_ written: String) {
            isNegated = written.hasPrefix("!")
            text = (isNegated ? String(written.dropFirst()) : written).lowercased()
        }

        var isPlain: Bool { !isNegated && !text.utf8.contains { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") } }

        /// Matches `*` for any run of characters and `?` for one (ssh_config(5), PATTERNS), without recursion, so that no pattern is slow.
        func matches(_ name: String) -> Bool {
            let (name, bytes) = (Array(name.utf8), Array(text.utf8))
            var (n, p) = (0, 0)
            var (star, mark) = (-1, 0)
            while n < name.count {
                if p < bytes.count && bytes[p] == UInt8(ascii: "*") {
                    (star, mark) = (p, n)
                    p += 1
                } else if p < bytes.count && (bytes[p] == UInt8(ascii: "?") || bytes[p] == name[n]) {
                    n += 1
                    p += 1
                } else if star >= 0 {
                    mark += 1
                    (n, p) = (mark, star + 1)
                } else {
                    return false
                }
            }
            return bytes[p...].allSatisfy { $0 == UInt8(ascii: "*") }
        }
    }
}

extension Endpoint {
    /// The name that lines have for the endpoint; a HostKeyAlias has no port.
    var nameInKnownHosts: String { hostKeyAlias?.lowercased() ?? KnownHosts.name(host: host, port: port) }
}
