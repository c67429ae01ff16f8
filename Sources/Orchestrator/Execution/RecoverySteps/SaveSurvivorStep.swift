import Cluster
import Foundation
import Inventories
import Planning
import SSH

/// Brings a snapshot of the survivor's etcd, its manifests and its certificates to this machine before anything is touched.
struct SaveSurvivorStep: Step {
    let plan: RecoveryPlan

    let id = "save"
    var title: String { "Save an etcd snapshot, the manifests and the certificates of \(plan.survivor.host) here" }
    let reason = "It is the last copy of the cluster. Its own member gives a snapshot without a majority."
    let estimate = 2
    var effects: [Effect] { [.makes("\(Self.snapshot) and \(archive) in this run's folder, 0700")] }

    private static let snapshot = "etcd-snapshot.db"
    private var archive: String { "\(LocalFile.safeName(plan.survivor.host)).tar" }
    private var names: [String] { [archive, Self.snapshot] }

    func commands(_ inventory: Inventory) -> [String] {
        let path = EtcdSnapshot.remotePath(Plan.runName, .kubeadm)
        let host = plan.survivor.host
        return [
            PlannedCommands.told(host, ClusterBackup.readFiles(.kubeadm)),
            SurvivorMember.etcdctl(plan, EtcdSnapshot.saveArguments(path)),
            SurvivorMember.etcdctl(plan, Etcdctl.statusArguments(path)),
            PlannedCommands.told(host, EtcdSnapshot.checksum(path)),
            PlannedCommands.told(host, EtcdSnapshot.removal(path)),
        ]
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        let missing = names.filter { !FileManager.default.fileExists(atPath: "\(context.run.savedDirectory)/\($0)") }
        return missing.isEmpty
            ? .satisfied("saved in \(context.run.savedDirectory)")
            : .needed("not saved yet: \(missing.joined(separator: ", "))")
    }

    func run(_ context: RunContext) async throws {
        let remote = try context.remote(plan.survivor.host)
        let files = try await remote.run(ClusterBackup.readFiles(.kubeadm))
        guard files.succeeded, !files.standardOutput.isEmpty else {
            throw SurvivorMember(plan: plan, context: context).failure("read certificates and manifests", files)
        }
        try LocalFile.write(
            files.standardOutput, to: "\(context.run.savedDirectory)/\(archive)", next: SurvivorMember.next)
        let content = try await EtcdSnapshot(
            remote: remote, etcdctl: Etcdctl(inContainerOn: remote), distribution: .kubeadm, next: SurvivorMember.next
        ).fetch(context.run.id, to: "\(context.run.savedDirectory)/\(Self.snapshot)")
        if let status = content.status {
            context.note(
                "snapshot at revision \(status.revision): \(status.totalKey) keys, sha256 \(content.hash.prefix(12))…")
            // It was not written to since it was planned: nobody can.
            guard status.revision >= plan.etcd.revision else {
                throw ClusterError(
                    .changed, host: plan.survivor.host, operation: "compare the snapshot",
                    cause: "it is at revision \(status.revision), and etcd was at \(plan.etcd.revision)",
                    advice: "make a new plan: masterswap recover \(plan.survivor.host)")
            }
        }
    }
}
