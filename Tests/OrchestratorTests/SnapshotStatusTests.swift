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

@Suite struct SnapshotStatusTests {
    let status = #"{"hash":1,"revision":7,"totalKey":900,"totalSize":20480}"#

    func ask(_ answer: @escaping @Sendable (Command) -> CommandResult) async throws -> (
        Etcdctl.SnapshotStatus, asked: [String]
    ) {
        let remote = KubectlTests.ScriptedRemote("a", answer)
        let kubectl = Kubectl([.init(remote: remote)], distribution: .kubeadm)
        let status = try await Etcdctl(kubectl, node: "a", distribution: .kubeadm).snapshotStatus("/s.db")
        return (status, remote.displays)
    }

    @Test func etcdctlIsAskedFirst() async throws {
        let (found, asked) = try await ask { [status] _ in KubectlTests.output(status) }
        #expect(found == .init(revision: 7, totalKey: 900))
        #expect(asked == ["etcdctl snapshot status /s.db -w json"])
    }

    @Test(arguments: [true, false]) func etcdutlWhereItCannot(endsWell: Bool) async throws {
        let (found, asked) = try await ask { [status] command in
            if command.display.hasPrefix("etcdutl") { return KubectlTests.output(status) }
            return endsWell
                ? KubectlTests.output("NAME:\n  snapshot - Manages etcd node snapshots\n")
                : KubectlTests.failure("Error: unknown command")
        }
        #expect(found.totalKey == 900)
        #expect(asked.last == "etcdutl snapshot status /s.db -w json")
    }

    @Test func neitherIsAnError() async throws {
        await #expect(throws: ClusterError.self) {
            try await ask { _ in KubectlTests.failure("snapshot file corrupted") }
        }
    }
}
