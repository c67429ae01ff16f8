import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Clusters in which everything is Ready, and in which a replacement would fail half-way or lose something all the same.
@Suite struct QuietFaultsTests {
    static let names = RunbookCluster.names
    func rules(_ state: ClusterState) -> [String] { FieldCluster.refusals(state).map(\.rule) }

    // MARK: What a join goes by

    @Test(arguments: [
        ("", "names no controlPlaneEndpoint"), ("10.127.100.234:6443", "names the dead master's address"),
        ("10.127.100.234", "names the dead master's address"),
    ]) func anEndpointThatNobodyCanJoinByIsRefused(endpoint: String, why: String) throws {
        var state = try RunbookCluster.state()
        state.cluster.cloud.controlPlaneEndpoint = endpoint
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["replacement-fits"])
        #expect(refusals.first?.reason.contains(why) == true, "\(refusals)")
    }

    @Test(arguments: ["10.127.100.226:6443", "api.cloud.example:6443", "[fd00::7]:6443"])
    func anEndpointThatIsNotTheVIPIsToldOf(endpoint: String) throws {
        var state = try RunbookCluster.state()
        state.cluster.cloud.controlPlaneEndpoint = endpoint
        #expect(try FieldCluster.plan(state).warnings?.contains { $0.contains("which is \(endpoint) and not") } == true)
        state.cluster.cloud.controlPlaneEndpoint = "10.127.100.102:6443"
        #expect(try FieldCluster.plan(state).warnings == nil)
    }

    @Test func kubeadmsConfigurationIsRead() throws {
        func facts(_ text: String) -> CloudFacts {
            var facts = CloudFacts()
            facts.read(
                ConfigMap(
                    metadata: RunbookCluster.meta("kubeadm-config", "kube-system"), data: ["ClusterConfiguration": text]
                )
            )
            return facts
        }
        let whole = facts("controlPlaneEndpoint: 10.1.1.1:6443\nkubernetesVersion: v1.15.12\n")
        #expect(whole.controlPlaneEndpoint == "10.1.1.1:6443")
        #expect(whole.kubernetesVersion == "v1.15.12")
        #expect(facts("kubernetesVersion: v1.15.12\n").controlPlaneEndpoint == "")
        #expect(facts("- no configuration\n").controlPlaneEndpoint == nil)
    }

    @Test(arguments: [10251, 10252, 10257, 10259]) func aPortThatKubeadmWantsFree(port: Int) throws {
        var state = try RunbookCluster.state()
        state.change(RunbookCluster.spare) { $0.listening = [22, port] }
        #expect(rules(state) == ["replacement-is-bare"])
    }

    @Test func aClusterInTheMiddleOfAnUpgradeIsToldOf() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes[2].status?.nodeInfo?.kubeletVersion = "v1.16.9"
        let warning = try #require(try FieldCluster.plan(state).warnings?.first)
        #expect(warning.contains("kubelet of \(Self.names[1]): 1.15, kubelet of \(Self.names[2]): 1.16"), "\(warning)")
        state = try RunbookCluster.state()
        state.cluster.cloud.kubernetesVersion = "v1.16.0"
        #expect(try FieldCluster.plan(state).warnings?.first?.contains("kubeadm's configuration: 1.16") == true)
    }

    @Test func aSpareThatIsACopyOfAMasterIsToldOf() throws {
        var state = try RunbookCluster.state()
        state.change(RunbookCluster.spare) { $0.machineID = "4b1d" }
        #expect(try FieldCluster.plan(state).warnings == nil)
        state.change(Self.names[2]) { $0.machineID = "4b1d" }
        #expect(
            try FieldCluster.plan(state).warnings?.first?.contains("has the machine id of \(Self.names[2])") == true)
    }

    // MARK: Survivors

    @Test(arguments: ["DiskPressure", "MemoryPressure", "PIDPressure", "NetworkUnavailable"])
    func aSurvivorThatIsReadyAndShortOfSomething(condition: String) throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes[1].status?.conditions?.append(.init(type: condition, status: "True"))
        #expect(rules(state) == ["survivors-are-sound"])
        state.cluster.objects.nodes[1].status?.conditions?[1].status = "False"
        #expect(rules(state).isEmpty)
    }

    @Test(arguments: [false, true]) func aNodeThatIsRegisteredWithTheVIP(isWorker: Bool) throws {
        var state = try RunbookCluster.state()
        if isWorker {
            var worker = RunbookCluster.node("worker", "10.127.100.102", isReady: true)
            worker.metadata.labels = ["kubernetes.io/hostname": "worker"]
            state.cluster.objects.nodes.append(worker)
        } else {
            state.cluster.objects.nodes[1].status?.addresses?[0].address = "10.127.100.102"
        }
        let refusals = FieldCluster.refusals(state)
        #expect(
            refusals.contains { $0.rule == "one-vip-holder" && $0.reason.contains("is registered with the VIP") },
            "\(refusals)")
    }

    // MARK: What would recreate what is deleted

    @Test func aWorkloadThatIsBeingDeletedRecreatesNothing() throws {
        var state = try RunbookCluster.state()
        state.change(set: "minio") { $0.metadata.deletionTimestamp = "2022-04-13T09:10:00Z" }
        let refusals = FieldCluster.refusals(state)
        #expect(Set(refusals.map(\.rule)) == ["claims-have-rules"])
        #expect(refusals.first?.reason.contains("statefulset/minio is being deleted") == true)
        state = try RunbookCluster.state()
        state.change(deployment: "default-influxdb") { $0.metadata.deletionTimestamp = "2022-04-13T09:10:00Z" }
        #expect(rules(state) == ["claims-have-rules"])
    }

    @Test func aProvisionerOrAnOperatorThatIsBeingDeletedDoesNotRun() throws {
        var state = try RunbookCluster.state()
        state.change(deployment: "local-path-provisioner") { $0.metadata.deletionTimestamp = "2022-04-13T09:10:00Z" }
        #expect(rules(state) == ["provisioner-runs"])
        state = try RunbookCluster.state()
        state.change(deployment: "onecloud-operator") { $0.metadata.deletionTimestamp = "2022-04-13T09:10:00Z" }
        #expect(rules(state) == ["operator-runs"])
    }

    /// Cloudpods' operator controls the Deployments of its own namespace.
    @Test func anOperatorOfAnotherNamespaceIsNone() throws {
        var state = try RunbookCluster.state()
        state.change(deployment: "default-influxdb") { $0.metadata.ownerReferences = nil }
        #expect(rules(state).isEmpty)
        state.change(deployment: "onecloud-operator") { $0.metadata.namespace = "elsewhere" }
        #expect(rules(state) == ["operator-runs"])
    }

    // MARK: Where new claims are bound

    @Test func aClassThatBindsAtOnceIsRefused() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.storageClasses[0].volumeBindingMode = "WaitForFirstConsumer"
        #expect(rules(state).isEmpty)
        state.cluster.objects.storageClasses[0].volumeBindingMode = "Immediate"
        #expect(rules(state) == ["provisioner-runs"])
    }

    /// While claims are rebuilt, all other nodes are cordoned.
    @Test func podsThatCannotRunOnTheNewNodeAreRefused() throws {
        var state = try RunbookCluster.state()
        func select(_ labels: [String: String]) {
            state.change(set: "minio") { $0.spec.template = .init(spec: PodSpec(nodeSelector: labels)) }
        }
        select(["kubernetes.io/hostname": Self.names[0]])
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["provisioner-runs"])
        #expect(refusals.first?.reason.contains("onecloud-minio/minio cannot run on \(RunbookCluster.spare)") == true)
        select(["node-role.kubernetes.io/master": ""])
        #expect(try FieldCluster.plan(state).warnings == nil, "every master has it")
        select(["disk": "large"])
        #expect(
            try FieldCluster.plan(state).warnings?.contains { $0.contains("ask for node labels") } == true,
            "somebody may give it to the new node")
    }

    @Test func aVolumeOfADriverWhoseLabelNoNodeHasAnyMoreIsNotOverlooked() throws {
        var state = try RunbookCluster.state()
        let name = "pvc-onecloud-minio-export-minio-0"
        let index = try #require(state.objects.volumes.firstIndex { $0.name == name })
        state.cluster.objects.volumes[index].spec.hostPath = nil
        state.cluster.objects.volumes[index].spec.csi = Presence()
        state.cluster.objects.volumes[index].spec.storageClassName = "topolvm"
        state.cluster.objects.volumes[index].spec.nodeAffinity = Lost.affinity([
            Lost.requirement("topology.topolvm.io/node", "In", [Self.names[0]])
        ])
        #expect(rules(state).contains("claims-have-rules"))
        for node in 1..<3 {
            state.cluster.objects.nodes[node].metadata.labels?["topology.topolvm.io/node"] = Self.names[node]
        }
        #expect(rules(state).contains("claims-have-rules"), "the others have the label with other values")
    }
}
