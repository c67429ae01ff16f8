import Cluster
import Foundation
import Inventories
import Planning
import SSH

/// Brings a snapshot of etcd to this machine: taken beside one member, verified there by etcdctl (without one by the checksum that etcd
/// puts at its end) and here by its checksum. It holds every secret of the cluster, as the master's own etcd does: a copy stays there only
/// where one is asked for.
struct EtcdSnapshot {
    let remote: any Remote
    let etcdctl: Etcdctl
    let distribution: Inventory.Distribution
    /// The run that a copy is kept for on the master; `nil` where none is.
    var keptFor: String?
    /// The last words of an error's advice: how to go on.
    let next: String

    /// What arrived.
    struct Content: Sendable, Hashable {
        /// What it holds; `nil` on k3s, whose hosts have nothing that reads a snapshot.
        var status: Etcdctl.SnapshotStatus?
        /// SHA-256, in hexadecimal.
        var hash: String
    }

    // MARK: What a plan shows

    /// Beside etcd's data, the one folder that its container shares with the host.
    static func remotePath(_ name: String, _ distribution: Inventory.Distribution) -> String {
        distribution.etcdDataDirectory + "/masterswap-\(name).db"
    }
    static func saveArguments(_ path: String) -> [String] { ["snapshot", "save", path] }

    /// What is done on the primary for it, in the words of a plan.
    static func commands(_ plan: Plan, _ distribution: Inventory.Distribution) -> [String] {
        let path = remotePath(Plan.runName, distribution)
        let host = plan.primary.host
        let looks = plan.survivors.map { plan.told($0.host, lookForKept(Plan.runName)) }
        let taken =
            distribution.snapshot(to: path).map { [plan.told(host, $0), plan.told(host, verification(path))] }
            ?? [plan.etcdctl(saveArguments(path)), plan.etcdctl(Etcdctl.statusArguments(path))]
        return looks + taken + [
            plan.told(host, checksum(path)), plan.told(host, keeping(path, for: Plan.runName, hash: "SHA256")),
        ]
            + plan.survivors.map { plan.told($0.host, removalOfOld(keeping: Plan.runName)) }
    }

    /// On the master that it was taken on, until there is a newer one.
    static func keptPath(_ run: String) -> String { "\(RunHead.directory)/\(run)/etcd-snapshot.db" }

    /// Moves it there, its checksum beside it. Where that is another file system, a full one would stop what runs on the master.
    static func keeping(_ path: String, for run: String, hash: String) -> Command {
        let script = #"""
            umask 077
            mkdir -p "${2%/*}" || exit 1
            if [ "$(stat -c %d "$1")" != "$(stat -c %d "${2%/*}")" ]; then
                [ "$(df -Pk "${2%/*}" | awk 'NR == 2 { print $4 }')" -gt "$((2 * $(du -k "$1" | cut -f1)))" ] ||
                    { echo "less than twice the snapshot's size is free there" >&2; exit 1; }
            fi
            chmod 600 "$1" && mv -f -- "$1" "$2" || exit 1
            echo "$3" >"$2.part" && mv -f -- "$2.part" "${2%.db}.sha256"
            """#
        return .script(
            script, [path, keptPath(run), hash], timeout: .seconds(120), label: "keep \(path) as \(keptPath(run))")
    }

    /// Prints its checksum.
    static func lookForKept(_ run: String) -> Command {
        .script(
            #"[ ! -f "$1" ] || cat "${1%.db}.sha256" 2>/dev/null; true"#, [keptPath(run)], timeout: .seconds(20),
            label: "look for \(keptPath(run))")
    }

    /// The newest is enough, and each holds every secret.
    static func removalOfOld(keeping run: String) -> Command {
        .script(
            #"for file in "$1"/*/etcd-snapshot.db; do [ "$file" = "$2" ] || rm -f -- "$file" "${file%.db}.sha256"; done; true"#,
            [RunHead.directory, keptPath(run)], timeout: .seconds(60),
            label: "remove the snapshots of older runs from \(RunHead.directory)")
    }

    /// etcd writes the SHA-256 of all that comes before it at the end of a snapshot, whose pages are multiples of 512 bytes.
    private static func verification(_ path: String) -> Command {
        let script = #"""
            size=$(stat -c %s -- "$1") || exit 1
            [ "$((size % 512))" -eq 32 ] || { echo "it has no checksum at its end" >&2; exit 1; }
            told=$(tail -c 32 -- "$1" | od -An -v -tx1 | tr -d ' \n')
            made=$(head -c -32 -- "$1" | sha256sum | cut -d' ' -f1)
            [ "$told" = "$made" ] || { echo "it holds something else than the checksum at its end says" >&2; exit 1; }
            """#
        return .script(script, [path], timeout: .seconds(120), label: "compare the checksum at the end of \(path)")
    }

    static func checksum(_ path: String) -> Command {
        Command(["sha256sum", "--", path], timeout: .seconds(120))
    }
    static func removal(_ path: String) -> Command { Command(["rm", "-f", "--", path, path + ".part"]) }

    // MARK: What is done

    /// - Parameters:
    ///   - name: of the run, or of whatever the snapshot is taken for.
    ///   - path: here; the file is there once it is whole.
    /// - Throws: `SSHError`; ``ClusterError``.
    func fetch(_ name: String, to path: String) async throws -> Content {
        let remotePath = Self.remotePath(name, distribution)
        let remove = Self.removal(remotePath)
        let part = path + ".part"
        let content: Content
        do {
            content = try await takeAndRead(remotePath, to: part)
        } catch {
            // In a task of its own, for a run that is cancelled.
            await Task { [remote] in _ = try? await remote.run(remove) }.value
            throw error
        }
        // The snapshot counts as saved only once its copy on the master is where it stays, or removed.
        let leaving = keptFor.map { Self.keeping(remotePath, for: $0, hash: content.hash) } ?? remove
        let left = try await remote.run(leaving)
        guard left.succeeded else {
            await Task { [remote] in _ = try? await remote.run(remove) }.value
            throw failure(leaving.display, "\(left.outcome): \(left.errorText.lastLines(2))")
        }
        guard rename(part, path) == 0 else {
            throw LocalFile.failure("rename \(part)", String(cString: strerror(errno)), next: next)
        }
        try Journal.synchronizeFolder(of: path)
        return content
    }

    /// Brings the copy here that an earlier part of a run has kept, from whichever machine that was.
    /// - Returns: its checksum; `nil` where there is none, or it is not what it was: then a new one is to be taken.
    static func fetchKept(_ run: String, on remote: any Remote, to path: String, next: String) async throws -> String? {
        let kept = keptPath(run)
        let told = try await remote.run(lookForKept(run))
        guard told.succeeded, !told.text.isEmpty else { return nil }
        let part = path + ".part"
        let hash = try await RemoteFile(remote, next: next).download(kept, to: part)
        guard told.text.hasPrefix(hash) else { return nil }
        guard rename(part, path) == 0 else {
            throw LocalFile.failure("rename \(part)", String(cString: strerror(errno)), next: next)
        }
        try Journal.synchronizeFolder(of: path)
        return hash
    }

    private func takeAndRead(_ remotePath: String, to part: String) async throws -> Content {
        // A snapshot is as large as the database; a full disk would stop one of the members that are left.
        let room = try await remote.run(
            .script(
                #"[ "$(df -Pk "$1" | awk 'NR == 2 { print $4 }')" -gt "$((2 * $(du -k "$1/member/snap/db" | cut -f1)))" ]"#,
                [distribution.etcdDataDirectory], timeout: .seconds(20), label: "see that there is room for a snapshot")
        )
        guard room.succeeded else {
            throw failure(
                "see that there is room for a snapshot", "less than twice the size of etcd's database is free")
        }
        let status = try await take(remotePath)
        let sum = try await remote.run(Self.checksum(remotePath))
        let hash = try await RemoteFile(remote, next: next).download(remotePath, to: part)
        guard sum.succeeded, sum.text.hasPrefix(hash) else {
            throw failure("fetch the etcd snapshot", "it arrived with another checksum than it has there")
        }
        return Content(status: status, hash: hash)
    }

    /// Takes it on the master, and verifies it there.
    private func take(_ remotePath: String) async throws -> Etcdctl.SnapshotStatus? {
        guard let taking = distribution.snapshot(to: remotePath) else {
            try await etcdctl.run(Self.saveArguments(remotePath), timeout: .seconds(300))
            let status = try await etcdctl.snapshotStatus(remotePath)
            guard status.totalKey > 0 else { throw failure("verify the etcd snapshot", "it holds no key") }
            return status
        }
        for command in [taking, Self.verification(remotePath)] {
            let result = try await remote.run(command)
            guard result.succeeded else {
                throw failure(command.display, "\(result.outcome): \(result.errorText.lastLines(2))")
            }
        }
        return nil
    }

    private func failure(_ operation: String, _ cause: String) -> ClusterError {
        ClusterError(
            .commandFailed, host: remote.name, operation: operation, cause: cause,
            advice: "nothing was changed in the cluster; \(next)")
    }
}
