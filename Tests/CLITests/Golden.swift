import Foundation
import Testing

/// Texts that were looked at by a person and are held to: files under `Golden`, written again with `MASTERSWAP_RECORD_GOLDEN=1`.
enum Golden {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

    static func expect(_ lines: [String], in name: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        try expect(lines, in: folder.appendingPathComponent("Golden/\(name).txt"), sourceLocation: sourceLocation)
    }

    static func expect(_ lines: [String], in file: URL, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let text = lines.map { $0 + "\n" }.joined()
        if ProcessInfo.processInfo.environment["MASTERSWAP_RECORD_GOLDEN"] == "1" {
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        let golden = try String(contentsOf: file, encoding: .utf8)
        #expect(text == golden, "\(file.lastPathComponent)", sourceLocation: sourceLocation)
    }
}
