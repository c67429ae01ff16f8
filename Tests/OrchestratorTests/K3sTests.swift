import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What is done otherwise on k3s: a member goes with its node, a host is known by a password, ocboot promotes.
@Suite struct K3sTests {
    static let address = RunbookCluster.spareAddress
    static let password = "\(RunbookCluster.spare).node-password.k3s"
    static let learner = EtcdMember(
        id: "abc", name: "", peerURLs: ["https://\(address):2380"], clientURLs: [], isLearner: true)
    static let (tls, data) = ("/var/lib/rancher/k3s/server/tls", "/var/lib/rancher/k3s/server/db/etcd/member")
    static let prepared = [
        "/var/lib/rancher/k3s/agent/pod-manifests/keepalived.yaml", "/etc/systemd/system/k3s.service",
        "/usr/local/bin/k3s",
    ]

    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    /// The spare with what an earlier join left there.
    func state(
        traces: [String] = prepared + [tls, data], caCertificateSHA256: String? = "ours", member: EtcdMember? = learner,
        password: Bool = false, _ change: (inout ClusterState) throws -> Void = { _ in }
    ) throws -> ClusterState {
        var state = try RunbookCluster.state()
        for name in RunbookCluster.names.dropFirst() { state.change(name) { $0.caCertificateSHA256 = "ours" } }
        let manifest = try KeepalivedManifest(RunbookCluster.manifest(1))
        state.change(RunbookCluster.spare) { facts in
            facts.clusterTraces = traces
            facts.caCertificateSHA256 = caCertificateSHA256
            facts.keepalived = .manifest(manifest)
        }
        if let member { state.cluster.members.append(member) }
        state.becomeK3s()
        if member != nil { state.cluster.members[3].name = "" }
        if password { state.cluster.nodePasswords[Self.password] = "uid-password" }
        try change(&state)
        return state
    }

    // MARK: A join that failed

    @Test func itIsRecognised() throws {
        let plan = try FieldCluster.plan(try state())
        #expect(plan.failedJoin?.member?.id == "abc")
        #expect(plan.failedJoin?.traces.contains(Self.data) == true)
        let lines = PlanText(plan, try RunbookCluster.inventory()).lines.map(\.text)
        #expect(lines.contains { $0.contains("by k3s-uninstall.sh: /var/lib/rancher") })
        #expect(lines.contains { $0.contains("never started") && $0.contains("by k3s, after five minutes") })
    }

    /// k3s runs, and waits in vain for the authority of the cluster.
    @Test func whatOcbootPreparedIsEnough() throws {
        let waiting = try state(traces: Self.prepared, caCertificateSHA256: nil, member: nil) {
            $0.change(RunbookCluster.spare) { $0.kubeletRuns = true }
        }
        #expect(try FieldCluster.plan(waiting).failedJoin?.traces == Self.prepared)
        let noneOfOurs = try state(traces: Self.prepared, caCertificateSHA256: nil, member: nil) {
            $0.change(RunbookCluster.spare) { $0.keepalived = .absent }
        }
        #expect(FieldCluster.refusals(noneOfOurs).map(\.rule) == ["replacement-is-bare"])
    }

    @Test(
        arguments: [
            // Another cluster's, an old agent's, a former master's of this cluster.
            (prepared + [tls], "another", nil), (["/var/lib/rancher/k3s/agent/kubelet.kubeconfig"], nil, nil),
            (["/etc/rancher/node/password"], nil, nil), (prepared + [tls, data], "ours", nil),
        ] as [([String], String?, EtcdMember?)])
    func whatIsNoFailedJoinIsNeverCleaned(traces: [String], caCertificateSHA256: String?, member: EtcdMember?) throws {
        let state = try state(traces: traces, caCertificateSHA256: caCertificateSHA256, member: member)
        #expect(FieldCluster.refusals(state).map(\.rule) == ["replacement-is-bare"])
    }

    @Test func whatHasStartedIsNeverCleaned() throws {
        for isLearner in [true, false] {
            let state = try state {
                $0.cluster.members[3].name = RunbookCluster.spare + "-0a1b2c3d"
                $0.cluster.members[3].clientURLs = ["https://\(Self.address):2379"]
                $0.cluster.members[3].isLearner = isLearner
            }
            #expect(FieldCluster.refusals(state).contains { $0.rule == "replacement-is-bare" })
        }
    }

    /// The run that goes on had found the host bare: k3s removed the learner meanwhile.
    @Test func aLearnerThatK3sRemovedLeavesItsData() throws {
        let state = try state(member: nil)
        let facts = try #require(state.hosts[RunbookCluster.spare]?.facts)
        func look(wasBare: Bool) -> FailedJoin.Finding {
            FailedJoin.look(
                facts, at: [Self.address], cluster: state.inventory.cluster, caCertificateSHA256: "ours", node: nil,
                members: [],
                wasBare: wasBare)
        }
        #expect(look(wasBare: false).found == nil)
        #expect(look(wasBare: true).found?.traces.contains(Self.data) == true)
    }

    @Test func aPasswordWithoutItsNodeGoes() throws {
        let plan = try FieldCluster.plan(try state(traces: [], caCertificateSHA256: nil, member: nil, password: true))
        #expect(plan.failedJoin?.password?.uid == "uid-password")
        let effects = try #require(ReplacementSteps.make(plan).first { $0.id == "clean-failed-join" }).effects
        #expect(
            effects == [
                .destroys("secret kube-system/\(Self.password) (uid uid-password), of a node that is not there")
            ])
        let busy = try state(traces: [], caCertificateSHA256: nil, member: nil, password: true) {
            $0.change(RunbookCluster.spare) { $0.listening = [22, 6443] }
        }
        #expect(
            FieldCluster.refusals(busy).map(\.rule) == ["replacement-is-bare"], "the host is looked at nevertheless")
        // The dead one's own goes with its node, by k3s.
        let another = try FieldCluster.plan(
            try state(traces: [], caCertificateSHA256: nil, member: nil) {
                $0.cluster.nodePasswords["\(RunbookCluster.names[0]).node-password.k3s"] = "x"
            })
        #expect(another.failedJoin == nil)
    }

    /// Names and UIDs alone, of the passwords alone.
    @Test func passwordsAreReadByName() throws {
        let question = try #require(Inventory.Distribution.k3s.clusterQuestions("kubectl").first)
        let kubectl = "kubectl() { printf 'a.node-password.k3s 1\\nregistry 2\\nb.node-password.k3s 3\\n'; }"
        let said = try LocalRemote(shell: "sh").runNow(.script("\(kubectl)\n\(question.script)", label: "ask"))
        #expect(said.succeeded && said.text == "a.node-password.k3s 1\nb.node-password.k3s 3\n")
        let none = try LocalRemote(shell: "sh").runNow(.script("kubectl() { :; }\n\(question.script)", label: "ask"))
        #expect(none.succeeded && none.text.isEmpty)
        var inventory = try RunbookCluster.inventory()
        inventory.cluster.distribution = .k3s
        let node = String(
            decoding: try JSONEncoder().encode(RunbookCluster.node("a", "10.0.0.1", isReady: true)), as: UTF8.self)
        let nodes = Data(#"{"kind":"List","items":[{"kind":"Node",\#(node.dropFirst())]}"#.utf8)
        let cluster = try ClusterProbe(inventory).observation(
            [
                "objects": .init(output: nodes, status: 0),
                "node-passwords": .init(output: Data(said.text.utf8), status: 0),
            ], host: "a")
        #expect(cluster.password(ofNode: "B", in: inventory)?.uid == "3")
        #expect(cluster.password(ofNode: "c", in: inventory) == nil)
    }

    /// Stopped before k3s removes the learner; the disk comes last.
    @Test func itIsCleaned() async throws {
        let state = try state(password: true)
        var plan = try FieldCluster.plan(state)
        plan.kubernetes = nil
        let (isStopped, isReset, isDeleted) = (Flag(), Flag(), Flag())
        let cluster = FakeCluster(state.objects) { host, command in
            switch command.display {
            case let stop where stop.hasPrefix("systemctl disable --now k3s"): isStopped.set()
            case let reset where reset.hasPrefix("k3s-uninstall.sh"): isReset.set()
            case let delete where delete.contains("delete --raw /api/v1/namespaces/kube-system/secrets/"):
                isDeleted.set()
            case let get where get.contains("kubectl get secret"):
                return isDeleted.isSet
                    ? FakeCluster.failure("Error from server (NotFound): secrets not found")
                    : FakeCluster.output(#"{"metadata":{"name":"\#(Self.password)","uid":"uid-password"}}"#)
            case "sha256sum \(Self.tls)/server-ca.crt": return FakeCluster.output("ours  server-ca.crt")
            case EtcdBeside.membersLabel: return FakeCluster.output(Self.members(isStopped.isSet ? [] : [Self.learner]))
            default:
                guard host == RunbookCluster.spare else { return nil }
                return FakeCluster.sections(
                    command,
                    [
                        "hostname": RunbookCluster.spare, "authority": isReset.isSet ? "" : "ours",
                        "traces": isReset.isSet ? "" : (Self.prepared + [Self.tls, Self.data]).joined(separator: "\n"),
                    ])
            }
            return FakeCluster.output("")
        }
        var inventory = try RunbookCluster.inventory()
        inventory.cluster.distribution = .k3s
        let context = try cluster.context(plan, in: folder, inventory: inventory)
        let step = CleanFailedJoinStep(plan: plan, agreed: try #require(plan.failedJoin))
        try await step.run(context)
        #expect(try await step.verify(context) == .satisfied("nothing is left of an earlier join"))
        let acts = cluster.asked.filter {
            $0.contains("systemctl") || $0.contains("delete --raw") || $0.contains("uninstall")
                || $0.contains("remove ")
        }
        #expect(
            acts.map { String($0.prefix { $0 != "," }) } == [
                "\(RunbookCluster.spare): systemctl disable --now k3s",
                "\(RunbookCluster.names[1]): kubectl delete --raw /api/v1/namespaces/kube-system/secrets/\(Self.password) -f -",
                "\(RunbookCluster.spare): k3s-uninstall.sh",
            ])
    }

    /// The script itself, by a real shell, below a folder: with k3s-uninstall.sh, and where an earlier try has removed that already.
    @Test(arguments: [true, false]) func nothingOfItIsLeftOnTheDisk(hasScript: Bool) throws {
        let (root, files) = (folder.path, FileManager.default)
        func write(_ path: String, _ text: String = "") throws {
            let url = URL(fileURLWithPath: "\(root)/\(path)")
            try files.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            if path.hasPrefix("bin/") { return try folder.program(path, text) }
            try Data(text.utf8).write(to: url)
        }
        let left = [
            "etc/rancher/node/password", "etc/rancher/k3s/config.yaml", "etc/systemd/system/k3s.service",
            "etc/systemd/system/k3s.service.env", "var/lib/rancher/k3s/server/token", "bin/k3s",
        ]
        for path in left { try write(path) }
        try write("etc/rancher/other", "somebody else's")
        try write(
            "bin/systemctl",
            "#!/bin/sh\n[ \"$1\" != is-enabled ] || { [ $2 = k3s ] && echo enabled; exit; }\necho \"$*\" >>\(root)/log")
        for program in ["grep", "ip"] { try write("bin/\(program)", "#!/bin/sh\n") }
        try write("bin/k3s-killall.sh", "#!/bin/sh\necho killall >>\(root)/log\n")
        if hasScript {
            // As k3s' own, it leaves the password.
            try write(
                "bin/k3s-uninstall.sh", "#!/bin/sh\necho uninstall >>\(root)/log\nrm -rf \(root)/var/lib/rancher/k3s\n")
        }
        let words = Inventory.Distribution.k3s.reset(vip: "10.0.0.9").arguments.map { word in
            ["/etc/", "/var/lib/", "/usr/local/bin"].reduce(word) { text, path in
                text.replacing(path, with: root + (path == "/usr/local/bin" ? "/bin" : path))
            }
        }
        // What is not moved below the folder would be this machine's.
        let elsewhere = words.joined().replacing(root, with: "")
        try #require(
            !elsewhere.contains("/usr/") && !words.joined().contains(" /etc") && !words.joined().contains(" /var"))
        let result = try LocalRemote(shell: "sh", path: root + "/bin").runNow(
            Command(words, timeout: nil, label: "reset"))
        #expect(result.succeeded, "\(result.errorText)")
        for path in left { #expect(!files.fileExists(atPath: "\(root)/\(path)"), "\(path)") }
        #expect(files.fileExists(atPath: "\(root)/etc/rancher/other"))
        let log = try String(contentsOfFile: root + "/log", encoding: .utf8).split(separator: "\n").map(String.init)
        #expect(
            log == ["disable k3s", "stop k3s", "killall"] + (hasScript ? ["uninstall"] : []) + ["daemon-reload"])
    }

    private static func members(_ members: [EtcdMember]) -> String {
        let list = members.map { member in
            let urls = member.peerURLs.map { "\"\($0)\"" }.joined(separator: ",")
            return #"{"id":\#(UInt64(member.id, radix: 16) ?? 0),"peerURLs":[\#(urls)],"name":"","isLearner":true}"#
        }
        return "[\(list.joined(separator: ","))]"
    }

    // MARK: What a plan shows

    @Test func thePlanSaysWhereK3sAndOcbootDoIt() throws {
        var healthy = try RunbookCluster.state()
        healthy.becomeK3s()
        let plan = try FieldCluster.plan(healthy)
        var inventory = healthy.inventory
        inventory.cluster.distribution = .k3s
        let lines = PlanText(plan, inventory).lines.map(\.text)
        let join = try #require(lines.firstIndex { $0.contains("Join ") && $0.contains("with ocboot") })
        let promotion = try #require(
            lines.firstIndex {
                $0.contains("+            value: MASTER")
                    || $0.contains("+") && $0.contains("MASTER") && $0.contains("value:")
            })
        let promote = try #require(
            lines.firstIndex { $0.contains("See \(plan.primary.node) as the keepalived MASTER") })
        #expect(join < promotion && promotion < promote)
        #expect(lines.contains { $0.contains("See k3s remove the dead etcd member") })
        #expect(
            lines.contains {
                $0.contains("secret kube-system/\(plan.dead.node).node-password.k3s, by k3s, with the node")
            })
        #expect(
            !lines.contains { $0.contains("kubeadm") || $0.contains("etcdctl") },
            "\(lines.filter { $0.contains("kubeadm") || $0.contains("etcdctl") })")
    }

    @Test func everySurvivorIsListedForOcboot() throws {
        for masters in [3, 5] {
            var state = try FieldCluster.state(masters: masters)
            state.becomeK3s()
            let plan = try FieldCluster.plan(state)
            let configuration = try #require(plan.ocboot?.configuration)
            for survivor in plan.survivors {
                #expect(configuration.contains("hostname: \"\(survivor.address)\""), "\(survivor.host)")
            }
            #expect(
                configuration.components(separatedBy: "hostname:").count - 1 == masters,
                "each once, the new one among them")
        }
    }

    @Test func anEtcdInsideOfK3sIsNotLookedForInAPod() throws {
        var state = try RunbookCluster.state(isDead: false)
        state.becomeK3s()
        state.cluster.members[1].isHealthy = false
        state.cluster.etcd = EtcdCondition(problems: ["x"])
        let advice = CheckReport(state, at: Date()).findings.map(\.advice) + FieldCluster.refusals(state).map(\.advice)
        #expect(advice.contains { $0.contains("journalctl -u k3s") })
        #expect(!advice.contains { $0.contains("etcd pod") || $0.contains("endpoint status") }, "\(advice)")
    }
}

/// A reader finds in one place what differs between the kinds, and what a third one would need.
@Suite struct DistributionTests {
    @Test func theKindsAreToldApartInOnePlace() throws {
        let root = DocumentationTests.root.appendingPathComponent("Sources")
        let files = try #require(FileManager.default.enumerator(atPath: root.path)).compactMap { $0 as? String }
        var places: Set<String> = []
        for file in files where file.hasSuffix(".swift") {
            let text = try String(contentsOf: root.appendingPathComponent(file), encoding: .utf8)
            if text.contains(/(case|[!=]=|\bin) \(?\.(kubeadm|k3s)\b/) { places.insert(file) }
        }
        let own = ["Distribution", "Distribution+Questions", "Distribution+Acts", "Distribution+Recovery"].map {
            "Orchestrator/Cluster/\($0).swift"
        }
        // ocboot's releases, each with what it does to each kind.
        let releases = ["OcbootInvocation", "OcbootRelease"].map { "Orchestrator/Planning/Ocboot/\($0).swift" }
        #expect(places == Set(own + releases))
    }
}
