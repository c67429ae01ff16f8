import Crypto
import Foundation
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
                "etcd-snapshot.db of \(plan.primary.node), kubeadm-config.json and manifests-HOST.tar in this run's folder, 0700"
            ),
            .makes("objects/ beside them: the manifest of each object that the steps below delete"),
        ]
    }

    private var objects: SavedObjects { SavedObjects(plan: plan) }

    private static let snapshotName = "etcd-snapshot.db"
    private static let configArguments = ["get", "configmap", "kubeadm-config", "-n", "kube-system", "-o", "json"]

    func commands(_ inventory: Inventory) -> [String] {
        let distribution = inventory.cluster.distribution
        let path = Self.remotePath(Plan.runName, distribution)
        return (distribution == .kubeadm ? [plan.kubectl(Self.configArguments)] : [])
            + plan.survivors.map { plan.told($0.host, Self.readManifests(distribution)) } + objects.commands()
            + [
                plan.etcdctl(Self.saveArguments(path)), plan.etcdctl(Etcdctl.statusArguments(path)),
                plan.told(plan.primary.host, Self.checksum(path)), plan.told(plan.primary.host, Self.removal(path)),
            ]
    }

    /// Beside etcd's data, the one folder that its container shares with the host.
    private static func remotePath(_ run: String, _ distribution: Inventory.Distribution) -> String {
        distribution.etcdDataDirectory + "/masterswap-\(run).db"
    }
    private static func readManifests(_ distribution: Inventory.Distribution) -> Command {
        Command(["tar", "-C", distribution.manifestDirectory, "-cf", "-", "."], timeout: .seconds(30))
    }
    private static func saveArguments(_ path: String) -> [String] { ["snapshot", "save", path] }
    private static func checksum(_ path: String) -> Command {
        Command(["sha256sum", "--", path], timeout: .seconds(120))
    }
    private static func removal(_ path: String) -> Command { Command(["rm", "-f", "--", path, path + ".part"]) }

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
            let folder = path(SavedObjects.folder, context)
            do {
                try FileManager.default.createDirectory(
                    atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            } catch { throw localFailure("make the folder \(folder)", "\(error)") }
            try write(data, name, context)
        }
        if isSaved(SavedObjects.index) { try Journal.synchronizeFolder(of: path(SavedObjects.index, context)) }
        if context.distribution == .kubeadm, !isSaved("kubeadm-config.json") {
            let config = try await context.kubectl().run(Self.configArguments)
            try write(config, "kubeadm-config.json", context)
        }
        for survivor in plan.survivors where !isSaved("manifests-\(survivor.host).tar") {
            let result = try await context.remote(survivor.host).run(Self.readManifests(context.distribution))
            guard result.succeeded, !result.standardOutput.isEmpty else {
                throw failure(
                    survivor.host, "read the manifests", "\(result.outcome): \(result.errorText.lastLines(2))")
            }
            try write(result.standardOutput, "manifests-\(survivor.host).tar", context)
        }
        if !isSaved(Self.snapshotName) { try await saveSnapshot(context) }
    }

    private func names(_ context: RunContext) -> [String] {
        (context.distribution == .kubeadm ? ["kubeadm-config.json"] : [])
            + plan.survivors.map { "manifests-\($0.host).tar" }
            + [Self.snapshotName]
    }

    private func path(_ name: String, _ context: RunContext) -> String { context.run.savedDirectory + "/" + name }

    private func saveSnapshot(_ context: RunContext) async throws {
        let remote = try context.remote(plan.primary.host)
        let remotePath = Self.remotePath(context.run.id, context.distribution)
        let remove = Self.removal(remotePath)
        let part = path(Self.snapshotName + ".part", context)
        do {
            try await fetchSnapshot(remotePath, to: part, from: remote, context)
        } catch {
            // The snapshot holds every secret of the cluster: no copy is left lying about.
            // In a task of its own, for a run that is cancelled.
            await Task { _ = try? await remote.run(remove) }.value
            throw error
        }
        // Only then does it count as saved: a run that is cut off before has it to remove again.
        let removed = try await remote.run(remove)
        guard removed.succeeded else {
            throw failure(remote.name, "remove \(remotePath)", "\(removed.outcome): \(removed.errorText.lastLines(2))")
        }
        guard rename(part, path(Self.snapshotName, context)) == 0 else {
            throw localFailure("rename \(part)", String(cString: strerror(errno)))
        }
        try Journal.synchronizeFolder(of: part)
    }

    /// Verified there by etcdctl, and here by its checksum.
    private func fetchSnapshot(
        _ remotePath: String, to part: String, from remote: any Remote, _ context: RunContext
    ) async throws {
        let etcdctl = try context.etcdctl()
        // A snapshot is as large as the database; a full disk would stop one of the members that are left.
        let room = try await remote.run(
            .script(
                #"[ "$(df -Pk "$1" | awk 'NR == 2 { print $4 }')" -gt "$((2 * $(du -k "$1/member/snap/db" | cut -f1)))" ]"#,
                [context.distribution.etcdDataDirectory], timeout: .seconds(20),
                label: "see that there is room for a snapshot"))
        guard room.succeeded else {
            throw failure(
                remote.name, "see that there is room for a snapshot",
                "less than twice the size of etcd's database is free")
        }
        try await etcdctl.run(Self.saveArguments(remotePath), timeout: .seconds(300))
        let verified = try await etcdctl.snapshotStatus(remotePath)
        guard verified.totalKey > 0 else {
            throw failure(remote.name, "verify the etcd snapshot", "it holds no key")
        }
        let sum = try await remote.run(Self.checksum(remotePath))
        let hash = try await download(remotePath, to: part, from: remote)
        guard sum.succeeded, sum.text.hasPrefix(hash) else {
            throw failure(remote.name, "fetch the etcd snapshot", "it arrived with another checksum than it has there")
        }
        context.note("snapshot at revision \(verified.revision): \(verified.totalKey) keys, sha256 \(hash.prefix(12))…")
    }

    /// In pieces, so that a snapshot of gigabytes needs no memory of that size.
    private func download(_ remotePath: String, to path: String, from remote: any Remote) async throws -> String {
        let piece = 8 << 20
        var hash = SHA256()
        try create(path)
        guard let file = FileHandle(forWritingAtPath: path) else {
            throw localFailure("open \(path)", "cannot be opened")
        }
        var offset = 0
        while true {
            let result = try await remote.run(
                .script(
                    #"tail -c "+$2" -- "$1" | head -c "$3""#, [remotePath, String(offset + 1), String(piece)],
                    timeout: .seconds(120),
                    label: "read \(remotePath) from \(offset)"))
            guard result.succeeded else {
                throw failure(remote.name, "read \(remotePath)", "\(result.outcome): \(result.errorText)")
            }
            if result.standardOutput.isEmpty { break }
            do { try file.write(contentsOf: result.standardOutput) } catch {
                throw localFailure("write \(path)", "\(error)")
            }
            hash.update(data: result.standardOutput)
            offset += result.standardOutput.count
        }
        do {
            try file.synchronize()
            try file.close()
        } catch { throw localFailure("write \(path)", "\(error)") }
        return hash.finalize().hexadecimal
    }

    private func write(_ data: Data, _ name: String, _ context: RunContext) throws {
        let path = path(name, context)
        try create(path)
        guard let file = FileHandle(forWritingAtPath: path) else {
            throw localFailure("open \(path)", "cannot be opened")
        }
        do {
            try file.write(contentsOf: data)
            try file.synchronize()
            try file.close()
        } catch { throw localFailure("write \(path)", "\(error)") }
    }

    /// 0600 from its first byte on: manifests hold the VRRP password, the snapshot every secret of the cluster, and objects may hold
    /// secrets in their environment.
    private func create(_ path: String) throws {
        try? FileManager.default.removeItem(atPath: path)
        guard FileManager.default.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o600]) else {
            throw localFailure("create \(path)", "cannot be created")
        }
    }

    private func failure(_ host: String, _ operation: String, _ cause: String) -> ClusterError {
        ClusterError(
            .commandFailed, host: host, operation: operation, cause: cause,
            advice: "nothing was changed; mend it, then: masterswap resume")
    }

    private func localFailure(_ operation: String, _ cause: String) -> ClusterError {
        ClusterError(
            .localFile, host: "this machine", operation: operation, cause: cause,
            advice: "nothing was changed in the cluster; make room, then: masterswap resume")
    }
}
