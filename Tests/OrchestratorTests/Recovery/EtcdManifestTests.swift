import Foundation
import Inventories
import SSH
import Testing

@testable import Cluster
@testable import Execution
@testable import Planning

@Suite struct EtcdManifestTests {
    @Test func theFlagIsOneLineThatIsTakenOut() {
        let first = EtcdManifest(RecoveryCluster.manifest)
        let forcing = EtcdManifest(RecoveryCluster.forcing)
        #expect(first.memberName == RecoveryCluster.survivor)
        #expect(forcing.isForcing && !first.isForcing)
        #expect(forcing.first == first && first.first == first)
        #expect(EtcdManifest("    - --force-new-cluster=true\n").isForcing)
    }

    /// As etcdctl 3.4 prints them for one member without a leader.
    @Test func whatTheMemberSaysIsRead() throws {
        func section(_ text: String, _ status: Int32 = 0) -> SectionedScript.Section {
            .init(output: Data(text.utf8), status: status)
        }
        let etcd = SurvivorProbe.read([
            "manifest": section(RecoveryCluster.manifest), "kept": section("", 44), "process": section("runs\n"),
            "members": section(
                #"[{"id":10501334649042878790,"peerURLs":["https://10.0.0.1:2380"],"name":"a","clientURLs":["https://10.0.0.1:2379"]},{"id":2,"peerURLs":["https://10.0.0.2:2380"],"name":"b"}]"#
            ),
            "status": section(
                #"[{"Endpoint":"https://127.0.0.1:2379","Status":{"header":{"cluster_id":17237436991929493444,"member_id":10501334649042878790,"revision":812,"raft_term":7},"version":"3.4.23","dbSize":24576,"raftIndex":900,"raftTerm":7,"raftAppliedIndex":900,"errors":["etcdserver: no leader"],"dbSizeInUse":24576}}]"#
            ),
            "age": section("421\n"), "database": section("24576\n"), "data": section("66000\n"),
            "room": section("123456\n"),
        ])
        #expect(etcd.own?.name == "a" && etcd.others.map(\.name) == ["b"])
        #expect(etcd.status?.leader == nil && etcd.status?.revision == 812)
        #expect(etcd.silentFor == 421 && etcd.isRunning && !etcd.isForced)
        #expect(etcd.manifest?.text == RecoveryCluster.manifest && etcd.kept == nil && etcd.problems.isEmpty)
    }

    /// That nobody answers is known only where somebody was asked.
    @Test func anEtcdctlThatAskedNobodyTellsNothing() {
        #expect(SurvivorProbe.asked(FakeCluster.failure("etcd does not run here: connection refused")) == nil)
        #expect(SurvivorProbe.asked(FakeCluster.output("")) == nil)
        let silent = "Failed to get the status of endpoint https://10.0.0.1:2379 (context deadline exceeded)"
        #expect(SurvivorProbe.asked(FakeCluster.failure(silent)) == [])
        let one = #"[{"Endpoint":"a","Status":{"header":{"cluster_id":1,"member_id":255},"version":"3.4.23"}}]"#
        #expect(SurvivorProbe.asked(FakeCluster.output(one)) == ["ff"])
    }

    /// By a real shell: where no process is kubeadm's etcd, nothing is entered, and that is told as what may pass.
    @Test func withoutAProcessThereIsNoContainerToEnter() async throws {
        let folder = try TemporaryFolder()
        // A process of that name, as Cloudpods' own etcd is, without its certificates.
        try folder.program("pidof", "#!/bin/sh\necho 1\n")
        let result = try await LocalRemote(shell: "sh").run(
            .script(
                "PATH=\(folder.path):$PATH\n\(Etcdctl.inContainer)", ["etcdctl", "version"], label: "etcdctl version"))
        #expect(result.outcome == .exited(69))
        #expect(Transient.isTransient(Kubectl.failure("etcdctl version", result, host: "a", of: .kubeadm)))
    }
}
