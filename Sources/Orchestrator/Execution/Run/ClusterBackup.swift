public import Cluster
public import Foundation
import Inventories
import Planning
import SSH

/// What a restore of etcd needs, brought to this machine: a verified snapshot, kubeadm-config, and of every master that answers its
/// certificates, the cluster's authority with its key among them, its manifests and its configuration.
public struct ClusterBackup: Sendable {
    private let state: ClusterState
    private let remotes: Remotes
    private let store: SnapshotStore

    public init(_ state: ClusterState, _ remotes: Remotes, store: SnapshotStore = SnapshotStore()) {
        self.state = state
        self.remotes = remotes
        self.store = store
    }

    private struct Source {
        var host: Inventory.Host
        var node: Node
    }

    /// - Parameter keep: how many snapshots of the cluster stay, this one among them.
    /// - Returns: the new one, and the folders of those that were deleted for it.
    /// - Throws: ``Refused`` where no master could give one; `SSHError`; ``ClusterError``.
    public func run(keep: Int, at now: Date = Date()) async throws -> (
        snapshot: SnapshotStore.Snapshot, deleted: [String]
    ) {
        let sources = state.liveMasters.compactMap { host in
            state.node(of: host).map { Source(host: host, node: $0) }
        }
        guard let source = sources.first(where: { isSound($0) }) else {
            throw Refused(
                state.cluster.source == nil
                    ? state.refusalsWithoutAnswer
                    : [
                        Refusal(
                            "etcd-is-well", "no master that answers has a healthy etcd member to take a snapshot of",
                            advice: "see which masters and members are well: masterswap check")
                    ])
        }
        let cluster = state.inventory.cluster
        let snapshot = try await store.keep(of: cluster.name, at: now) { directory in
            let kubectl = try kubectl(of: [source] + sources.filter { $0.host.name != source.host.name })
            if cluster.distribution.hasKubeadmConfig {
                let config = try await kubectl.run(KubeadmConfig.arguments)
                try LocalFile.write(config, to: "\(directory)/kubeadm-config.json", next: SnapshotStore.next)
            }
            for master in sources {
                let files = try await files(of: master.host)
                try LocalFile.write(
                    files, to: "\(directory)/\(LocalFile.safeName(master.host.name)).tar", next: SnapshotStore.next)
            }
            let database = "\(directory)/\(SnapshotStore.database)"
            let content = try await EtcdSnapshot(
                remote: try remotes[source.host],
                etcdctl: Etcdctl(kubectl, node: source.node.name, distribution: cluster.distribution),
                distribution: cluster.distribution, next: SnapshotStore.next
            ).fetch("snapshot-\(RunStore.stamp(now))", to: database)
            let size = try FileManager.default.attributesOfItem(atPath: database)[.size] as? Int
            return SnapshotStore.Snapshot(
                cluster: cluster.name, at: now, host: source.host.name, revision: content.status?.revision,
                keys: content.status?.totalKey, bytes: size ?? 0, sha256: content.hash,
                masters: sources.map(\.host.name), directory: directory)
        }
        return (snapshot, store.prune(cluster.name, keeping: keep))
    }

    /// It answers, and its own member is healthy.
    private func isSound(_ source: Source) -> Bool {
        let addresses = Set(source.node.internalAddresses).union(state.addresses(of: source.host))
        return state.cluster.members.contains {
            $0.isHealthy && !$0.isLearner && !addresses.isDisjoint(with: $0.addresses)
        }
    }

    private func kubectl(of sources: [Source]) throws -> Kubectl {
        let cluster = state.inventory.cluster
        let targets = try sources.map { source in
            let address = state.apiAddresses[source.host.name] ?? source.host.address
            return Kubectl.Target(
                remote: try remotes[source.host], apiServer: "\(IPAddress.inURL(address)):\(cluster.apiPort)")
        }
        return Kubectl(
            targets, distribution: cluster.distribution,
            kubernetes: sources[0].node.kubernetes, retryTimeout: .seconds(30)
        ) { _ in }
    }

    static func readFiles(_ distribution: Inventory.Distribution) -> Command {
        .script(
            #"cd / || exit 1; n=$#; for f; do [ ! -e "/$f" ] || set -- "$@" "$f"; done; shift "$n"; [ $# -gt 0 ] && exec tar -cf - "$@""#,
            distribution.restorePaths, timeout: .seconds(60), label: "read certificates, manifests and configuration")
    }

    private func files(of host: Inventory.Host) async throws -> Data {
        let result = try await remotes[host].run(Self.readFiles(state.inventory.cluster.distribution))
        guard result.succeeded, !result.standardOutput.isEmpty else {
            throw ClusterError(
                .commandFailed, host: host.name, operation: "read certificates, manifests and configuration",
                cause: "\(result.outcome): \(result.errorText.lastLines(2))",
                advice: "nothing was changed in the cluster; \(SnapshotStore.next)")
        }
        return result.standardOutput
    }
}
