import Foundation
import SSH
import Synchronization
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// MinIO's drives looked at by the real script, in real folders.
@Suite struct DriveProbeTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    static func format(_ id: String = "b", _ sets: String = #"["a","b"],["c","d"]"#) -> Data {
        Data(
            #"{"version":"1","format":"xl","id":"0","xl":{"version":"3","this":"\#(id)","sets":[\#(sets)],"distributionAlgo":"SIPMOD+PARITY"}}"#
                .utf8)
    }

    func look(_ names: [String], shell: String = "sh") async -> [String: MinIODrive] {
        let places = names.map { DriveProbe.Place(volume: $0, path: folder.path + "/" + $0) }
        return await DriveProbe.look(at: places, on: LocalRemote(shell: shell))
    }

    @Test(arguments: ["sh", "bash"]) func eachStateIsSeen(shell: String) async throws {
        try folder.write("whole/.minio.sys/format.json", Self.format())
        try folder.write("whole/images/a/xl.meta")
        try folder.write("a 'quoted' name/data/.minio.sys/format.json", Self.format("c"))
        try folder.write("healing/.minio.sys/format.json", Self.format())
        try folder.write("healing/.minio.sys/buckets/.healing.bin", Record.of(["ItemsHealed": 12, "BytesDone": 4096]))
        try folder.write("old/.minio.sys/format.json", Self.format("d"))
        try folder.write("old/.minio.sys/buckets/.healing.bin", Record.text(["ID": "b"]))
        try folder.write("empty/lost+found/x")
        let drives = await look(["whole", "a 'quoted' name", "healing", "old", "empty", "gone"], shell: shell)
        let sets = [["a", "b"], ["c", "d"]]
        #expect(drives["whole"] == MinIODrive(.whole, layout: .init(deployment: "0", id: "b", sets: sets)))
        #expect(drives["whole"]?.layout?.set == ["a", "b"])
        #expect(drives["a 'quoted' name"]?.layout?.set == ["c", "d"], "in a folder below the volume's")
        #expect(drives["healing"]?.state == .healing(HealProgress(items: 12, bytes: 4096)))
        #expect(drives["old"]?.state == .healing(nil), "before 2021-03 there are no numbers")
        #expect(drives["empty"]?.state == .unformatted)
        guard case .unknown(let why) = drives["gone"]?.state else {
            Issue.record("\(String(describing: drives["gone"]))")
            return
        }
        #expect(why.contains("/gone is not there, or cannot be read"))
    }

    @Test(arguments: [
        "", "not JSON", "{}", #"{"version":"1","format":"fs","id":"0","fs":{"version":"2"}}"#,
        #"{"version":"1","format":"xl","id":"0","xl":{"version":"3","this":"x","sets":[["a","b"]]}}"#,
    ]) func whatMinIOWouldNotTakeForADriveIsNone(format: String) async throws {
        try folder.write("one/.minio.sys/format.json", Data((format + "\n").utf8))
        guard case .unknown(let why)? = await look(["one"])["one"]?.state else {
            Issue.record("a drive: \(format)")
            return
        }
        #expect(why.contains("is not that of a drive of an erasure set"))
    }

    /// From 2024-08 on the record stays, and says that it is finished, well or badly.
    @Test func aFinishedRecordIsNoHeal() async throws {
        try folder.write("new/.minio.sys/format.json", Self.format())
        try folder.write("new/images/a/xl.meta")
        let mark = "new/.minio.sys/buckets/.healing.bin"
        try folder.write(mark, Record.of(["ItemsHealed": 9, "ItemsFailed": 2, "BytesDone": 70_000], finished: true))
        #expect(await look(["new"])["new"]?.state == .whole)
        #expect(await look(["new"])["new"]?.failedItems == 2)
        try folder.write(
            "new/.minio.sys/healing.bin",
            Record.of(["ItemsFailed": .max, "ItemsHealed": 0, "BytesDone": 0], finished: true))
        #expect(await look(["new"])["new"]?.failedItems == .max, "numbers from a disk may be anything")
        try FileManager.default.removeItem(atPath: folder.path + "/new/.minio.sys/healing.bin")
        guard
            case .listing(let listing) = try await DriveListing.read(
                folder.path + "/new", on: LocalRemote(shell: "sh"))
        else {
            Issue.record("it is whole")
            return
        }
        #expect(Set(listing.files) == ["./images", "./images/a/xl.meta"])
        #expect(listing.set == ["a", "b"])
        try folder.write(mark, Record.of(["ItemsHealed": 9, "ItemsFailed": 2, "BytesDone": 70_000], finished: false))
        #expect(await look(["new"])["new"]?.state == .healing(HealProgress(items: 9, failed: 2, bytes: 70_000)))
        guard case .unreadable = try await DriveListing.read(folder.path + "/new", on: LocalRemote(shell: "sh")) else {
            Issue.record("it is being healed")
            return
        }
    }

    @Test func theRecordIsReadToItsEnd() throws {
        let whole = Record.of(
            [
                "ItemsHealed": 61, "ItemsFailed": 0, "BytesDone": 1_756_978_429, "ObjectsTotalCount": 120,
                "ObjectsTotalSize": 3_400_000_000,
            ], finished: false)
        let progress = try #require(HealingRecord(whole)?.progress)
        #expect(progress.description == "61 of 120 files, 1.6 GiB of 3.2 GiB")
        for length in 0..<whole.count { #expect(HealingRecord(whole.prefix(length)) == nil, "\(length)") }
        #expect(
            HealingRecord(Record.of(["ObjectsHealed": 3, "ObjectsFailed": 1, "BytesDone": 10]))?.progress?.failed == 1)
        #expect(HealingRecord(Data(repeating: 0x91, count: 5000)) == nil, "nested without end")
    }

    @Test func onlyDrivesOfTheSameErasureSetAreCompared() {
        func listing(_ set: [String]?, _ files: [Substring]) -> DriveListing { .init(files: files, set: set) }
        let own = listing(["a", "b", "c"], ["x"])
        let others = [
            listing(["a", "b", "c"], ["x", "y"]), listing(["a", "b", "c"], ["x"]), listing(["d"], ["z"]),
            listing(["d"], ["z"]),
        ]
        #expect(DriveListing.missing(in: own, others: others, dataShards: 2, hasSeveralSets: true) == .files(0, of: 1))
        #expect(DriveListing.missing(in: own, others: others, dataShards: 1, hasSeveralSets: true) == .files(1, of: 2))
        #expect(
            DriveListing.missing(in: own, others: others, dataShards: 3, hasSeveralSets: true) == .notEnoughPeers(2))
        let silent = [listing(nil, ["x"]), listing(nil, ["x", "q"])]
        #expect(
            DriveListing.missing(in: own, others: silent, dataShards: 2, hasSeveralSets: true) == .notEnoughPeers(0))
        #expect(DriveListing.missing(in: own, others: silent, dataShards: 2, hasSeveralSets: false) == .files(0, of: 1))
    }

    // MARK: Whom it asks

    @Test func theHostsOfMinIOsDrivesAreAskedOnceEach() async throws {
        var state = try RunbookCluster.state()
        state.drives = [:]
        let asked = Mutex<[String]>([])
        let remotes = Remotes { host in
            KubectlTests.ScriptedRemote(host.name) { command in
                asked.withLock { $0.append("\(host.name): \(command.display)") }
                return CommandResult(outcome: .exited(0))
            }
        }
        let drives = await DriveProbe(state).run(remotes)
        let masters = RunbookCluster.names.dropFirst().map { "\($0): look at MinIO's drives" }
        #expect(Set(asked.withLock { $0 }) == Set(masters), "the dead one does not answer, and others have no drive")
        #expect(asked.withLock { $0.count } == 2)
        #expect(drives.count == 8)
        for drive in drives.values {
            guard case .unknown = drive.state else {
                Issue.record("an answer without sections says nothing: \(drive)")
                continue
            }
        }
        state.inventory.workloads.removeAll()
        #expect(await DriveProbe(state).run(remotes).isEmpty)
        #expect(asked.withLock { $0.count } == 2)
    }

    @Test func aDriveOnANodeThatTheInventoryDoesNotNameIsUnknown() async throws {
        var state = try RunbookCluster.state()
        state.inventory.hosts.removeAll { $0.name == RunbookCluster.names[2] }
        let drives = await DriveProbe(state).run(Remotes { _ in LocalRemote(shell: "sh") })
        guard case .unknown(let why) = drives["pvc-onecloud-minio-export-minio-1"]?.state else {
            Issue.record("\(drives)")
            return
        }
        #expect(why.contains("is in no inventory entry"))
    }
}

/// MinIO's record of a heal as its code generator writes it (tinylib/msgp).
enum Record {
    static func text(_ fields: [String: String]) -> Data {
        Data([0x80 | UInt8(fields.count)]) + fields.map { string($0.key) + string($0.value) }.joined()
    }

    /// With fields of every kind around the numbers.
    static func of(_ numbers: [String: UInt64], texts: [String: String] = [:], finished: Bool? = nil) -> Data {
        var fields: [Data] = [
            string("ID") + string("0e5c1947-44f0-4f8a-b7f0-e3a55f441d6f-and-more"), string("PoolIndex") + Data([0xFF]),
            string("Started") + Data([0xC7, 12, 5]) + Data(repeating: 1, count: 12),
            string("HealedBuckets") + Data([0x92]) + string(".minio.sys/config") + string("images"),
            string("QueuedBuckets") + Data([0xDC, 0, 1]) + string("logs"),
        ]
        for (name, value) in numbers.sorted(by: { $0.key < $1.key }) { fields.append(string(name) + unsigned(value)) }
        fields += texts.map { string($0.key) + string($0.value) }
        if let finished { fields.append(string("Finished") + Data([finished ? 0xC3 : 0xC2])) }
        return Data([0xDE, 0, UInt8(fields.count)]) + fields.joined()
    }

    private static func string(_ text: String) -> Data {
        let bytes = Data(text.utf8)
        return (bytes.count < 32 ? Data([0xA0 | UInt8(bytes.count)]) : Data([0xD9, UInt8(bytes.count)])) + bytes
    }

    private static func unsigned(_ value: UInt64) -> Data {
        func big(_ width: Int) -> Data {
            Data((0..<width).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) })
        }
        switch value {
        case 0..<128: return big(1)
        case 128..<256: return Data([0xCC]) + big(1)
        case 256..<65536: return Data([0xCD]) + big(2)
        case 65536..<(1 << 32): return Data([0xCE]) + big(4)
        default: return Data([0xCF]) + big(8)
        }
    }
}
