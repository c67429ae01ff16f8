import Cluster
import Foundation
import Inventories
import Planning
import SSH

/// Brings an etcd snapshot, kubeadm-config, the survivors' manifests and every object that is to be deleted to this machine before
/// anything is touched.
struct SaveStep: Step {
    let plan: Plan

    let id = "save"
    var title: String { "Save an etcd snapshot, the manifests and what is to be deleted here" }
    let reason = "The way back: what the steps after it delete can be restored from this, by hand."
    let estimate = 4
    var effects: [Effect] {
        [
            .makes(
                plan.kind.hasKubeadmConfig
                    ? "etcd-snapshot.db of \(plan.primary.node), kubeadm-config.json and manifests-HOST.tar in this run's folder, 0700"
                    : "etcd-snapshot.db of \(plan.primary.node), and manifests-HOST.tar with token, certificates and configuration in this run's folder, 0700"
            ),
            .makes(
                "a copy of the snapshot on \(plan.primary.host), 0600: \(EtcdSnapshot.keptPath(Plan.runName)); of older runs' none stays"
            ),
            .makes("objects/ beside them: the manifest of each object that the steps below delete"),
        ]
    }

    private var objects: SavedObjects { SavedObjects(plan: plan) }

    static let snapshotName = "etcd-snapshot.db"

    func commands(_ inventory: Inventory) -> [String] {
        let distribution = inventory.cluster.distribution
        return (distribution.hasKubeadmConfig ? [plan.kubectl(KubeadmConfig.arguments)] : [])
            + plan.survivors.map { plan.told($0.host, Self.readManifests(distribution)) } + objects.commands()
            + EtcdSnapshot.commands(plan, distribution)
    }

    private static func readManifests(_ distribution: Inventory.Distribution) -> Command {
        distribution.hasKubeadmConfig
            ? Command(["tar", "-C", distribution.manifestDirectory, "-cf", "-", "."], timeout: .seconds(30))
            // With the server's token, without which a snapshot is useless.
            : ClusterBackup.readFiles(distribution)
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        let missing = names(context).filter { !FileManager.default.fileExists(atPath: path($0, context)) }
        guard missing.isEmpty else { return .needed("not saved yet: \(missing.joined(separator: ", "))") }
        let unsaved = objects.missing(in: context.run.savedDirectory)
        guard unsaved.isEmpty else {
            return .needed("not saved yet: \(unsaved.map(\.description).joined(separator: ", "))")
        }
        let size =
            (try? FileManager.default.attributesOfItem(atPath: path(Self.snapshotName, context))[.size] as? Int) ?? 0
        return .satisfied("saved in \(context.run.savedDirectory), the snapshot has \(size >> 10) KiB")
    }

    /// What is there already stays: a resume, which has more to save, comes after things were changed.
    func run(_ context: RunContext) async throws {
        func isSaved(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name, context)) }
        try await objects.save(try context.kubectl(), into: context.run.savedDirectory) { data, name in
            try LocalFile.makeFolder(path(SavedObjects.folder, context), next: Self.next)
            try write(data, name, context)
        }
        if isSaved(SavedObjects.index) { try Journal.synchronizeFolder(of: path(SavedObjects.index, context)) }
        if context.distribution.hasKubeadmConfig, !isSaved("kubeadm-config.json") {
            let config = try await context.kubectl().run(KubeadmConfig.arguments)
            try write(config, "kubeadm-config.json", context)
        }
        for survivor in plan.survivors where !isSaved("manifests-\(survivor.host).tar") {
            let result = try await context.remote(survivor.host).run(Self.readManifests(context.distribution))
            guard result.succeeded, !result.standardOutput.isEmpty else {
                throw ClusterError(
                    .commandFailed, host: survivor.host, operation: "read the manifests",
                    cause: "\(result.outcome): \(result.errorText.lastLines(2))",
                    advice: "nothing was changed in the cluster; \(Self.next)")
            }
            try write(result.standardOutput, "manifests-\(survivor.host).tar", context)
        }
        if !isSaved(Self.snapshotName) { try await saveSnapshot(context) }
    }

    private func names(_ context: RunContext) -> [String] {
        (context.distribution.hasKubeadmConfig ? ["kubeadm-config.json"] : [])
            + plan.survivors.map { "manifests-\($0.host).tar" }
            + [Self.snapshotName]
    }

    private func path(_ name: String, _ context: RunContext) -> String { context.run.savedDirectory + "/" + name }

    private func saveSnapshot(_ context: RunContext) async throws {
        // One that was taken before anything was touched, where the run was begun on another machine.
        for survivor in plan.survivors {
            guard
                let hash = try await EtcdSnapshot.fetchKept(
                    context.run.id, on: context.remote(survivor.host), to: path(Self.snapshotName, context),
                    next: Self.next)
            else { continue }
            return context.note("snapshot brought from \(survivor.host), where it was kept, sha256 \(hash.prefix(12))…")
        }
        let snapshot = EtcdSnapshot(
            remote: try context.remote(plan.primary.host), etcdctl: try context.etcdctl(),
            distribution: context.distribution, keptFor: context.run.id, next: Self.next)
        let content = try await snapshot.fetch(context.run.id, to: path(Self.snapshotName, context))
        for survivor in plan.survivors {
            do {
                _ = try await context.remote(survivor.host).run(EtcdSnapshot.removalOfOld(keeping: context.run.id))
            } catch { context.warn("snapshots of older runs stay on \(survivor.host): \(error)") }
        }
        context.note(
            "snapshot\(content.status.map { " at revision \($0.revision): \($0.totalKey) keys" } ?? ""), sha256 \(content.hash.prefix(12))…"
        )
    }

    /// Manifests hold the VRRP password, and objects may hold secrets in their environment.
    private func write(_ data: Data, _ name: String, _ context: RunContext) throws {
        try LocalFile.write(data, to: path(name, context), next: Self.next)
    }

    private static let next = "go on with: masterswap resume"
}
