import Cluster
public import Execution
public import Foundation
import Inventories

/// A snapshot of etcd that is known to be somewhere.
public struct KnownSnapshot: Sendable, Codable, Hashable {
    /// The master that has it, by its inventory name; missing where it is on this machine.
    public var host: String?
    public var path: String
    /// By this machine's clock.
    public var at: Date

    public init(host: String? = nil, path: String, at: Date) {
        self.host = host
        self.path = path
        self.at = at
    }

    /// What this machine has of a cluster.
    public struct Here: Sendable, Hashable {
        public var newest: KnownSnapshot?

        public init(of cluster: String, in store: SnapshotStore = SnapshotStore()) {
            newest = store.snapshots(of: cluster).last.map { KnownSnapshot(path: $0.directory, at: $0.at) }
        }
    }

    /// For how long none may have been taken before that is told, in seconds.
    private static let limit: TimeInterval = 86400

    /// Nothing stops working without one, so that it is no failure.
    /// - Parameter known: of all places, the newest first.
    static func findings(_ known: [KnownSnapshot], at now: Date) -> [CheckReport.Finding] {
        if let newest = known.first, now.timeIntervalSince(newest.at) <= limit { return [] }
        return [
            .init(
                code: .snapshotOld, severity: .warning, subject: "cluster",
                text: known.first.map { "the newest snapshot of etcd that is known is \($0.text(at: now))" }
                    ?? "no snapshot of etcd is known, neither here nor in the usual places on the masters",
                advice: "take one: masterswap snapshot; it is best taken twice a day")
        ]
    }

    /// `5 h old, here`, `2 days old, on a: /var/backups/etcd.db`.
    public func text(at now: Date) -> String {
        // A clock that is a little ahead must not give a negative age.
        let age = NotReadyAge.words(max(0, now.timeIntervalSince(at)))
        return "\(age) old, " + (host.map { "on \($0): \(path)" } ?? "here")
    }
}

extension ClusterState {
    /// The newest one of each place, the newest first. How old a file is that is dated in the future is not known: it does not count.
    /// - Parameter here: the newest on this machine.
    func snapshots(here: KnownSnapshot?, at now: Date) -> [KnownSnapshot] {
        // Clocks are a little apart.
        let latest = now.addingTimeInterval(60)
        let there = inventory.hosts.compactMap { host in
            let snapshots = (facts(host)?.snapshots ?? []).filter { $0.at <= latest }
            return snapshots.max { $0.at < $1.at }.map { KnownSnapshot(host: host.name, path: $0.path, at: $0.at) }
        }
        return ([here].compactMap(\.self).filter { $0.at <= latest } + there).sorted { $0.at > $1.at }
    }
}
