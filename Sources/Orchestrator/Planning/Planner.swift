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
        let proposal = try Proposal(state, request)
        let refusals = proposal.idleAcceptances + rules.flatMap { $0.refusals(proposal) }
        guard refusals.isEmpty else { throw Refused(refusals) }
        guard let primary = proposal.primary else {
            throw Refused([
                Refusal(
                    "a-primary-is-known", "no surviving master is in keepalived's state MASTER or holds the VIP",
                    advice: "look at keepalived: masterswap check")
            ])
        }
        let newNode = state.facts(proposal.replacement)?.hostname.lowercased() ?? proposal.replacement.name
        return Plan(
            cluster: state.inventory.cluster.name, distribution: state.inventory.cluster.distribution,
            vip: state.inventory.cluster.vip, madeAt: now,
            kubernetes: state.objects.node(primary.node)?.kubeletVersion.flatMap { KubernetesVersion($0) },
            kubectlClient: state.cluster.kubectl,
            dead: dead(proposal),
            replacement: .init(
                host: proposal.replacement.name, address: proposal.replacement.address, node: newNode,
                addresses: RequestedNode.further(
                    state.addresses(of: proposal.replacement), than: [proposal.replacement.address])),
            survivors: proposal.survivors, unsound: proposal.unsound.isEmpty ? nil : proposal.unsound,
            remarks: proposal.remarks.isEmpty ? nil : proposal.remarks, primary: primary,
            promotes: proposal.promotes,
            member: proposal.deadMembers.first.map { .init(id: $0.id, name: $0.name, peerURLs: $0.peerURLs) },
            failedJoin: proposal.failedJoin.found, fences: proposal.fences ? true : nil,
            hasStaleClusterStatus: state.cluster.clusterStatus?.endpoints.contains(proposal.dead.node) ?? false,
            drainTimeout: request.drainTimeout,
            lostPods: lostPods(proposal),
            cordons: state.objects.nodes.filter {
                $0.name != proposal.dead.node && $0.name != newNode && !$0.isCordoned
            }.map(\.name).sorted(),
            rebuilds: rebuilds(proposal),
            ignoredClaims: proposal.lost.filter { $0.action == .ignore }.compactMap {
                $0.claim.map { ObjectReference(.claim, $0) }
            },
            volumes: proposal.lost.filter { isDeleted($0, proposal) }.map { ObjectReference(.volume, $0.volume) },
            keptVolumes: keptVolumes(proposal), warnings: warnings(proposal),
            acceptedLosses: request.acceptedLosses,
            manifestDiff: proposal.promotes ? manifestDiff(of: primary, state) : nil,
            onecloudVersion: state.inventory.ocboot?.onecloudVersion, ocboot: try ocboot(proposal, primary),
            oldCordons: oldCordons(proposal),
            signsOfDeath: NodeIsDead.signs(proposal))
    }

    /// - Throws: ``Refused`` where it cannot be run: only without the rule that says so before.
    private static func ocboot(_ proposal: Proposal, _ primary: Plan.Master) throws -> Plan.OcbootRun? {
        let state = proposal.state
        guard let ocboot = state.inventory.ocboot, let host = state.inventory.host(named: primary.host) else {
            return nil
        }
        let invocation: OcbootInvocation
        do throws(OcbootInvocation.Obstacle) {
            invocation = try OcbootMatches.invocation(proposal, ocboot, on: primary)
        } catch {
            throw Refused([Refusal(OcbootMatches.id, error.reason, advice: error.advice)])
        }
        var cloud = state.cluster.cloud
        cloud.read(k3s: state.facts(host)?.k3sNetworks ?? [])
        let companions =
            state.inventory.cluster.distribution.ocbootNamesEveryMaster
            ? proposal.survivors.filter { $0.host != primary.host } : []
        let source = OcbootConfiguration.Source(
            inventory: state.inventory, ocboot: ocboot, invocation: invocation, primary: host,
            primaryAddress: primary.address,
            replacement: proposal.replacement,
            companions: companions.compactMap { state.inventory.host(named: $0.host) },
            cloud: cloud, docker: state.facts(host)?.docker,
            primaryIsHost: state.objects.node(primary.node)?.runsHostService,
            deadWasHost: HostsSuitOcboot.hostRole(proposal))
        return Plan.OcbootRun(
            invocation: invocation, configuration: try OcbootConfiguration.text(source),
            hasCloud: state.cluster.onecloudVersion == nil ? nil : true,
            restoresSurvivors: proposal.request.restoresSurvivors ? true : nil)
    }

    /// With the labels that its volumes are found by.
    private static func dead(_ proposal: Proposal) -> Plan.DeadNode {
        var dead = proposal.dead
        let keys = Set(proposal.lost.flatMap { $0.volume.spec.nodeAffinity?.required?.keys ?? [] })
            .subtracting([Node.hostnameKey])
        if let labels = proposal.deadNode?.metadata.labels, !keys.isEmpty {
            dead.topology = labels.filter { keys.contains($0.key) }
        }
        return dead
    }

    /// A volume whose reclaim policy is Retain was kept on purpose: it is deleted only where its loss was agreed to.
    private static func isDeleted(_ lost: LostVolume, _ proposal: Proposal) -> Bool {
        switch lost.action {
        case .rebuild, .deleteVolume: !lost.isKeptOnPurpose || proposal.accepts(lost.volume)
        // Where its data is has to be known for that.
        case .keep: lost.isKeptOnPurpose && lost.isOnDeadNode && proposal.accepts(lost.volume)
        case .ignore, .noRule, .undecided: false
        }
    }

    private static func keptVolumes(_ proposal: Proposal) -> [Plan.KeptVolume]? {
        let kept = proposal.lost.compactMap { lost -> Plan.KeptVolume? in
            let reason: String
            switch lost.action {
            case .rebuild, .deleteVolume: reason = lost.policyText
            case .keep(let why): reason = why
            case .ignore, .noRule, .undecided: return nil
            }
            return isDeleted(lost, proposal)
                ? nil : .init(volume: ObjectReference(.volume, lost.volume), reason: reason)
        }
        return kept.isEmpty ? nil : kept
    }

    private static func warnings(_ proposal: Proposal) -> [String]? {
        let all =
            HostsAreNodes.warnings(proposal) + SurvivorsAreSound.warnings(proposal) + ReplacementFits.warnings(proposal)
            + ProvisionerRunsElsewhere.warnings(proposal)
            + proposal.losses.flatMap(\.warnings)
        return all.isEmpty ? nil : all
    }

    private static func oldCordons(_ proposal: Proposal) -> [String]? {
        let names = proposal.state.objects.nodes.filter {
            $0.name != proposal.dead.node && $0.metadata.annotations?[Node.cordonAnnotation] != nil
        }.map(\.name).sorted()
        return names.isEmpty ? nil : names
    }

    private static func manifestDiff(of primary: Plan.Master, _ state: ClusterState) -> [String]? {
        state.inventory.host(named: primary.host).flatMap(state.facts)?.manifest?.promotionDiff(
            path: state.inventory.cluster.distribution.keepalivedManifest)
    }

    /// Pods of the dead node that have no controller: no one makes them again. A static pod's mirror goes with its node.
    private static func lostPods(_ proposal: Proposal) -> [ObjectReference] {
        // The node that a failed join left is deleted, too.
        let nodes = [proposal.dead.node, proposal.failedJoin.found?.node?.name]
        return proposal.state.objects.pods.filter {
            nodes.contains($0.nodeName) && $0.controller == nil && !$0.isMirror
        }
        .map { ObjectReference(.pod, $0) }
    }

    /// In the inventory's order, but critical data first: while it heals, nothing else is touched.
    private static func rebuilds(_ proposal: Proposal) -> [Plan.Rebuild] {
        let losses = proposal.losses
        let rebuilds = proposal.state.inventory.workloads.compactMap { workload -> Plan.Rebuild? in
            guard case .rebuild(let data, let heal, _) = workload.rule else { return nil }
            let lost = proposal.lost.filter { $0.action == .rebuild(workload) }
            guard !lost.isEmpty, let (kind, uid) = identity(of: workload, proposal.state) else { return nil }
            let loss = losses.first { $0.namespace == workload.namespace && $0.target == workload.target }
            return Plan.Rebuild(
                kind: kind, namespace: workload.namespace, name: workload.target.name, uid: uid, data: data, heal: heal,
                isDataLost: data != .disposable && loss?.isCovered == false,
                claims: lost.compactMap { lost in
                    guard let claim = lost.claim else { return nil }
                    let set = proposal.state.statefulSet(workload.namespace, workload.target.name)
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
