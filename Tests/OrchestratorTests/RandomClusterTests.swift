import Foundation
import Testing

@testable import Orchestrator

/// The planner on random clusters, and what must hold of every plan whatever the cluster: said here in other words than the rules'.
@Suite struct RandomClusterTests {
    /// A cluster in which each thing may be wrong, most of them well: else no plan would ever be made.
    static func cluster(_ random: inout SeededGenerator) throws -> ClusterState {
        func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
        var state = try base(dead: Int.random(in: 0...2, using: &random), isDead: !chance(5))
        for (index, name) in RunbookCluster.names.enumerated() {
            if chance(3) { state.cluster.objects.nodes[index].status?.conditions?[0].status = "Unknown" }
            if chance(3) { state.hosts[name] = .failed(.init(message: "\(name): no answer", isSilent: chance(50))) }
            if chance(5) { state.cluster.members[index].isHealthy.toggle() }
            if chance(2) { state.cluster.members[index].isLearner = true }
            if chance(2) { state.cluster.members[index].name = "" }
            if chance(10) { state.cluster.objects.nodes[index].spec = .init(unschedulable: true) }
            if var facts = state.hosts[name]?.facts {
                if chance(4) { facts.addresses?.removeAll { $0.address == state.inventory.cluster.vip } }
                if chance(4) { facts.addresses?.append(.init(interface: "br0", address: state.inventory.cluster.vip)) }
                if chance(3) { facts.deniedLogins["10.127.100.224"] = "Permission denied" }
                if chance(3) { facts.hasOcboot = false }
                state.hosts[name] = .reached(facts)
            }
        }
        if chance(5) { state.cluster.members.remove(at: Int.random(in: 0...2, using: &random)) }
        if chance(3) {
            state.cluster.members.append(
                EtcdMember(
                    id: "f00", name: chance(50) ? "" : "stray",
                    peerURLs: ["https://\(RunbookCluster.addresses.randomElement(using: &random)!):2380"],
                    clientURLs: ["https://10.0.0.9:2379"], isHealthy: chance(50)))
        }
        if chance(2) {
            state.cluster.members.append(
                EtcdMember(
                    id: "f01", name: "leftover", peerURLs: ["https://10.0.0.99:2380"],
                    clientURLs: ["https://10.0.0.99:2379"], isHealthy: true))
            let leader = state.cluster.etcd.statuses?.first?.leader
            state.cluster.etcd.statuses?.append(EtcdStatus(memberID: "f01", leader: leader, raftIndex: 90_001))
        }
        if chance(2) {
            state.cluster.etcd.alarms = [
                .init(memberID: RunbookCluster.memberIDs.randomElement(using: &random)!, kind: .noSpace)
            ]
        }
        if chance(2) { state.cluster.etcd.statuses?[0].leader = nil }
        if chance(2) { state.cluster.etcd.statuses?[0].raftAppliedIndex = 1 }
        if chance(1) { state.cluster.etcd = EtcdCondition(problems: ["no answer"]) }
        if chance(2) {
            for name in ["once", "then"] {
                var node = RunbookCluster.node(name, "10.127.100.224", isReady: false)
                node.metadata.labels = ["kubernetes.io/hostname": name]
                state.cluster.objects.nodes.append(node)
            }
        }
        if chance(4) { state.cluster.apiAnswersOnVIP = false }
        if chance(4) { state.cluster.onecloudVersion = "v3.9.0" }
        if chance(2) { state.cluster.onecloudProblem = "no answer" }
        if var facts = state.hosts[RunbookCluster.spare]?.facts {
            if chance(3) { facts.clusterTraces = ["/etc/kubernetes/kubelet.conf"] }
            if chance(3) { facts.listening = [2379] }
            if chance(2) { facts.listening = nil }
            if chance(3) { facts.clockOffset = 3600 }
            if chance(3) { facts.unreachable["10.127.100.101:3306"] = "Connection refused" }
            state.hosts[RunbookCluster.spare] = .reached(facts)
        }
        for index in state.cluster.objects.volumes.indices where chance(15) {
            let node = RunbookCluster.names.randomElement(using: &random)!
            state.cluster.objects.volumes[index].spec.nodeAffinity?.required?.nodeSelectorTerms[0].matchExpressions?[0]
                .values = [node]
        }
        for index in state.cluster.objects.pods.indices where chance(4) {
            state.cluster.objects.pods[index].status?.containerStatuses?[0].ready.toggle()
        }
        if chance(5) {
            state.cluster.objects.claims.remove(
                at: Int.random(in: 0..<state.cluster.objects.claims.count, using: &random))
        }
        if chance(8) { state.inventory.workloads.remove(at: Int.random(in: 0...2, using: &random)) }
        if chance(5) {
            state.cluster.objects.deployments.append(
                Deployment(
                    metadata: RunbookCluster.meta("local-path-provisioner", "kube-system"),
                    spec: .init(replicas: chance(50) ? 0 : 1, template: .init(spec: PodSpec()))))
        }
        return state
    }

    /// Parsing the inventory a hundred thousand times would be most of the test's time.
    private static let bases: [ClusterState] = {
        let all = [(0, true), (1, true), (2, true), (0, false), (1, false), (2, false)]
        return all.compactMap { try? RunbookCluster.state(dead: $0.0, isDead: $0.1) }
    }()
    private static func base(dead: Int, isDead: Bool) throws -> ClusterState { bases[dead + (isDead ? 0 : 3)] }

    static let ruleIDs: [String] = SafetyRules.all.map { rule in rule.id }

    /// What a plan must never do.
    static func violations(_ plan: Plan, _ state: ClusterState, _ request: ReplacementRequest) -> Set<String> {
        var violations: Set<String> = []
        func require(_ holds: Bool, _ rule: String) { if !holds { violations.insert(rule) } }
        let node = state.objects.node(plan.dead.node)
        require(node?.isReady != true && state.hosts[plan.dead.host]?.failure?.isSilent == true, "node-is-dead")
        require(!state.cluster.members.contains { $0.id == plan.member?.id && $0.isHealthy }, "node-is-dead")
        for survivor in plan.survivors {
            require(
                state.hosts[survivor.host]?.facts != nil && state.objects.node(survivor.node)?.isReady == true,
                "survivors-are-sound")
        }
        let left = state.cluster.members.filter { $0.id != plan.member?.id }
        let voters = left.filter { !$0.isLearner }
        require(voters.filter(\.isHealthy).count * 2 > voters.count, "quorum-survives")
        require(
            left.allSatisfy { member in
                !member.isLearner && !member.name.isEmpty
                    && plan.survivors.filter { member.addresses == [$0.address] }.count == 1
            } && left.count == plan.survivors.count, "members-have-nodes")
        require(
            state.cluster.etcd.alarms == []
                && voters.filter(\.isHealthy).allSatisfy { member in
                    state.cluster.etcd.statuses?.contains {
                        $0.memberID == member.id && $0.leader != nil && $0.progress > 80_000
                    } == true
                }, "etcd-is-well")
        require(
            state.objects.nodes.filter { $0.internalAddresses == [plan.replacement.address] }.count < 2,
            "hosts-are-nodes")
        let holders = state.hosts.filter { $0.value.facts?.addresses?.contains { $0.address == plan.vip } == true }.map(
            \.key)
        require(
            holders.count == 1 && plan.survivors.contains { $0.host == holders[0] } && state.cluster.apiAnswersOnVIP,
            "one-vip-holder")
        let spare = state.hosts[plan.replacement.host]?.facts
        require(spare?.listening != nil, "replacement-is-bare")
        require(
            spare?.clusterTraces?.isEmpty == true && spare?.listening?.contains(2379) == false, "replacement-is-bare")
        require(
            spare.map { abs($0.clockOffset ?? .infinity) < 60 && $0.unreachable.isEmpty } == true, "replacement-fits")
        require(state.hosts[plan.primary.host]?.facts?.deniedLogins.isEmpty == true, "replacement-fits")
        require(
            state.hosts[plan.primary.host]?.facts?.hasOcboot == true
                && state.cluster.onecloudVersion ?? "v3.8.8" == "v3.8.8" && state.cluster.onecloudProblem == nil,
            "ocboot-matches")
        let planned = Set(
            plan.rebuilds.flatMap { $0.claims.map(\.claim.reference) } + plan.ignoredClaims.map(\.reference))
        for volume in state.objects.volumes where volume.nodes == [plan.dead.node] {
            guard let claim = state.claim(of: volume) else { continue }
            require(planned.contains(claim.reference), "claims-have-rules")
        }
        for rebuild in plan.rebuilds where rebuild.data != .disposable {
            let ready = state.objects.pods.filter { pod in
                pod.namespace == rebuild.namespace && pod.controller?.name == rebuild.name && pod.isReady
                    && !rebuild.claims.contains { pod.spec.claimNames.contains($0.claim.name) }
                    && pod.nodeName != plan.dead.node
            }
            // Of MinIO's four drives two may be lost, and the other replicas are what those are healed from.
            let held = state.objects.volumes.filter { volume in
                volume.nodes == [plan.dead.node]
                    && state.claim(of: volume).map {
                        $0.namespace == rebuild.namespace && $0.name.contains(rebuild.name + "-")
                    } == true
            }
            require(held.count <= 2, "critical-data-survives")
            require(ready.count == 4 - held.count, "other-replicas-healthy")
            require(!rebuild.isDataLost, "loses data that nobody gave up")
        }
        if !plan.rebuilds.isEmpty {
            require(
                state.objects.deployments.allSatisfy { $0.name != "local-path-provisioner" || $0.replicas > 0 },
                "provisioner-runs")
        }
        for lost in plan.rebuilds.flatMap(\.claims) {
            require(state.objects.volume(lost.volume.name)?.nodes == [plan.dead.node], "touches another node's data")
            require(state.objects.volume(lost.volume.name)?.uid == lost.volume.uid, "touches another object")
        }
        for volume in plan.volumes {
            require(state.objects.volume(volume.name)?.nodes == [plan.dead.node], "touches another node's data")
        }
        require(
            plan.member.map { member in
                state.cluster.members.first { $0.id == member.id }?.addresses == [plan.dead.address]
            } ?? true, "removes another member")
        require(
            !plan.cordons.contains { state.objects.node($0)?.isCordoned == true }, "uncordons what it did not cordon")
        return violations
    }

    static func run(_ count: Int, seed: UInt64, rules: [any SafetyRule.Type]) throws -> (
        plans: Int, violations: Set<String>
    ) {
        var random = SeededGenerator(seed: seed)
        var plans = 0
        var violations: Set<String> = []
        for _ in 0..<count {
            let dead = Int.random(in: 0...2, using: &random)
            let state = try cluster(&random)
            let request = ReplacementRequest(dead: RunbookCluster.names[dead], replacement: RunbookCluster.spare)
            do {
                let plan = try Planner.plan(state, request, now: Date(timeIntervalSince1970: 0), rules: rules)
                plans += 1
                violations.formUnion(Self.violations(plan, state, request))
            } catch is Refused {}
        }
        return (plans, violations)
    }

    @Test(arguments: 1...4) func noPlanBreaksWhatMustHold(seed: Int) async throws {
        let (plans, violations) = try Self.run(25_000, seed: UInt64(seed), rules: SafetyRules.all)
        #expect(violations.isEmpty)
        #expect(plans > 500, "so few plans prove nothing: \(plans)")
    }

    /// Without a rule, a plan is made that the rule exists to prevent.
    @Test(arguments: ruleIDs) func everyRuleIsNeeded(id: String) throws {
        let (_, violations) = try Self.run(6_000, seed: 11, rules: SafetyRules.all.filter { $0.id != id })
        #expect(violations == [id] || violations.contains(id), "\(violations)")
    }
}
