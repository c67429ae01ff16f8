import Foundation
import SSH
import Synchronization
import Testing

@testable import Orchestrator

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
        survivor.addresses.removeAll { $0.address == "10.127.100.102" }
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
        #expect(lines.contains { $0.contains("- its static pods, keepalived and etcd among them") })
        let silent = try Planner.plan(
            try RunbookCluster.state(),
            ReplacementRequest(dead: Self.dead, replacement: RunbookCluster.spare, fences: true), now: Date())
        #expect(silent.fences == nil, "one that does not answer needs none")
    }

    @Test func onlyADeadNodeOfKubeadmIsFencedWhereAQuorumIsLeft() throws {
        #expect(
            refusals(
                try state {
                    $0.cluster.objects.nodes[0] = RunbookCluster.node(
                        Self.dead, RunbookCluster.addresses[0], isReady: true)
                }) == ["node-is-dead"])
        #expect(refusals(try state { $0.inventory.cluster.distribution = .k3s }).contains("node-is-dead"))
        #expect(refusals(try state { $0.cluster.members[2].isHealthy = false }).contains("quorum-survives"))
        #expect(
            refusals(
                try state { $0.hosts[Self.dead] = .failed(.init(message: "authentication failed", isSilent: false)) }
            ).contains("node-is-dead"))
        #expect(refusals(try state { $0.cluster.objects.nodes.removeFirst() }) == [], "its node may be gone already")
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

    /// The script itself, by a real shell, with programs that write down what they are asked.
    @Test func theScriptKeepsWhatItTakesAway() throws {
        let root = folder.path
        let files = FileManager.default
        for name in ["bin", "manifests"] {
            try files.createDirectory(atPath: "\(root)/\(name)", withIntermediateDirectories: true)
        }
        for name in ["etcd.yaml", "keepalived.yaml"] {
            try Data("secret of \(name)".utf8).write(to: URL(fileURLWithPath: "\(root)/manifests/\(name)"))
        }
        let programs = [
            "systemctl": #"echo "systemctl $*" >>"$LOG""#,
            "crictl": #"case $* in "ps -q --name ^etcd$") echo 77;; ps*) ;; *) echo "crictl $*" >>"$LOG";; esac"#,
            "docker": #"case $* in ps*keepalived*) echo 88;; ps*) ;; *) echo "docker $*" >>"$LOG";; esac"#,
            "ip":
                #"case $* in *del*) echo "ip $*" >>"$LOG";; *) echo "2: br0    inet 10.0.0.9/32 scope global br0"; echo "2: br0    inet 10.0.0.99/24 scope global br0";; esac"#,
        ]
        for (name, body) in programs {
            try Data("#!/bin/sh\n\(body)\n".utf8).write(to: URL(fileURLWithPath: "\(root)/bin/\(name)"))
            try files.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(root)/bin/\(name)")
        }
        for _ in 1...2 {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", FenceStep.script, "sh", "\(root)/manifests", "\(root)/run/fenced", "10.0.0.9"]
            process.environment = ["PATH": "\(root)/bin:/usr/bin:/bin", "LOG": "\(root)/log"]
            try process.run()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
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
        let once = [
            "systemctl disable kubelet", "systemctl stop kubelet", "docker stop 88", "crictl stop 77",
            "ip addr del 10.0.0.9/32 dev br0",
        ]
        #expect(log == once + once)
    }

    @Test func theWatchKeepsWhatItSawWhereItSeesNothing() async throws {
        struct Unseen: Error {}
        let looks = Mutex(0)
        let watch = DeadMasterWatch(host: "a", every: .milliseconds(1), patience: .seconds(600)) {
            guard
                looks.withLock({
                    $0 += 1
                    return $0
                }) == 1
            else { throw Unseen() }
            return nil
        }
        try await watch.assertDead()
        while looks.withLock({ $0 }) < 5 { try await Task.sleep(for: .milliseconds(1)) }
        try await watch.assertDead()
        watch.stop()
        let blind = DeadMasterWatch(host: "a", every: .milliseconds(1), patience: .milliseconds(20)) { throw Unseen() }
        let error = try #require(await #expect(throws: ClusterError.self) { try await blind.assertDead() })
        #expect(error.cause.contains("nothing can be seen"))
        blind.stop()
    }

    @Test func theWatchWaitsForTheFence() async throws {
        let watch = DeadMasterWatch(host: "a", every: .milliseconds(10), isArmed: false) { "it answers" }
        try await watch.assertDead()
        watch.arm()
        await #expect(throws: ClusterError.self) { try await watch.assertDead() }
        watch.stop()
    }

    /// The old master is silent over SSH, and none of the others holds the VIP that answers.
    @Test func theWatchSeesWhoeverTookTheVIP() async throws {
        let plan = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: Date())
        let sights = Mutex<[String]>([])
        let silent = FakeCluster(KubernetesObjects()) { host, _ in
            if host == plan.dead.host {
                throw SSHError(.unreachable, host: host, operation: "connect", cause: "no answer within 10 s")
            }
            return FakeCluster.output(sights.withLock { $0.removeFirst() })
        }
        let inventory = try RunbookCluster.inventory()
        let remotes = Remotes { FakeCluster.Seat(name: $0.name, cluster: silent) }
        func watch(_ looks: [String]) throws -> DeadMasterWatch {
            sights.withLock { $0 = looks + Array(repeating: "held here", count: 100_000) }
            return try #require(
                DeadMasterWatch.start(
                    plan, inventory, remotes,
                    every: .milliseconds(1), patience: .seconds(600)))
        }
        func looks() -> Int { 100_000 - sights.withLock { $0.count } }

        // In the seconds in which the VIP moves one look may miss it.
        let moving = try watch(["silent", "answered elsewhere", "silent", "held here", "silent", "silent"])
        while looks() < 6 {
            try await moving.assertDead()
            await Task.yield()
        }
        moving.stop()

        let taken = try watch(Array(repeating: "answered elsewhere", count: 1000))
        let error = try #require(
            await #expect(throws: ClusterError.self) { while looks() < 900 { try await taken.assertDead() } })
        #expect(error.cause.contains("it is back: 10.127.100.102 answers, and none of"))
        taken.stop()
    }

    @Test(arguments: [("127.0.0.1", "held here"), ("127.0.0.2", "answered elsewhere"), ("255.255.255.255", "silent")])
    func whoHoldsTheVIPIsSeenOnTheHost(vip: String, seen: String) async throws {
        let result = try await LocalRemote(shell: "sh").run(StrangerAtVIP.look(vip: vip, port: 1))
        #expect(result.text == seen + "\n")
    }
}
