import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// A join that failed, or ended well without all of it, is no finished one, though the node is Ready.
@Suite struct NewMasterTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    static let manifests = ["etcd.yaml", "keepalived.yaml", "kube-apiserver.yaml"]

    func plan() throws -> Plan {
        var plan = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: Date())
        plan.kubernetes = nil
        return plan
    }

    static func answer(
        _ command: Command, manifests: [String] = manifests, keepalived: String? = RunbookCluster.manifest(1)
    )
        -> CommandResult?
    {
        guard command.display == "look at the static pods' manifests" else { return nil }
        return FakeCluster.sections(
            command, ["manifests": manifests.joined(separator: "\n"), "keepalived": keepalived ?? ""])
    }

    /// The runbook's cluster with the new node Ready, after a run of ocboot that ended so.
    func scene(
        status: Int, node: (inout Node) -> Void = { _ in }, manifests: [String] = manifests,
        keepalived: String? = RunbookCluster.manifest(1)
    ) throws -> (JoinStep, RunContext, FakeCluster) {
        var objects = try RunbookCluster.objects(dead: nil)
        objects.nodes.removeFirst()
        for index in objects.nodes.indices {
            objects.nodes[index].metadata.labels?[OcbootConfiguration.controllerLabel] = "enable"
            objects.nodes[index].metadata.labels?["rack"] = "7"
        }
        var new = RunbookCluster.node(RunbookCluster.spare, RunbookCluster.spareAddress, isReady: true)
        new.metadata.labels?[OcbootConfiguration.controllerLabel] = "enable"
        node(&new)
        objects.nodes.append(new)
        let plan = try plan()
        let cluster = FakeCluster(objects) { host, command in
            if command.display == "look for ocboot's runs" { return FakeCluster.output("join-1") }
            if command.display.hasPrefix("follow ") { return FakeCluster.output("ended \(status)\n") }
            if command.display.hasPrefix("test -e ") { return FakeCluster.failure("") }
            return host == RunbookCluster.spare
                ? Self.answer(command, manifests: manifests, keepalived: keepalived) : Self.answer(command)
        }
        return (JoinStep(plan: plan), try cluster.context(plan, in: folder), cluster)
    }

    func needed(_ status: StepStatus) -> String? { if case .needed(let why) = status { why } else { nil } }

    @Test(arguments: [0, 2]) func aWholeMasterIsJoinedWhateverOcbootSaid(status: Int) async throws {
        let (step, context, _) = try scene(status: status)
        #expect(try await step.check(context) == .satisfied("\(RunbookCluster.spare) is a node"))
    }

    @Test(arguments: [0, 2]) func aReadyNodeWithoutItsRolesIsNotJoined(status: Int) async throws {
        let (step, context, cluster) = try scene(status: status, node: { $0.metadata.labels = ["rack": "7"] })
        let why = try #require(needed(try await step.check(context)))
        #expect(
            why
                == "\(RunbookCluster.spare) lacks the label node-role.kubernetes.io/master= and the label onecloud.yunion.io/controller=enable"
        )
        #expect(cluster.acts == [])
    }

    @Test func aNodeThatIsNotReadyAfterAFailureIsNotJoined() async throws {
        let (step, context, _) = try scene(
            status: 2, node: { $0 = RunbookCluster.node($0.name, RunbookCluster.spareAddress, isReady: false) })
        #expect(
            try await step.check(context)
                == .needed("ocboot ended with status 2, and \(RunbookCluster.spare) is not Ready"))
    }

    @Test func aMissingStaticPodIsNamedByItsFile() async throws {
        let (step, context, _) = try scene(status: 0, manifests: ["etcd.yaml", "kube-apiserver.yaml"])
        #expect(
            needed(try await step.check(context))?.hasSuffix(
                "lacks the static pod's manifest /etc/kubernetes/manifests/keepalived.yaml") == true)
    }

    @Test func aKeepalivedThatTheOthersDoNotHearIsNoPartOfTheCluster() async throws {
        let foreign = RunbookCluster.manifest(0).replacing("\"12\"", with: "\"13\"").replacing(
            "de17f785", with: "other")
        let (step, context, _) = try scene(status: 0, keepalived: foreign)
        let why = try #require(needed(try await step.check(context)))
        for part in ["the router id 12 of", "the password of", "the state BACKUP"] { #expect(why.contains(part)) }
        #expect(!why.contains("de17f785") && !why.contains("other,"), "the password is not shown")
        let (broken, other, _) = try scene(status: 0, keepalived: "not: [yaml")
        #expect(
            needed(try await broken.check(other))?.contains("in keepalived's manifest one that can be read") == true)
    }

    @Test func aTaintThatNoOtherHasKeepsPodsAway() async throws {
        let (step, context, _) = try scene(
            status: 0,
            node: {
                $0.spec = .init(taints: [
                    .init(key: "node-role.kubernetes.io/master", effect: "NoSchedule"),
                    .init(key: "node.kubernetes.io/not-ready", effect: "NoExecute"),
                ])
            })
        #expect(
            needed(try await step.check(context))?.hasSuffix(
                "lacks freedom from the taint node-role.kubernetes.io/master:NoSchedule, which no other master has")
                == true)
    }

    /// ocboot passes over a host that it has joined: what it leaves out then is done by hand, by these commands.
    @Test func whatIsLackingIsToldWithWhatToDo() async throws {
        let (step, context, _) = try scene(status: 0, node: { $0.metadata.labels?["rack"] = nil })
        let master = NewMaster(plan: step.plan)
        let nodes = try await context.kubectl().list(Node.self, ["nodes"])
        let others = Array(nodes.dropLast())
        let bare = Node(metadata: RunbookCluster.meta("new", nil))
        #expect(
            master.labels(bare, others).map(\.remedy) == [
                "kubectl label node new node-role.kubernetes.io/master=",
                "kubectl label node new onecloud.yunion.io/controller=enable",
            ])
        #expect(master.furtherLabels(nodes[2], others) == ["rack=7"], "no role: told, and nothing is waited for")
    }

    @Test func theHostServicesLabelIsWantedWhereOcbootIsToGiveIt() {
        for (text, isHost) in [
            ("master_nodes:\n  as_host: true\n", true), ("master_nodes: { as_host: false }", false),
            ("master_nodes: { as_controller: true }", nil), ("not: [yaml", nil),
        ] as [(String, Bool?)] {
            #expect(OcbootConfiguration.joinsAsHost(text) == isHost, "\(text)")
        }
    }

    @Test func itsStaticPodsHaveToRunAsTheOthersDo() throws {
        var objects = KubernetesObjects()
        func mirror(_ name: String, on place: Int?, isReady: Bool = true) -> Pod {
            let node = place.map { RunbookCluster.names[$0] } ?? RunbookCluster.spare
            var pod = RunbookCluster.pod(
                "\(name)-\(node)", "kube-system", on: 1, claim: nil, owner: nil, isReady: isReady)
            pod.spec.nodeName = node
            pod.metadata.annotations = ["kubernetes.io/config.mirror": "x"]
            return pod
        }
        for place in [1, 2] { objects.pods += [mirror("etcd", on: place), mirror("keepalived", on: place)] }
        objects.pods += [mirror("one-survivors-own", on: 1), mirror("etcd", on: nil, isReady: false)]
        #expect(
            NewMaster(plan: try plan()).staticPods(objects) == [
                "the static pod etcd-\(RunbookCluster.spare) is Running, not Ready",
                "the static pod keepalived-\(RunbookCluster.spare) is not there",
            ])
    }

    /// By a real shell: what the kubelet would take for a static pod's manifest.
    @Test func theFilesAreListed() async throws {
        try folder.write("manifests/etcd.yaml")
        try folder.write("manifests/.etcd.yaml.swp")
        try folder.write("manifests/old/etcd.yaml")
        let text = MasterTraits.command(.kubeadm).arguments[2].replacing(
            "/etc/kubernetes/manifests", with: folder.path + "/manifests")
        let result = try await LocalRemote(shell: "sh").run(Command(["sh", "-c", text]))
        #expect(result.text.contains("etcd.yaml") && !result.text.contains("swp") && !result.text.contains("old"))
    }
}
