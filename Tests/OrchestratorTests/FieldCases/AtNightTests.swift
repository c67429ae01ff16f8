import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

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
        state.change(RunbookCluster.spare) { $0.peers[RunbookCluster.addresses[0]] = RunbookCluster.livingView }
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["node-is-dead"])
        #expect(refusals.first?.reason.contains(RunbookCluster.spare) == true)
        expectNoPlan(state)
    }

    // MARK: Answers that are missing or odd

    static let oneNode = #"{"kind": "List", "items": [{"kind": "Node", "metadata": {"name": "m2", "uid": "u"}}]}"#

    func observe(_ config: SectionedScript.Section, _ objects: String = oneNode) throws -> ClusterObservation {
        try ClusterProbe(RunbookCluster.inventory()).observation(
            [
                "objects": .init(output: Data(objects.utf8), status: 0),
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

    /// The master that answers is a node itself, so that the next one is asked.
    @Test(arguments: [
        #"{"kind": "List", "items": []}"#,
        #"{"kind": "List", "items": [{"kind": "Pod", "metadata": {"name": "p", "uid": "u"}, "spec": {}}]}"#,
    ])
    func aListWithoutNodesIsNoAnswer(objects: String) throws {
        let error = #expect(throws: ClusterError.self) {
            try observe(.init(output: Data("{}".utf8), status: 0), objects)
        }
        #expect(error?.cause == "it lists no node")
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

    // MARK: The dead one's other addresses

    /// Its node has an address on another network than the one that it is reached on from here.
    func stateWithAnotherAddress() throws -> ClusterState {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes[0].status?.addresses = [
            .init(type: "InternalIP", address: RunbookCluster.addresses[0]),
            .init(type: "InternalIP", address: "172.16.0.1"),
        ]
        return state
    }

    @Test func aSignOfLifeAtAnyOfItsAddressesCounts() throws {
        var state = try stateWithAnotherAddress()
        #expect(FieldCluster.refusals(state).map(\.rule) == ["node-is-dead", "node-is-dead"], "nobody looked there")
        state.see(Self.names[0], as: RunbookCluster.silentView)
        #expect(FieldCluster.refusals(state).isEmpty)
        state.change(Self.names[2]) { $0.peers["172.16.0.1"] = RunbookCluster.livingView }
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["node-is-dead"])
        #expect(refusals.first?.reason.contains("\(Self.names[2]): 172.16.0.1: it answers ping") == true, "\(refusals)")
        expectNoPlan(state)
    }

    @Test func everyReachedHostIsAskedAboutTheAddressesThatOnlyItsNodeHas() async throws {
        let state = try stateWithAnotherAddress()
        let remotes = Remotes { host in
            AnsweringRemote(name: host.name) { command in
                #expect(command.arguments.joined(separator: " ").contains("look 0 172.16.0.1 22 6443 10250 2379 2380"))
                return FakeCluster.sections(command, ["peers": "0 ping answered"]) ?? FakeCluster.failure("sh: no")
            }
        }
        let views = await PeerProbe(state).run(remotes)
        #expect(views.keys.sorted() == (Self.names.dropFirst() + [RunbookCluster.spare]).sorted())
        #expect(views.values.allSatisfy { $0 == ["172.16.0.1": PeerView(ping: .answered)] })
        #expect(await PeerProbe(try RunbookCluster.state()).run(remotes).isEmpty, "there is none")
    }

    // MARK: Advice

    /// Of three members one is down: switching off another one would end etcd's majority.
    @Test func nobodyIsToldToSwitchOffAMasterThatEtcdNeeds() throws {
        var state = try RunbookCluster.state()
        state.hosts[Self.names[0]] = .failed(.init(message: "x", sign: .noRoute))
        let request = ReplacementRequest(dead: Self.names[1], replacement: RunbookCluster.spare)
        let refusals = FieldCluster.refusals(state, request).filter { $0.rule == "node-is-dead" }
        #expect(refusals.count >= 2, "it is Ready, answers, and its member is healthy")
        for refusal in refusals {
            #expect(!refusal.advice.contains("shut it down") && refusal.advice.contains("leave it on"), "\(refusal)")
        }
        // Where all are well, etcd can do without one.
        let well = FieldCluster.refusals(try RunbookCluster.state(isDead: false))
        #expect(well.contains { $0.advice.contains("shut it down") })
    }

    @Test func aClaimThatIsMistypedIsNotAcceptedInSilence() throws {
        let request = ReplacementRequest(
            dead: Self.names[0], replacement: RunbookCluster.spare, acceptedLosses: ["nonsense"])
        let refusals = FieldCluster.refusals(try RunbookCluster.state(), request)
        #expect(refusals.map(\.rule) == ["names-are-known"])
        #expect(refusals.first?.reason.contains("'nonsense'") == true)
    }

    // MARK: Volumes

    @Test func volumesUnderAFormerNameAreNotOverlooked() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes[0].metadata.labels = [Node.hostnameKey: "renamed"]
        for index in state.objects.pods.indices where state.objects.pods[index].nodeName == Self.names[0] {
            state.cluster.objects.pods[index].spec.nodeName = nil
        }
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.contains { $0.rule == "claims-have-rules" && $0.reason.contains("kubectl label node") })
        let inspection = try Inspection(state, of: Self.names[0])
        #expect(!inspection.volumes.isEmpty && inspection.volumes.allSatisfy { $0.isRefused && !$0.isOnNode })
    }

    @Test func moreReplicasThanAnyClusterHasAreNotCounted() throws {
        var state = try RunbookCluster.state()
        for index in state.objects.statefulSets.indices {
            state.cluster.objects.statefulSets[index].spec.replicas = 2_000_000_000
            state.cluster.objects.statefulSets[index].spec.ordinals = .init(start: .max)
        }
        #expect(FieldCluster.refusals(state).contains { $0.reason.contains("2000000000 replicas") })
    }

    // MARK: Survivors

    static let faults: [String: @Sendable (inout HostFacts) -> Void] = [
        "the kubelet does not run": { $0.kubeletRuns = false },
        "no container runtime runs": { $0.runtimes = [] },
        "/var/lib has 12 MiB left": {
            $0.disks = [.init(mount: "/var/lib", availableKiB: 12 << 10, usedPercent: 99)]
        },
        "/etc/kubernetes/pki/apiserver.crt has expired": {
            $0.certificates = [
                .init(path: "/etc/kubernetes/pki/apiserver.crt", notAfter: Date(timeIntervalSince1970: 0))
            ]
        },
    ]

    @Test(arguments: faults.keys.sorted()) func aSurvivorThatFailsSoonIsNoSurvivor(reason: String) throws {
        let change = try #require(Self.faults[reason])
        var state = try RunbookCluster.state()
        state.change(Self.names[2], change)
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.contains { $0.rule == "survivors-are-sound" && $0.reason == "\(Self.names[2]): \(reason)" })
    }

    @Test func clocksThatDifferAreToldInThePlan() throws {
        var state = try RunbookCluster.state()
        #expect(try FieldCluster.plan(state).warnings?.contains { $0.contains("clock") } != true)
        state.change(Self.names[2]) { $0.clockOffset = 40 }
        #expect(try FieldCluster.plan(state).warnings?.contains { $0.contains("40.0 s before") } == true)
    }

    @Test func theClockThatIsWrongIsTheOneThatIsBlamed() throws {
        func blamed(_ offsets: [Double]) throws -> [String] {
            var state = try RunbookCluster.state(isDead: false)
            for (host, offset) in zip(Self.names + [RunbookCluster.spare], offsets) {
                state.change(host) { $0.clockOffset = offset }
            }
            return CheckReport(state, at: Date()).findings.filter { $0.code == .clock }.map(\.subject)
        }
        #expect(try blamed([0.1, -0.2, 0, 0]) == [])
        #expect(try blamed([30, 0, 0, 0]) == [Self.names[0]])
        #expect(try blamed([-90, -90.3, -89.9, -90]) == ["this machine"])
        #expect(try blamed([-90, -90, -90, 0]) == [RunbookCluster.spare, "this machine"])
    }

    // MARK: keepalived

    /// Seen before anything is removed, not in step 9.
    @Test func aManifestThatCannotBeEditedIsRefused() throws {
        var state = try RunbookCluster.state()
        let text = RunbookCluster.manifest(1).replacing(
            /- name: KEEPALIVED_STATE\n( *)value: BACKUP/, with: { "- value: BACKUP\n\($0.1)name: KEEPALIVED_STATE" })
        #expect(text != RunbookCluster.manifest(1))
        state.change(Self.names[1]) { $0.keepalived = (try? KeepalivedManifest(text)).map { .manifest($0) } ?? .absent }
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["one-vip-holder"], "\(refusals)")
        #expect(refusals.first?.reason.contains("cannot be edited") == true)
    }

    @Test func aManifestWithLineEndsOfWindowsIsEditedAndKeepsThem() throws {
        let text = RunbookCluster.manifest(1).replacing("\n", with: "\r\n")
        let promoted = try KeepalivedManifest(text).promoted()
        #expect(try KeepalivedManifest(promoted).state == .master)
        #expect(promoted.utf8.count { $0 == 0x0D } == text.utf8.count { $0 == 0x0D })
        let diff = try KeepalivedManifest(text).promotionDiff(path: "x")
        #expect(diff?.filter { $0.hasPrefix("+") }.count == 3, "its head and two lines")
    }

    @Test(arguments: [
        ("10.127.100.102", "10.127.100.103", "does not carry the VIP"), ("de17f785", "another", "passwords differ"),
        (#"value: "12""#, #"value: "13""#, "router ids differ"),
    ]) func aSurvivorWithAnotherKeepalivedIsRefused(right: String, wrong: String, reason: String) throws {
        var state = try RunbookCluster.state()
        let text = RunbookCluster.manifest(1).replacing(right, with: wrong)
        state.change(Self.names[1]) { $0.keepalived = (try? KeepalivedManifest(text)).map { .manifest($0) } ?? .absent }
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["one-vip-holder"], "\(refusals)")
        #expect(refusals.first?.reason.contains(reason) == true, "\(refusals)")
    }

    // MARK: MinIO

    @Test func aClaimThatIsBeingDeletedIsNoRedundancy() throws {
        var state = try RunbookCluster.state()
        for index in state.objects.claims.indices where state.objects.claims[index].name == "export-minio-1" {
            state.cluster.objects.claims[index].metadata.deletionTimestamp = "2022-04-13T09:00:00Z"
        }
        let refusals = FieldCluster.refusals(state)
        #expect(
            refusals.contains { $0.rule == "other-replicas-healthy" && $0.reason.contains("being deleted") },
            "\(refusals)")
        #expect(refusals.contains { $0.rule == "critical-data-survives" }, "\(refusals)")
    }

    // MARK: The inventory

    @Test(arguments: [
        ("address: 10.0.0.1", "address: 0.0.0.0", "is no address of one machine"),
        ("address: 10.0.0.1", "address: 224.0.0.18", "is no address of one machine"),
        ("vip: 10.0.0.9", "vip: 255.255.255.255", "is no address of one machine"),
        ("  b:", "  A:", "differs from a by upper and lower case only"),
        ("namespace: ns", "namespace: NS", "is no Kubernetes name"),
    ]) func whatNoClusterHasIsRefused(right: String, wrong: String, problem: String) throws {
        let text = """
            cluster: { name: c, vip: 10.0.0.9 }
            hosts:
              a: { address: 10.0.0.1, role: master }
              b: { address: 10.0.0.2, role: master }
            workloads:
              - { namespace: ns, statefulset: set, data: disposable }
            """
        _ = try Inventory.parse(text, file: "i")
        let error = #expect(throws: InventoryError.self) {
            try Inventory.parse(text.replacing(right, with: wrong), file: "i")
        }
        #expect(error.map { "\($0)".contains(problem) } == true, "\(String(describing: error))")
    }

    @Test func aPasswordInPlaceOfItsCommandIsNotShown() throws {
        let text = RunbookCluster.inventoryText.replacing(/password: .*/, with: "password: { command: hunter2 }")
        let error = #expect(throws: InventoryError.self) { try Inventory.parse(text, file: "i") }
        #expect(error.map { "\($0)".contains("hunter2") } == false)
    }

    // MARK: What is there, and what was never there

    @Test func aSpareIsNotCalledDeleted() throws {
        let inspection = try Inspection(try RunbookCluster.state(), of: RunbookCluster.spare)
        #expect(inspection.isSpare && !inspection.isDeleted)
        var state = try RunbookCluster.state()
        state.removeByHand(0)
        state.cluster.clusterStatus = ClusterState.clusterStatus([(Self.names[0], RunbookCluster.addresses[0])])
        let deleted = try Inspection(state, of: Self.names[0])
        #expect(!deleted.isSpare && deleted.isDeleted)
    }

    @Test(arguments: [
        #"error: the server doesn't have a resource type "onecloudclusters""#,
        "Error from server (NotFound): Unable to list \"onecloud.yunion.io/v1alpha1, Resource=onecloudclusters\": the server could not find the requested resource",
    ]) func aClusterWithoutACloudHasNoRelease(said: String) throws {
        let observation = try ClusterProbe(RunbookCluster.inventory()).observation(
            [
                "objects": .init(output: Data(Self.oneNode.utf8), status: 0),
                "onecloud": .init(output: Data(), errors: Data("\(said)\n".utf8), status: 1),
            ], host: "m2")
        #expect(observation.onecloudProblem == nil)
    }
}
