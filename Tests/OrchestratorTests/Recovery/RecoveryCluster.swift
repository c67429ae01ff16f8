import Foundation
import SSH

@testable import Cluster
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// The runbook's cluster with its primary and its third master dead: no API server answers, and the second master's etcd is asked.
enum RecoveryCluster {
    static let survivor = RunbookCluster.names[1]
    static let dead = [RunbookCluster.names[0], RunbookCluster.names[2]]
    static let request = RecoveryRequest(survivor: survivor)
    static let ids = RunbookCluster.memberIDs
    static let now = Date(timeIntervalSince1970: 1_650_000_000)

    static let manifest = """
        apiVersion: v1
        kind: Pod
        spec:
          containers:
          - command:
            - etcd
            - --data-dir=/var/lib/etcd
            - --initial-advertise-peer-urls=https://10.127.100.229:2380
            - --name=lzx-ocboot-ha-test-2
            - --listen-peer-urls=https://10.127.100.229:2380
            image: registry.example/etcd:3.4.13-0

        """

    /// As somebody has left it who had etcd forget the others.
    static let forcing = manifest.replacing("    - etcd\n", with: "    - etcd\n    - --force-new-cluster\n")

    static func state() throws -> ClusterState {
        var state = try RunbookCluster.state()
        state.hosts[dead[1]] = .failed(
            .init(message: "\(dead[1]): connect: no answer within 10 s", sign: .unresponsive))
        state.cluster = ClusterObservation(problems: ["\(survivor): kubectl get: connection refused"])
        guard case .reached(var facts)? = state.hosts[survivor] else { return state }
        facts.peers[RunbookCluster.addresses[2]] = RunbookCluster.silentView
        state.hosts[survivor] = .reached(facts)
        return state
    }

    static func etcd() -> SurvivorEtcd {
        var etcd = SurvivorEtcd()
        etcd.manifest = EtcdManifest(manifest)
        etcd.isRunning = true
        etcd.members = RunbookCluster.names.indices.map { index in
            EtcdMember(
                id: ids[index], name: RunbookCluster.names[index],
                peerURLs: ["https://\(RunbookCluster.addresses[index]):2380"],
                clientURLs: ["https://\(RunbookCluster.addresses[index]):2379"])
        }
        etcd.silentFor = 720
        etcd.databaseBytes = 4 << 20
        etcd.dataKiB = 70 << 10
        etcd.availableKiB = 9 << 20
        return etcd
    }

    static func plan() throws -> RecoveryPlan {
        try RecoveryPlanner.plan(try state(), etcd(), request, room: 9 << 30, now: now)
    }

    static func refusals(
        _ change: (inout ClusterState, inout SurvivorEtcd) -> Void = { _, _ in },
        request: RecoveryRequest = request, room: Int? = 9 << 30
    ) throws -> [Refusal] {
        var (state, etcd) = (try state(), etcd())
        change(&state, &etcd)
        do {
            _ = try RecoveryPlanner.plan(state, etcd, request, room: room, now: now)
            return []
        } catch let refused as Refused { return refused.refusals }
    }

    // MARK: k3s

    static func k3sState() throws -> ClusterState {
        var state = try state()
        state.becomeK3s()
        return state
    }

    static func k3sEtcd() -> SurvivorEtcd {
        var etcd = etcd()
        etcd.manifest = nil
        for index in etcd.members.indices { etcd.members[index].name += "-0a1b2c3d" }
        etcd.status = .init(memberID: ids[1], revision: 4321)
        return etcd
    }

    static let snapshot = RecoveryPlan.Snapshot(
        path: "/state/snapshots/ha-test/1/etcd-snapshot.db", at: now.addingTimeInterval(-7200), host: dead[0],
        revision: 4000, bytes: 9, sha256: "5a")

    /// etcd does not run on the data that it has.
    static func damaged(_ etcd: SurvivorEtcd) -> SurvivorEtcd {
        var etcd = etcd
        (etcd.members, etcd.status, etcd.isRunning) = ([], nil, false)
        etcd.problems = ["members: connection refused"]
        return etcd
    }
}
