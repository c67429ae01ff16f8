import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What MinIO's log says of a heal, in the words of each release (minio/minio, cmd/background-newdisks-heal-ops.go).
@Suite struct MinIOLogTests {
    static let banner = "API: http://10.244.7.15:9000  http://127.0.0.1:9000\n"

    func state(_ lines: String..., drive: String? = nil) -> MinIOHeal.State {
        MinIOHeal.state(ofLog: Self.banner + lines.joined(separator: "\n") + "\n", drive: drive)
    }

    // MARK: Complete without a summary (minio#10791, and releases of mid-2022)

    @Test func completeWithoutANumberIsNoProof() {
        // RELEASE.2021-02
        guard
            case .inconclusive = state(
                "Healing disk '/export' on 1st pool", "Healing disk '/export' on 1st pool complete")
        else {
            Issue.record("the disk has to be asked")
            return
        }
    }

    @Test func theNumbersOfOneLineDecide() {
        #expect(state("Healing disk '/export' complete (healed: 61, failed: 0).") == .healed(61))
        #expect(
            state("Healing disk '/export' failed (healed: 58, failed: 3).") == .failed("3 files could not be healed"))
        #expect(
            state("Healing drive '/export' on 1st pool", "Healing drive '/export' complete (healed: 61, failed: 0).")
                == .healed(61))
    }

    // MARK: Every release

    @Test(arguments: [
        "Healing disk '/export' on 1st zone", "Healing disk 'http://minio-0.minio-svc:9000/export' on 1st zone",
        "Healing disk '/export' on 1st pool",
        "Proceeding to heal 'http://minio-0.minio-svc:9000/export' - 'mc admin heal alias/ --verbose' to check the status.",
        "Healing drive '/export' on 1st pool",
        "Healing drive 'http://minio-0.minio-svc:9000/export' - 'mc admin heal alias/ --verbose' to check the current status.",
        "Healing drive '/export' on 1st pool, belonging to 1st erasure set",
        "Healing drive '/export' - use 4 parallel workers.",
        "Healing of drive '/export' is incomplete, retrying 1st time (healed: 9, skipped: 0, failed: 2).",
        "Healing disk '/export' on 1st pool\nHealing tracker missing on '/export', disk was swapped again on 1st pool",
        "Healing disk '/export' on 1st pool\nHealing bucket images content on 1st erasure set complete",
    ]) func itHasBegunAndNotEnded(line: String) {
        #expect(state(line) == .running)
        #expect(state(line, drive: "/export") == .running)
    }

    @Test(arguments: [
        ("Healing disk '/export' is complete (healed: 7, failed: 0).", 7),
        ("Healing disk '/export' complete (healed: 7, failed: 0).", 7),
        ("Healing drive '/export' complete (healed: 7, failed: 0).", 7),
        ("Healing of drive '/export' complete (healed: 7, failed: 0).", 7),
        ("Healing of drive '/export' is finished (healed: 7, skipped: 1, failed: 0).", 7),
        ("Healing of drive '/export' is finished (healed: 7, skipped: 1).", 7),
        ("Healing of drive '/export' is complete, retried 2 times (healed: 7, skipped: 1).", 7),
    ]) func itEndedWell(line: String, healed: Int) {
        #expect(state("Healing drive '/export' - use 4 parallel workers.", line) == .healed(healed))
    }

    @Test(arguments: [
        "Healing disk '/export' is complete (healed: 7, failed: 2).",
        "Healing drive '/export' failed (healed: 7, failed: 2).",
        "Healing of drive '/export' failed (healed: 7, failed: 2).",
        "Healing of drive '/export' is finished (healed: 7, skipped: 1, failed: 2).",
        "Healing of drive '/export' is incomplete, retried 4 times (healed: 7, skipped: 0, failed: 2).",
    ]) func itEndedBadly(line: String) {
        #expect(state(line) == .failed("2 files could not be healed"))
    }

    @Test(arguments: [
        "Healing of drive '/export' has been concluded", "Healing drive '/export': done",
        "Healing disk '/export' on 1st pool complete", "Healing disk '/export' on 1st pool, 1st set complete",
        "Healing disk '/export' on 1st zone complete",
    ]) func otherWordsAreLeftToTheDisk(line: String) {
        guard case .inconclusive = state(line) else {
            Issue.record("\(state(line))")
            return
        }
    }

    @Test func aSummaryOfItemsIsOneOfObjects() throws {
        let old = MinIOHealTests.complete
        let new = old.replacing("ObjectsHealed", with: "ItemsHealed").replacing("ObjectsFailed", with: "ItemsFailed")
            .replacing("on 1st pool complete", with: "on 1st pool, 1st set complete")
        for log in [old, new, old.replacing("\"QueuedBuckets\": []", with: "\"QueuedBuckets\": null")] {
            guard case .complete(let summary) = MinIOHeal.state(ofLog: log) else {
                Issue.record("\(MinIOHeal.state(ofLog: log))")
                continue
            }
            #expect(summary.objectsHealed == 10)
            #expect(summary.bytesDone == 1_756_978_429)
        }
        guard case .failed = MinIOHeal.state(ofLog: new.replacing("\"ItemsFailed\": 0", with: "\"ItemsFailed\": 1"))
        else {
            Issue.record("an item was not healed")
            return
        }
    }

    // MARK: JSON

    func json(_ message: String) throws -> String {
        struct Entry: Encodable {
            var level = "INFO"
            var time = "2024-06-29T10:00:00.000000000Z"
            var message: String
        }
        return String(decoding: try JSONEncoder().encode(Entry(message: message)), as: UTF8.self)
    }

    @Test func entriesInJSONAreRead() throws {
        let start = try json("Healing drive '/export' - use 4 parallel workers.")
        #expect(state(start) == .running)
        #expect(
            state(
                start, try json("Healing of drive '/export' is finished (healed: 5, skipped: 0)."), #"{"level":"INFO"}"#
            )
                == .healed(5))
        #expect(
            state(
                start,
                try json(
                    "Healing of drive '/export' is incomplete, retried 4 times (healed: 5, skipped: 0, failed: 1)."))
                == .failed("1 files could not be healed"))
        let summary = try #require(MinIOHealTests.complete.range(of: "Summary:"))
        guard
            case .complete = state(
                try json("Healing disk '/export' on 1st pool complete"),
                try json(String(MinIOHealTests.complete[summary.lowerBound...]) + "\n"))
        else {
            Issue.record("a summary in one entry")
            return
        }
    }

    // MARK: Several drives in a pod

    @Test func eachDriveHasItsOwnHeal() {
        let lines = [
            "Healing drive 'https://minio-0.minio-svc:9000/export-0' - 'mc admin heal alias/ --verbose' to check the current status.",
            "Healing of drive '/export-1/data' is finished (healed: 5, skipped: 0).",
        ].joined(separator: "\n")
        #expect(state(lines, drive: "/export-0") == .running)
        #expect(state(lines, drive: "/export-1") == .healed(5))
        #expect(state(lines, drive: "/export") == .notStarted, "/export-0 is another folder")
    }

    @Test func theEndIsFoundInALongLog() {
        let noise = String(
            repeating: "API: SYSTEM()\nError: unable to heal object a/b: disk not found (*fmt.wrapError)\n",
            count: 20_000)
        #expect(state("Healing disk '/export' on 1st pool", noise) == .running)
        #expect(state(noise) == .notStarted)
    }
}
