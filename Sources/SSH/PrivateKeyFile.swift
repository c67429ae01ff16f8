import Crypto
import Foundation

/// What can be read of a private key file without its passphrase.
struct PrivateKeyFile: Sendable {
    let path: String
    let contents: Data
    /// `nil` where the format does not say without decrypting.
    let publicBlob: Data?
    let isEncrypted: Bool
    /// The key itself, where it is one that we sign with: Ed25519, unencrypted.
    let ed25519: Ed25519Key?

    var type: String? { publicBlob.flatMap { HostKey(blob: $0)?.type } }
    let isRSA: Bool

    enum Problem: Error, CustomStringConvertible {
        case missing
        case unreadable(String)
        case notAPrivateKey(String)

        var description: String {
            switch self {
            case .missing: "no such file"
            case .unreadable(let reason): reason
            case .notAPrivateKey(let reason): reason
            }
        }
    }

    init(path: String) throws(Problem) {
        let expanded = Paths.expand(path)
        let contents: Data
        do {
            contents = try Data(contentsOf: URL(filePath: expanded))
        } catch {
            if !FileManager.default.fileExists(atPath: expanded) { throw .missing }
            throw .unreadable("cannot be read")
        }
        try self.init(path: path, contents: contents)
    }

    /// The OpenSSH format is described in OpenSSH's PROTOCOL.key: the public key stands in it unencrypted.
    init(path: String, contents: Data) throws(Problem) {
        self.path = path
        self.contents = contents
        guard contents.count < 1 << 20 else { throw .notAPrivateKey("not a private key: too long") }
        let text = String(decoding: contents, as: UTF8.self)
        if text.hasPrefix("ssh-") || text.hasPrefix("ecdsa-sha2-") {
            throw .notAPrivateKey("a public key; name the private one, without .pub")
        }
        guard text.contains("-----BEGIN "), text.contains("PRIVATE KEY-----") else {
            throw .notAPrivateKey("not a private key that SSH knows")
        }
        guard text.contains("-----BEGIN OPENSSH PRIVATE KEY-----") else {
            publicBlob = nil
            ed25519 = nil
            isEncrypted = text.contains("ENCRYPTED")
            isRSA = text.contains("BEGIN RSA")
            return
        }
        let lines = text.split(whereSeparator: \.isNewline)
        let body = lines.filter { !$0.hasPrefix("-----") }.joined()
        let magic = Array("openssh-key-v1\0".utf8)
        guard let bytes = Data(base64Encoded: body), bytes.starts(with: magic) else {
            throw .notAPrivateKey("a damaged OpenSSH private key")
        }
        var reader = WireReader(bytes.dropFirst(magic.count))
        guard let cipher = reader.string(), reader.string() != nil, reader.string() != nil, reader.uint32() == 1,
            let blob = reader.string(), let key = HostKey(blob: Data(blob))
        else { throw .notAPrivateKey("a damaged OpenSSH private key") }
        if key.type.hasPrefix("sk-") {
            throw .notAPrivateKey("a FIDO key (\(key.type)), which libssh2 cannot use")
        }
        publicBlob = key.blob
        isRSA = key.type == "ssh-rsa"
        isEncrypted = !cipher.elementsEqual("none".utf8)
        ed25519 = isEncrypted ? nil : reader.string().flatMap { Ed25519Key(privateSection: $0, blob: key.blob) }
    }
}

/// An Ed25519 private key (RFC 8032); its seed is never printed.
struct Ed25519Key: Sendable, CustomReflectable {
    /// The public key.
    let blob: Data
    private let key: Curve25519.Signing.PrivateKey

    /// - Parameter section: the private half of an OpenSSH key file: two equal numbers, then the type's fields.
    init?(privateSection section: some Collection<UInt8>, blob: Data) {
        var reader = WireReader(section)
        guard let check = reader.uint32(), check == reader.uint32(), let type = reader.string(),
            type.elementsEqual("ssh-ed25519".utf8), let publicKey = reader.string(), let pair = reader.string(),
            pair.count == 64, let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: Data(pair.prefix(32))),
            key.publicKey.rawRepresentation.elementsEqual(publicKey), blob.suffix(32).elementsEqual(publicKey)
        else { return nil }
        self.blob = blob
        self.key = key
    }

    func sign(_ data: Data) throws -> Data {
        try key.signature(for: data)
    }

    var customMirror: Mirror { Mirror(self, children: []) }
}

enum Paths {
    /// `HOME` first, as a shell expands `~`; the password database where it is not set.
    static var home: String {
        ProcessInfo.processInfo.environment["HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil }
            ?? FileManager.default.homeDirectoryForCurrentUser.path
    }

    /// `~` and `~/…`, as ssh_config has them.
    static func expand(_ path: String) -> String {
        if path == "~" { return home }
        return path.hasPrefix("~/") ? home + path.dropFirst(1) : path
    }
}
