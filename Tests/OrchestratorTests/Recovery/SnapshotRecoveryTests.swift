import Crypto
import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// A snapshot is restored only where the survivor's own data are not usable: those are newer.
@Suite struct SnapshotRecoveryTests {
    typealias Cluster = RecoveryCluster
    static let request = RecoveryRequest(survivor: Cluster.survivor, snapshot: Cluster.snapshot)

    func refusals(_ state: ClusterState, _ etcd: SurvivorEtcd, _ request: RecoveryRequest = request) throws -> [Refusal]
    {
        do {
            _ = try RecoveryPlanner.plan(state, etcd, request, room: nil, now: Cluster.now)
            return []
        } catch let refused as Refused { return refused.refusals }
    }

    @Test func dataThatAreUsableAreNotReplaced() throws {
        let refusals = try refusals(try Cluster.state(), Cluster.etcd())
        #expect(refusals.map(\.rule) == ["etcd-data-is-usable"])
        #expect(refusals[0].reason.contains("newer than any snapshot"))
        #expect(try self.refusals(try Cluster.k3sState(), Cluster.k3sEtcd()).map(\.rule) == ["etcd-data-is-usable"])
    }

    @Test func dataThatAreNotAreReplacedBySteps() throws {
        let state = try Cluster.state()
        let plan = try RecoveryPlanner.plan(
            state, Cluster.damaged(Cluster.etcd()), Self.request, room: nil, now: Cluster.now)
        #expect(
            plan.etcd.memberID == nil && plan.snapshot == Cluster.snapshot && plan.dead.map(\.memberID) == [nil, nil])
        #expect(
            RecoverySteps.make(plan).map(\.id) == [
                "watch", "save", "copy-data", "new-cluster", "first-manifest", "api-server", "promote",
                "clean-cluster-status", "dead-nodes", "verify",
            ])
        #expect(RecoverySteps.make(plan).contains { $0 is RestoreStep })
        let text = RecoveryText(plan, state.inventory)
        #expect(
            text.lines.contains { $0.kind == .warning && $0.text.contains("in the 2 h since the snapshot is lost") })
        #expect(
            text.summary.contains { $0.kind == .destroyed && $0.text.contains("what was written since the snapshot") })
        let decoded = try EventCoding.decode(RecoveryPlan.self, from: try EventCoding.encode(plan))
        #expect(decoded == plan)
    }

    @Test func whatIsHereIsOffered() throws {
        var request = Cluster.request
        let etcd = Cluster.damaged(Cluster.etcd())
        func advice() throws -> String { try #require(try refusals(try Cluster.state(), etcd, request).first).advice }
        #expect(try advice().contains("--snapshot FILE, which has to be brought here"))
        request.known = [Cluster.snapshot]
        #expect(
            try advice().contains(
                "masterswap recover \(Cluster.survivor) --snapshot \(Cluster.snapshot.path) (2 h old, of \(Cluster.dead[0]), at revision 4000)"
            ))
    }

    /// A restore that was cut off has data that may be none: it is done again, and never started.
    @Test func aRestoreThatWasCutOffIsDoneAgain() throws {
        var etcd = Cluster.damaged(Cluster.etcd())
        etcd.kept = etcd.manifest
        etcd.manifest = etcd.manifest?.restoring(token: "x")
        #expect(etcd.isPutAside && etcd.isLeftover)
        let refused = try #require(try refusals(try Cluster.state(), etcd, Cluster.request).first)
        #expect(refused.reason.contains("may not be whole") && refused.advice.contains("start nothing there by hand"))
        #expect(try refusals(try Cluster.state(), etcd).isEmpty)
        var server = Cluster.damaged(Cluster.k3sEtcd())
        server.mark = .restoring
        let other = try #require(try refusals(try Cluster.k3sState(), server, Cluster.request).first)
        #expect(other.advice == refused.advice)
        #expect(try refusals(try Cluster.k3sState(), server).isEmpty)
    }

    @Test func itNeedsRoomThere() throws {
        var request = Self.request
        request.snapshot?.bytes = 6 << 30
        #expect(
            try refusals(try Cluster.state(), Cluster.damaged(Cluster.etcd()), request).map(\.rule) == ["room-is-left"])
    }

    @Test func theOthersHaveToBeDeadStill() throws {
        var state = try Cluster.state()
        guard case .reached(var facts)? = state.hosts[Cluster.survivor] else { return }
        facts.peers[RunbookCluster.addresses[2]] = RunbookCluster.livingView
        state.hosts[Cluster.survivor] = .reached(facts)
        #expect(try refusals(state, Cluster.damaged(Cluster.etcd())).map(\.rule) == ["others-are-dead"])
        state.cluster.source = Cluster.survivor
        #expect(try refusals(state, Cluster.damaged(Cluster.etcd())).map(\.rule) == ["quorum-is-lost"])
    }

    // MARK: The manifest that restores

    @Test func etcdsOwnImageMakesTheData() throws {
        let first = EtcdManifest(
            """
            spec:
              containers:
              - command:
                - etcd
                - --data-dir=/var/lib/etcd
                - --name=a
                - --initial-advertise-peer-urls=https://10.0.0.1:2380
                image: registry.example:5000/etcd:3.4.13-0
                livenessProbe:
                  failureThreshold: 8
                  httpGet:
                    path: /health
                name: etcd
            """)
        let restoring = try #require(first.restoring(token: "masterswap-r"))
        #expect(
            restoring.text == """
                spec:
                  containers:
                  - command:
                    - etcdctl
                    - snapshot
                    - restore
                    - /var/lib/etcd/masterswap-restore.db
                    - --name=a
                    - --initial-cluster=a=https://10.0.0.1:2380
                    - --initial-advertise-peer-urls=https://10.0.0.1:2380
                    - --initial-cluster-token=masterswap-r
                    - --data-dir=/var/lib/etcd/masterswap-restored
                    image: registry.example:5000/etcd:3.4.13-0
                    name: etcd
                """)
        #expect(restoring.isRestoring && !first.isRestoring && !restoring.isForcing)
        func other(_ old: String, _ new: String) -> EtcdManifest? {
            EtcdManifest(first.text.replacing(old, with: new)).restoring(token: "x")
        }
        #expect(other("3.4.13-0", "3.6.4-0")?.text.contains("- etcdutl\n") == true)
        let old = try #require(other("3.4.13-0", "3.3.10"), "the release of Kubernetes 1.15")
        #expect(
            old.text.contains(
                """
                    - --data-dir=/var/lib/etcd/masterswap-restored
                    env:
                    - name: ETCDCTL_API
                      value: "3"
                    image:
                """), "etcdctl speaks v2 unless told otherwise: \(old.text)")
        #expect(
            EtcdManifest(first.text.replacing("3.4.13-0", with: "3.3.10") + "\n    env: []").restoring(token: "x")
                == nil)
        #expect(other(":3.4.13-0", "@sha256:0a1b") == nil)
        #expect(other("data-dir=/var/lib/etcd", "data-dir=/data") == nil)
        #expect(other("--name=a", "--nome=a") == nil)
    }

    // MARK: Files here

    /// Pages, and after them their SHA-256, as etcd writes it.
    @Test func aSnapshotIsReadAndAnyOtherFileIsNot() throws {
        let folder = try TemporaryFolder()
        let store = RunStore(environment: ["MASTERSWAP_STATE": folder.path])
        let directory = folder.path + "/snapshots/ha-test/20220413-090000"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let path = directory + "/etcd-snapshot.db"
        let pages = Data((0..<16384).map { UInt8(truncatingIfNeeded: $0 * 7) })
        try (pages + Data(SHA256.hash(data: pages))).write(to: URL(fileURLWithPath: path))
        let read = try RecoverySnapshots(of: "ha-test", store).snapshot(at: directory)
        #expect(read.path == path && read.revision == nil && read.sha256?.count == 64)
        #expect(RecoverySnapshots(of: "ha-test", store).known.isEmpty, "nothing says whose it is")
        var index = SnapshotStore.Snapshot(
            cluster: "ha-test", at: RecoveryCluster.now, host: "m1", revision: 7, keys: 1, bytes: read.bytes,
            sha256: read.sha256 ?? "", masters: ["m1"], directory: directory)
        try EventCoding.encode(index).write(to: URL(fileURLWithPath: directory + "/snapshot.json"))
        let snapshots = RecoverySnapshots(of: "ha-test", store)
        #expect(snapshots.known.map(\.path) == [path])
        let known = try snapshots.snapshot(at: path)
        #expect(known.revision == 7 && known.host == "m1" && known.at == RecoveryCluster.now)
        index.sha256 = "5a"
        try EventCoding.encode(index).write(to: URL(fileURLWithPath: directory + "/snapshot.json"))
        func why(_ path: String) -> String? {
            do {
                _ = try RecoverySnapshots(of: "ha-test", store).snapshot(at: path)
                return nil
            } catch { return (error as? ClusterError)?.cause }
        }
        #expect(why(path)?.contains("another one than its snapshot.json says") == true)
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        bytes[5000] ^= 1
        let damaged = folder.path + "/damaged.db"
        try bytes.write(to: URL(fileURLWithPath: damaged))
        #expect(why(damaged)?.contains("something else than the checksum") == true)
        try bytes.dropLast(100).write(to: URL(fileURLWithPath: damaged))
        #expect(why(damaged)?.contains("does not end with a checksum") == true)
        #expect(why(folder.path + "/absent") == "there is no such file that can be read")
    }
}
