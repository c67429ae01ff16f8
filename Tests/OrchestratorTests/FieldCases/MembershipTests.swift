import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Every etcd member belongs to exactly one master, or is the dead one's.
@Suite struct MembershipTests {
    static let names = RunbookCluster.names

    func expect(_ words: String, _ change: (inout ClusterState) -> Void) throws {
        var state = try RunbookCluster.state()
        change(&state)
        state.cluster.etcd = RunbookCluster.condition(state.cluster.members)
        let refusals = FieldCluster.refusals(state)
        let own = refusals.filter { $0.rule == "members-have-nodes" }
        #expect(own.contains { $0.reason.contains(words) }, "\(refusals)")
    }

    func member(_ id: String, _ name: String, at address: String) -> EtcdMember {
        EtcdMember(
            id: id, name: name, peerURLs: ["https://\(address):2380"], clientURLs: ["https://\(address):2379"],
            isHealthy: true)
    }

    @Test func aLeftoverIsRefused() throws {
        try expect("etcd member f00 'old-one' at 10.127.100.99 belongs to no master") {
            $0.cluster.members.append(member("f00", "old-one", at: "10.127.100.99"))
        }
    }

    @Test func aMemberElsewhereThanItsNodeIsRefused() throws {
        try expect("is not where its node \(Self.names[1]) is: 10.127.100.229") {
            $0.cluster.members[1].peerURLs = ["https://10.127.100.99:2380"]
        }
        try expect("has \(Self.names[0])'s name, and is not at its address") {
            $0.cluster.members[0].peerURLs = ["https://10.127.100.99:2380"]
            $0.cluster.members.removeLast()
        }
    }

    /// Not every address of a dead machine is known; every other master has its member.
    @Test func theLastMemberWithTheDeadOnesNameIsItsOwn() throws {
        var state = try RunbookCluster.state()
        state.cluster.members[0].peerURLs = ["https://[fd00::1]:2380"]
        #expect(try FieldCluster.plan(state).member?.id == RunbookCluster.memberIDs[0])
        state.cluster.members[0].isHealthy = true
        #expect(FieldCluster.refusals(state).contains { $0.rule == "node-is-dead" }, "it lives, wherever it is")
        state.cluster.members[0].isHealthy = false
        state.cluster.members[0].peerURLs = ["https://\(RunbookCluster.addresses[1]):2380"]
        #expect(FieldCluster.refusals(state).contains { $0.rule == "members-have-nodes" }, "at another's address")
    }

    @Test func swappedAddressesAreRefused() throws {
        try expect("is at \(Self.names[2])'s address, and has \(Self.names[1])'s name") { state in
            let urls = state.cluster.members[1].peerURLs
            state.cluster.members[1].peerURLs = state.cluster.members[2].peerURLs
            state.cluster.members[2].peerURLs = urls
        }
        try expect("is at \(Self.names[1])'s address, and has \(Self.names[0])'s name") {
            $0.cluster.members[1].name = Self.names[0]
        }
    }

    @Test func twoMembersOfOneMasterAreRefused() throws {
        try expect("is one of 2 of the master \(Self.names[1])") {
            $0.cluster.members.append(member("f00", "second", at: RunbookCluster.addresses[1]))
        }
    }

    @Test func twoMembersOfTheDeadOneAreRefused() throws {
        try expect("2 etcd members are at \(Self.names[0])'s addresses") {
            var second = member("f00", Self.names[0], at: RunbookCluster.addresses[0])
            second.isHealthy = false
            $0.cluster.members.append(second)
        }
    }

    @Test func aMasterWithoutAMemberIsRefused() throws {
        try expect("the master \(Self.names[2]) (10.127.100.226) has no etcd member") {
            $0.cluster.members.removeLast()
        }
    }

    @Test func anUnstartedMemberAndALearnerAreRefused() throws {
        try expect("has never started") {
            $0.cluster.members.append(
                EtcdMember(id: "f00", name: "", peerURLs: ["https://10.127.100.99:2380"], clientURLs: []))
        }
        try expect("is a learner") {
            var learner = member("f00", Self.names[2], at: RunbookCluster.addresses[2])
            learner.isLearner = true
            $0.cluster.members[2] = learner
        }
    }

    /// A member's name may be anything as long as it is no other master's: kubespray calls them etcd1, etcd2, etcd3.
    @Test func aNameOfItsOwnIsNoFault() throws {
        var state = try RunbookCluster.state()
        for index in 1..<3 { state.cluster.members[index].name = "etcd\(index)" }
        #expect(try FieldCluster.plan(state).member?.id == RunbookCluster.memberIDs[0])
    }

    @Test func aMemberAtTheHostsOtherAddressIsItsOwn() throws {
        var state = try RunbookCluster.state()
        state.cluster.members[1].peerURLs = ["https://192.168.0.2:2380"]
        state.change(Self.names[1]) { $0.addresses?.append(.init(interface: "eth1", address: "192.168.0.2")) }
        let plan = try FieldCluster.plan(state)
        #expect(plan.survivors[0].isAt(state.cluster.members[1]), "the last step knows it again")
    }

    @Test func k3sNamesThemWithASuffix() throws {
        var state = try RunbookCluster.state()
        state.becomeK3s()
        #expect(try FieldCluster.plan(state).member?.id == RunbookCluster.memberIDs[0])
        state.removeByHand(0)
        state.cluster.members.append(try RunbookCluster.state().cluster.members[0])
        state.cluster.members[2].name = Self.names[0] + "-0a1b2c3d"
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["members-have-nodes"], "k3s removes only the member of a node that is deleted")
        #expect(refusals.first?.reason.contains("is left of \(Self.names[0]), whose node is gone") == true)
        #expect(
            refusals.first?.advice.contains("server/tls/etcd/client.crt") == true, "there is no etcdctl that knows them"
        )
    }

    /// What real etcd 3.4.23 lists: a learner that has started and one that has not.
    @Test func learnersAreReadAsEtcdListsThem() throws {
        let started = try EtcdOutput.members(Data(EtcdFixtures.startedLearner.utf8))
        let unstarted = try EtcdOutput.members(Data(EtcdFixtures.unstartedLearner.utf8))
        #expect(started.filter(\.isLearner).map(\.name) == ["m6"])
        #expect(unstarted.filter(\.isLearner).map(\.isStarted) == [false])
        #expect(unstarted.filter(\.isLearner).map(\.addresses) == [["10.66.0.16"]])
    }

    @Test func checkTellsOfThem() throws {
        var state = try RunbookCluster.state(isDead: false)
        state.cluster.members.append(member("f00", "old-one", at: "10.127.100.99"))
        var learner = member("f01", "m9", at: "10.127.100.98")
        learner.isLearner = true
        state.cluster.members.append(learner)
        state.cluster.members.append(
            EtcdMember(id: "f02", name: "", peerURLs: ["https://10.127.100.97:2380"], clientURLs: []))
        state.cluster.members[1].peerURLs = ["https://10.127.100.96:2380"]
        state.cluster.etcd = RunbookCluster.condition(state.cluster.members)
        let findings = CheckReport(state, at: Date()).findings.filter { $0.subject == "etcd" }
        #expect(
            findings.map(\.code) == [.memberWithoutNode, .memberWithoutNode, .memberLearner, .memberNotStarted],
            "\(findings)")
        let healthy = CheckReport(try RunbookCluster.state(isDead: false), at: Date())
        #expect(healthy.findings.isEmpty)
        let dead = CheckReport(try RunbookCluster.state(), at: Date())
        #expect(!dead.findings.contains { $0.code == .memberWithoutNode })
    }

    /// Node and member of a dead one that was removed half: its member is left, and no master's.
    @Test func checkTellsOfAMemberWhoseNodeIsDeleted() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes.removeFirst()
        let finding = CheckReport(state, at: Date()).findings.first { $0.code == .memberWithoutNode }
        #expect(finding?.text.contains(RunbookCluster.memberIDs[0]) == true)
    }
}
