import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// A volume's node is found by any label that its node affinity asks for, not by the hostname label alone.
@Suite struct VolumeTopologyTests {
    static let influxdb = "pvc-onecloud-default-influxdb"

    /// The nodes have a rack, a disk count and their name as TopoLVM writes it.
    func state() throws -> ClusterState {
        var state = try RunbookCluster.state()
        for index in state.cluster.objects.nodes.indices {
            let name = state.cluster.objects.nodes[index].name
            state.cluster.objects.nodes[index].metadata.labels?.merge([
                "topology.topolvm.io/node": name, "rack": index == 0 ? "a" : "b", "disks": "\(index + 1)",
            ]) { $1 }
        }
        state.cluster.objects.nodes[0].metadata.labels?["only-here"] = ""
        return state
    }

    func influxdb(_ affinity: Volume.NodeAffinity?, _ change: (inout ClusterState) -> Void = { _ in }) throws
        -> LostVolume?
    {
        var state = try state()
        state.change(volume: Self.influxdb) { $0.spec.nodeAffinity = affinity }
        change(&state)
        let node = try #require(state.objects.nodes.first)
        let dead = try RequestedNode(state, Identity(state), node.name).dead
        return state.lostVolumes(of: dead).first { $0.volume.name == Self.influxdb }
    }

    @Test(arguments: [
        [Lost.requirement("topology.topolvm.io/node", "In", [RunbookCluster.names[0]])],
        [Lost.requirement("rack", "In", ["a"])], [Lost.requirement("rack", "NotIn", ["b"])],
        [Lost.requirement("only-here", "Exists")], [Lost.requirement("disks", "Lt", ["2"])],
        [Lost.requirement("rack", "Exists"), Lost.requirement("disks", "In", ["1"])],
    ]) func itIsOnTheDeadNodeByAnyLabel(term: [NodeSelector.Requirement]) throws {
        let lost = try #require(try influxdb(Lost.affinity(term)))
        #expect(lost.isOnDeadNode)
        #expect(lost.claim?.name == "default-influxdb")
        guard case .rebuild = lost.action else {
            Issue.record("\(lost.action)")
            return
        }
    }

    @Test(arguments: [
        [Lost.requirement("rack", "In", ["b"])], [Lost.requirement("only-here", "DoesNotExist")],
        [Lost.requirement("disks", "Gt", ["1"])], [Lost.requirement("disks", "Gt", ["2"])],
        [Lost.requirement("kubernetes.io/hostname", "In", ["a-node-that-was-replaced-last-year"])],
        // Both must hold.
        [
            Lost.requirement("rack", "In", ["a"]), Lost.requirement("disks", "Gt", ["2"]),
            Lost.requirement("kubernetes.io/hostname", "In", ["x"]),
        ],
    ]) func itIsElsewhereByAnyLabel(term: [NodeSelector.Requirement]) throws {
        #expect(try influxdb(Lost.affinity(term)) == nil)
    }

    @Test func termsAreAlternatives() throws {
        let here = [Lost.requirement("rack", "In", ["a"])]
        let gone = [Lost.requirement("kubernetes.io/hostname", "In", ["gone"])]
        #expect(
            try influxdb(Lost.affinity(gone, here))?.isOnDeadNode == true, "no other node of the cluster satisfies it")
        let there = [Lost.requirement("disks", "In", ["2"])]
        let both = try #require(try influxdb(Lost.affinity(here, there)))
        #expect(!both.isOnDeadNode)
        guard case .undecided(let why) = both.action else {
            Issue.record("a folder of one of two nodes: \(both.action)")
            return
        }
        #expect(why.contains(RunbookCluster.names[1]))
    }

    @Test func anEmptyTermMatchesNothing() throws {
        #expect(NodeSelector(nodeSelectorTerms: [.init()]).matches(.init(name: "a", labels: [:])) == false)
        #expect(NodeSelector(nodeSelectorTerms: []).matches(.init(name: "a", labels: [:])) == false)
    }

    @Test func aNodesNameIsAField() throws {
        let field = Volume.NodeAffinity(
            required: .init(nodeSelectorTerms: [
                .init(matchFields: [Lost.requirement("metadata.name", "In", [RunbookCluster.names[0]])])
            ]))
        #expect(try influxdb(field)?.isOnDeadNode == true)
    }

    @Test func whatTheNetworkServesToSeveralNodesIsNotLost() throws {
        let zone = Lost.affinity([Lost.requirement("rack", "Exists")])
        #expect(
            try influxdb(zone) { state in
                state.change(volume: Self.influxdb) {
                    $0.spec.hostPath = nil
                    $0.spec.storageClassName = "ceph"
                    $0.spec.csi = Presence()
                }
            } == nil)
    }

    /// The dead one may be the only node of its zone: what is on a server of that zone is not lost with it.
    @Test(arguments: ["topology.kubernetes.io/zone", "topology.ebs.csi.aws.com/zone", "topology.kubernetes.io/region"])
    func storageOfAZoneOutlivesItsOnlyNode(key: String) throws {
        let affinity = Lost.affinity([Lost.requirement(key, "In", ["a"])])
        func lost(_ change: @escaping (inout Volume) -> Void) throws -> LostVolume? {
            try influxdb(affinity) { state in
                state.cluster.objects.nodes[0].metadata.labels?[key] = "a"
                state.change(volume: Self.influxdb) {
                    $0.spec.hostPath = nil
                    $0.spec.storageClassName = "block"
                    $0.spec.csi = Presence()
                    change(&$0)
                }
            }
        }
        #expect(try lost { _ in } == nil)
        #expect(try lost { $0.spec.storageClassName = "local-path" }?.isOnDeadNode == true, "a declared local class")
        #expect(
            try lost {
                $0.spec.nodeAffinity = Lost.affinity([
                    Lost.requirement(key, "In", ["a"]), Lost.requirement("topology.topolvm.io/node", "Exists"),
                ])
            }?.isOnDeadNode == true, "it asks for more than a zone")
    }

    // MARK: Undecided

    @Test(arguments: ["hostPath", "declared class", "static class"])
    func aLocalVolumeWithoutANodeIsShownAndRefused(kind: String) throws {
        var state = try RunbookCluster.state()
        state.change(volume: Self.influxdb) { volume in
            volume.spec.nodeAffinity = nil
            if kind != "hostPath" { volume.spec.hostPath = nil }
            if kind == "hostPath" { volume.spec.storageClassName = nil }
            if kind == "static class" { volume.spec.storageClassName = "by-hand" }
        }
        state.cluster.objects.storageClasses.append(
            StorageClass(metadata: RunbookCluster.meta("by-hand", nil), provisioner: "kubernetes.io/no-provisioner"))
        let refusals = Lost.refusals(state)
        #expect(refusals.map(\.rule) == ["claims-have-rules"])
        #expect(refusals.first?.reason.contains("onecloud/default-influxdb") == true)
        #expect(refusals.first?.reason.contains("it has no node affinity") == true)
        let node = try #require(state.objects.nodes.first)
        let line = try Inspection(state, of: node.name).volumes.first { $0.claim == "onecloud/default-influxdb" }
        #expect(line?.isRefused == true)
        #expect(line?.isOnNode == false)
        state.inventory.workloads.removeAll { $0.target == .deployment("default-influxdb") }
        state.inventory.workloads.append(
            .init(namespace: "onecloud", target: .claim("default-influxdb"), rule: .ignore))
        #expect(try Lost.plan(state).ignoredClaims.map(\.name) == ["default-influxdb"], "somebody has decided")
    }

    @Test func aStaticVolumeOnAServerIsNotLocal() throws {
        var state = try RunbookCluster.state()
        Lost.add("shared", affinity: nil, storageClass: "by-hand", to: &state)
        state.change(volume: "pv-shared") { $0.spec.nfs = Presence() }
        state.cluster.objects.storageClasses.append(
            StorageClass(metadata: RunbookCluster.meta("by-hand", nil), provisioner: "kubernetes.io/no-provisioner"))
        #expect(Lost.refusals(state).isEmpty)
    }

    /// local-path's `nodeAffinityKey` names a label that the node does not have, and the node's name as its value.
    @Test func aLabelThatNoNodeHasLeavesALocalVolumeUndecided() throws {
        var state = try state()
        state.change(volume: Self.influxdb) {
            $0.spec.nodeAffinity = Lost.affinity([Lost.requirement("example.com/node", "In", [RunbookCluster.names[0]])]
            )
        }
        let refusals = Lost.refusals(state)
        #expect(refusals.map(\.rule) == ["claims-have-rules"])
        #expect(refusals.first?.reason.contains("example.com/node") == true)
    }

    @Test func aReleasedVolumeWithoutANodeIsLeftAndToldOf() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.claims.removeAll { $0.name == "default-influxdb" }
        state.change(volume: Self.influxdb) { $0.spec.nodeAffinity = nil }
        let plan = try Lost.plan(state)
        #expect(!plan.volumes.contains { $0.name == Self.influxdb })
        #expect(plan.keptVolumes?.map(\.volume.name) == [Self.influxdb])
        let agreed = try Lost.plan(state, Lost.request(accepting: [Self.influxdb]))
        #expect(!agreed.volumes.contains { $0.name == Self.influxdb }, "nobody knows whose data it is")
    }

    // MARK: The node is deleted already

    @Test func aDeletedNodeIsKnownByItsHostnameLabelAlone() throws {
        var state = try state()
        state.cluster.objects.nodes.removeFirst()
        #expect(try Lost.plan(state).rebuilds.flatMap(\.claims).count == 5)
        state.change(volume: Self.influxdb) {
            $0.spec.nodeAffinity = Lost.affinity([
                Lost.requirement("topology.topolvm.io/node", "In", [RunbookCluster.names[0]])
            ])
        }
        let refusals = Lost.refusals(state)
        #expect(refusals.map(\.rule) == ["claims-have-rules"])
        #expect(refusals.first?.reason.contains("topology.topolvm.io/node") == true)
        state.change(volume: Self.influxdb) {
            $0.spec.nodeAffinity = Lost.affinity([
                Lost.requirement("topology.topolvm.io/node", "In", [RunbookCluster.names[1]])
            ])
        }
        #expect(try Lost.plan(state).rebuilds.flatMap(\.claims).count == 4, "a living node has it")
    }

    /// The step looks again when the node and its labels are gone, and the new node may have them.
    @Test func aVolumeByAnotherLabelIsDeletedAfterItsNode() async throws {
        var state = try state()
        state.change(volume: Self.influxdb) {
            $0.spec.nodeAffinity = Lost.affinity([Lost.requirement("rack", "In", ["a"])])
        }
        var plan = try Lost.plan(state)
        plan.kubernetes = nil
        #expect(plan.dead.topology == ["rack": "a"])
        #expect(try EventCoding.decode(Plan.self, from: try EventCoding.encode(plan)) == plan)
        var objects = state.objects
        objects.nodes.removeFirst()
        var new = RunbookCluster.node(RunbookCluster.spare, "10.127.100.224", isReady: true)
        new.metadata.labels?["rack"] = "a"
        objects.nodes.append(new)
        objects.claims = []
        let folder = try TemporaryFolder()
        let cluster = FakeCluster(objects)
        try await DeleteVolumesStep(plan: plan).run(try cluster.context(plan, in: folder))
        #expect(!cluster.objects.volumes.contains { plan.volumes.map(\.uid).contains($0.uid) })
        #expect(cluster.objects.volumes.count == 4)
    }

    @Test func aVolumeThatALivingNodeHasByNowIsNotDeleted() async throws {
        let state = try state()
        var plan = try Lost.plan(state)
        plan.kubernetes = nil
        var objects = state.objects
        objects.claims = []
        objects.nodes.removeFirst()
        // Somebody has labelled another node with the dead one's name.
        objects.nodes[0].metadata.labels?["kubernetes.io/hostname"] = RunbookCluster.names[0]
        let folder = try TemporaryFolder()
        let cluster = FakeCluster(objects)
        let context = try cluster.context(plan, in: folder)
        await #expect(throws: ClusterError.self) { try await DeleteVolumesStep(plan: plan).run(context) }
        #expect(cluster.acts == [])
    }
}
