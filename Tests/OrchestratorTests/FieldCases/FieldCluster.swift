import Foundation

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// The runbook's cluster, changed as clusters in the field are.
enum FieldCluster {
    /// Further masters beside the runbook's three: sound, each with a node, a member and a manifest.
    static func state(masters count: Int = 5, dead: Int = 0) throws -> ClusterState {
        var state = try RunbookCluster.state(dead: dead)
        for number in 4..<(count + 1) {
            let (name, address) = master(number)
            state.inventory.hosts.insert(
                .init(
                    name: name, address: address, role: .master, ssh: state.inventory.hosts[0].ssh),
                at: state.inventory.hosts.count - 1)
            var facts = HostFacts(hostname: name, kubeletRuns: true, runtimes: ["containerd"])
            facts.addresses = [.init(interface: "eth0", address: address)]
            facts.keepalived = .manifest(
                try KeepalivedManifest(
                    RunbookCluster.manifest(1).replacing(RunbookCluster.addresses[1], with: address)))
            facts.ocboot = RunbookCluster.ocboot
            state.hosts[name] = .reached(facts)
            state.cluster.objects.nodes.append(RunbookCluster.node(name, address, isReady: true, age: number))
            state.cluster.members.append(
                EtcdMember(
                    id: "\(number)aaa", name: name, peerURLs: ["https://\(address):2380"],
                    clientURLs: ["https://\(address):2379"], isHealthy: true))
        }
        state.cluster.etcd = RunbookCluster.condition(state.cluster.members)
        state.seeEachOther(dead: dead)
        return state
    }

    static func master(_ number: Int) -> (name: String, address: String) {
        ("lzx-ocboot-ha-test-m\(number)", "10.127.100.\(number)")
    }

    static func refusals(
        _ state: ClusterState, _ request: ReplacementRequest = RunbookCluster.request
    ) -> [Refusal] {
        do {
            _ = try Planner.plan(state, request, now: Date(timeIntervalSince1970: 0))
            return []
        } catch let refused as Refused {
            return refused.refusals
        } catch {
            return [Refusal("unexpected", "\(error)", advice: "")]
        }
    }

    static func plan(_ state: ClusterState, _ request: ReplacementRequest = RunbookCluster.request) throws -> Plan {
        try Planner.plan(state, request, now: Date(timeIntervalSince1970: 0))
    }
}

extension ClusterState {
    /// Changes what a reached host says.
    mutating func change(_ host: String, _ change: (inout HostFacts) -> Void) {
        guard var facts = hosts[host]?.facts else { return }
        change(&facts)
        hosts[host] = .reached(facts)
    }

    /// Names the hosts as an operator may: the inventory, and what was seen of each, under other names than the nodes'.
    mutating func renameHosts(_ name: (Int) -> String) {
        let seen = hosts
        hosts = [:]
        var names: [String: String] = [:]
        for index in inventory.hosts.indices {
            names[inventory.hosts[index].name] = name(index)
            hosts[name(index)] = seen[inventory.hosts[index].name]
            inventory.hosts[index].name = name(index)
        }
        cluster.source = cluster.source.map { names[$0] ?? $0 }
    }

    /// Every host that was reached sees the dead one silent and the others alive.
    mutating func seeEachOther(dead: Int) {
        for (index, peer) in inventory.hosts.enumerated() {
            see(peer.name, as: index == dead ? RunbookCluster.silentView : RunbookCluster.livingView)
        }
    }

    /// Every other host sees one like that, at each of its addresses.
    mutating func see(_ peer: String, as view: PeerView) {
        let addresses = watchedAddresses(of: peer)
        for host in inventory.hosts.map(\.name) where host != peer {
            change(host) { facts in
                for address in addresses { facts.peers[address] = view }
            }
        }
    }

    /// As after steps 2 and 3 of the runbook, done by hand; the ClusterStatus stays, as it does there.
    mutating func removeByHand(_ index: Int) {
        cluster.objects.nodes.remove(at: index)
        cluster.members.remove(at: index)
        cluster.etcd = RunbookCluster.condition(cluster.members)
    }

    static func clusterStatus(_ entries: [(node: String, address: String)]) -> ClusterStatus? {
        let text =
            "apiEndpoints:\n"
            + entries.map { "  \($0.node):\n    advertiseAddress: \($0.address)\n    bindPort: 6443\n" }.joined()
        return ClusterStatus(
            ConfigMap(
                metadata: RunbookCluster.meta("kubeadm-config", "kube-system"), data: ["ClusterStatus": text]))
    }
}
