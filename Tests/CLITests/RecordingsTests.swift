import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Every recording in `Tests/Recordings` is replayed by every verb that can, and told as it was when a person looked at it.
///
/// `MASTERSWAP_RECORD_GOLDEN=1 swift test --filter RecordingsTests` writes the texts beside the recordings.
@Suite(.blocking) struct RecordingsTests {
    static let folder = Golden.folder.deletingLastPathComponent().appendingPathComponent("Recordings")

    static let recordings: [String] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { $0.hasSuffix(".jsonl") }.map { String($0.dropLast(".jsonl".count)) }.sorted()
    }()

    @Test(arguments: recordings) func itIsToldAsItWasLookedAt(_ name: String) throws {
        let file = Self.folder.appendingPathComponent("\(name).jsonl")
        try Golden.expect(
            try RecordingTranscript(file.path).lines, in: Self.folder.appendingPathComponent("\(name).txt"))
    }

    @Test func everyTextBelongsToARecording() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        let texts = names.filter { $0.hasSuffix(".txt") }.map { String($0.dropLast(".txt".count)) }
        #expect(Set(texts) == Set(Self.recordings))
    }
}

/// What the program says to a recording: `check`, `ready`, `inspect` of each master, a plan for each of them with the first spare, and the
/// recorded command line itself.
struct RecordingTranscript {
    var lines: [String] = []

    init(_ file: String) throws {
        let header = try Recording(contentsOf: file).header
        let inventory = try Inventory.parse(header.inventory, file: file)
        var verbs = [["check"], ["ready"]] + inventory.masters.map { ["inspect", $0.name] }
        if let spare = inventory.hosts.first(where: { $0.role == .spare }) {
            verbs += inventory.masters.map { ["plan", $0.name, "--with", spare.name] }
        }
        let own = [header.verb] + header.arguments
        if !verbs.contains(own) { verbs.append(own) }
        for verb in verbs {
            let result = try Program.run(verb + ["--replay", file])
            lines += ["$ masterswap \(verb.joined(separator: " "))"]
            for text in [result.output, result.errors] where !text.isEmpty {
                lines += text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
            }
            lines += ["exit status \(result.status)", ""]
        }
    }
}
