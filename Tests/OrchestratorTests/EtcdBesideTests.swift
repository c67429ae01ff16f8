import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What etcd inside of k3s says without etcdctl, in the words of etcd 3.5.16 where nothing else is said.
@Suite struct EtcdBesideTests {
    private static let numbers = [
        #"etcd_server_has_leader 1"#, #"etcd_server_id{server_id="cc0780510ec0fd33"} 1"#, #"etcd_server_is_leader 0"#,
        #"etcd_server_proposals_applied_total 1.048575e+06"#, #"etcd_server_proposals_committed_total 1.048576e+06"#,
        #"etcd_server_version{server_version="3.5.16"} 1"#, #"etcd_debugging_mvcc_current_revision 1.048007e+06"#,
    ]

    private func told(_ health: String?, _ numbers: [String] = Self.numbers) -> EtcdBeside? {
        EtcdBeside([health].compactMap(\.self) + numbers)
    }

    @Test func aMemberTellsItsHealthAndItsNumbers() throws {
        let member = try #require(told(#"{"health":"true","reason":""}"#))
        #expect(
            member
                == EtcdBeside(
                    memberID: "cc0780510ec0fd33", version: "3.5.16", isHealthy: true, hasLeader: true, isLeader: false,
                    committed: 1_048_576, applied: 1_048_575, revision: 1_048_007))
        #expect(told(#"{"health":"false","reason":"RAFT NO LEADER"}"#)?.isHealthy == false)
    }

    @Test(arguments: [("NOSPACE", EtcdAlarm.Kind.noSpace), ("CORRUPT", .corrupt)])
    func anAlarmIsNoLossOfAMember(_ word: String, _ kind: EtcdAlarm.Kind) throws {
        let member = try #require(told(#"{"health":"false","reason":"ALARM \#(word)"}"#))
        #expect(member.isHealthy)
        #expect(member.alarms == [EtcdAlarm(memberID: "cc0780510ec0fd33", kind: kind)])
    }

    @Test func whoTellsHalfOfItIsNotKnown() {
        #expect(told(nil) == nil)
        #expect(told(#"{"health":"true"}"#, []) == nil)
        #expect(EtcdBeside([]) == nil)
    }

    private static let members = Data(
        #"""
        [{"id":13450050496234962135,"peerURLs":["https://10.0.0.3:2380"],"name":"cp-3-00000003","clientURLs":["https://10.0.0.3:2379"]},
        {"id":14701860594202508595,"peerURLs":["https://10.0.0.2:2380"],"name":"cp-2-00000002","clientURLs":["https://10.0.0.2:2379"]},
        {"id":4919,"peerURLs":["https://10.0.0.4:2380"],"isLearner":true,"name":""}]
        """#.utf8)

    @Test func thePeerPortListsTheMembers() throws {
        let members = try EtcdOutput.peerMembers(Self.members)
        #expect(members.map(\.id) == ["baa82daa3726bcd7", "cc0780510ec0fd33", "1337"])
        #expect(members.map(\.isLearner) == [false, false, true])
        #expect(members.map(\.isStarted) == [true, true, false])
        #expect(throws: DecodingError.self) { try EtcdOutput.peerMembers(Data("404 page not found".utf8)) }
    }

    @Test func whatEachTellsIsPutToTheList() throws {
        var cluster = ClusterObservation()
        cluster.members = try EtcdOutput.peerMembers(Self.members)
        cluster.take([
            EtcdBeside(memberID: "cc0780510ec0fd33", isLeader: true, committed: 9, applied: 9),
            // One that began a cluster of its own is none of theirs.
            EtcdBeside(memberID: "99"),
        ])
        #expect(cluster.members.map(\.isHealthy) == [false, true, false])
        #expect(cluster.etcd.status(of: cluster.members[1])?.leader == "cc0780510ec0fd33")
        #expect(cluster.etcd.alarms?.isEmpty == true)
        cluster.take([])
        #expect(cluster.members.allSatisfy { !$0.isHealthy })
        #expect(cluster.etcd.alarms == nil && cluster.etcd.statuses == nil && !cluster.etcd.problems.isEmpty)
    }

    /// The place is the last one that etcd listens at for its peers: the first may be the loopback.
    @Test func whereEtcdListensIsReadFromItsOwnConfiguration() throws {
        let script = Inventory.Distribution.k3s.peerMembers()
        let folder = try TemporaryFolder()
        let place = try #require(script.components(separatedBy: "\n").first).replacing(
            "/var/lib/rancher/k3s/server/db/etcd/config", with: folder.path + "/config")
        for line in [
            "listen-peer-urls: https://10.0.0.2:2380", "listen-peer-urls: https://127.0.0.1:2380,https://10.0.0.2:2380",
            "listen-peer-urls: \"https://127.0.0.1:2380,https://10.0.0.2:2380\"",
        ] {
            try Data("name: a\n\(line)\nlogger: zap\n".utf8).write(to: URL(fileURLWithPath: folder.path + "/config"))
            let result = try LocalRemote(shell: "sh").runNow(
                .script(place + "\nprintf %s \"$place\"", [], label: "look"))
            #expect(result.text == "10.0.0.2:2380")
        }
    }

    @Test func k3sIsSeenByItsProcessItsTracesAndItsAuthority() throws {
        var inventory = try RunbookCluster.inventory()
        inventory.cluster.distribution = .k3s
        let probe = HostProbe(inventory, for: inventory.hosts[0], looksAtPeers: false)
        let text = probe.script.command(label: "look", timeout: nil).arguments.joined(separator: " ")
        for word in [
            "k3s-server", "k3s-agent", "/etc/rancher/node/password", "/etc/systemd/system/k3s*.service",
            "server/tls/server-ca.crt", "node-ip", "server/tls/etcd/*.crt", "/var/lib/rancher/k3s/agent/*.crt",
        ] {
            #expect(text.contains(word), "\(word)")
        }
        for (lines, runs) in [(["k3s-server", "containerd"], true), (["containerd"], false), (["k3s-agent"], true)] {
            let section = SectionedScript.Section(output: Data(lines.joined(separator: "\n").utf8), status: 0)
            let facts = probe.facts(["processes": section], startedAt: 0)
            #expect(facts.kubeletRuns == runs)
            #expect(facts.runtimes == lines.filter { $0 == "containerd" })
        }
    }
}
