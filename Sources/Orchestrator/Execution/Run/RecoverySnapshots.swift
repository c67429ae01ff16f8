import Cluster
import Crypto
import Foundation
public import Planning

/// The snapshots of etcd on this machine that a cluster may be recovered from: those of `masterswap snapshot`, and what earlier runs have
/// saved before they changed anything.
public struct RecoverySnapshots: Sendable {
    /// The newest first.
    public let known: [RecoveryPlan.Snapshot]

    public init(of cluster: String, _ store: RunStore = RunStore()) {
        func bytes(_ path: String) -> Int? {
            (try? FileManager.default.attributesOfItem(atPath: path)[.size]) as? Int
        }
        let kept = SnapshotStore(store).snapshots(of: cluster).compactMap { snapshot in
            let path = "\(snapshot.directory)/\(SnapshotStore.database)"
            return bytes(path).map {
                RecoveryPlan.Snapshot(
                    path: path, at: snapshot.at, host: snapshot.host, revision: snapshot.revision, bytes: $0,
                    sha256: snapshot.sha256)
            }
        }
        let saved = store.runs().compactMap { run -> RecoveryPlan.Snapshot? in
            let path = "\(run.savedDirectory)/\(SaveStep.snapshotName)"
            guard let bytes = bytes(path), let plan = try? run.events().first?.plan, plan.cluster == cluster,
                let at = Self.written(path)
            else { return nil }
            return RecoveryPlan.Snapshot(path: path, at: at, host: plan.primary.host, bytes: bytes)
        }
        known = (kept + saved).sorted { $0.at > $1.at }
    }

    /// A snapshot to be restored, read and found whole.
    /// - Parameter path: of the file, or of a folder of `masterswap snapshot`.
    /// - Throws: ``ClusterError`` with `localFile` where it is none, or is not whole.
    public func snapshot(at path: String) throws -> RecoveryPlan.Snapshot {
        var path = URL(fileURLWithPath: (path as NSString).expandingTildeInPath).standardizedFileURL.path
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
            path += "/" + SnapshotStore.database
        }
        func failure(_ cause: String) -> ClusterError {
            ClusterError(
                .localFile, host: "this machine", operation: "read the snapshot \(path)", cause: cause,
                advice: known.isEmpty
                    ? "name a snapshot of etcd that is whole; of this cluster none is known here"
                    : "those that are known here: \(known.map(\.path).joined(separator: ", "))")
        }
        guard let file = FileHandle(forReadingAtPath: path), let written = Self.written(path) else {
            throw failure("there is no such file that can be read")
        }
        defer { try? file.close() }
        let size = Int(try file.seekToEnd())
        // bbolt's pages are multiples of 512 bytes; after them etcd writes the SHA-256 of all before (snapshot.go in its client).
        guard size % 512 == 32, size > 512 else {
            throw failure(
                "it does not end with a checksum, as each snapshot does that etcd has taken: it may be cut off, packed, or a copy of a database"
            )
        }
        try file.seek(toOffset: 0)
        var (content, whole) = (SHA256(), SHA256())
        var left = size - 32
        while left > 0, let piece = try file.read(upToCount: min(left, 8 << 20)), !piece.isEmpty {
            content.update(data: piece)
            whole.update(data: piece)
            left -= piece.count
        }
        let told = try file.read(upToCount: 32) ?? Data()
        whole.update(data: told)
        guard Data(content.finalize()) == told else {
            throw failure("it holds something else than the checksum at its end says")
        }
        let sum = whole.finalize().hexadecimal
        var snapshot =
            known.first { $0.path == path } ?? known.first { $0.sha256 == sum }
            ?? RecoveryPlan.Snapshot(path: path, at: written, bytes: size)
        guard snapshot.sha256 == nil || snapshot.sha256 == sum else {
            throw failure("it is another one than its \(SnapshotStore.index) says")
        }
        (snapshot.path, snapshot.bytes, snapshot.sha256) = (path, size, sum)
        return snapshot
    }

    private static func written(_ path: String) -> Date? {
        (try? FileManager.default.attributesOfItem(atPath: path)[.modificationDate]) as? Date
    }
}
