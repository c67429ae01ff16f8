import Foundation
public import SSH

/// Takes secrets out of what remote programs print, before it is shown or written anywhere: ocboot prints its variables.
public struct Redactor: Sendable {
    private let secrets: [String]

    public init(_ secrets: [Secret]) {
        // Longest first, so that a secret that contains another goes whole; empty ones would match everywhere.
        self.secrets = secrets.map { $0.reveal() }.filter { !$0.isEmpty }.sorted { $0.count > $1.count }
    }

    public func redact(_ text: String) -> String {
        var text = text
        for secret in secrets { text = text.replacing(secret, with: "••••") }
        for pattern in Self.patterns { text = text.replacing(pattern, with: "••••") }
        return text
    }

    /// kubeadm's bootstrap tokens (`abcdef.0123456789abcdef`) and certificate keys (64 hex digits).
    // unsafe by name only: a Regex is immutable, and merely not marked Sendable.
    nonisolated(unsafe) private static let patterns: [Regex<Substring>] = [
        /\b[a-z0-9]{6}\.[a-z0-9]{16}\b/, /\b[0-9a-f]{64}\b/,
    ]
}
