import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What of hosts, keepalived and pods looks well and is not.
extension QuietFaultsTests {
    // MARK: keepalived

    func manifest(_ index: Int, _ edit: (String) -> String) throws -> HostFacts.Keepalived {
        .manifest(try KeepalivedManifest(edit(RunbookCluster.manifest(index))))
    }

    @Test func aSurvivorThatWouldKeepTheVIPIsRefused() throws {
        var state = try RunbookCluster.state()
        let high = try manifest(2) { $0.replacing(#"value: "90""#, with: #"value: "150""#) }
        state.change(Self.names[2]) { $0.keepalived = high }
        #expect(rules(state) == ["one-vip-holder"])
    }

    @Test func aMasterWithoutAManifestCannotBePromoted() throws {
        var state = try RunbookCluster.state()
        state.change(Self.names[1]) { $0.keepalived = .absent }
        #expect(rules(state) == ["one-vip-holder"])
    }

    @Test func unicastPeersDoNotHearANewMaster() throws {
        var state = try RunbookCluster.state()
        let unicast = try manifest(2) {
            $0.replacing(
                "    - name: KEEPALIVED_PASSWORD",
                with:
                    "    - name: KEEPALIVED_UNICAST_PEERS\n      value: '#PYTHON2BASH:[''10.127.100.229'']'\n    - name: KEEPALIVED_PASSWORD"
            )
        }
        state.change(Self.names[2]) { $0.keepalived = unicast }
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["one-vip-holder"])
        #expect(refusals.first?.reason.contains("KEEPALIVED_UNICAST_PEERS") == true)
    }

    @Test(arguments: ["@Vrrp2022", "%Vrrp2022", "Vrrp: 2022", "*Vrrp2022", "\u{1b}[31mVrrp2022"])
    func whatIsNoYAMLIsToldWithoutItsText(password: String) {
        let text = RunbookCluster.manifest(1).replacing("de17f785", with: password)
        let error = #expect(throws: KeepalivedManifest.Unreadable.self) { try KeepalivedManifest(text) }
        #expect(error?.description.hasPrefix("not YAML") == true)
        #expect(error?.description.contains("2022") == false, "\(String(describing: error))")
        #expect(error?.description.contains("\u{1b}") == false)
    }

    @Test(arguments: [
        "    - { name: KEEPALIVED_PASSWORD, value: pw42 }", "    - value: pw42 # vrrp\n      name: KEEPALIVED_PASSWORD",
        "    - name: NOTIFY_TOKEN\n      value: pw42", "    - name: NOTIFY_TOKEN\n      value: |\n        pw42",
    ]) func thePlansDiffShowsNoOtherValue(entry: String) throws {
        let text = """
            spec:
              containers:
              - env:
                - name: KEEPALIVED_PRIORITY
                  value: "90"
            \(entry)
                - name: KEEPALIVED_STATE
                  value: BACKUP
                - name: KEEPALIVED_VIRTUAL_IPS
                  value: '#PYTHON2BASH:[''10.127.100.102'']'

            """
        let diff = try #require(try KeepalivedManifest(text).promotionDiff(path: "keepalived.yaml"))
        #expect(!diff.contains { $0.contains("pw42") }, "\(diff)")
        #expect(diff.contains { $0.contains("10.127.100.102") })
        #expect(diff.contains { $0.hasPrefix("+") && $0.contains("MASTER") })
    }

    // MARK: Survivors

    @Test func whatCouldNotBeReadOfASurvivorIsRefused() throws {
        let changes: [(inout HostFacts) -> Void] = [
            { $0.disks = nil }, { $0.certificates = nil }, { $0.runtimes = nil }, { $0.kubeletRuns = nil },
        ]
        for change in changes {
            var state = try RunbookCluster.state()
            state.change(Self.names[2], change)
            #expect(rules(state) == ["survivors-are-sound"])
        }
    }

    /// The new kubelet's certificate is signed by one, and pods are placed by the other.
    @Test(arguments: ["kube-controller-manager", "kube-scheduler"])
    func oneOfTheControllersHasToRun(name: String) throws {
        var state = try RunbookCluster.state()
        func add(on place: Int, isReady: Bool) {
            var pod = RunbookCluster.pod(
                "\(name)-\(Self.names[place])", "kube-system", on: place, claim: nil,
                owner: ("Node", Self.names[place]),
                isReady: isReady)
            pod.metadata.annotations = ["kubernetes.io/config.mirror": "x"]
            state.cluster.objects.pods.append(pod)
        }
        add(on: 0, isReady: true)
        add(on: 1, isReady: false)
        #expect(rules(state) == ["survivors-are-sound"], "the dead one's is Ready by its last word")
        add(on: 2, isReady: true)
        #expect(rules(state).isEmpty)
    }

    // MARK: The spare

    @Test func whatAClusterLeftOnASpareIsSeen() throws {
        let changes: [(inout HostFacts) -> Void] = [
            { $0.caCertificateSHA256 = "another" },
            { $0.certificates = [.init(path: "/etc/kubernetes/pki/apiserver.crt", notAfter: .distantFuture)] },
            {
                $0.addresses = [
                    .init(interface: "eth0", address: RunbookCluster.spareAddress),
                    .init(interface: "cni0", address: "10.42.0.1"),
                ]
            },
        ]
        for change in changes {
            var state = try RunbookCluster.state()
            state.change(RunbookCluster.spare, change)
            let refusals = FieldCluster.refusals(state)
            #expect(refusals.map(\.rule) == ["replacement-is-bare"])
            #expect(!refusals.contains { $0.advice.contains("reset") })
        }
    }

    @Test func theSparesAddressIsOnTheInterfaceThatOcbootIsTold() throws {
        var state = try RunbookCluster.state()
        func address(_ address: String, on interface: String) {
            state.change(RunbookCluster.spare) { $0.addresses = [.init(interface: interface, address: address)] }
        }
        address(RunbookCluster.spareAddress, on: "eth0")
        #expect(rules(state).isEmpty)
        address(RunbookCluster.spareAddress, on: "br0")
        #expect(rules(state).isEmpty)
        address(RunbookCluster.spareAddress, on: "ens192")
        #expect(FieldCluster.refusals(state).first?.advice.contains("ens192/br0/{address}") == true)
        address("fd00::1", on: "eth0")
        #expect(FieldCluster.refusals(state).first?.reason.contains("has no interface with the address") == true)
    }

    /// kubernetes/kubeadm#1300.
    @Test func anEndpointOfAMasterThatWasRemovedLongAgo() throws {
        var state = try RunbookCluster.state()
        let endpoints = (Self.names + ["long-gone"]).map { "  \($0):\n    advertiseAddress: 10.0.0.1\n" }.joined()
        state.cluster.clusterStatus = ClusterStatus(
            ConfigMap(
                metadata: RunbookCluster.meta("kubeadm-config", "kube-system"),
                data: ["ClusterStatus": "apiEndpoints:\n" + endpoints]))
        #expect(FieldCluster.refusals(state).first?.reason.contains("lists long-gone, which is no node") == true)
        for index in 0..<3 { state.cluster.objects.nodes[index].status?.nodeInfo?.kubeletVersion = "v1.20.2" }
        #expect(rules(state).isEmpty, "newer ones ask etcd's pods")
    }

    // MARK: What recreates and provisions

    @Test func anOwnerWithoutItsOperatorRecreatesNothing() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.deployments.removeAll { $0.name == "onecloud-operator" }
        #expect(rules(state) == ["operator-runs"])
    }

    @Test func aProvisionerOfAnotherNameIsNone() throws {
        var state = try RunbookCluster.state()
        var other = RunbookCluster.running("local-path-provisioner-2", "elsewhere")
        other.spec.template.spec.containers?[0].env = [
            .init(name: "PROVISIONER_NAME", value: "cluster.local/local-path")
        ]
        state.cluster.objects.deployments.append(other)
        #expect(rules(state).isEmpty)
        state.change(deployment: "local-path-provisioner") { $0.spec.replicas = 0 }
        #expect(rules(state) == ["provisioner-runs"])
    }

    @Test func aClassThatIsBeingDeletedBindsNothing() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.storageClasses[0].metadata.deletionTimestamp = "2022-04-13T09:10:00Z"
        #expect(rules(state) == ["provisioner-runs"])
    }

    /// A client beside the server has an image with MinIO's name, too.
    @Test func theParityIsThatOfTheContainerWithTheDrives() throws {
        let server = PodSpec.Container(
            name: "server", image: "registry.example/objects:v1",
            env: [.init(name: "MINIO_STORAGE_CLASS_STANDARD", value: "EC:1")],
            volumeMounts: [.init(name: "export", mountPath: "/export")])
        let template = PodSpec(containers: [.init(name: "client", image: "minio/mc"), server])
        let state = try MinIODrivesTests.state(pods: 4, onDead: 2, template: template)
        #expect(Lost.refusals(state).map(\.rule) == ["critical-data-survives"])
    }

    @Test func severalPoolsAreToldTheSameEachTime() throws {
        let state = try MinIODrivesTests.state(
            pods: 8, onDead: 2,
            sets: { ids in [Array(ids[0..<2] + ids[2..<4]), Array(ids[4..<6]), Array(ids[6..<8])] })
        let first = try Lost.plan(state).rebuilds.first?.redundancy
        for _ in 0..<20 { #expect(try Lost.plan(state).rebuilds.first?.redundancy == first) }
    }
}
