import Cluster
import Foundation
import Inventories
import Planning
import SSH

/// Brings the survivor's manifests and certificates to this machine before anything is touched.
struct SaveSurvivorStep: Step {
    let plan: RecoveryPlan

    let id = "save"
    var title: String { "Save the manifests and certificates of \(plan.survivor.host) here" }
    let reason = "It is the last copy of them, and of the cluster's authority."
    let estimate = 4
    var effects: [Effect] { [.makes("\(archive) in this run's folder, 0700")] }

    private var archive: String { "\(LocalFile.safeName(plan.survivor.host)).tar" }

    func commands(_ inventory: Inventory) -> [String] {
        [PlannedCommands.told(plan.survivor.host, ClusterBackup.readFiles(inventory.cluster.distribution))]
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        FileManager.default.fileExists(atPath: path(context))
            ? .satisfied("saved in \(context.run.savedDirectory)") : .needed("not saved yet")
    }

    private func path(_ context: RunContext) -> String { "\(context.run.savedDirectory)/\(archive)" }

    func run(_ context: RunContext) async throws {
        let remote = try context.remote(plan.survivor.host)
        let files = try await remote.run(ClusterBackup.readFiles(context.distribution))
        guard files.succeeded, !files.standardOutput.isEmpty else {
            throw SurvivorMember(plan: plan, context: context).failure("read certificates and manifests", files)
        }
        try LocalFile.write(files.standardOutput, to: path(context), next: SurvivorMember.next)
    }
}
