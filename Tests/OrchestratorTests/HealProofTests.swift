import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// A heal that the log does not tell of any more: proven by real folders, listed by the real script.
@Suite struct HealProofTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    func drive(_ name: String, objects: [String] = ["a/xl.meta", "a/0f2a/part.1", "b/xl.meta"]) throws {
        try folder.write("\(name)/.minio.sys/format.json", DriveProbeTests.format())
        try folder.write("\(name)/.minio.sys/buckets/images/own.\(name)")
        for object in objects { try folder.write("\(name)/images/\(object)") }
        try FileManager.default.createDirectory(
            atPath: folder.path + "/\(name)/empty", withIntermediateDirectories: true)
    }

    func tree(_ name: String) async throws -> Set<Substring>? {
        let reading = try await DriveListing.read(folder.path + "/" + name, on: LocalRemote(shell: "sh"))
        if case .listing(let listing) = reading { return Set(listing.files) }
        return nil
    }

    @Test func theTreeIsBucketsAndObjectsWithoutMinIOsOwn() async throws {
        try drive("one")
        #expect(
            try await tree("one") == [
                "./empty", "./images", "./images/a/xl.meta", "./images/a/0f2a/part.1", "./images/b/xl.meta",
            ])
    }

    @Test func aDriveThatIsNotWholeHasNone() async throws {
        #expect(try await tree("none") == nil)
        try drive("marked")
        try folder.write("marked/.minio.sys/buckets/.healing.bin")
        #expect(try await tree("marked") == nil)
        try folder.write("fresh/images/a/xl.meta")
        #expect(try await tree("fresh") == nil, "it is not formatted")
    }

    /// The runbook's set: the pod on the new node, its drive, and those of the others, each a folder here.
    func missing(
        log: String = "restarted\n", peers: [String] = ["two", "three"], dataShards: Int = 2
    ) async throws -> String? {
        var plan = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: Date())
        plan.kubernetes = nil
        let local = LocalRemote(shell: "sh")
        let remotes = Remotes { host in
            KubectlTests.ScriptedRemote(host.name) { command in
                if command.display.contains("logs") { return KubectlTests.output(log) }
                return try local.runNow(command)
            }
        }
        let context = RunContext(
            plan: plan, inventory: try RunbookCluster.inventory(), remotes: remotes,
            run: .init(id: "r", directory: folder.path), journal: try Journal(path: folder.path + "/journal"),
            lock: nil,
            watch: nil, limits: .init(), databasePassword: { Secret("x") }, emit: { _ in })
        var volume = try #require(try RunbookCluster.objects(dead: nil).volumes.first)
        volume.spec.hostPath = .init(path: folder.path + "/new")
        let pod = try #require(try RunbookCluster.objects(dead: nil).pods.first)
        return try await MinIOHealProof(
            pod: pod, volume: volume, host: plan.replacement.host,
            peers: peers.map { .init(host: RunbookCluster.names[1], path: folder.path + "/" + $0) },
            dataShards: dataShards
        ).missing(context)?.description
    }

    @Test func whatAsManyOtherDrivesHaveAsThereAreDataShardsMustBeThere() async throws {
        try drive("two")
        try drive("three", objects: ["a/xl.meta", "a/0f2a/part.1", "c/xl.meta"])
        try drive("new", objects: ["a/xl.meta"])
        #expect(try await missing()?.contains("1 of 4 files are not on its drive yet") == true)
        try folder.write("new/images/a/0f2a/part.1")
        #expect(try await missing() == nil, "b and c are on one drive each, and can never be healed")
        #expect(try await missing(dataShards: 1)?.contains("2 of 6 files are not on its drive yet") == true)
        try folder.write("new/.minio.sys/buckets/.healing.bin")
        #expect(try await missing()?.contains("is being healed: 2 files, ") == true, "with how far it is")
    }

    @Test func withoutEnoughPeersNothingIsProven() async throws {
        try drive("new")
        try drive("two")
        #expect(try await missing(peers: [])?.contains("only 0 other drives") == true)
        #expect(try await missing(peers: ["two"])?.contains("only 1 other drives") == true)
        #expect(try await missing(peers: ["two", "gone"])?.contains("cannot be listed") == true)
    }

    /// Releases of July to September 2020 say nothing when a heal has ended; later ones may end with words that nobody knows yet.
    @Test(arguments: [
        "Healing disk '/export' on 1st zone\n",
        "Healing disk '/export' on 1st pool\nHealing disk '/export' on 1st pool complete\n",
        "Healing of drive '/export' has been concluded\n",
    ]) func aLogThatTellsNoEndIsNoReasonToWaitForEver(log: String) async throws {
        for name in ["two", "three", "new"] { try drive(name) }
        #expect(try await missing(log: log) == nil)
        try folder.write("new/.minio.sys/buckets/.healing.bin")
        #expect(try await missing(log: log)?.contains("is being healed") == true)
    }

    @Test func aFailureInTheLogIsToldAtOnce() async throws {
        for name in ["two", "three", "new"] { try drive(name) }
        let log = "Healing disk '/export' failed (healed: 58, failed: 3).\n"
        let error = await #expect(throws: ClusterError.self) { try await missing(log: log) }
        #expect(error?.cause == "3 files could not be healed")
    }

    @Test func aLogThatSaysHealedIsBelievedWhereTheDriveAgrees() async throws {
        let log = "Healing drive '/export' complete (healed: 61, failed: 0).\n"
        #expect(try await missing(log: log, peers: []) != nil, "there is no drive")
        try drive("new")
        #expect(try await missing(log: log, peers: []) == nil)
        try folder.write("new/.minio.sys/buckets/.healing.bin")
        #expect(try await missing(log: log, peers: [])?.contains("and yet") == true)
    }
}
