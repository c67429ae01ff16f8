import Cluster
import Inventories
import Planning
import SSH

/// Makes etcd's data of a snapshot, be it of its own database, in a folder beside the old data, which are kept. The kubelet runs etcd's own
/// image for it, whatever the container runtime is.
///
/// `--force-new-cluster`, which keeps the data as they are, is not used: after an etcd that was not ended in order its database may hold
/// what its log does not, and members that join get the log (etcd-io/etcd#14009).
struct RestoreStep: Step {
    let plan: RecoveryPlan

    static let stepID = "new-cluster"
    let id = stepID
    var title: String {
        plan.snapshot == nil
            ? "Restore etcd's own database on \(plan.survivor.host), as a cluster of one member"
            : "Make etcd's data on \(plan.survivor.host) of the snapshot"
    }
    var reason: String {
        (plan.snapshot == nil ? "Its majority is gone for good." : "Its own data are not usable.")
            + " A new cluster, of new ids, has the survivor as its only member; the old data stay."
    }
    let estimate = 40
    var effects: [Effect] {
        let host = plan.survivor.host
        let folder = plan.kind.etcdDataDirectory
        return [
            .makes(
                "\(plan.kind.restoredSnapshot) on \(host), \(SurvivorMember.restoredBytes(plan) >> 10) KiB, until it is restored"
            ),
            .changes("\(folder)/member on \(host): what is there becomes \(folder)/member-before-\(Plan.runName)"),
            .changes("\(EtcdManifest.path) on \(host): etcd's image restores the snapshot, until that is done"),
            .changes(
                "kube-apiserver, kube-controller-manager, kube-scheduler on \(host): ended, for they may know newer revisions; the kubelet starts them again"
            ),
        ] + SurvivorMember.forgotten(plan).map { .destroys($0) }
    }

    func commands(_ inventory: Inventory) -> [String] {
        let host = plan.survivor.host
        return [
            SurvivorMember.snapshotCommand(plan),
            "\(host): write \(EtcdManifest.path) # etcd's image, with 'snapshot restore' in etcd's place",
            PlannedCommands.told(host, look(Plan.runName)), PlannedCommands.told(host, Self.removal),
            PlannedCommands.told(host, plan.kind.removeRestoredSnapshot),
            PlannedCommands.told(host, exchange(Plan.runName)),
        ]
    }

    /// etcd's own manifest stays, wherever it stands.
    private static let removal = Command.script(
        #"! grep -q "data-dir=$2$" "$1" 2>/dev/null || rm -f -- "$1""#, [EtcdManifest.path, EtcdManifest.restoredPath],
        timeout: .seconds(20), label: "rm \(EtcdManifest.path)")

    /// Prints `made` where data are there, `runs` while they are being made, `exchanged` once they are in their place.
    private func look(_ run: String) -> Command {
        .script(
            """
            cd "$1" || exit 1
            [ ! -e "masterswap-restored-$2" ] || echo exchanged
            if ls "$3"/member/snap/db "$3"/member/snap/*.snap "$3"/member/wal/*.wal >/dev/null 2>&1; then echo made; fi
            for pid in $(pidof etcdctl etcdutl); do
                ! tr '\\0' '\\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -q "^--data-dir=$3$" || echo runs
            done
            true
            """, [plan.kind.etcdDataDirectory, run, EtcdManifest.restoredPath], timeout: .seconds(20),
            label: "look at \(EtcdManifest.restoredPath)")
    }

    /// Puts the new data into the place of the old ones; cut off anywhere, it goes on from there. What knows newer revisions is ended while
    /// no etcd runs.
    func exchange(_ run: String) -> Command {
        .script(
            """
            cd "$1" || exit 1
            for name in kube-apiserver kube-controller-manager kube-scheduler; do
                for pid in $(pidof "$name"); do kill -9 "$pid"; done
            done
            if [ -e "$3/member" ]; then
                [ ! -e member ] || mv -T member "member-before-$2" || exit 1
                mv -T "$3/member" member || exit 1
            fi
            [ -d member/wal ] || { echo "there are no data in $1" >&2; exit 1; }
            rm -f -- "$4" "$4".part*
            : >"masterswap-restored-$2" && rm -rf -- "$3" && sync
            """, [plan.kind.etcdDataDirectory, run, EtcdManifest.restoredPath, plan.kind.restoredSnapshot],
            timeout: .seconds(60),
            label:
                "mv \(plan.kind.etcdDataDirectory)/member \(plan.kind.etcdDataDirectory)/member-before-\(run); mv \(EtcdManifest.restoredPath)/member \(plan.kind.etcdDataDirectory)/member"
        )
    }

    private func words(_ context: RunContext) async throws -> Set<String> {
        let result = try await context.remote(plan.survivor.host).run(look(context.run.id))
        guard result.succeeded else {
            throw SurvivorMember(plan: plan, context: context).failure("look at the restored data", result)
        }
        return Set(result.text.split(separator: "\n").map(String.init))
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        let member = SurvivorMember(plan: plan, context: context)
        guard try await words(context).contains("exchanged") else { return .needed("not restored yet") }
        let etcd = try await member.look()
        if etcd.manifest?.isRestoring == true { return .needed("the manifest that restores it is still there") }
        return etcd.isPutAside ? .satisfied("restored, and etcd is not started yet") : try await member.checkAlone(id)
    }

    func run(_ context: RunContext) async throws {
        let member = SurvivorMember(plan: plan, context: context)
        var etcd = try await member.look()
        if try await words(context).contains("exchanged"), etcd.manifest != nil, etcd.manifest?.isRestoring == false {
            _ = try await member.answering()
            return
        }
        if try await !words(context).contains("exchanged") {
            if try await member.areDataReplaced() {
                try await member.stop()
            } else {
                try await member.assertNoMajorityAndStop()
            }
            etcd = try await member.look()
        }
        guard let first = etcd.kept, let restoring = first.restoring(token: "masterswap-\(context.run.id)") else {
            throw ClusterError(
                .badOutput, host: plan.survivor.host, operation: "edit \(EtcdManifest.path)",
                cause: "\(EtcdManifest.keptPath) is not as it was when this was planned",
                advice: "see who changed it; then: masterswap resume")
        }
        if try await !words(context).contains("exchanged") {
            // What an earlier try has made is not known to be whole.
            try await member.act(Self.removal)
            try await waitForEnd(context)
            // Once the old data have been moved away, the restored ones are put in their place, and are not made again.
            if try await !member.areDataReplaced() {
                try await member.act(Command(["rm", "-rf", "--", EtcdManifest.restoredPath], timeout: .seconds(60)))
                try await member.bringSnapshot()
                try await context.assertMayAct()
                try await member.write(restoring)
                try await context.wait(for: "the snapshot to be restored on \(plan.survivor.host)") {
                    let words = try await words(context)
                    return words.contains("made") && !words.contains("runs")
                        ? .done(()) : .pending(words.contains("runs") ? "it is at work" : "it has not begun")
                }
                try await member.act(Self.removal)
                // The kubelet may start the container once more before it drops the pod: without the snapshot nothing is made then.
                try await member.act(plan.kind.removeRestoredSnapshot)
                try await waitForEnd(context)
            }
            for member in SurvivorMember.forgotten(plan) {
                try context.record(Event(.destroying, step: id, text: member))
            }
            try await context.assertMayAct()
            try await member.act(exchange(context.run.id))
        }
        try await member.act(Self.removal)
        try await member.act(plan.kind.removeRestoredSnapshot)
        for member in SurvivorMember.forgotten(plan) { context.destroyed(member) }
    }

    /// The kubelet may have started the container once more.
    private func waitForEnd(_ context: RunContext) async throws {
        try await context.wait(for: "the restore on \(plan.survivor.host) to end", limit: .seconds(180)) {
            try await words(context).contains("runs") ? .pending("it is at work") : .done(())
        }
    }

    /// The manifest is etcd's own again, or none; the snapshot holds every secret of the cluster.
    func undo(_ context: RunContext) async throws {
        let member = SurvivorMember(plan: plan, context: context)
        try await member.act(Self.removal)
        try await member.act(plan.kind.removeRestoredSnapshot)
    }
}
