import Crypto
import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// `masterswap snapshot`: what is kept, that it is whole, and that nothing stays on the masters. The lab's drill takes one of a real etcd.
@Suite struct SnapshotTests {
    private let folder: TemporaryFolder
    private let store: SnapshotStore
    private let now = Date(timeIntervalSince1970: 1_650_000_000)

    init() throws {
        folder = try TemporaryFolder()
        store = SnapshotStore(RunStore(environment: ["MASTERSWAP_STATE": folder.path]))
    }

    /// - Parameter arrives: of the database, which is `data` there.
    private func cluster(_ data: String = "database", arrives: String? = nil, keys: Int = 7) throws -> FakeCluster {
        FakeCluster(
            try RunbookCluster.objects(dead: 0),
            configMap: ConfigMap(metadata: RunbookCluster.meta("kubeadm-config", "kube-system"))
        ) { _, command in
            let text = command.display
            if text.hasPrefix("etcdctl snapshot status") {
                return FakeCluster.output(#"{"revision":42,"totalKey":\#(keys)}"#)
            }
            if text.hasPrefix("sha256sum") {
                return FakeCluster.output(SHA256.hash(data: Data(data.utf8)).hexadecimal + "  file")
            }
            if text.hasSuffix(" from 0") { return FakeCluster.output(arrives ?? data) }
            if text.hasPrefix("read certificates") { return FakeCluster.output("tar") }
            return nil
        }
    }

    private func backup(_ cluster: FakeCluster, _ state: ClusterState? = nil) throws -> ClusterBackup {
        ClusterBackup(
            try state ?? RunbookCluster.state(isDead: false),
            Remotes { FakeCluster.Target(name: $0.name, cluster: cluster) },
            store: store)
    }

    private func mode(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    @Test func allThatARestoreNeedsIsKept() async throws {
        let cluster = try cluster()
        let snapshot = try await backup(cluster).run(keep: 3, at: now).snapshot
        #expect(snapshot.keys == 7 && snapshot.revision == 42 && snapshot.bytes == 8)
        #expect(snapshot.masters == RunbookCluster.names)
        let names = try FileManager.default.contentsOfDirectory(atPath: snapshot.directory).sorted()
        #expect(
            names
                == (RunbookCluster.names.map { "\($0).tar" } + [
                    "etcd-snapshot.db", "kubeadm-config.json", "snapshot.json",
                ]).sorted())
        #expect(try mode(snapshot.directory) == 0o700)
        for name in names { #expect(try mode("\(snapshot.directory)/\(name)") == 0o600, "\(name)") }
        #expect(try String(contentsOfFile: snapshot.directory + "/etcd-snapshot.db", encoding: .utf8) == "database")
        #expect(store.snapshots(of: snapshot.cluster) == [snapshot])
        #expect(store.snapshots(of: "another").isEmpty)
        // The copy on the master is gone.
        let removals = cluster.asked.filter { $0.contains(": rm -f -- /var/lib/etcd/masterswap-snapshot-") }
        #expect(removals.count == 1)
        #expect(cluster.acts.isEmpty)
    }

    @Test func theOldestOnesBeyondTheNumberAreDeleted() async throws {
        var deleted: [String] = []
        for hour in 0..<4 {
            deleted += try await backup(try cluster()).run(keep: 2, at: now + Double(hour * 3600)).deleted
        }
        let kept = store.snapshots(of: try RunbookCluster.inventory().cluster.name)
        #expect(kept.map(\.at) == [now + 7200, now + 10800])
        #expect(deleted.count == 2 && deleted.allSatisfy { !FileManager.default.fileExists(atPath: $0) })
    }

    /// Nothing counts as a snapshot that is not whole, and those that were there stay.
    @Test func whatIsNotWholeIsNotKept() async throws {
        let first = try await backup(try cluster()).run(keep: 1, at: now).snapshot
        for broken in [try cluster(arrives: "databas"), try cluster(keys: 0)] {
            await #expect(throws: ClusterError.self) { try await backup(broken).run(keep: 1, at: now + 60) }
            #expect(broken.asked.contains { $0.contains(": rm -f -- /var/lib/etcd/masterswap-snapshot-") })
        }
        #expect(store.snapshots(of: first.cluster) == [first])
        let folder = (first.directory as NSString).deletingLastPathComponent
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 1)
    }

    /// With a master dead one of the others gives it; without a healthy member none does.
    @Test func itIsTakenOfAHealthyMember() async throws {
        let dead = try await backup(try cluster(), try RunbookCluster.state()).run(keep: 1, at: now).snapshot
        #expect(dead.host != RunbookCluster.names[0] && dead.masters.count == 2)
        var state = try RunbookCluster.state(isDead: false)
        for index in state.cluster.members.indices { state.cluster.members[index].isHealthy = false }
        let cluster = try cluster()
        await #expect(throws: Refused.self) { try await backup(cluster, state).run(keep: 1, at: now) }
        #expect(cluster.asked.isEmpty)
    }
}
