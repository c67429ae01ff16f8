import Foundation
import SSH

/// Replaces secrets in what hosts print by pseudonyms, before it is written to a recording.
///
/// Equal secrets get equal pseudonyms within one recording and different ones different, because passwords are compared across
/// hosts. A pseudonym is a number in order of appearance: nothing of the secret, not even a hash, goes into it.
///
/// What counts as a secret: the value of a key, option or variable whose name says so (`password`, `token`, `secret`, …); every
/// environment variable of a container, but for the few that are read here; private keys, JSON Web Tokens, bootstrap tokens, bare
/// certificate keys, passwords in URLs; and the secrets that the session itself knows, wherever they stand. Text is scrubbed as
/// it is, so that what cannot be parsed stays what it was: JSON, JSON within JSON strings, YAML and shell alike.
struct SecretScrubber: Sendable {
    private var numbers: [String: Int] = [:]
    /// How known secrets are written, by their first byte, longest first.
    private let known: [[SecretSweep.KnownSecret]]

    init(_ secrets: [Secret] = []) {
        var known: [[SecretSweep.KnownSecret]] = Array(repeating: [], count: 256)
        for secret in secrets.map({ $0.reveal() }) where !secret.isEmpty {
            for form in Set(Redactor.forms(of: secret)).map({ Array($0.utf8) }) {
                known[Int(form[0])].append(.init(form: form, secret: secret))
            }
        }
        self.known = known.map { $0.sorted { $0.form.count > $1.form.count } }
    }

    mutating func scrub(_ text: String) -> String {
        String(decoding: scrub(Array(text.utf8)), as: UTF8.self)
    }

    mutating func scrub(_ bytes: [UInt8]) -> [UInt8] {
        var sweep = SecretSweep(text: bytes, known: known, numbers: numbers)
        defer { numbers = sweep.numbers }
        return sweep.run()
    }

    /// - Parameter marker: a line that begins with it is a script's own and stays as it is; no secret goes beyond it.
    mutating func scrub(_ data: Data, exceptLinesWith marker: Data) -> Data {
        guard !marker.isEmpty else { return Data(scrub(Array(data))) }
        var scrubbed = Data()
        var rest = data[...]
        while let range = rest.range(of: marker) {
            let end = rest[range.upperBound...].firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
            scrubbed += Data(scrub(Array(rest[..<range.lowerBound]))) + rest[range.lowerBound..<end]
            rest = rest[end...]
        }
        return scrubbed + Data(scrub(Array(rest)))
    }

    // MARK: Names

    private static let words = [
        "password", "passwd", "passphrase", "secret", "token", "credential", "privatekey", "apikey", "accesskey",
        "certificatekey", "encryptionkey", "signingkey", "authkey", "clientkeydata", "authpass", "vrrpauth",
        "requirepass",
    ]
    /// `tokenExpirationSeconds`, `secretName`, `token-auth-file` and the like name no secret.
    private static let harmlessEndings = [
        "name", "names", "namespace", "ref", "refs", "seconds", "policy", "path", "paths", "file", "files", "dir",
        "type",
        "port", "enabled", "certhash", "ttl", "count", "version", "timeout", "issuer", "audience", "audiences", "mode",
    ]

    static func isSecret(name: some StringProtocol) -> Bool {
        let plain = name.lowercased().filter { !"-_.".contains($0) }
        if harmlessEndings.contains(where: plain.hasSuffix) { return false }
        return words.contains(where: plain.contains) || plain.hasSuffix("pass") || plain.hasSuffix("pwd")
            || plain.hasSuffix("psk") || plain.hasSuffix("community") || plain == "auth" || plain == "sk"
    }

    /// Variables of containers that a plan rests on, and that are no secret.
    static func isReadHere(variable name: String) -> Bool {
        ["KEEPALIVED_", "MINIO_STORAGE_CLASS_", "MINIO_ERASURE_", "PROVISIONER_NAME"].contains(where: name.hasPrefix)
            && !isSecret(name: name)
    }
}
