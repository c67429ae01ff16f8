import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Snapshots of etcd on the masters, as the script finds them there.
@Suite struct KnownSnapshotTests {
    /// This machine without a snapshot.
    static let nothingHere = KnownSnapshot.Here(
        of: "none", in: SnapshotStore(RunStore(environment: ["MASTERSWAP_STATE": "/nowhere"])))

    private let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    /// The first bytes of a file of bbolt's, as `etcdctl snapshot save` writes it.
    private static let database = Data(repeating: 0, count: 16) + Data([0xED, 0xDA, 0x0C, 0xED]) + Data(count: 12)

    private func write(_ data: Data, _ path: String, at time: TimeInterval) throws {
        let file = URL(fileURLWithPath: folder.path + path)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try data.write(to: file)
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: time)], ofItemAtPath: file.path)
    }

    /// The real script over a folder that stands for `/`.
    private func facts(_ distribution: Inventory.Distribution, clock: TimeInterval = 1000) async throws -> HostFacts {
        var inventory = try RunbookCluster.inventory()
        inventory.cluster.distribution = distribution
        var text = HostProbe.snapshots(distribution)
        for place in ["/var/", "/opt/", "/root/", "/data/", "/backup/"] {
            text = text.replacing(" \(place)", with: " \(folder.path)\(place)")
        }
        var script = SectionedScript()
        script.section("snapshots", text)
        script.section("clock", "echo \(clock)")
        let result = try await LocalRemote(shell: "sh").run(script.command(label: "x", timeout: nil))
        let sections = try script.parse(result, host: "h", operation: "x")
        return HostProbe(inventory, for: inventory.hosts[0]).facts(sections, startedAt: 1000)
    }

    @Test func theNewestThatLooksLikeOneIsFound() async throws {
        try write(Self.database, "/var/backups/etcd-2026-11-26/snapshot.db", at: 500)
        try write(Self.database, "/opt/etcd_backup/a file.db", at: 600)
        try write(Data("cut off".utf8), "/var/backups/etcd-2026-11-27/snapshot.db", at: 700)
        try write(Data(repeating: 7, count: 4096), "/var/backups/dpkg.status.0", at: 800)
        // Neither is a place of snapshots.
        try write(Self.database, "/var/lib/etcd/member/snap/db", at: 900)
        let found = try await facts(.kubeadm).snapshots
        let path = folder.path + "/opt/etcd_backup/a file.db"
        #expect(found == [.init(path: path, at: Date(timeIntervalSince1970: 600))])
    }

    /// Its names have no suffix; compressed ones are told by it.
    @Test(arguments: ["etcd-snapshot-a-1700000000", "on-demand-a-1700000000.zip"]) func thoseOfK3sAreFound(
        name: String
    ) async throws {
        let data = name.hasSuffix(".zip") ? Data("PK".utf8) : Self.database
        try write(data, "/var/lib/rancher/k3s/server/db/snapshots/\(name)", at: 500)
        #expect(try await facts(.k3s).snapshots?.map(\.path).map { $0.hasSuffix(name) } == [true])
    }

    /// By our clock, whatever the host's says.
    @Test func theTimeIsByOurClock() async throws {
        try write(Self.database, "/var/backups/etcd.db", at: 500)
        let found = try await facts(.kubeadm, clock: 1300).snapshots
        #expect(found?.first?.at == Date(timeIntervalSince1970: 200))
    }

    @Test func aDateInTheFutureIsNoAge() throws {
        var state = try RunbookCluster.state(isDead: false)
        let now = Date(timeIntervalSince1970: 1000)
        state.change(RunbookCluster.names[0]) {
            $0.snapshots = [
                .init(path: "/old", at: now.addingTimeInterval(-9)),
                .init(path: "/future", at: now.addingTimeInterval(999)),
            ]
        }
        let ahead = KnownSnapshot(path: "/here", at: now.addingTimeInterval(99))
        #expect(state.snapshots(here: ahead, at: now).map(\.path) == ["/old"])
    }

    @Test func noneIsNotTheSameAsNotLooked() async throws {
        #expect(try await facts(.kubeadm).snapshots == [])
        let inventory = try RunbookCluster.inventory()
        #expect(HostProbe(inventory, for: inventory.hosts[0]).facts([:], startedAt: 0).snapshots == nil)
        #expect(!HostProbe(inventory, for: inventory.hosts[3]).isInCluster, "a spare has no etcd")
    }
}
