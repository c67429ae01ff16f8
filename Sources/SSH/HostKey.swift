import Crypto
public import Foundation

/// A public key in SSH's format (RFC 4253 §6.6): the name of its type, then the fields of the type.
public struct HostKey: Sendable, Hashable {
    /// For example `ssh-ed25519`.
    public let type: String
    /// The public key as in SSH's wire format (RFC 4253 §6.6).
    public let blob: Data

    /// Returns `nil` where the bytes do not begin with the name of a type.
    public init?(blob: Data) {
        let type = blob.withUnsafeBytes { bytes -> String? in
            var reader = WireReader(bytes)
            guard let name = reader.string(limit: 64), !name.isEmpty, name.allSatisfy({ (0x21...0x7E).contains($0) })
            else {
                return nil
            }
            return String(decoding: name, as: UTF8.self)
        }
        guard let type else { return nil }
        (self.type, self.blob) = (type, blob)
    }

    /// Whether it is a certificate of OpenSSH's (PROTOCOL.certkeys), for a user or a host.
    var isCertificate: Bool { type.hasSuffix("-cert-v01@openssh.com") }

    static let whyNoCertificate = "a certificate, by which libssh2 cannot log in"

    /// `SHA256:` and the digest in Base64 without padding, as `ssh-keygen -l` prints it.
    public var fingerprint: String {
        let digest = Data(SHA256.hash(data: blob)).base64EncodedString()
        return "SHA256:" + digest.prefix { $0 != "=" }
    }
}
