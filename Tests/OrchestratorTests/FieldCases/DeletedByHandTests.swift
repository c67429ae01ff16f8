import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Steps 2 and 3 of the runbook were done by hand: neither node nor member is there, and the lost volumes still are found.
@Suite struct DeletedByHandTests {
    static let names = RunbookCluster.names
    let request = ReplacementRequest(dead: "node-10-127-100-234", replacement: "spare")

    /// - Parameter status: what kubeadm's ClusterStatus still lists; nothing from Kubernetes 1.22 on.
    func state(status: [(node: String, address: String)] = []) throws -> ClusterState {
        var state = try RunbookCluster.state()
        state.removeByHand(0)
        state.renameHosts { ["node-10-127-100-234", "blue", "green", "spare"][$0] }
        if !status.isEmpty { state.cluster.clusterStatus = ClusterState.clusterStatus(status) }
        return state
    }

    /// Changes which hostname the lost volumes name.
    func rename(_ hostname: String, to other: String, in state: inout ClusterState, only claim: String? = nil) {
        for index in state.cluster.objects.volumes.indices {
            let volume = state.cluster.objects.volumes[index]
            guard volume.nodes == [hostname], claim == nil || volume.spec.claimRef?.name == claim else { continue }
            state.cluster.objects.volumes[index].spec.nodeAffinity?.required?.nodeSelectorTerms[0].matchExpressions?[0]
                .values = [other]
        }
    }

    func expectItsVolumes(_ plan: Plan, label: String = names[0]) {
        #expect(plan.dead.hostnameLabel == label)
        #expect(plan.dead.uid == nil && plan.member == nil)
        #expect(plan.rebuilds.flatMap(\.claims).count == 5)
        #expect(plan.volumes.count == 5)
    }

    @Test func theClusterStatusHasItsName() throws {
        let plan = try FieldCluster.plan(
            try state(status: [(Self.names[0], "10.127.100.234"), (Self.names[1], "10.127.100.229")]), request)
        expectItsVolumes(plan)
        #expect(plan.dead.node == Self.names[0])
        #expect(plan.hasStaleClusterStatus, "the entry that the join would fail by")
        #expect(plan.remarks == nil)
    }

    /// From 1.22 on only the volumes are left to tell.
    @Test func theOneHostnameThatNoNodeHasIsIts() throws {
        let plan = try FieldCluster.plan(try state(), request)
        expectItsVolumes(plan)
        let remark = try #require(plan.remarks?.first)
        #expect(remark.contains("is taken for the node \(Self.names[0])"))
        let text = PlanText(plan, try state().inventory)
        #expect(text.lines.contains { $0.kind == .warning && $0.text.contains(remark) })
        #expect(text.summary.contains { $0.kind == .warning && $0.text.contains(remark) }, "right above the question")
    }

    /// By the operator's name, by its address, and by the hostname that is in the volumes alone.
    @Test(arguments: ["node-10-127-100-234", "10.127.100.234", names[0]]) func inspectFindsItsVolumes(reference: String)
        throws
    {
        let inspection = try Inspection(try state(), of: reference)
        #expect(inspection.isDeleted && !inspection.isReady)
        #expect(inspection.node == Self.names[0])
        #expect(inspection.address == "10.127.100.234")
        #expect(inspection.volumes.compactMap(\.claim).count == 5)
        #expect(inspection.remarks.contains { $0.contains("is taken for the node \(Self.names[0])") })
    }

    @Test func inspectRefusesWhatIsNeitherANodeNorAHost() throws {
        let refused = #expect(throws: Refused.self) { try Inspection(try state(), of: "nobody") }
        #expect(refused?.refusals.map(\.rule) == ["names-are-known"])
    }

    @Test func theNodeAloneMayBeGone() throws {
        var state = try state()
        state.cluster.members = try RunbookCluster.state().cluster.members
        state.cluster.etcd = RunbookCluster.condition(state.cluster.members)
        let plan = try FieldCluster.plan(state, request)
        #expect(plan.dead.hostnameLabel == Self.names[0])
        #expect(plan.member?.id == RunbookCluster.memberIDs[0])
        #expect(plan.remarks == nil, "its member has its name")
    }

    @Test func severalUnknownHostnamesAreRefusedUntilItIsWritten() throws {
        var state = try state()
        rename(Self.names[2], to: "worker-7", in: &state, only: "export-minio-1")
        let refusals = FieldCluster.refusals(state, request)
        #expect(refusals.map(\.rule) == ["hosts-are-nodes"])
        #expect(refusals[0].advice.contains("'node: \(Self.names[0])' or 'node: worker-7'"))
        state.inventory.hosts[0].node = Self.names[0]
        let plan = try FieldCluster.plan(state, request)
        #expect(plan.dead.hostnameLabel == Self.names[0])
        #expect(!plan.volumes.contains { $0.name.hasSuffix("export-minio-1") }, "the other's are not touched")
    }

    /// Its own name is known, and what volumes name is another: a deleted worker's, or a label that differs.
    @Test func anUnknownHostnameThatIsNotItsNameIsNotGuessedAt() throws {
        var state = try state(status: [(Self.names[0], "10.127.100.234")])
        rename(Self.names[0], to: "worker-7", in: &state)
        let refusals = FieldCluster.refusals(state, request)
        #expect(refusals.map(\.rule) == ["hosts-are-nodes"])
        #expect(refusals[0].advice.contains("'node: worker-7' or 'node: \(Self.names[0])'"))
        state.inventory.hosts[0].node = "worker-7"
        expectItsVolumes(try FieldCluster.plan(state, request), label: "worker-7")
        state.inventory.hosts[0].node = Self.names[0]
        #expect(try FieldCluster.plan(state, request).volumes.isEmpty, "they are the worker's")
    }

    @Test func aLabelWithTheDomainIsTheSameName() throws {
        var state = try state(status: [(Self.names[0], "10.127.100.234")])
        rename(Self.names[0], to: Self.names[0] + ".example.com", in: &state)
        expectItsVolumes(try FieldCluster.plan(state, request), label: Self.names[0] + ".example.com")
    }

    /// The inventory has the nodes' names, so that a hostname of another name is a worker's rather than its own.
    @Test func aHostnameOfAnotherNameIsNotItsWhereNamesAreTheNodes() throws {
        var state = try RunbookCluster.state()
        state.removeByHand(0)
        rename(Self.names[0], to: "worker-7", in: &state)
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["hosts-are-nodes"])
        #expect(refusals[0].advice.contains("'node: worker-7' or 'node: \(Self.names[0])'"))
    }

    /// A static volume may name its node by the field `metadata.name` in place of the hostname label.
    @Test func volumesThatNameItByItsNameAreIts() throws {
        var state = try state()
        for index in state.cluster.objects.volumes.indices
        where state.cluster.objects.volumes[index].nodes == [Self.names[0]] {
            state.cluster.objects.volumes[index].spec.nodeAffinity = .init(
                required: .init(nodeSelectorTerms: [
                    .init(matchFields: [Lost.requirement("metadata.name", "In", [Self.names[0]])])
                ]))
        }
        #expect(state.unknownHostnames == [Self.names[0]])
        expectItsVolumes(try FieldCluster.plan(state, request))
    }

    /// Some volumes name it by its name, which has the domain, and some by its hostname label, which has none.
    @Test func volumesThatNameItInBothWaysAreIts() throws {
        let name = Self.names[0] + ".example.com"
        var state = try state(status: [(name, "10.127.100.234")])
        let own = state.cluster.objects.volumes.indices.filter {
            state.cluster.objects.volumes[$0].nodes == [Self.names[0]]
        }
        for index in own.prefix(2) {
            state.cluster.objects.volumes[index].spec.nodeAffinity = .init(
                required: .init(nodeSelectorTerms: [
                    .init(matchFields: [Lost.requirement("metadata.name", "In", [name])])
                ]))
        }
        expectItsVolumes(try FieldCluster.plan(state, request))
    }

    /// Another master of the inventory is no node either: whose the volumes are cannot be told.
    @Test func anotherMasterWithoutANodeMakesItUndecided() throws {
        var state = try state()
        state.inventory.hosts.append(
            .init(name: "yellow", address: "10.127.100.50", role: .master, ssh: state.inventory.hosts[0].ssh))
        state.hosts["yellow"] = .failed(.init(message: "yellow: connect: no route to host", sign: .unresponsive))
        #expect(FieldCluster.refusals(state, request).map(\.rule) == ["hosts-are-nodes"])
    }

    @Test func aNameThatIsAnotherHostsIsNotIts() throws {
        var state = try state()
        state.inventory.hosts[3].name = Self.names[0]
        state.hosts[Self.names[0]] = state.hosts.removeValue(forKey: "spare")
        let refusals = FieldCluster.refusals(
            state, ReplacementRequest(dead: "node-10-127-100-234", replacement: Self.names[0]))
        #expect(refusals.map(\.rule) == ["hosts-are-nodes"])
    }

    @Test func theInventorysNameCountsWithVolumesOfThatName() throws {
        var state = try RunbookCluster.state()
        state.removeByHand(0)
        rename(Self.names[2], to: "worker-7", in: &state, only: "export-minio-1")
        expectItsVolumes(try FieldCluster.plan(state))
    }

    @Test(arguments: [
        "10.127.100.234", "node-10-127-100-234", "NODE-10-127-100-234", RunbookCluster.names[0],
    ]) func itIsFoundByWhateverItWasCalled(reference: String) throws {
        let state = try state(status: [(Self.names[0], "10.127.100.234")])
        expectItsVolumes(try FieldCluster.plan(state, ReplacementRequest(dead: reference, replacement: "spare")))
        expectItsVolumes(
            try FieldCluster.plan(try self.state(), ReplacementRequest(dead: reference, replacement: "spare")))
    }

    /// Somebody joined another machine under the dead one's name: its volumes must not be taken for the dead one's.
    @Test func aLivingNodeOfItsNameIsLeftAlone() throws {
        var state = try state(status: [(Self.names[0], "10.127.100.234")])
        var other = RunbookCluster.node(Self.names[0], "10.127.100.60", isReady: true)
        other.metadata.uid = "other"
        other.metadata.labels = ["kubernetes.io/hostname": Self.names[0]]
        state.cluster.objects.nodes.append(other)
        state.cluster.members.append(
            EtcdMember(
                id: "60", name: Self.names[0], peerURLs: ["https://10.127.100.60:2380"],
                clientURLs: ["https://10.127.100.60:2379"], isHealthy: true))
        let refusals = FieldCluster.refusals(state, request)
        #expect(refusals.map(\.rule) == ["hosts-are-nodes"])
        #expect(refusals[0].reason.contains("cannot be told apart"))
    }

    @Test func withoutAnyVolumeThereIsNothingToDecide() throws {
        var state = try state()
        state.cluster.objects.volumes = []
        state.cluster.objects.claims = []
        let plan = try FieldCluster.plan(state, request)
        #expect(plan.volumes.isEmpty && plan.rebuilds.isEmpty)
    }

    /// A volume that was released long ago names a node of long ago: it decides nothing.
    @Test func onlyBoundVolumesTell() throws {
        var state = try state()
        rename(Self.names[2], to: "of-long-ago", in: &state, only: "export-minio-1")
        state.cluster.objects.claims.removeAll { $0.name == "export-minio-1" }
        #expect(state.unknownHostnames == [Self.names[0]])
    }

    @Test func aContradictionIsRefused() throws {
        var state = try state(status: [(Self.names[0], "10.127.100.234")])
        state.inventory.hosts[0].node = "elsewhere"
        #expect(FieldCluster.refusals(state, request).map(\.rule) == ["hosts-are-nodes"])
    }

    /// The operator writes the node's name, and its volumes name the host without its domain.
    @Test func theWrittenNameFindsVolumesThatLeaveTheDomainOut() throws {
        var state = try state(status: [(Self.names[0] + ".example.com", "10.127.100.234")])
        state.inventory.hosts[0].node = Self.names[0] + ".example.com"
        expectItsVolumes(try FieldCluster.plan(state, request))
    }

    /// The machine itself was installed again, and kubeadm knew it by another address than the inventory does.
    @Test func clusterStatusKnowsItByAnyOfItsAddresses() throws {
        let itself = ReplacementRequest(dead: "node-10-127-100-234", replacement: "node-10-127-100-234")
        var state = try state(status: [(Self.names[0], "fd00::234")])
        state.inventory = state.inventory.preparing(itself)
        var facts = HostFacts(hostname: Self.names[0])
        facts.machineID = "new"
        facts.addresses = [
            .init(interface: "eth0", address: "10.127.100.234"), .init(interface: "eth0", address: "fd00::234"),
        ]
        state.hosts["node-10-127-100-234"] = .reached(facts)
        let plan = try FieldCluster.plan(state, itself)
        #expect(plan.dead.node == Self.names[0])
        #expect(plan.hasStaleClusterStatus)
    }

    /// It does not answer, so that its other addresses are not known.
    @Test func anEntryOfClusterStatusThatIsNobodysIsNotPassedOver() throws {
        var state = try state(status: [(Self.names[0], "fd00::234")])
        let refusals = FieldCluster.refusals(state, request)
        #expect(refusals.map(\.rule) == ["hosts-are-nodes"])
        #expect(refusals[0].advice.contains("'node: \(Self.names[0])'"))
        state.inventory.hosts[0].node = Self.names[0]
        #expect(try FieldCluster.plan(state, request).hasStaleClusterStatus)
        var named = try RunbookCluster.state()
        named.removeByHand(0)
        named.cluster.clusterStatus = ClusterState.clusterStatus([(Self.names[0], "fd00::234")])
        let plan = try FieldCluster.plan(named)
        #expect(plan.hasStaleClusterStatus, "the inventory has that very name")
    }
}
