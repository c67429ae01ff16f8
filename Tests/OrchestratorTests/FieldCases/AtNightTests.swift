import Foundation
import SSH
import Testing

@testable import Orchestrator

/// A name mistyped, an answer missing, a machine that lives in another way: what an operator meets at night.
@Suite struct AtNightTests {
    static let names = RunbookCluster.names

    /// No advice tells how to remove a member that is at work.
    func expectNoRemoval(_ refusals: [Refusal]) {
        for refusal in refusals { #expect(!refusal.advice.contains("member remove"), "\(refusal)") }
    }

    /// What `plan` refuses, `check` does not recommend.
    func expectNoPlan(_ state: ClusterState) {
        for finding in CheckReport(state, at: Date()).findings {
            #expect(!finding.advice.contains("masterswap plan"), "\(finding)")
        }
    }

    @Test func aMasterNamedInPlaceOfASpareIsAMasterAlready() throws {
        let refusals = FieldCluster.refusals(
            try RunbookCluster.state(), ReplacementRequest(dead: Self.names[0], replacement: Self.names[1]))
        #expect(refusals.contains { $0.reason == "\(Self.names[1]) is a master already" }, "\(refusals)")
        expectNoRemoval(refusals)
    }

    /// A copy of a machine that still has the other's host name.
    @Test func aSpareWithASurvivorsHostNameLeavesThatOneItsMember() throws {
        var state = try RunbookCluster.state()
        state.change(RunbookCluster.spare) { $0.hostname = Self.names[2] }
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["replacement-is-bare"], "\(refusals)")
        expectNoRemoval(refusals)
    }

    @Test func withoutANodeNoHealthyMemberIsToBeRemoved() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes = []
        let refusals = FieldCluster.refusals(state)
        #expect(!refusals.isEmpty)
        expectNoRemoval(refusals)
    }

    /// kube-controller-manager writes Unknown when a kubelet has been silent for 40 s; False is the kubelet's own word.
    @Test func aKubeletThatReportsIsAlive() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes[0].status?.conditions?[0].status = "False"
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["node-is-dead"])
        #expect(refusals.first?.reason.contains("by the word of its own kubelet") == true)
        expectNoPlan(state)
    }

    @Test func aSpareThatSeesItAliveCounts() throws {
        var state = try RunbookCluster.state()
        state.change(RunbookCluster.spare) { $0.peers[Self.names[0]] = RunbookCluster.livingView }
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["node-is-dead"])
        #expect(refusals.first?.reason.contains(RunbookCluster.spare) == true)
        expectNoPlan(state)
    }

    // MARK: Answers that are missing or odd

    func observe(_ config: SectionedScript.Section) throws -> ClusterObservation {
        try ClusterProbe(RunbookCluster.inventory()).observation(
            [
                "objects": .init(output: Data(#"{"kind": "List", "items": []}"#.utf8), status: 0),
                "kubeadm-config": config,
            ], host: "m2")
    }

    @Test func aConfigurationThatCannotBeReadIsNotOneThatIsNotThere() throws {
        let failed = SectionedScript.Section(
            output: Data(), errors: Data("Unable to connect to the server: net/http: TLS handshake timeout\n".utf8),
            status: 1)
        #expect(try observe(failed).clusterStatusProblem?.contains("TLS handshake timeout") == true)
        let absent = SectionedScript.Section(
            output: Data(), errors: Data(#"Error from server (NotFound): configmaps "kubeadm-config" not found"#.utf8),
            status: 1)
        #expect(try observe(absent).clusterStatusProblem == nil)
        let tabs = #"{"metadata": {"name": "x", "uid": "u"}, "data": {"ClusterStatus": "apiEndpoints:\n\tx: {"}}"#
        let unread = try observe(.init(output: Data(tabs.utf8), status: 0))
        #expect(unread.clusterStatusProblem != nil && unread.problems.contains { $0.contains("kubeadm-config") })
        var state = try RunbookCluster.state()
        state.cluster.clusterStatusProblem = "no answer"
        #expect(FieldCluster.refusals(state).map(\.rule) == ["replacement-fits"])
    }

    @Test(arguments: ["99999999999999999999", "inf", "1e308", "nan", "-5"]) func aClockThatNoClockShowsIsUnknown(
        text: String
    ) {
        #expect(HostProbe.time(text) == nil)
    }

    @Test(arguments: ["lzx_spare!", "(none)", "localhost.localdomain", String(repeating: "a", count: 70), "-a"])
    func aHostNameThatIsNoNodesIsRefused(name: String) throws {
        var state = try RunbookCluster.state()
        state.change(RunbookCluster.spare) { $0.hostname = name }
        #expect(FieldCluster.refusals(state).map(\.rule) == ["replacement-fits"])
    }

    @Test func theParityIsMinIOsOwnAndTheLastOneGiven() throws {
        func parity(_ containers: [PodSpec.Container]) -> Int? {
            MinIOParity(
                StatefulSet(
                    metadata: RunbookCluster.meta("minio", "onecloud-minio"),
                    spec: .init(
                        replicas: 4, volumeClaimTemplates: [], template: .init(spec: PodSpec(containers: containers)))
                )
            ).parity(ofSet: 4)
        }
        func given(_ value: String) -> PodSpec.Variable { .init(name: "MINIO_STORAGE_CLASS_STANDARD", value: value) }
        let image = "registry.example/minio/minio:RELEASE.2021-06-17T00-10-46Z"
        #expect(
            parity([
                .init(name: "sidecar", image: "registry.example/logger", env: [given("EC:2")]),
                .init(name: "main", image: image, env: [given("EC:1")]),
            ]) == 1)
        #expect(parity([.init(name: "main", image: image, env: [given("EC:2"), given("EC:1")])]) == 1)
    }
}
