import Foundation
public import SSH

/// Takes secrets out of what remote programs print, before it is shown or written anywhere: ocboot prints its variables.
///
/// As they are, and as programs write them down: escaped in JSON, with percent signs in a URL, in Base64, alone or in the middle
/// of something.
public struct Redactor: Sendable {
    private let secrets: [String]

    public init(_ secrets: [Secret]) {
        // Longest first, so that a secret that contains another goes whole; empty ones would match everywhere.
        let forms = Set(secrets.map { $0.reveal() }.filter { !$0.isEmpty }.flatMap { Self.forms(of: $0) })
        self.secrets = forms.sorted { a, b in a.count == b.count ? a < b : a.count > b.count }
    }

    public func redact(_ text: String) -> String {
        var text = text
        for secret in secrets { text = text.replacing(secret, with: "••••") }
        for pattern in Self.patterns { text = text.replacing(pattern, with: "••••") }
        for pattern in [Self.assignment, Self.option] { text = text.replacing(pattern) { $0.output.1 + "••••" } }
        return text
    }

    /// Whether the name of a key, an option or a variable says that its value is a secret.
    package static func isSecret(name: String) -> Bool { SecretScrubber.isSecret(name: name) }

    static func forms(of secret: String) -> [String] {
        // Ansible's messages are JSON in JSON.
        let escaped = json(secret)
        var forms = [secret] + escaped + escaped.flatMap(json)
        for allowed in ["-._~", "-._~/", "-._~!$&'()*+,;=:@/?"] {
            let set = CharacterSet.alphanumerics.intersection(.init(charactersIn: "\0"..."\u{7f}"))
                .union(CharacterSet(charactersIn: allowed))
            if let encoded = secret.addingPercentEncoding(withAllowedCharacters: set) {
                forms += [encoded, encoded.replacing("%20", with: "+")]
                forms.append(encoded.replacing(/%[0-9A-F]{2}/) { String($0.output).lowercased() })
            }
        }
        return forms + base64(secret)
    }

    /// A JSON string's inside: with slashes escaped or not, and as Python writes it, with `\uXXXX` for all but ASCII.
    private static func json(_ text: String) -> [String] {
        [JSONEncoder.OutputFormatting.withoutEscapingSlashes, []].flatMap { options -> [String] in
            let encoder = JSONEncoder()
            encoder.outputFormatting = options
            guard let data = try? encoder.encode(text) else { return [] }
            let inside = String(String(decoding: data, as: UTF8.self).dropFirst().dropLast())
            let ascii = inside.utf16.map { unit in
                unit < 0x80 ? String(UnicodeScalar(UInt8(unit))) : "\\u" + String(format: "%04x", Int(unit))
            }
            return [inside, ascii.joined()]
        }
    }

    /// The characters that stand for the secret's bytes alone, at each of the three places that it may begin at.
    private static func base64(_ secret: String) -> [String] {
        let bytes = Array(secret.utf8)
        return (0..<3).flatMap { offset -> [String] in
            let encoded = Data(Array(repeating: 0, count: offset) + bytes).base64EncodedString()
            let first = (offset * 8 + 5) / 6
            let end = (offset + bytes.count) * 8 / 6
            // Fewer would be found in what is no secret.
            guard end - first >= 6 else { return [] }
            let form = String(encoded.dropFirst(first).prefix(end - first))
            return [form, form.replacing("+", with: "-").replacing("/", with: "_")]
        }
    }

    /// A value that is called a password, a token or a key of certificates, in YAML, JSON, Python's dictionaries and on command lines:
    /// ocboot prints the administrator's password, k3s's token, and in a traceback the whole section.
    nonisolated(unsafe) private static let assignment =
        /((?i:[a-z0-9_-]*(?:passw(?:or)?d|token|secret|certificate[-_]key))['"]?\s*[:=]\s*['"]?)[^\s'",}]+/
    nonisolated(unsafe) private static let option = /(--[a-z-]*(?:token|password|certificate-key)\s+)\S+/

    /// kubeadm's bootstrap tokens (`abcdef.0123456789abcdef`) and certificate keys (64 hex digits).
    // unsafe by name only: a Regex is immutable, and merely not marked Sendable.
    nonisolated(unsafe) private static let patterns: [Regex<Substring>] = [
        /\b[a-z0-9]{6}\.[a-z0-9]{16}\b/, /\b[0-9a-f]{64}\b/,
    ]
}
