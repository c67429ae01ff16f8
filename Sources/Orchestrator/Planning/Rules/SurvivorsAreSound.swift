import Cluster
package import Foundation
import Inventories

/// What is left carries the cluster through the replacement: it must be reachable, Ready and not broken itself. Of five masters and
/// more, one that is not whole is left aside where etcd's quorum can do without it (``MasterFault``).
public enum SurvivorsAreSound: SafetyRule {
    public static let id = "survivors-are-sound"
    public static let prevents = "a replacement on top of a second fault"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        guard !input.survivors.isEmpty else {
            return [
                refusal(
                    "no other master is left",
                    advice: "restore the cluster from an etcd snapshot; this tool cannot help")
            ]
        }
        return input.faults.map(\.refusal) + controllers(input)
    }

    /// Without kube-controller-manager nobody signs the new kubelet's certificate, and without kube-scheduler no pod is placed.
    private static func controllers(_ input: PlanningInput) -> [Refusal] {
        let nodes = Set(input.survivors.map(\.node))
        return ["kube-controller-manager", "kube-scheduler"].compactMap { name in
            let pods = input.state.objects.pods.filter { pod in
                pod.namespace == "kube-system" && pod.isMirror && pod.nodeName.map(nodes.contains) == true
                    && pod.nodeName.map { pod.name == "\(name)-\($0)" } == true
            }
            guard !pods.isEmpty, !pods.contains(where: \.isReady) else { return nil }
            return refusal(
                "\(name) is Ready on none of the masters that are left: the new master's join would wait for ever",
                advice: "see why: kubectl -n kube-system logs \(pods[0].name)")
        }
    }

    /// Beside the health of its etcd member, which the quorum is counted by.
    static func faults(
        _ state: ClusterState, _ node: Node, _ host: Inventory.Host?, _ master: Plan.Master, _ member: EtcdMember?
    ) -> [MasterFault] {
        var faults: [MasterFault] = []
        if !node.isReady {
            faults.append(
                MasterFault(
                    refusal: refusal(
                        "\(node.name) is not Ready",
                        advice: "bring it back first: kubectl describe node \(node.name)"), isSpared: true))
        }
        for (condition, meaning) in conditions where node.isTrue(condition) {
            faults.append(
                MasterFault(
                    refusal: refusal(
                        "\(node.name) has the condition \(condition): \(meaning)",
                        advice: "see what it lacks: kubectl describe node \(node.name)"), isSpared: true))
        }
        switch host.flatMap({ state.hosts[$0.name] }) {
        case .reached(let facts):
            faults += self.faults(
                facts, of: master.host, at: state.cluster.clock, state.inventory.cluster.distribution)
            if let left = facts.recovery {
                faults.append(
                    MasterFault(
                        refusal: refusal("\(master.host): \(left.reason)", advice: left.advice(on: master.host))))
            }
            // It would fight for the VIP with whoever is made MASTER in the dead one's stead.
            let isPrimary = facts.manifest?.state == .master && (!faults.isEmpty || member?.isHealthy != true)
            if isPrimary {
                let why = faults.first?.refusal.reason ?? "its etcd member is not healthy"
                faults.append(
                    MasterFault(
                        refusal: refusal(
                            "\(master.host) is keepalived's MASTER, and not whole itself: \(why)",
                            advice: "bring it back first: masterswap check")))
            }
        case .failed(let failure):
            // One that is down altogether holds no VIP; one that only this machine cannot see may.
            let isDown = failure.mayBeDead && !node.isReady && member?.isHealthy != true
            faults.append(
                MasterFault(
                    refusal: refusal(
                        failure.message,
                        advice: "every surviving master must be seen; bring it back, or correct its inventory entry",
                        isUnreachable: failure.isUnreachableOrUntrusted), isSpared: isDown))
        case nil:
            faults.append(
                MasterFault(
                    refusal: refusal(
                        "the master \(master.node) (\(master.address)) is in no inventory entry",
                        advice:
                            "add it to the inventory's hosts with 'role: master'; if it is one of them under another address, write under that one: 'node: \(master.node)'"
                    )))
        }
        return faults
    }

    /// The same of a master whose cluster says nothing.
    static func objections(
        _ facts: HostFacts, of host: String, at now: Date?, _ distribution: Inventory.Distribution
    ) -> [Refusal] {
        faults(facts, of: host, at: now, distribution).map(\.refusal)
    }

    /// What makes a master fail soon that is Ready still.
    /// - Parameter now: by a master's clock; `nil` where that is not known.
    private static func faults(
        _ facts: HostFacts, of host: String, at now: Date?, _ distribution: Inventory.Distribution
    ) -> [MasterFault] {
        var faults: [MasterFault] = []
        func add(_ reason: String, _ advice: String) {
            faults.append(MasterFault(refusal: refusal("\(host): \(reason)", advice: advice), isSpared: true))
        }
        let unread = [
            ("which processes run", facts.kubeletRuns == nil || facts.runtimes == nil),
            ("the free space", facts.disks == nil),
            ("the end of its certificates", facts.certificates == nil),
        ].filter(\.1).map(\.0)
        if !unread.isEmpty {
            add("could not be read: \(unread.joined(separator: ", "))", "see there that pidof, df and openssl work")
        }
        if facts.kubeletRuns == false {
            add("the kubelet does not run", "look at it there: journalctl -u \(distribution.kubeletUnit)")
        }
        if facts.runtimes?.isEmpty == true {
            add("no container runtime runs", "look at docker or containerd there")
        }
        for disk in facts.disks ?? [] where disk.availableKiB < leastFreeKiB {
            add(
                "\(disk.mount) has \(disk.availableKiB / 1024) MiB left",
                "make room: etcd stops where it cannot write, and the kubelet evicts pods")
        }
        if let now, let expired = facts.certificates?.first(where: { $0.notAfter < now }) {
            add(
                "\(expired.path) has expired",
                "renew it there: \(distribution.certificateRenewal)")
        }
        return faults
    }

    /// What a Ready node can have besides (core/v1 NodeConditionType).
    private static let conditions = [
        ("DiskPressure", "its kubelet evicts pods"), ("MemoryPressure", "its kubelet evicts pods"),
        ("PIDPressure", "its kubelet evicts pods"), ("NetworkUnavailable", "pods do not reach it"),
    ]

    /// A gibibyte.
    private static let leastFreeKiB = 1 << 20

    package static func warnings(_ input: PlanningInput) -> [String] { clockWarning(input) + releaseWarning(input) }

    /// A cluster in the middle of an upgrade.
    private static func releaseWarning(_ input: PlanningInput) -> [String] {
        let state = input.state
        var releases = input.survivors.compactMap { master in
            state.objects.node(master.node)?.kubernetes.map {
                ("kubelet of \(master.node)", $0)
            }
        }
        if let text = state.cluster.cloud.kubernetesVersion, let version = KubernetesVersion(text) {
            releases.append(("kubeadm's configuration", version))
        }
        guard Set(releases.map(\.1)).count > 1 else { return [] }
        let text = releases.map { "\($0.0): \($0.1)" }.joined(separator: ", ")
        return [
            "Kubernetes is of several releases (\(text)): the cluster may be in the middle of an upgrade, and ocboot installs one of them"
        ]
    }

    /// Seconds. etcd warns from one on; what is measured here is good to about a round trip.
    package static let clockLimit: TimeInterval = 2

    /// etcd's leases and the age of tokens and certificates go by the masters' clocks.
    private static func clockWarning(_ input: PlanningInput) -> [String] {
        let offsets = (input.survivors.map(\.host) + [input.replacement.name]).compactMap { host in
            input.state.hosts[host]?.facts?.clockOffset.map { (host: host, offset: $0) }
        }
        guard let first = offsets.min(by: { $0.offset < $1.offset }),
            let last = offsets.max(by: { $0.offset < $1.offset }),
            last.offset - first.offset > clockLimit
        else { return [] }
        let apart = String(format: "%.1f", last.offset - first.offset)
        return [
            "the clock of \(last.host) is \(apart) s before that of \(first.host): see which is right: chronyc tracking"
        ]
    }
}
