import Foundation

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// ocboots as they stand on masters, and the runbook's cluster with one of them on its primary.
enum OcbootCases {
    /// run.py as it is from 3.10 on.
    static func stacks(_ release: String, ansible: String = "2.15.13") -> OcbootFacts {
        OcbootFacts(
            release: release, commandLine: .stack(["full", "cmp", "virt", "light-virt"]), takesTags: true,
            ansible: ansible)
    }

    static let k3s: OcbootFacts = {
        var facts = stacks("v3.11.9")
        facts.hasK3s = true
        facts.takesK8sV115 = true
        return facts
    }()

    /// - Parameter release: what runs, and what the inventory says.
    static func state(_ ocboot: OcbootFacts?, running release: String = "v3.8.8", product: String? = nil) throws
        -> ClusterState
    {
        var state = try RunbookCluster.state()
        state.inventory.ocboot?.onecloudVersion = release
        state.cluster.onecloudVersion = release
        state.cluster.cloud.product = product
        state.change(RunbookCluster.names[1]) { $0.ocboot = ocboot }
        return state
    }

    static func run(_ state: ClusterState) throws -> Plan.OcbootRun {
        guard let run = try FieldCluster.plan(state).ocboot else { throw Missing() }
        return run
    }

    struct Missing: Error {}
}

extension ClusterState {
    /// A k3s cluster with its ocboot on the masters, and its suffixes in etcd.
    mutating func becomeK3s() {
        inventory.cluster.distribution = .k3s
        inventory.ocboot?.onecloudVersion = "v3.11.9"
        cluster.onecloudVersion = "v3.11.9"
        cluster.cloud.product = "Edge"
        for index in cluster.members.indices { cluster.members[index].name += "-0a1b2c3d" }
        for host in inventory.masters { change(host.name) { $0.ocboot = OcbootCases.k3s } }
    }
}
