import Cluster
import Inventories
import Planning

/// etcd's members, whose they are, and what etcd says of itself.
enum EtcdChecks {
    static func findings(_ state: ClusterState, _ identity: Identity) -> [CheckReport.Finding] {
        let cluster = state.cluster
        let distribution = state.inventory.cluster.distribution
        var findings: [CheckReport.Finding] = []
        func add(
            _ code: CheckReport.Code, _ text: String, _ advice: String, _ subject: String = "etcd",
            _ severity: CheckReport.Severity = .failure
        ) {
            findings.append(.init(code: code, severity: severity, subject: subject, text: text, advice: advice))
        }
        let masters = state.objects.nodes.filter(\.isControlPlane)
        let memberships = Memberships(state, identity, dead: nil, nodes: masters)
        for stray in memberships.strays {
            add(
                .memberWithoutNode, stray.reason,
                "find out whose it is: \(distribution.etcdctlByHand) member list; replacing a dead master takes its member out"
            )
        }
        for member in cluster.members {
            let place = member.addresses.joined(separator: ", ")
            if member.isLearner {
                add(
                    .memberLearner, "member \(member.id) at \(place) is a learner, which does not vote",
                    "a join is at work, or was left half done")
            } else if !member.isStarted {
                add(.memberNotStarted, "member \(member.id) at \(place) has never started", "a join was left half done")
            } else if !member.isHealthy {
                add(.memberUnhealthy, "member \(member.name) is not healthy", "look at \(distribution.etcdLog)")
            }
        }
        if !cluster.members.isEmpty {
            for node in masters where memberships.members(of: node).isEmpty {
                add(
                    .masterWithoutMember, "the master has no etcd member",
                    "look at \(distribution.etcdLog), and at: \(distribution.etcdctlByHand) member list", node.name)
            }
        }
        let counted = cluster.members.filter { $0.isHealthy && $0.isStarted && !$0.isLearner }
        for fault in EtcdIsWell.faults(cluster, counted: counted, distribution) {
            let code: CheckReport.Code =
                switch fault.kind {
                case .unread: .etcdUnread
                case .alarm: .etcdAlarm
                case .leader: .etcdLeader
                case .behind: .memberBehind
                case .data: .etcdDataDiffers
                }
            add(code, fault.refusal.reason, fault.refusal.advice)
        }
        return findings
    }
}
