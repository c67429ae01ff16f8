import Foundation
import Testing

@testable import Cluster
@testable import Execution
@testable import Inventories
@testable import Planning

/// `docs/stops.md`: where a run can stop, step by step, and how it comes to a good end from there. What the steps say is read from their
/// sources; the way on stands here.
enum StopsIndex {
    struct Entry {
        /// The beginning of the step's id, up to what is a workload's name.
        var id: String
        /// The sources of what it may stop with.
        var files: [String]
        /// How a good end is reached where the cause cannot be removed.
        var wayOn: String
    }

    private static let resume = "`masterswap resume`"
    private static func skip(_ step: String) -> String { "`masterswap resume --skip \(step) --because WHY`" }
    private static let abandon = "`masterswap runs --abandon RUN --because WHY`"

    /// The steps of one kind of run, whose sources are in one folder.
    struct Table {
        var title: String
        var folder: String
        var entries: [Entry]
    }

    static let tables = [
        Table(title: "A replacement", folder: "Steps", entries: replacement),
        Table(title: "A recovery", folder: "RecoverySteps", entries: recovery),
    ]

    private static let replacement: [Entry] = [
        Entry(
            id: "save", files: ["SaveStep", "SavedObjects"],
            wayOn: "Nothing of the cluster was changed. The run can be given up: \(abandon)."),
        Entry(
            id: "fence", files: ["FenceStep", "PowerFenceStep"],
            wayOn: "Cut the old machine from its power by hand; then \(resume), without `--fence`."),
        Entry(
            id: "drain", files: ["DrainStep"],
            wayOn:
                "The pods of a dead node are objects alone. What holds them is named; without it \(resume) goes on. \(skip("drain")) has them deleted with the node."
        ),
        Entry(
            id: "delete-node", files: ["DeleteNodeStep"],
            wayOn:
                "A finalizer of the node is taken off by the controller that set it: have that controller run, on k3s a surviving server; then \(resume). A pod that a finalizer keeps is told of, and holds up nothing but the claims that it mounts."
        ),
        Entry(
            id: "remove-member", files: ["RemoveMemberStep"],
            wayOn:
                "etcd must keep its majority: bring back the members that are not healthy; then \(resume). Where the majority is lost for good: `masterswap recover SURVIVOR`."
        ),
        Entry(
            id: "clean-cluster-status", files: ["CleanClusterStatusStep"],
            wayOn:
                "Take the dead node out of kubeadm-config's ClusterStatus by hand; then \(resume) sees that it is gone."
        ),
        Entry(
            id: "clean-failed-join", files: ["CleanFailedJoinStep"],
            wayOn: "Another spare takes the place of the one that cannot be cleaned: `masterswap resume --with HOST`."),
        Entry(
            id: "vip", files: ["VIPStep"],
            wayOn: "Look at the keepalived pods of the survivors until one of them holds the VIP; then \(resume)."),
        Entry(
            id: "join", files: ["JoinStep", "JoinChanges", "NewMaster"],
            wayOn:
                "\(resume) cleans up, when that is confirmed, and runs ocboot again; `masterswap resume --with HOST` joins another spare."
        ),
        Entry(
            id: "node-ready", files: ["NodeReadyStep", "ReplacementNode"],
            wayOn:
                "The new master is one by now: put right what its kubelet says; then \(resume). Where it has died, \(abandon), and it is replaced as any other master: `masterswap replace NODE --with HOST`."
        ),
        Entry(
            id: "promote", files: ["PromoteStep"],
            wayOn:
                "The manifest is whole at every moment, the old one or the new one; with the cause removed \(resume) goes on."
        ),
        Entry(
            id: "cordon", files: ["CordonStep"],
            wayOn: "\(resume) tries again; a run that stops uncordons what it cordoned."),
        Entry(
            id: "rebuild", files: ["RebuildStatefulSetStep", "RebuildDeploymentStep", "Placement", "ClaimHolders"],
            wayOn:
                "What keeps the pod from its place is told with the scheduler's or the kubelet's reason; with it removed \(resume) goes on. No claim is deleted twice: each is known by its UID. \(skip("rebuild-NAMESPACE-NAME")) leaves the workload as it is, for you to see to."
        ),
        Entry(
            id: "uncordon", files: ["CordonStep"],
            wayOn: "\(resume) tries again; by hand: `kubectl uncordon NODE`."),
        Entry(
            id: "heal", files: ["HealStep", "MinIOHealProof"],
            wayOn:
                "The heal goes on by itself, whatever becomes of the run. A larger `--heal-stalled` of \(resume) waits longer; a drive that cannot heal is replaced in MinIO, after which \(resume) sees it whole. \(skip("heal-NAMESPACE-NAME")) ends the run without it; its drives count as lost until they are healed."
        ),
        Entry(
            id: "delete-volumes", files: ["DeleteVolumesStep"],
            wayOn:
                "The volumes hold nothing any more: \(resume) sees them gone, also where they were deleted by hand. \(skip("delete-volumes")) leaves them."
        ),
        Entry(
            id: "pods-ready", files: ["PodsReadyStep"],
            wayOn:
                "The masters are whole without these pods. Why each is not Ready is told; with that put right \(resume) goes on. \(skip("pods-ready")) ends the run without them."
        ),
        Entry(
            id: "verify", files: ["VerifyStep"],
            wayOn:
                "All steps are done. What is not whole is named; with it put right \(resume) verifies again and ends the run."
        ),
    ]

    /// Those that a replacement has too are in its table.
    private static let recovery: [Entry] = [
        Entry(
            id: "watch", files: ["WatchStep"],
            wayOn:
                "Nothing was changed. A master that was seen is not dead: with two of three there is a majority again, and nothing is to be recovered. \(abandon) gives the run up."
        ),
        Entry(
            id: "save", files: ["SaveSurvivorStep"],
            wayOn:
                "Nothing of the cluster was changed. A new recovery, `masterswap recover SURVIVOR`, gives this one up."),
        Entry(
            id: "copy-data", files: ["CopyDataStep"],
            wayOn:
                "etcd's data are as they were. \(resume) copies them again from the beginning; a run that stops here starts etcd again. Where a majority has come back, \(abandon)."
        ),
        Entry(
            id: "new-cluster", files: ["RestoreStep", "ResetStep", "SurvivorMember"],
            wayOn:
                "The old data are kept, on the survivor and on the machine on which the run was begun. \(resume) goes on from what is there. Where etcd does not run on its data, a snapshot takes their place: `masterswap recover SURVIVOR --snapshot FILE`, which gives this run up."
        ),
        Entry(
            id: "first-manifest", files: ["FirstManifestStep"],
            wayOn:
                "The manifest is whole at every moment. With what keeps etcd or the kubelet from starting put right, \(resume) goes on."
        ),
        Entry(
            id: "start-k3s", files: ["StartServerStep"],
            wayOn: "With what keeps k3s from starting put right, \(resume) goes on."),
        Entry(
            id: "api-server", files: ["APIServerStep"],
            wayOn:
                "etcd is well by now. The log of the API server on the survivor tells what keeps it; \(resume) waits again."
        ),
        Entry(
            id: "dead-nodes", files: ["DeadNodesStep"],
            wayOn:
                "kube-controller-manager on the survivor takes them for dead once it runs: its log tells what keeps it; \(resume) waits again."
        ),
        Entry(
            id: "verify", files: ["VerifyRecoveryStep"],
            wayOn:
                "All steps are done. What is not whole is named; with it put right \(resume) verifies again and ends the run."
        ),
    ]

    static func markdown(_ sites: [MessageSite]) throws -> String {
        var text = """
            # Where a run can stop, and how it comes to a good end

            Made from the steps' sources by a test (`MASTERSWAP_RECORD=1 swift test --filter StopsIndex`); an ellipsis stands for what is known
            only when it happens. A run stops with the error of the step that it was in, and nothing is half done: each step looks first, and
            acts only where it has to. So the first answer to every stop is to remove the cause and to go on with \(resume), from any machine
            with an inventory of the cluster. The last answer is to give the run up, \(abandon), and to begin a new one,
            `masterswap replace NODE --with HOST`, which plans from what is there.

            In every step a run also stops where a host cannot be reached, where another run took the lock, and where the old master is back:
            that one is switched off, or fenced by `masterswap resume --fence`. Where a further master dies and etcd has lost its majority,
            `masterswap recover SURVIVOR` comes first. It gives the run up; `masterswap replace NODE --with HOST` then begins a new one, which plans from what is there.


            """
        for table in tables {
            text += "## \(table.title)\n\n"
            for entry in table.entries { text += try section(entry, table.folder, sites) }
        }
        return String(text.dropLast())
    }

    private static func section(_ entry: Entry, _ folder: String, _ sites: [MessageSite]) throws -> String {
        var text = "### `\(entry.id)`\n\n"
        let paths = entry.files.map { "Sources/Orchestrator/Execution/\(folder)/\($0).swift" }
        var rows: [String] = []
        for site in sites where site.kind == .cluster && paths.contains(where: site.place.hasPrefix) {
            let row = "| \(cell(site.parts["cause"])) | \(cell(site.parts["advice"])) |"
            if row != "| … | … |", !rows.contains(row) { rows.append(row) }
        }
        for path in paths {
            let source = try DocumentationTests.document(path)
            for match in source.matches(of: /wait\(\s*for: "((?:[^"\\]|\\\((?:[^()]|\([^()]*\))*\)|\\.)*)"/) {
                let what = String(match.1).replacing(/\\\((?:[^()]|\([^()]*\))*\)/, with: "…")
                let row =
                    "| it waited in vain for \(what) | what is seen is told with it; `masterswap resume` waits again |"
                if !rows.contains(row) { rows.append(row) }
            }
        }
        if !rows.isEmpty {
            text += "| It stops because | Next |\n| --- | --- |\n\(rows.joined(separator: "\n"))\n\n"
        }
        return "\(text)\(entry.wayOn)\n\n"
    }

    private static func cell(_ text: String?) -> String {
        (text ?? "…").replacing("|", with: "\\|").replacing("<", with: "&lt;").replacing("\n", with: " ")
    }
}

@Suite struct StopsIndexTests {
    /// Every step that a run can have, table by table.
    private static func steps() throws -> [[any Step]] {
        let recoveries = [
            try RecoveryCluster.plan(),
            try RecoveryPlanner.plan(
                try RecoveryCluster.k3sState(), RecoveryCluster.k3sEtcd(), RecoveryCluster.request, room: 9 << 30,
                now: RecoveryCluster.now),
        ].flatMap(RecoverySteps.make)
        let replacement = try replacementSteps()
        return [replacement, recoveries.filter { step in !replacement.contains { type(of: $0) == type(of: step) } }]
    }

    private static func replacementSteps() throws -> [any Step] {
        var plan = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: Date())
        plan.fences = true
        plan.nodeReturned = true
        plan.hasStaleClusterStatus = true
        plan.failedJoin = FailedJoin(traces: ["/etc/kubernetes/kubelet.conf"])
        return ReplacementSteps.make(plan)
    }

    @Test func everyStepHasItsWayOn() throws {
        for (table, steps) in zip(StopsIndex.tables, try Self.steps()) {
            let ids = steps.map(\.id)
            for id in ids { #expect(table.entries.contains { id == $0.id || id.hasPrefix($0.id + "-") }, "\(id)") }
            for entry in table.entries {
                #expect(ids.contains { $0 == entry.id || $0.hasPrefix(entry.id + "-") }, "\(entry.id)")
            }
            let folder = DocumentationTests.root.appendingPathComponent(
                "Sources/Orchestrator/Execution/\(table.folder)")
            let named = Set(table.entries.flatMap(\.files))
            for name in try FileManager.default.contentsOfDirectory(atPath: folder.path)
            where name.hasSuffix("Step.swift") {
                #expect(named.contains(String(name.dropLast(".swift".count))), "\(name)")
            }
        }
    }

    /// What the table says to type is taken for that step, and what is taken is in the table.
    @Test func theWaysOnAreOnesThatAreTaken() throws {
        for (table, steps) in zip(StopsIndex.tables, try Self.steps()) {
            for step in steps {
                let entry = try #require(table.entries.last { step.id == $0.id || step.id.hasPrefix($0.id + "-") })
                #expect(entry.wayOn.contains("--skip \(entry.id)") == (step.leftUndone != nil), "\(step.id)")
                // Another spare is taken until the first has joined, and a failed join is one that has not.
                if entry.wayOn.contains("--with HOST`") {
                    #expect(["clean-failed-join", "join", "node-ready"].contains(step.id), "\(step.id)")
                }
            }
        }
    }

    @Test func theTableIsWhatTheStepsSay() throws {
        let made = try StopsIndex.markdown(MessageSite.all())
        if ProcessInfo.processInfo.environment["MASTERSWAP_RECORD"] == "1" {
            try made.write(
                to: DocumentationTests.root.appendingPathComponent("docs/stops.md"), atomically: true, encoding: .utf8)
        }
        #expect(
            try DocumentationTests.document("docs/stops.md") == made,
            "docs/stops.md is not up to date; next: MASTERSWAP_RECORD=1 swift test --filter StopsIndex")
    }

    /// A run that stopped after any of the steps before the join can be gone on with, with the same spare and with another one, and a
    /// new one can be begun in its place once it is given up.
    @Test func beforeTheJoinBothWaysAreOpen() throws {
        var state = try PlannedAgainTests.stateWithTwoSpares()
        let earlier = try PlannedAgainTests.plan(state)
        let acts: [(step: String, act: (inout ClusterState) -> Void)] = [
            ("save", { _ in }),
            ("drain", { state in state.cluster.objects.pods.removeAll { $0.nodeName == earlier.dead.node } }),
            ("delete-node", { state in state.cluster.objects.nodes.removeAll { $0.uid == earlier.dead.uid } }),
            (
                "remove-member",
                { state in
                    state.cluster.members.removeAll { $0.id == earlier.member?.id }
                    state.cluster.etcd = RunbookCluster.condition(state.cluster.members)
                }
            ),
        ]
        for (step, act) in acts {
            act(&state)
            #expect(try PlannedAgainTests.again(state, earlier).beyond(earlier) == [], "\(step)")
            let other = try PlannedAgainTests.again(state, earlier, with: PlannedAgainTests.second)
            #expect(other.replacement.host == PlannedAgainTests.second, "\(step)")
            let anew = try PlannedAgainTests.plan(state, RunbookCluster.request)
            #expect(anew.rebuilds.flatMap(\.claims) == earlier.rebuilds.flatMap(\.claims), "\(step)")
        }
    }
}
