import Crypto
import CryptoExtras
import Foundation

/// What can be read of a private key file without its passphrase.
struct PrivateKeyFile: Sendable {
    let path: String
    let contents: Data
    /// `nil` where the format does not say without decrypting.
    let publicBlob: Data?
    let isEncrypted: Bool
    /// The key itself, where it is an unencrypted Ed25519 key, with which ``KeySigner`` signs.
    let ed25519: Curve25519.Signing.PrivateKey?

    var type: String? { publicBlob.flatMap { HostKey(blob: $0)?.type } }
    let isRSA: Bool
    /// The encrypted part, where ``decrypted(by:)`` knows its cipher.
    private let sealed: Sealed?

    enum Problem: Error, CustomStringConvertible {
        case missing
        case unreadable(String)
        /// It is a public key file; `nil` where its key cannot be read.
        case publicKey(HostKey?)
        case notAPrivateKey(String)
        /// Others than its owner can read it, which OpenSSH refuses too.
        case exposed(mode: mode_t, publicBlob: Data?)
        case wrongPassphrase

        var description: String {
            switch self {
            case .missing: "no such file"
            case .unreadable(let reason): reason
            case .publicKey(let key) where key?.isCertificate == true: HostKey.whyNoCertificate
            case .publicKey: "a public key, and no agent holds the private one"
            case .notAPrivateKey(let reason): reason
            case .exposed(let mode, _):
                "its mode is 0\(String(mode, radix: 8)), so that others can use it: chmod 600 it, if nobody has"
            case .wrongPassphrase: "the passphrase is wrong"
            }
        }
    }

    init(path: String) throws(Problem) {
        let expanded = LocalAccount.expand(path: path)
        let file = Descriptor(owning: open(expanded, O_RDONLY | O_CLOEXEC))
        guard file.number >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { throw .missing }
            throw .unreadable(String(cString: strerror(errno)))
        }
        var status = stat()
        guard fstat(file.number, &status) == 0 else { throw .unreadable(String(cString: strerror(errno))) }
        var contents = Data()
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while contents.count < Self.longest {
            let count = read(file.number, &buffer, buffer.count)
            guard count >= 0 else { throw .unreadable(String(cString: strerror(errno))) }
            if count == 0 { break }
            contents += buffer[..<count]
        }
        try self.init(path: path, contents: contents)
        // As OpenSSH's sshkey_perm_ok does, the mode of a file of another owner is not checked, as in a folder that admins share.
        if status.st_uid == getuid(), status.st_mode & 0o077 != 0 {
            throw .exposed(mode: status.st_mode & 0o7777, publicBlob: publicBlob)
        }
    }

    private static let longest = 1 << 20

    /// Reads the file's text. OpenSSH's format is described in its PROTOCOL.key; the public key in it is not encrypted.
    init(path: String, contents: Data) throws(Problem) {
        self.path = path
        self.contents = contents
        guard contents.count < Self.longest else { throw .notAPrivateKey("not a private key: too long") }
        let text = String(decoding: contents, as: UTF8.self)
        if ["ssh-", "ecdsa-sha2-", "sk-"].contains(where: text.hasPrefix) {
            let fields = text.split(whereSeparator: \.isWhitespace)
            throw .publicKey(
                fields.dropFirst().first.flatMap { Data(base64Encoded: String($0)) }.flatMap { HostKey(blob: $0) })
        }
        guard text.contains("-----BEGIN "), text.contains("PRIVATE KEY-----") else {
            throw .notAPrivateKey("not a private key that SSH knows")
        }
        guard text.contains("-----BEGIN OPENSSH PRIVATE KEY-----") else {
            publicBlob = nil
            ed25519 = nil
            isEncrypted = text.contains("ENCRYPTED")
            isRSA = text.contains("BEGIN RSA")
            sealed = nil
            return
        }
        let lines = text.split(whereSeparator: \.isNewline)
        let body = lines.filter { !$0.hasPrefix("-----") }.joined()
        guard let bytes = Data(base64Encoded: body), bytes.starts(with: Self.magic) else {
            throw .notAPrivateKey("a damaged OpenSSH private key")
        }
        var reader = WireReader(bytes.dropFirst(Self.magic.count))
        guard let cipher = reader.string(), let derivation = reader.string(), let options = reader.string(),
            reader.uint32() == 1, let blob = reader.string(), let key = HostKey(blob: Data(blob))
        else { throw .notAPrivateKey("a damaged OpenSSH private key") }
        if key.type.hasPrefix("sk-") {
            throw .notAPrivateKey("a FIDO key (\(key.type)), which libssh2 cannot use")
        }
        guard let section = reader.string() else { throw .notAPrivateKey("a damaged OpenSSH private key") }
        publicBlob = key.blob
        isRSA = key.type == "ssh-rsa"
        isEncrypted = !cipher.elementsEqual("none".utf8)
        ed25519 = isEncrypted ? nil : Self.ed25519(in: section, blob: key.blob)
        sealed = Self.sealed(cipher: cipher, derivation: derivation, options: options, contents: Data(section))
    }

    private static let magic = Array("openssh-key-v1\0".utf8)

    /// The same key without its encryption, in memory only, so that the key is derived from the passphrase once and not for each host.
    /// Blocks for as long as the file's number of rounds takes, a quarter of a second by default.
    /// - Returns: `nil` for what is left to libssh2: PEM files, which cost little to decrypt, and rare ciphers.
    func decrypted(by passphrase: Secret) throws(Problem) -> PrivateKeyFile? {
        guard let sealed, let publicBlob else { return nil }
        let section = try Self.decrypt(sealed, with: passphrase)
        var plain = Self.magic
        for text in ["none", "none", ""] { plain.append(string: text.utf8) }
        plain.append(uint32: 1)
        plain.append(string: publicBlob)
        plain.append(string: section)
        let body = Data(plain).base64EncodedString(options: [
            .lineLength64Characters, .endLineWithLineFeed,
        ])
        let text = "-----BEGIN OPENSSH PRIVATE KEY-----\n\(body)\n-----END OPENSSH PRIVATE KEY-----\n"
        return try PrivateKeyFile(path: path, contents: Data(text.utf8))
    }
}

extension PrivateKeyFile {
    /// The private half in a key file of OpenSSH's (PROTOCOL.key), encrypted: what decrypts it, and the bytes.
    fileprivate typealias Sealed = (keySize: Int, isChained: Bool, salt: [UInt8], rounds: Int, contents: Data)

    /// - Returns: `nil` for what is left to libssh2.
    private static func sealed(
        cipher: some Collection<UInt8>, derivation: some Collection<UInt8>, options: some Collection<UInt8>,
        contents: Data
    ) -> Sealed? {
        let sizes = ["aes128": 16, "aes192": 24, "aes256": 32]
        let cipher = String(decoding: cipher, as: UTF8.self)
        guard let keySize = sizes[String(cipher.prefix(6))], ["-ctr", "-cbc"].contains(cipher.dropFirst(6)) else {
            return nil
        }
        var reader = WireReader(Array(options))
        guard derivation.elementsEqual("bcrypt".utf8), let salt = reader.string(), !salt.isEmpty,
            let rounds = reader.uint32(), rounds > 0, !contents.isEmpty, contents.count % 16 == 0
        else { return nil }
        return (keySize, cipher.hasSuffix("-cbc"), Array(salt), Int(rounds), contents)
    }

    private static func decrypt(_ sealed: Sealed, with passphrase: Secret) throws(Problem) -> Data {
        let derived = Bcrypt.deriveKey(
            passphrase: Data(passphrase.reveal().utf8), salt: sealed.salt, rounds: sealed.rounds,
            count: sealed.keySize + 16)
        let key = SymmetricKey(data: derived[..<sealed.keySize])
        let vector = derived[sealed.keySize...]
        let section: Data
        do {
            section =
                if sealed.isChained {
                    try AES._CBC.decrypt(
                        sealed.contents, using: key, iv: AES._CBC.IV(ivBytes: vector), noPadding: true)
                } else {
                    try AES._CTR.decrypt(sealed.contents, using: key, nonce: AES._CTR.Nonce(nonceBytes: vector))
                }
        } catch {
            throw .notAPrivateKey("a damaged OpenSSH private key: \(error)")
        }
        // The section begins with two equal random numbers, by which a wrong passphrase is recognised.
        var reader = WireReader(section)
        guard let first = reader.uint32(), first == reader.uint32() else { throw .wrongPassphrase }
        return section
    }

    /// - Parameter section: the private half, decrypted: two equal numbers, then the fields of the key's type.
    /// - Returns: the key where it is an Ed25519 key whose halves match.
    private static func ed25519(in section: some Collection<UInt8>, blob: Data) -> Curve25519.Signing.PrivateKey? {
        var reader = WireReader(section)
        guard let check = reader.uint32(), check == reader.uint32(), let type = reader.string(),
            type.elementsEqual("ssh-ed25519".utf8), let publicKey = reader.string(), let pair = reader.string(),
            pair.count == 64, let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: Data(pair.prefix(32))),
            key.publicKey.rawRepresentation.elementsEqual(publicKey), blob.suffix(32).elementsEqual(publicKey)
        else { return nil }
        return key
    }
}
