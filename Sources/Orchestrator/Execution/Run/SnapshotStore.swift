import Cluster
public import Foundation

/// The snapshots of each cluster that `masterswap snapshot` keeps on this machine, beside the runs.
public struct SnapshotStore: Sendable {
    private let root: String

    /// What a snapshot's `snapshot.json` says.
    public struct Snapshot: Sendable, Codable, Hashable {
        public var cluster: String
        public var at: Date
        /// The master whose member it was taken of, by its inventory name.
        public var host: String
        /// Of etcd; `nil` on k3s, whose hosts have nothing that reads a snapshot.
        public var revision: Int?
        public var keys: Int?
        public var bytes: Int
        /// SHA-256 of `etcd-snapshot.db`.
        public var sha256: String
        /// The masters whose certificates and manifests are beside it.
        public var masters: [String]
        public var directory: String
    }

    package static let index = "snapshot.json"
    static let database = "etcd-snapshot.db"

    public init(_ store: RunStore = RunStore()) { root = store.root + "/snapshots" }

    /// The whole ones of a cluster, the oldest first.
    public func snapshots(of cluster: String) -> [Snapshot] {
        let folder = folder(of: cluster)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().compactMap { name in
            guard !name.hasSuffix(".part"),
                let data = FileManager.default.contents(atPath: "\(folder)/\(name)/\(Self.index)"),
                let snapshot = try? EventCoding.decode(Snapshot.self, from: data), snapshot.cluster == cluster
            else { return nil }
            return snapshot
        }
    }

    /// Makes a snapshot's folder, has it filled, and gives it its name when it is whole.
    /// - Returns: what `fill` returns, with the folder's path.
    /// - Throws: ``ClusterError`` with `localFile`; whatever `fill` throws, and then nothing of it is left.
    package func keep(of cluster: String, at now: Date, _ fill: (_ directory: String) async throws -> Snapshot)
        async throws
        -> Snapshot
    {
        let directory = "\(folder(of: cluster))/\(RunStore.stamp(now))"
        let part = directory + ".part"
        try LocalFile.makeFolder(part, next: Self.next)
        do {
            var snapshot = try await fill(part)
            snapshot.directory = directory
            try LocalFile.write(try EventCoding.encode(snapshot), to: "\(part)/\(Self.index)", next: Self.next)
            try FileManager.default.moveItem(atPath: part, toPath: directory)
            try Journal.synchronizeFolder(of: directory)
            return snapshot
        } catch {
            try? FileManager.default.removeItem(atPath: part)
            throw error
        }
    }

    /// Deletes the oldest ones beyond a number.
    /// - Returns: the folders that are gone.
    func prune(_ cluster: String, keeping count: Int) -> [String] {
        snapshots(of: cluster).dropLast(max(1, count)).compactMap { snapshot in
            (try? FileManager.default.removeItem(atPath: snapshot.directory)) == nil ? nil : snapshot.directory
        }
    }

    /// A cluster may be called anything; a folder may not.
    private func folder(of cluster: String) -> String { "\(root)/\(LocalFile.safeName(cluster))" }

    static let next = "try again: masterswap snapshot"
}
