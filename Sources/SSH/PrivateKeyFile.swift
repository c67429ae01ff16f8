import Foundation

/// What can be read of a private key file without its passphrase.
struct PrivateKeyFile: Sendable {
    let path: String
    let contents: Data
    /// `nil` where the format does not say without decrypting.
    let publicBlob: Data?
    let isEncrypted: Bool

    var type: String? { publicBlob.flatMap { HostKey(blob: $0)?.type } }
    var isRSA: Bool { type == "ssh-rsa" || String(decoding: contents.prefix(64), as: UTF8.self).contains("BEGIN RSA") }

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
            isEncrypted = text.contains("ENCRYPTED")
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
        isEncrypted = !cipher.elementsEqual("none".utf8)
    }
}

enum Paths {
    static var home: String { FileManager.default.homeDirectoryForCurrentUser.path }

    /// `~` and `~/…`, as ssh_config has them.
    static func expand(_ path: String) -> String {
        if path == "~" { return home }
        return path.hasPrefix("~/") ? home + path.dropFirst(1) : path
    }
}
