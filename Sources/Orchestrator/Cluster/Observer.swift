public import Inventories
import SSH

/// Looks at every host and at the cluster, all at once, and decides nothing.
public struct Observer: Sendable {
    package let inventory: Inventory
    package let remotes: Remotes
    private let isOrdered: Bool
    private let each: @Sendable (Inventory.Host) -> Void

    /// - Parameters:
    ///   - isOrdered: the cluster is read by way of the first master in the inventory's order, in place of the first that answers:
    ///     which one is asked must be the same in a recording and in its replay.
    ///   - each: called as each host has been looked at, in the order in which they are.
    public init(
        _ inventory: Inventory, _ remotes: Remotes, isOrdered: Bool = false,
        each: @escaping @Sendable (Inventory.Host) -> Void = { _ in }
    ) {
        self.inventory = inventory
        self.remotes = remotes
        self.isOrdered = isOrdered
        self.each = each
    }

    /// The cluster is read by way of the first master that answers and has a working API server; a dead host delays nothing but
    /// its own line.
    public func observe() async -> ClusterState {
        var hosts: [String: ClusterState.HostObservation] = [:]
        var cluster: ClusterObservation?
        var problems: [String] = []
        await withTaskGroup(of: Seen.self) { group in
            for host in inventory.hosts {
                group.addTask { .host(host, await look(at: host)) }
            }
            // Masters that answered and were not asked yet; one is asked at a time.
            var candidates: [Inventory.Host] = []
            var isAsking = false
            for await seen in group {
                switch seen {
                case .host(let host, let observation):
                    hosts[host.name] = observation
                    each(host)
                    // A master that was reinstalled answers, and has nothing to be asked.
                    if let facts = observation.facts,
                        facts.kubeletRuns == true || (host.role == .master && !facts.isBare)
                    {
                        candidates.append(host)
                    }
                case .cluster(.success(let observation)):
                    cluster = observation
                case .cluster(.failure(let failure)):
                    problems.append(failure.message)
                    isAsking = false
                }
                if isOrdered {
                    guard hosts.count == inventory.hosts.count else { continue }
                    candidates = inventory.hosts.filter(candidates.contains)
                }
                if cluster == nil, !isAsking, !candidates.isEmpty {
                    isAsking = true
                    let host = candidates.removeFirst()
                    let apiAddress = hosts[host.name]?.facts?.apiAddress
                    group.addTask { .cluster(await read(by: host, at: apiAddress)) }
                }
            }
        }
        var observation = cluster ?? ClusterObservation()
        observation.problems = problems + observation.problems
        if !inventory.cluster.distribution.hasEtcdctl {
            observation.take(inventory.hosts.compactMap { hosts[$0.name]?.facts?.etcd })
        }
        var state = ClusterState(inventory: inventory, hosts: hosts, cluster: observation)
        // Which hosts have which drives, and which further addresses their nodes have, and where its images come from, is known only now.
        let seen = state
        async let drives = DriveProbe(seen).run(remotes)
        async let views = PeerProbe(seen).run(remotes)
        async let sources = SourceProbe(seen).run(remotes)
        state.drives = await drives
        state.sources = await sources
        for (viewer, views) in await views {
            guard case .reached(var facts)? = state.hosts[viewer] else { continue }
            facts.peers.merge(views) { $1 }
            state.hosts[viewer] = .reached(facts)
        }
        return state
    }

    private enum Seen: Sendable {
        case host(Inventory.Host, ClusterState.HostObservation)
        case cluster(Result<ClusterObservation, Failure>)
    }

    private struct Failure: Error {
        var message: String
    }

    private func look(at host: Inventory.Host) async -> ClusterState.HostObservation {
        do {
            return .reached(try await HostProbe(inventory, for: host).run(on: try remotes[host]))
        } catch {
            return .failed(ClusterState.HostFailure(error, of: host.name))
        }
    }

    private func read(by host: Inventory.Host, at apiAddress: String?) async -> Result<ClusterObservation, Failure> {
        do {
            return .success(
                try await ClusterProbe(inventory, apiAddress: apiAddress).run(on: try remotes[host], host: host))
        } catch {
            return .failure(Failure(message: "\(error)"))
        }
    }
}
