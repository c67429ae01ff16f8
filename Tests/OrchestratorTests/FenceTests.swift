import Foundation
import SSH
import Synchronization
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// An old master that answers again is fenced only when asked for, and only where the cluster does without it.
@Suite struct FenceTests {
    static let dead = RunbookCluster.names[0]
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    /// The first master's node is NotReady, and the machine answers and thinks that it is MASTER.
    func state(_ change: (inout ClusterState) -> Void = { _ in }) throws -> ClusterState {
        var state = try RunbookCluster.state()
        var facts = HostFacts(hostname: Self.dead, kubeletRuns: true)
        facts.clusterTraces = ["/etc/kubernetes/kubelet.conf"]
        facts.keepalived = .manifest(try KeepalivedManifest(RunbookCluster.manifest(0)))
        facts.addresses = [.init(interface: "br0", address: "10.127.100.102")]
        state.hosts[Self.dead] = .reached(facts)
        var survivor = try #require(state.hosts[RunbookCluster.names[1]]?.facts)
        survivor.addresses?.removeAll { $0.address == "10.127.100.102" }
        state.hosts[RunbookCluster.names[1]] = .reached(survivor)
        state.cluster.members[0].isHealthy = true
        change(&state)
        return state
    }

    func refusals(_ state: ClusterState, fences: Bool = true) -> Set<String> {
        do {
            var request = RunbookCluster.request
            request.fences = fences
            _ = try Planner.plan(state, request, now: Date())
            return []
        } catch { return Set((error as? Refused)?.refusals.map(\.rule) ?? ["\(error)"]) }
    }

    func plan() throws -> Plan {
        var request = RunbookCluster.request
        request.fences = true
        var plan = try Planner.plan(try state(), request, now: Date())
        plan.kubernetes = nil
        return plan
    }

    @Test func itIsPlannedAndShown() throws {
        #expect(refusals(try state(), fences: false).contains("node-is-dead"))
        let plan = try plan()
        #expect(plan.fences == true)
        #expect(plan.primary.node == "lzx-ocboot-ha-test-2", "the oldest: nobody but the old master holds the VIP")
        #expect(plan.promotes)
        #expect(ReplacementSteps.make(plan).map(\.id).prefix(3) == ["save", "fence", "drain"])
        let lines = PlanText(plan, try RunbookCluster.inventory()).lines.map(\.text)
        #expect(lines.contains { $0.contains("- its containers, all of them; its static pods' manifests moved away") })
        let silent = try Planner.plan(
            try RunbookCluster.state(),
            ReplacementRequest(dead: Self.dead, replacement: RunbookCluster.spare, fences: true), now: Date())
        #expect(silent.fences == nil, "one that does not answer needs none")
    }

    /// The kubelet's word on the static pod, which runs on the oldest survivor otherwise.
    static func stopKeepalived(on place: Int, _ state: inout ClusterState) {
        var pod = RunbookCluster.pod(
            "keepalived-\(RunbookCluster.names[place])", "kube-system", on: place, claim: nil, owner: nil,
            isReady: false)
        pod.metadata.annotations = ["kubernetes.io/config.mirror": "1"]
        state.cluster.objects.pods.append(pod)
    }

    @Test func theVIPGoesToASurvivorWhoseKeepalivedRuns() throws {
        var request = RunbookCluster.request
        request.fences = true
        let plan = try Planner.plan(try state { Self.stopKeepalived(on: 1, &$0) }, request, now: Date())
        #expect(plan.primary.node == RunbookCluster.names[2])
        let nobody = try state { for place in 1...2 { Self.stopKeepalived(on: place, &$0) } }
        #expect(refusals(nobody) == ["one-vip-holder"])
    }

    /// It can hold the VIP still, and its promotion would be waited for in vain.
    @Test func aBrokenKeepalivedIsNotPromoted() throws {
        var state = try RunbookCluster.state()
        Self.stopKeepalived(on: 1, &state)
        #expect(refusals(state, fences: false) == ["one-vip-holder"])
        let codes = CheckReport(state, at: Date()).findings.filter { $0.subject == RunbookCluster.names[1] }.map(\.code)
        #expect(codes == [.keepalivedDown])
    }

    @Test func onlyADeadNodeIsFencedWhereAQuorumIsLeft() throws {
        #expect(
            refusals(
                try state {
                    $0.cluster.objects.nodes[0] = RunbookCluster.node(
                        Self.dead, RunbookCluster.addresses[0], isReady: true)
                }) == ["node-is-dead"])
        #expect(!refusals(try state { $0.inventory.cluster.distribution = .k3s }).contains("node-is-dead"))
        #expect(refusals(try state { $0.cluster.members[2].isHealthy = false }).contains("quorum-survives"))
        #expect(
            refusals(
                try state { $0.hosts[Self.dead] = .failed(.init(message: "authentication failed", sign: .alive)) }
            ).contains("node-is-dead"))
        #expect(refusals(try state { $0.cluster.objects.nodes.removeFirst() }) == [], "its node may be gone already")
    }

    /// A VIP that the old master does not hold is not freed by fencing it.
    /// Found by a random cluster: of two members, the one that is left cannot remove the other once that one is stopped.
    @Test func aMemberThatTheMajorityNeedsIsNotStopped() throws {
        let two = try state { state in
            state.cluster.members.removeLast()
            state.cluster.objects.nodes.removeAll { $0.name == RunbookCluster.names[2] }
            state.inventory.hosts.removeAll { $0.name == RunbookCluster.names[2] }
        }
        #expect(refusals(two).contains("quorum-survives"))
        #expect(!refusals(try state()).contains("quorum-survives"))
    }

    @Test func aVIPThatNobodyHoldsIsRefusedHereToo() throws {
        #expect(refusals(try state { $0.change(Self.dead) { $0.addresses = [] } }) == ["one-vip-holder"])
    }

    /// The cluster with the old master in it; it looks alive until its script has run.
    func cluster(_ state: ClusterState) -> FakeCluster {
        let isFenced = Flag()
        return FakeCluster(state.objects, members: state.cluster.members) { host, command in
            guard host == Self.dead else { return nil }
            if command.display.hasPrefix("stop the kubelet") { isFenced.set() }
            return FakeCluster.output(
                command.display == "look what runs there" && !isFenced.isSet ? "etcd runs, process 7\n" : "")
        }
    }

    @Test func itActsAndLooksAgain() async throws {
        let plan = try plan()
        let cluster = cluster(try state())
        cluster.state.withLock { $0.members[0].isHealthy = false }
        let context = try cluster.context(plan, in: folder)
        let step = FenceStep(plan: plan)
        #expect(try await step.check(context) == .needed("etcd runs, process 7"))
        try await step.run(context)
        guard case .satisfied = try await step.verify(context) else {
            Issue.record("it still looks alive")
            return
        }
        #expect(cluster.asked.filter { $0.hasPrefix("\(Self.dead): stop the kubelet") }.count == 1)
    }

    @Test func aNodeThatRegisteredAgainGoesToo() async throws {
        let plan = try plan()
        let cluster = cluster(
            try state {
                $0.cluster.objects.nodes[0].metadata.uid = "uid-again"
                $0.cluster.members[0].isHealthy = false
            })
        let context = try cluster.context(plan, in: folder)
        try await FenceStep(plan: plan).run(context)
        #expect(cluster.objects.node(Self.dead) == nil)
    }

    @Test func itIsRefusedRightBeforeTheActToo() async throws {
        let plan = try plan()
        for change: @Sendable (inout ClusterState) -> Void in [
            {
                $0.cluster.objects.nodes[0] = RunbookCluster.node(
                    Self.dead, RunbookCluster.addresses[0], isReady: true)
            },
            { $0.cluster.members[2].isHealthy = false },
        ] {
            let cluster = cluster(try state(change))
            let context = try cluster.context(plan, in: TemporaryFolder())
            await #expect(throws: ClusterError.self) { try await FenceStep(plan: plan).run(context) }
            #expect(!cluster.asked.contains { $0.contains("stop the kubelet") })
        }
    }

    /// The script itself, by a real shell, with programs that write down what they are asked. The process of a container is one of the
    /// test's own: grep is none that looks through this machine's.
    @Test(arguments: [
        (
            Inventory.Distribution.kubeadm,
            [
                "systemctl disable kubelet", "systemctl stop kubelet", "docker stop 88", "crictl stop 77",
                "crictl stop 78", "docker stop 89 90", "grep -l kubepods",
            ]
        ), (.k3s, ["systemctl disable k3s", "systemctl stop k3s", "k3s-killall.sh", "grep -l kubepods"]),
    ]) func theScriptKeepsWhatItTakesAway(distribution: Inventory.Distribution, stops: [String]) throws {
        let root = folder.path
        let files = FileManager.default
        for name in ["bin", "manifests"] {
            try files.createDirectory(atPath: "\(root)/\(name)", withIntermediateDirectories: true)
        }
        for name in ["etcd.yaml", "keepalived.yaml"] {
            try Data("secret of \(name)".utf8).write(to: URL(fileURLWithPath: "\(root)/manifests/\(name)"))
        }
        let programs = [
            "systemctl":
                #"case $* in "is-enabled k3s") echo enabled;; is-enabled*) echo not-found; exit 4;; *) echo "systemctl $*" >>"$LOG";; esac"#,
            "k3s-killall.sh": #"echo k3s-killall.sh >>"$LOG""#,
            "grep": #"echo "grep $1 $2" >>"$LOG"; echo "/proc/$POD/cgroup""#,
            "crictl":
                #"case $* in "ps -q --name ^etcd$") echo 77;; "ps -q") echo 78;; ps*) ;; *) echo "crictl $*" >>"$LOG";; esac"#,
            "docker":
                #"case $* in ps*keepalived*) echo 88;; "ps -q --filter name=^/?k8s_") echo 89; echo 90;; ps*) ;; *) echo "docker $*" >>"$LOG";; esac"#,
            "ip":
                #"case $* in *del*) echo "ip $*" >>"$LOG";; *) echo "2: br0    inet 10.0.0.9/32 scope global br0"; echo "2: br0    inet 10.0.0.99/24 scope global br0";; esac"#,
        ]
        for (name, body) in programs {
            try folder.program("bin/\(name)", "#!/bin/sh\n\(body)\n")
        }
        for _ in 1...2 {
            let pod =
                #"sleep 600 & POD=$!; export POD; sh -c "$@"; status=$?; kill "$POD"; wait "$POD"; echo $?; exit $status"#
            let result = try LocalRemote(shell: "sh", path: "\(root)/bin", environment: ["LOG": "\(root)/log"]).runNow(
                .script(
                    pod, [distribution.fence, "sh", "\(root)/manifests", "\(root)/run/fenced", "10.0.0.9"],
                    label: "fence"))
            #expect(result.succeeded)
            // SIGKILL from the script, not SIGTERM from here.
            #expect(result.text.hasSuffix("137\n"))
            #expect(try files.contentsOfDirectory(atPath: "\(root)/manifests") == [])
        }
        for kept in ["copy", "manifests"] {
            for name in ["etcd.yaml", "keepalived.yaml"] {
                let text = try String(contentsOfFile: "\(root)/run/fenced/\(kept)/\(name)", encoding: .utf8)
                #expect(text == "secret of \(name)")
            }
        }
        let mode = try files.attributesOfItem(atPath: "\(root)/run/fenced")[.posixPermissions] as? Int
        #expect(mode == 0o700)
        let log = try String(contentsOfFile: "\(root)/log", encoding: .utf8).split(separator: "\n").map(String.init)
        let once = stops + ["ip addr del 10.0.0.9/32 dev br0"]
        #expect(log == once + once)
    }

    /// What still runs of an old master is seen, the containers of any pod among it, and silence is no answer.
    @Test(arguments: [
        (Inventory.Distribution.kubeadm, "kubelet"), (.k3s, "k3s-server"),
    ]) func whatStillRunsIsSeen(distribution: Inventory.Distribution, program: String) throws {
        let root = folder.path
        let files = FileManager.default
        for name in ["bin", "manifests"] {
            try files.createDirectory(atPath: "\(root)/\(name)", withIntermediateDirectories: true)
        }
        func look(_ programs: [String: String]) throws -> String {
            let quiet = ["pidof": "exit 1", "systemctl": "exit 1", "grep": "exit 1", "ip": "exit 0"]
            for (name, body) in quiet.merging(programs, uniquingKeysWith: { $1 }) {
                try folder.program("bin/\(name)", "#!/bin/sh\n\(body)\n")
            }
            let words = FenceStep.look(distribution, vip: "10.0.0.9").arguments.map {
                $0.replacing(distribution.manifestDirectory, with: root + "/manifests")
            }
            return try LocalRemote(shell: "sh", path: root + "/bin").runNow(Command(words, timeout: nil, label: "look"))
                .text.trimmingCharacters(in: .newlines)
        }
        #expect(try look([:]).isEmpty)
        #expect(try look(["pidof": "[ $1 = \(program) ] && echo 7"]) == "\(program) runs, process 7")
        if distribution == .k3s {
            #expect(try look(["systemctl": "[ $2 = k3s ] && echo enabled"]) == "k3s starts with the host")
        }
        let pod = try look(["grep": "echo /proc/$$/cgroup; exec sleep 0"])
        #expect(pod.contains("of a pod runs, process "))
        #expect(
            try look(["ip": "echo '2: eth0 inet 10.0.0.9/32 scope global'"]) == "it holds 10.0.0.9/32 on eth0")
        try Data().write(to: URL(fileURLWithPath: "\(root)/manifests/keepalived.yaml"))
        #expect(try look([:]).hasSuffix("keepalived.yaml is there"))
    }

    private struct AskedRemote: Remote {
        let name: String
        let answer: @Sendable (Command) throws -> CommandResult

        func run(_ command: Command) async throws -> CommandResult { try answer(command) }
        func upload(_ contents: Data, to path: String, mode: UInt16) async throws {}
        func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
    }

    private static let (held, elsewhere) = ("2: eth0 inet 10.127.100.102/32 scope global", "2: eth0 inet 10.0.0.2/24")
    private static let connected = FakeCluster.output("")
    private static let refused = CommandResult(
        outcome: .exited(1), standardOutput: Data("bash: connect: Connection refused\n".utf8))
    private static let silent = CommandResult(outcome: .exited(124))

    /// The addresses of two hosts, first and at the end, and what the second sees at the VIP.
    @Test(arguments: [
        ([elsewhere, held], refused, [], false),
        // On its way: taken by one of ours meanwhile, or by none.
        ([elsewhere, elsewhere], refused, [elsewhere, held], false),
        ([elsewhere, elsewhere], silent, [elsewhere, elsewhere], false),
        ([elsewhere, elsewhere], refused, [elsewhere, elsewhere], true),
        ([elsewhere, elsewhere], connected, [elsewhere, elsewhere], true),
    ])
    func aStrangerIsWhoAnswersWhereNoneOfOursHoldsTheVIP(
        first: [String], answer: CommandResult, then: [String], isSeen: Bool
    ) async throws {
        let remotes = [0, 1].map { index in
            let asked = Mutex(0)
            return AskedRemote(name: "host-\(index)") { command in
                guard command.arguments.first == "ip" else { return index == 1 ? answer : Self.silent }
                return asked.withLock { asked in
                    defer { asked += 1 }
                    return FakeCluster.output(asked == 0 ? first[index] : then[index])
                }
            }
        }
        let foreignHolder = ForeignVIPHolder(vip: "10.127.100.102", port: 6443, pause: .zero)
        #expect(try await foreignHolder.isSeen(by: remotes) == isSeen)
    }

    @Test func whoDoesNotTellMayHoldTheVIP() async throws {
        let remotes = [FakeCluster.output(Self.elsewhere), FakeCluster.failure("sh: ip: not found")].map { result in
            AskedRemote(name: "a") { _ in result }
        }
        let foreignHolder = ForeignVIPHolder(vip: "10.127.100.102", port: 6443, pause: .zero)
        let error = try #require(
            await #expect(throws: ClusterError.self) { try await foreignHolder.isSeen(by: remotes) })
        #expect(error.cause.contains("ip: not found"))
    }

    /// The old master is silent over SSH, or cannot be looked at, and none of the others holds the VIP that answers.
    @Test(arguments: [SSHError.Code.unreachable, .unresolved])
    func theWatchSeesWhoeverTookTheVIP(code: SSHError.Code) async throws {
        let plan = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: Date())
        let remotes = Remotes { host in
            AskedRemote(name: host.name) { command in
                guard host.name != plan.dead.host else {
                    throw SSHError(code, host: host.name, operation: "connect", cause: "no answer within 10 s")
                }
                return command.arguments.first == "ip" ? FakeCluster.output(Self.elsewhere) : Self.refused
            }
        }
        let inventory = try RunbookCluster.inventory()
        let watch = try #require(
            DeadMasterWatch.start(
                plan, inventory, remotes, every: .milliseconds(1), firstLookLimit: .seconds(600), pause: .zero))
        let error = try #require(await #expect(throws: ClusterError.self) { try await watch.assertDead() })
        #expect(error.cause.contains("it may be back: 10.127.100.102 answers, and none of"))
        watch.stop()
    }

    /// By the machine's own ip and bash; the last address is one that nothing can connect to.
    @Test(arguments: [("127.0.0.1", ["local"], true), ("127.0.0.2", [], true), ("255.255.255.255", [], false)])
    func whoHoldsTheVIPIsSeenOnTheHost(vip: String, holders: [String], isAnswered: Bool) async throws {
        let here = LocalRemote(shell: "sh")
        #expect(try await VIP.holders(of: vip, [here]) == holders)
        #expect(try await ForeignVIPHolder(vip: vip, port: 1).isAnswered([here]) == isAnswered)
    }
}
