import Foundation
import Testing

@testable import SSH

/// Public keys that are nobody's.
enum Keys {
    static func ed25519(_ seed: UInt8) -> HostKey {
        make("ssh-ed25519", [Array(repeating: seed, count: 32)])
    }

    static func ecdsa(_ seed: UInt8) -> HostKey {
        make("ecdsa-sha2-nistp256", [Array("nistp256".utf8), [4] + Array(repeating: seed, count: 64)])
    }

    private static func make(_ type: String, _ fields: [[UInt8]]) -> HostKey {
        var writer = [UInt8]()
        writer.append(string: type.utf8)
        for field in fields { writer.append(string: field) }
        return HostKey(blob: Data(writer))!
    }
}

extension HostKey {
    /// As it stands in known_hosts and authorized_keys.
    var line: String { "\(type) \(blob.base64EncodedString())" }
}

func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = NSTemporaryDirectory() + "/ssh-unit.\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}
