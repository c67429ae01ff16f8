public import Cluster
public import Foundation
import Inventories

/// Makes a plan of a request and of what was seen; talks to nobody.
public enum Planner {
    /// - Parameter now: when; for the plan's date only.
    /// - Throws: ``Refused`` with every rule's objections.
    public static func plan(_ state: ClusterState, _ request: ReplacementRequest, now: Date) throws -> Plan {
        try plan(state, request, now: now, rules: SafetyRules.all)
    }

    /// - Parameter rules: all of them but in a test, which shows that each one is needed.
    package static func plan(
        _ state: ClusterState, _ request: ReplacementRequest, now: Date, rules: [any SafetyRule.Type]
    ) throws -> Plan {
        let input = try PlanningInput(state, request)
        let refusals = input.idleAcceptances + rules.flatMap { $0.refusals(input) }
        guard refusals.isEmpty else { throw Refused(refusals) }
        guard let primary = input.primary else {
            throw Refused([
                Refusal(
                    "a-primary-is-known", "no surviving master is in keepalived's state MASTER or holds the VIP",
                    advice: "look at keepalived: masterswap check")
            ])
        }
        let newNode = state.facts(input.replacement)?.hostname.lowercased() ?? input.replacement.name
        return Plan(
            cluster: state.inventory.cluster.name, distribution: state.inventory.cluster.distribution,
            vip: state.inventory.cluster.vip, madeAt: now,
            kubernetes: state.objects.node(primary.node)?.kubernetes,
            kubectlClient: state.cluster.kubectl,
            dead: dead(input),
            replacement: .init(
                host: input.replacement.name, address: input.replacement.address, node: newNode,
                addresses: RequestedNode.further(
                    state.addresses(of: input.replacement), than: [input.replacement.address])),
            survivors: input.survivors, unsound: input.unsound.isEmpty ? nil : input.unsound,
            remarks: input.remarks.isEmpty ? nil : input.remarks, primary: primary,
            promotes: input.promotes,
            member: input.deadMembers.first.map { .init(id: $0.id, name: $0.name, peerURLs: $0.peerURLs) },
            failedJoin: input.failedJoin.found, fences: input.fences ? true : nil,
            fenceCommand: input.fenceCommand,
            hasStaleClusterStatus: state.cluster.clusterStatus?.endpoints.contains(input.dead.node) ?? false,
            drainTimeout: request.drainTimeout,
            lostPods: lostPods(input),
            cordons: state.objects.nodes.filter {
                $0.name != input.dead.node && $0.name != newNode && !$0.isCordoned
            }.map(\.name).sorted(),
            rebuilds: rebuilds(input),
            ignoredClaims: input.lost.filter { $0.action == .ignore }.compactMap {
                $0.claim.map { ObjectReference(.claim, $0) }
            },
            volumes: input.lost.filter { isDeleted($0, input) }.map { ObjectReference(.volume, $0.volume) },
            keptVolumes: keptVolumes(input), warnings: warnings(input),
            acceptedLosses: request.allAcceptedLosses,
            manifestDiff: input.promotes ? manifestDiff(of: primary, state) : nil,
            onecloudVersion: state.inventory.ocboot?.onecloudVersion, ocboot: try ocboot(input, primary),
            oldCordons: oldCordons(input),
            signsOfDeath: NodeIsDead.signs(input))
    }

    /// - Throws: ``Refused`` where it cannot be run: only without the rule that says so before.
    private static func ocboot(_ input: PlanningInput, _ primary: Plan.Master) throws -> Plan.OcbootRun? {
        let state = input.state
        guard let ocboot = state.inventory.ocboot, let host = state.inventory.host(named: primary.host) else {
            return nil
        }
        let invocation: OcbootInvocation
        do throws(OcbootInvocation.Obstacle) {
            invocation = try OcbootMatches.invocation(input, ocboot, on: primary)
        } catch {
            throw Refused([Refusal(OcbootMatches.id, error.reason, advice: error.advice)])
        }
        var cloud = state.cluster.cloud
        cloud.read(k3s: state.facts(host)?.k3sNetworks ?? [])
        // It joins nobody where a single one is named. After a recovery there is only the primary to be named beside the new one; the
        // other dead master's node makes up the number that ocboot waits for.
        let others = input.survivors.filter { $0.host != primary.host }
        let companions =
            state.inventory.cluster.distribution.ocbootNamesEveryMaster ? (others.isEmpty ? [primary] : others) : []
        let source = OcbootConfiguration.Source(
            inventory: state.inventory, ocboot: ocboot, invocation: invocation, primary: host,
            primaryAddress: primary.address,
            replacement: input.replacement,
            companions: companions.compactMap { state.inventory.host(named: $0.host) },
            cloud: cloud, docker: state.facts(host)?.docker,
            primaryIsHost: state.objects.node(primary.node)?.runsHostService,
            deadWasHost: HostsSuitOcboot.hostRole(input))
        return Plan.OcbootRun(
            invocation: invocation, configuration: try OcbootConfiguration.text(source),
            hasCloud: state.cluster.onecloudVersion == nil ? nil : true,
            restoresSurvivors: input.request.restoresSurvivors ? true : nil)
    }

    /// With the labels that its volumes are found by.
    private static func dead(_ input: PlanningInput) -> Plan.DeadNode {
        var dead = input.dead
        let keys = Set(input.lost.flatMap { $0.volume.spec.nodeAffinity?.required?.keys ?? [] })
            .subtracting([Node.hostnameKey])
        if let labels = input.deadNode?.metadata.labels, !keys.isEmpty {
            dead.topology = labels.filter { keys.contains($0.key) }
        }
        return dead
    }

    /// A volume whose reclaim policy is Retain was kept on purpose: it is deleted only where its loss was agreed to.
    private static func isDeleted(_ lost: LostVolume, _ input: PlanningInput) -> Bool {
        switch lost.action {
        case .rebuild, .deleteVolume: !lost.isKeptOnPurpose || input.accepts(lost.volume)
        // Where its data is has to be known for that.
        case .keep: lost.isKeptOnPurpose && lost.isOnDeadNode && input.accepts(lost.volume)
        case .ignore, .noRule, .undecided: false
        }
    }

    private static func keptVolumes(_ input: PlanningInput) -> [Plan.KeptVolume]? {
        let kept = input.lost.compactMap { lost -> Plan.KeptVolume? in
            let reason: String
            switch lost.action {
            case .rebuild, .deleteVolume: reason = lost.policyText
            case .keep(let why): reason = why
            case .ignore, .noRule, .undecided: return nil
            }
            return isDeleted(lost, input)
                ? nil : .init(volume: ObjectReference(.volume, lost.volume), reason: reason)
        }
        return kept.isEmpty ? nil : kept
    }

    private static func warnings(_ input: PlanningInput) -> [String]? {
        let all =
            HostsAreNodes.warnings(input) + SurvivorsAreSound.warnings(input) + ReplacementFits.warnings(input)
            + ProvisionerRunsElsewhere.warnings(input) + QuorumSurvives.warnings(input)
            + input.losses.flatMap(\.warnings)
        return all.isEmpty ? nil : all
    }

    private static func oldCordons(_ input: PlanningInput) -> [String]? {
        let names = input.state.objects.nodes.filter {
            $0.name != input.dead.node && $0.metadata.annotations?[Node.cordonAnnotation] != nil
        }.map(\.name).sorted()
        return names.isEmpty ? nil : names
    }

    private static func manifestDiff(of primary: Plan.Master, _ state: ClusterState) -> [String]? {
        state.inventory.host(named: primary.host).flatMap(state.facts)?.manifest?.promotionDiff(
            path: state.inventory.cluster.distribution.keepalivedManifest)
    }

    /// Pods of the dead node that have no controller: no one makes them again. A static pod's mirror goes with its node.
    private static func lostPods(_ input: PlanningInput) -> [ObjectReference] {
        // The node that a failed join left is deleted, too.
        let nodes = [input.dead.node, input.failedJoin.found?.node?.name]
        return input.state.objects.pods.filter {
            nodes.contains($0.nodeName) && $0.controller == nil && !$0.isMirror
        }
        .map { ObjectReference(.pod, $0) }
    }

    /// In the inventory's order, but critical data first: while it heals, nothing else is touched.
    private static func rebuilds(_ input: PlanningInput) -> [Plan.Rebuild] {
        let losses = input.losses
        let rebuilds = input.state.inventory.workloads.compactMap { workload -> Plan.Rebuild? in
            guard case .rebuild(let data, let heal, _) = workload.rule else { return nil }
            let lost = input.lost.filter { $0.action == .rebuild(workload) }
            guard !lost.isEmpty, let (kind, uid) = identity(of: workload, input.state) else { return nil }
            let loss = losses.first { $0.namespace == workload.namespace && $0.target == workload.target }
            return Plan.Rebuild(
                kind: kind, namespace: workload.namespace, name: workload.target.name, uid: uid, data: data, heal: heal,
                isDataLost: data != .disposable && loss?.isCovered == false,
                claims: lost.compactMap { lost in
                    guard let claim = lost.claim else { return nil }
                    let set = input.state.statefulSet(workload.namespace, workload.target.name)
                    let ordinal = kind == .statefulSet ? set?.ordinal(ofClaim: claim.name) : nil
                    return Plan.LostClaim(
                        claim: ObjectReference(.claim, claim), volume: ObjectReference(.volume, lost.volume),
                        pod: ordinal.map { "\(workload.target.name)-\($0)" },
                        isDrive: loss?.notDrives.contains(claim.name) == true ? false : nil)
                },
                redundancy: kind == .deployment ? nil : loss.map(\.redundancy))
        }
        return rebuilds.enumerated().sorted { ($0.element.data.rank, $0.offset) < ($1.element.data.rank, $1.offset) }
            .map(\.element)
    }

    private static func identity(of workload: Inventory.Workload, _ state: ClusterState) -> (
        Plan.Rebuild.Kind, uid: String
    )? {
        switch workload.target {
        case .statefulSet(let name): state.statefulSet(workload.namespace, name).map { (.statefulSet, $0.uid) }
        case .deployment(let name): state.deployment(workload.namespace, name).map { (.deployment, $0.uid) }
        case .claim: nil
        }
    }
}

extension Inventory.Workload.DataClass {
    fileprivate var rank: Int {
        switch self {
        case .critical: 0
        case .replicated: 1
        case .disposable: 2
        }
    }
}
