import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// `endpoint status` and `alarm list`: read as every release prints them, and what they forbid.
@Suite struct EtcdConditionTests {
    // MARK: Read

    @Test(arguments: EtcdFixtures.all) func theStatusOfTheMembersThatAnswerIsRead(_ version: EtcdFixtures.Version)
        throws
    {
        let statuses = try EtcdOutput.statuses(Data(version.status.utf8))
        #expect(statuses.map(\.memberID) == ["4ccca91c2d257586", "f9ec6f3b597decaf"])
        #expect(statuses.allSatisfy { $0.version == version.version && $0.leader != nil && $0.progress > 0 })
        #expect(Set(statuses.map(\.clusterID)).count == 1 && Set(statuses.map(\.leader)).count == 1)
        #expect(statuses.allSatisfy { $0.revision ?? 0 > 0 })
        #expect(statuses.allSatisfy { ($0.raftAppliedIndex == nil) == (version.version == "3.3.25") })
    }

    @Test(arguments: EtcdFixtures.all.filter { $0.withoutQuorum != nil })
    func aMemberWithoutQuorumSeesNoLeader(_ version: EtcdFixtures.Version) throws {
        let statuses = try EtcdOutput.statuses(Data(try #require(version.withoutQuorum).utf8))
        #expect(statuses.map(\.leader) == [nil])
        #expect(version.version == "3.3.25" || statuses[0].errors == ["etcdserver: no leader"])
    }

    @Test(arguments: EtcdFixtures.all) func alarmsAreRead(_ version: EtcdFixtures.Version) throws {
        let alarms = try EtcdOutput.alarms(Data(version.alarms.utf8))
        #expect(!alarms.isEmpty && alarms.allSatisfy { $0.kind == .noSpace })
        #expect(alarms.contains { $0.memberID == "4ccca91c2d257586" })
        #expect(try EtcdOutput.alarms(Data(version.noAlarms.utf8)).isEmpty)
    }

    /// From 3.5.30 on, and not in 3.3 and 3.4, `health` calls every member unhealthy while there is an alarm.
    @Test(arguments: EtcdFixtures.all) func anAlarmIsNotTheLossOfAMember(_ version: EtcdFixtures.Version) {
        #expect(EtcdOutput.healthyEndpoints(version.healthWithAlarm).count == 3)
        #expect(
            EtcdOutput.healthyEndpoints(version.health) == ["http://10.66.0.11:2379", "http://10.66.0.12:2379"])
    }

    @Test func everyKindOfAlarmIsTold() throws {
        let json = #"{"alarms":[{"memberID":11,"alarm":2},{"memberID":18446744073709551615,"alarm":7},{"memberID":3}]}"#
        let alarms = try EtcdOutput.alarms(Data(json.utf8))
        #expect(alarms.map(\.kind) == [.corrupt, .other(7)])
        #expect(alarms.map(\.memberID) == ["b", "ffffffffffffffff"])
    }

    @Test(arguments: ["", "[", "Error: context deadline exceeded", #"[{"Endpoint":"x"}]"#, "{}"])
    func whatIsNoStatusIsUnknown(text: String) {
        let condition = Etcdctl.condition(
            status: .init(output: Data(text.utf8), status: 0), alarms: .init(output: Data("{}".utf8), status: 0),
            host: "m1")
        #expect(condition.statuses == nil && condition.alarms == [])
        #expect(condition.problems.count == 1 && condition.problems[0].hasPrefix("m1: etcdctl endpoint status"))
    }

    @Test func noMemberThatAnswersIsAnAnswer() throws {
        #expect(try EtcdOutput.statuses(Data("null".utf8)).isEmpty)
    }

    @Test func whyItCouldNotBeReadIsKept() {
        let condition = Etcdctl.condition(
            status: .init(
                output: Data(),
                errors: Data("W1126 16:45:56.162 1 x.go:1] noise\nError: context deadline exceeded\n".utf8), status: 1),
            alarms: nil,
            host: "m1")
        #expect(condition.whyUnknown.contains("Error: context deadline exceeded"))
        #expect(condition.whyUnknown.contains("alarm list -w json --command-timeout=2s: it was not asked"))
        #expect(EtcdCondition().whyUnknown == "etcd was not asked")
    }

    /// The question itself, by a real shell: noise on standard error, a member that is down, an etcdctl that speaks v2 only.
    @Test(arguments: [
        ("echo noise >&2; echo '[{}]'; exit 1", "[{}]", Int32(0)),
        ("echo 'Defaulted container \"etcd\"' >&2; echo '{}'", "{}", 0),
        (
            #"case "$*" in *ETCDCTL_API=3*) echo '{"alarms":[]}';; *) echo 'No help topic'; exit 3;; esac"#,
            #"{"alarms":[]}"#, 0
        ),
        ("echo 'Error: context deadline exceeded' >&2; exit 1", "", 1),
    ]) func onlyJSONIsData(program: String, output: String, status: Int32) throws {
        let question = Etcdctl.question(Etcdctl.alarmArguments, "kubectl", .kubeadm)
        let script = "kubectl() { \(program); }\nkubectl_() { :; }\n(\nnode=m1\n\(question)\n)"
            .replacing(program, with: program.replacing("exit", with: "return"))
        let result = try LocalRemote(shell: "sh").runNow(.script(script, timeout: nil, label: "x"))
        #expect(result.text.trimmingCharacters(in: .newlines) == output)
        #expect(result.outcome == .exited(status))
    }

    // MARK: Judged

    func refusals(_ change: (inout ClusterState) -> Void) throws -> [Refusal] {
        var state = try RunbookCluster.state()
        change(&state)
        return FieldCluster.refusals(state)
    }

    func expect(_ words: String, _ change: (inout ClusterState) -> Void) throws {
        let refusals = try refusals(change)
        #expect(refusals.map(\.rule) == ["etcd-is-well"])
        #expect(refusals.first?.reason.contains(words) == true, "\(refusals.map(\.reason))")
    }

    @Test func alarmsAreRefused() throws {
        try expect("has raised the alarm NOSPACE: etcd member 454ae6f931376261 'lzx-ocboot-ha-test-2'") {
            $0.cluster.etcd.alarms = [.init(memberID: "454ae6f931376261", kind: .noSpace)]
        }
        try expect("has raised the alarm CORRUPT: etcd member abc, which is not listed") {
            $0.cluster.etcd.alarms = [.init(memberID: "abc", kind: .corrupt)]
        }
    }

    @Test func whatIsNotKnownIsRefusedWithItsReason() throws {
        try expect("the status of etcd's members is not known: m2: etcdctl endpoint status: timed out") {
            $0.cluster.etcd.statuses = nil
            $0.cluster.etcd.problems = ["m2: etcdctl endpoint status: timed out"]
        }
        try expect("whether etcd has raised an alarm is not known: etcd was not asked") {
            $0.cluster.etcd.alarms = nil
        }
        try expect("is healthy and gives no status") { $0.cluster.etcd.statuses?.removeLast() }
    }

    @Test func leadersMustBeSeenAndTheSame() throws {
        try expect("sees no leader") { $0.cluster.etcd.statuses?[0].leader = nil }
        try expect("do not agree on their leader") { $0.cluster.etcd.statuses?[0].leader = RunbookCluster.memberIDs[2] }
        try expect("etcd's leader is the dead one's member") {
            for index in 0..<2 { $0.cluster.etcd.statuses?[index].leader = RunbookCluster.memberIDs[0] }
        }
    }

    /// etcd-io/etcd#8788: a member that was begun again with empty data calls itself healthy.
    @Test func aMemberOfAnotherClusterIsRefused() throws {
        try expect("are in different clusters") { $0.cluster.etcd.statuses?[1].clusterID = "2" }
    }

    @Test func aMemberFarBehindIsRefused() throws {
        try expect("is 5001 entries behind the log") { $0.cluster.etcd.statuses?[1].raftAppliedIndex = 85_000 }
        #expect(try refusals { $0.cluster.etcd.statuses?[1].raftAppliedIndex = 85_001 }.isEmpty)
        try expect("entries behind the log") { state in
            // etcd 3.3 tells the raft index alone.
            for index in 0..<2 { state.cluster.etcd.statuses?[index].raftAppliedIndex = nil }
            state.cluster.etcd.statuses?[1].raftIndex = 10
        }
    }

    /// As a recovery with --force-new-cluster may leave them (etcd-io/etcd#14009).
    @Test func membersOfDifferentDataAreRefused() throws {
        func revisions(_ first: UInt64, _ second: UInt64) -> (inout ClusterState) -> Void {
            return { state in
                for (index, revision) in [first, second].enumerated() {
                    state.cluster.etcd.statuses?[index].revision = revision
                }
            }
        }
        try expect("do not have the same data", revisions(9000, 8000))
        try expect("do not have the same data", revisions(8000, 9000))
        #expect(try refusals(revisions(8000, 8100)).isEmpty)
        #expect(try refusals { $0.cluster.etcd.statuses?[0].revision = 8000 }.isEmpty)
        // Further on in the log there may be more revisions, and there are no fewer.
        func statuses(_ entries: UInt64, _ revision: UInt64) -> [EtcdStatus] {
            [
                EtcdStatus(memberID: "a", leader: nil, raftIndex: 0, raftAppliedIndex: 50_000, revision: 8000),
                EtcdStatus(
                    memberID: "b", leader: nil, raftIndex: 0, raftAppliedIndex: 50_000 + entries, revision: revision),
            ]
        }
        #expect(
            EtcdIsWell.differing(statuses(4000, 12_000)) == nil && EtcdIsWell.differing(statuses(4000, 8000)) == nil)
        #expect(
            EtcdIsWell.differing(statuses(4000, 12_101)) != nil && EtcdIsWell.differing(statuses(4000, 7899)) != nil)
    }

    /// None is behind another, and the dead one alone may have had what they lack.
    @Test func membersThatAreAllBehindTheLogAreRefused() throws {
        let refusals = try refusals { state in
            for index in 0..<2 { state.cluster.etcd.statuses?[index].raftAppliedIndex = 70_000 }
        }
        #expect(refusals.map(\.rule) == ["etcd-is-well", "etcd-is-well"])
    }

    /// The dead one's own status does not matter, whatever it was.
    @Test func theDeadMemberMayBeBehind() throws {
        #expect(
            try refusals {
                $0.cluster.etcd.statuses?.append(
                    EtcdStatus(memberID: RunbookCluster.memberIDs[0], leader: nil, raftIndex: 1))
            }.isEmpty)
    }

    @Test func checkTellsThem() throws {
        var state = try RunbookCluster.state(isDead: false)
        state.cluster.etcd.alarms = [.init(memberID: RunbookCluster.memberIDs[1], kind: .noSpace)]
        state.cluster.etcd.statuses?[2].leader = nil
        state.cluster.etcd.statuses?[1].raftAppliedIndex = 7
        let report = CheckReport(state, at: Date())
        let codes = report.findings.map(\.code)
        #expect(codes == [.etcdAlarm, .etcdLeader, .memberBehind])
        #expect(report.status == 2)
        state.cluster.etcd = EtcdCondition(problems: ["m1: etcdctl alarm list: timed out"])
        let unread = CheckReport(state, at: Date()).findings
        #expect(unread.map(\.code) == [.etcdUnread, .etcdUnread], "its alarms, and its members' status")
        #expect(unread[0].text.contains("timed out"))
    }
}
