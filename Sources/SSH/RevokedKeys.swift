import Crypto
import Foundation

/// The keys in a file that RevokedHostKeys names: a public key on each line, or a key revocation list (OpenSSH's PROTOCOL.krl).
struct RevokedKeys: Sendable {
    private var blobs: Set<Data> = []
    private var sha1: Set<Data> = []
    private var sha256: Set<Data> = []

    init(path: String) throws(Failure) {
        guard let contents = FileManager.default.contents(atPath: path) else {
            throw Failure(description: "cannot be read")
        }
        try self.init(contents)
    }

    init(_ contents: Data) throws(Failure) {
        if contents.starts(with: Self.magic) {
            guard readList(contents.dropFirst(Self.magic.count)) else {
                throw Failure(description: "is a key revocation list that cannot be read")
            }
            return
        }
        for (index, line) in contents.split(separator: UInt8(ascii: "\n")).enumerated() {
            let fields = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }
            guard let first = fields.first, first.first != UInt8(ascii: "#") else { continue }
            guard fields.count > 1, let blob = Data(base64Encoded: Data(fields[1])), let key = HostKey(blob: blob),
                key.type.utf8.elementsEqual(first)
            else { throw Failure(description: "has no public key in its line \(index + 1)") }
            blobs.insert(key.blob)
        }
    }

    func contain(_ key: HostKey) -> Bool {
        blobs.contains(key.blob) || sha1.contains(Data(Insecure.SHA1.hash(data: key.blob)))
            || sha256.contains(Data(SHA256.hash(data: key.blob)))
    }

    private static let magic = Array("SSHKRL\n\0".utf8)

    /// Reads a key revocation list. Sections for certificates say nothing of plain host keys.
    /// - Returns: false where a part is damaged or unknown, because it could have named a key.
    private mutating func readList(_ bytes: Data) -> Bool {
        var reader = WireReader(bytes)
        // Format 1; then the list's version, its date and flags, eight bytes each, a reserved string and a comment.
        guard reader.uint32() == 1, reader.skip(24), reader.string() != nil, reader.string() != nil else {
            return false
        }
        while !reader.isAtEnd {
            guard let kind = reader.byte(), let section = reader.string(limit: 64 << 20) else { return false }
            var items = WireReader(section)
            switch kind {
            case 1: continue  // KRL_SECTION_CERTIFICATES
            case 2: guard items.rest(into: &blobs) else { return false }  // KRL_SECTION_EXPLICIT_KEY
            case 3: guard items.rest(into: &sha1) else { return false }  // KRL_SECTION_FINGERPRINT_SHA1
            case 5: guard items.rest(into: &sha256) else { return false }  // KRL_SECTION_FINGERPRINT_SHA256
            // KRL_SECTION_SIGNATURE: the signature follows the key.
            case 4: guard reader.string() != nil else { return false }
            // KRL_SECTION_EXTENSION, as long as it is not critical.
            case 255: guard items.string() != nil, items.byte() == 0 else { return false }
            default: return false
            }
        }
        return true
    }
}

extension WireReader {
    /// Reads strings up to the end.
    fileprivate mutating func rest(into set: inout Set<Data>) -> Bool {
        while !isAtEnd {
            guard let item = string() else { return false }
            set.insert(Data(item))
        }
        return true
    }
}
