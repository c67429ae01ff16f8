import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Released volumes of a node that is gone are deleted, but for those that were kept on purpose.
@Suite struct ReclaimPolicyTests {
    static let influxdb = "pvc-onecloud-default-influxdb"

    func released(_ policy: String?) throws -> ClusterState {
        var state = try RunbookCluster.state()
        state.cluster.objects.claims.removeAll { $0.name == "default-influxdb" }
        state.change(volume: Self.influxdb) {
            $0.status?.phase = "Released"
            $0.spec.persistentVolumeReclaimPolicy = policy
        }
        return state
    }

    /// As in rancher/local-path-provisioner#31, #452 and #533: its helper pod can run nowhere, and the finalizer, which is for
    /// volumes that are Bound, does not hold it.
    @Test func aReleasedVolumeOfAGoneNodeIsDeletedByItself() async throws {
        let status = #"{"phase":"Released"}"#
        let metadata =
            #"{"name":"\#(Self.influxdb)","uid":"uid-cluster-\#(Self.influxdb)","finalizers":["kubernetes.io/pv-protection"]}"#
        let text = """
            {"metadata":\(metadata),"status":\(status),"spec":{"storageClassName":"local-path","persistentVolumeReclaimPolicy":"Delete",
            "claimRef":{"namespace":"onecloud","name":"default-influxdb","uid":"an-older-one"},"hostPath":{"path":"/opt/x"},
            "nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[
            {"key":"kubernetes.io/hostname","operator":"In","values":["\(RunbookCluster.names[0])"]}]}]}}}}
            """
        var state = try released("Delete")
        let volume = try JSONDecoder().decode(Volume.self, from: Data(text.utf8))
        state.change(volume: Self.influxdb) { $0 = volume }
        var plan = try Lost.plan(state)
        plan.kubernetes = nil
        #expect(plan.volumes.contains { $0.name == Self.influxdb })
        #expect(plan.keptVolumes == nil)
        var objects = state.objects
        objects.claims = []
        objects.nodes.removeFirst()
        let folder = try TemporaryFolder()
        let cluster = FakeCluster(objects)
        let context = try cluster.context(plan, in: folder)
        try await DeleteVolumesStep(plan: plan).run(context)
        #expect(cluster.acts.contains { $0.contains("delete --raw /api/v1/persistentvolumes/\(Self.influxdb) ") })
        guard case .satisfied = try await DeleteVolumesStep(plan: plan).check(context) else {
            Issue.record("a volume is left")
            return
        }
    }

    /// The API server gives every volume a policy; where none was read, nothing is assumed.
    @Test(arguments: ["Retain", nil]) func whatIsKeptOnPurposeIsDeletedOnlyByConsent(policy: String?) throws {
        let state = try released(policy)
        let plan = try Lost.plan(state)
        #expect(!plan.volumes.contains { $0.name == Self.influxdb })
        #expect(plan.keptVolumes?.map(\.volume.name) == [Self.influxdb])
        let text = PlanText(plan, state.inventory)
        #expect(text.lines.contains { $0.text.contains("--accept-data-loss \(Self.influxdb)") })
        #expect(text.summary.contains { $0.text.contains("Left as they are: \(Self.influxdb)") })
        for consent in [Self.influxdb, "onecloud/default-influxdb"] {
            let agreed = try Lost.plan(state, Lost.request(accepting: [consent]))
            #expect(agreed.volumes.contains { $0.name == Self.influxdb }, "\(consent)")
            #expect(agreed.keptVolumes == nil)
        }
        // A bare name stands for a claim that is there, and this one is not.
        for other in ["default-influxdb", "onecloud/other"] {
            let refused = #expect(throws: Refused.self) { try Lost.plan(state, Lost.request(accepting: [other])) }
            #expect(refused?.refusals.map(\.rule) == ["names-are-known"])
        }
    }

    /// The claim may go, as its rule says; the volume and what was on it stay.
    @Test func aRebuiltClaimLeavesItsRetainedVolume() throws {
        var state = try RunbookCluster.state()
        state.change(volume: Self.influxdb) { $0.spec.persistentVolumeReclaimPolicy = "Retain" }
        let plan = try Lost.plan(state)
        #expect(plan.rebuilds.flatMap(\.claims).contains { $0.claim.name == "default-influxdb" })
        #expect(plan.volumes.count == 4)
        #expect(plan.keptVolumes?.map(\.reason) == ["its reclaim policy is Retain"])
        #expect(try EventCoding.decode(Plan.self, from: try EventCoding.encode(plan)) == plan)
    }

    /// What an older claim of the same name left on purpose is not what is agreed to with the claim of today.
    @Test func consentToAClaimIsNoneToWhatAnOlderOneLeft() throws {
        var state = try RunbookCluster.state()
        var old = try #require(state.objects.volume(Self.influxdb))
        old.metadata = RunbookCluster.meta("pvc-of-last-year", nil)
        old.spec.claimRef?.uid = "an-older-one"
        old.spec.persistentVolumeReclaimPolicy = "Retain"
        old.status?.phase = "Released"
        state.cluster.objects.volumes.append(old)
        let plan = try Lost.plan(state, Lost.request(accepting: ["onecloud/default-influxdb"]))
        #expect(plan.keptVolumes?.map(\.volume.name) == ["pvc-of-last-year"])
        #expect(plan.volumes.contains { $0.name == Self.influxdb })
        let named = try Lost.plan(state, Lost.request(accepting: ["pvc-of-last-year"]))
        #expect(named.volumes.contains { $0.name == "pvc-of-last-year" })
    }
}
