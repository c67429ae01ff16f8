import Foundation
import Testing

@testable import Execution

/// The program itself, as a script runs it: whatever becomes of it, the last line of `--output json` is a result.
@Suite struct JSONResultTests {
    struct Outcome {
        var status: Int32
        var lines: [[String: Any]]
    }

    /// SwiftPM builds the program into the tests' folder, which is the bundle itself but on macOS.
    static let program: URL = {
        let bundle = Bundle(for: Marker.self).bundleURL
        return (bundle.pathExtension == "xctest" ? bundle.deletingLastPathComponent() : bundle)
            .appendingPathComponent("masterswap")
    }()

    private final class Marker {}

    static let inventory = """
        cluster: { name: nowhere, vip: 127.0.0.9 }
        ssh: { user: root, known_hosts: /dev/null }
        hosts:
          a: { address: 127.0.0.2, port: 1, role: master }
          b: { address: 127.0.0.3, port: 1, role: master }
          c: { address: 127.0.0.4, port: 1, role: spare }
        """

    func run(_ arguments: [String], inventory: String? = JSONResultTests.inventory) throws -> Outcome {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("masterswap-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("hosts.yaml")
        if let inventory { try Data(inventory.utf8).write(to: file) }
        let process = Process()
        process.executableURL = Self.program
        process.arguments = arguments
        process.environment = [
            "HOME": folder.path, "PATH": "/usr/bin:/bin", "MASTERSWAP_STATE": folder.path + "/state",
            "MASTERSWAP_INVENTORY": file.path,
        ]
        process.currentDirectoryURL = folder
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let lines = try data.split(separator: UInt8(ascii: "\n")).map {
            try #require(try JSONSerialization.jsonObject(with: Data($0)) as? [String: Any])
        }
        return Outcome(status: process.terminationStatus, lines: lines)
    }

    @Test(
        arguments: [
            (["replace", "a", "--with", "c"], 4), (["replace", "a", "--with", "c", "--yes"], 4),
            (["replace", "a", "--with", "c", "--dry-run"], 4), (["plan", "a", "--with", "c"], 4),
            (["inspect", "a"], 4),
            (["resume"], 2), (["exec", "--limit", "nosuch", "--", "true"], 64), (["exec", "--", "true"], 4),
            (["replace", "a", "--with", "c", "--plan", "nosuch"], 2),
        ] as [([String], Int)])
    func itEndsWithAResult(arguments: [String], status: Int) throws {
        let separator = arguments.firstIndex(of: "--") ?? arguments.endIndex
        let outcome = try run(arguments[..<separator] + ["--output", "json"] + arguments[separator...])
        #expect(outcome.status == Int32(status))
        let last = try #require(outcome.lines.last)
        #expect(last["event"] as? String == "result")
        #expect(last["status"] as? Int == status)
        #expect(outcome.lines.filter { $0["event"] as? String == "result" }.count == 1)
    }

    @Test func aRefusalCarriesItsRuleAndWhatToDo() throws {
        let last = try #require(try run(["plan", "a", "--with", "c", "--output", "json"]).lines.last)
        let refusal = try #require((last["refusals"] as? [[String: Any]])?.first)
        #expect(refusal["rule"] as? String == "a-master-answers")
        #expect((refusal["advice"] as? String)?.contains("masterswap check") == true)
    }

    @Test(arguments: ["check", "unlock", "resume"]) func aWrongInventoryIsAResultToo(verb: String) throws {
        let outcome = try run([verb, "--output", "json"], inventory: nil)
        #expect(outcome.status == 65)
        #expect(outcome.lines.last?["status"] as? Int == 65)
    }

    /// `report` tells of a run what `runs` tells of it.
    @Test func aRunIsSpelledOneWay() throws {
        let folder = try Scratch()
        let run = try RunStore(environment: ["MASTERSWAP_STATE": folder.path]).create()
        let journal = try Journal(path: run.journalPath)
        for event in try RecordedRun.events() { try journal.append(event, durable: false) }
        let environment = ["MASTERSWAP_STATE": folder.path]
        let listed = try Program.run(["runs", "--output", "json"], environment: environment)
        let told = try Program.run(["report", run.id, "--format", "json"], environment: environment)
        let all = try #require(try JSONSerialization.jsonObject(with: Data(listed.output.utf8)) as? [NSDictionary])
        let one = try #require(try JSONSerialization.jsonObject(with: Data(told.output.utf8)) as? NSDictionary)
        #expect(all == [one])
        #expect(one["started_at"] is String && one["status"] as? Int == 0)
    }
}
