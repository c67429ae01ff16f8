import Foundation

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

extension RandomCluster {
    /// Steps 2 and 3 of the runbook, done by hand, whole or in part; perhaps those of an earlier replacement, too.
    mutating func removeByHand() {
        let victim = world.victim
        // Whoever does it has seen that the machine is not about to come back.
        let isSure = world.machines[victim].power != .restarting
        // Of a node whose label was a copy of another's, nothing that is left says which of the two its volumes were on.
        let label = world.node(of: victim)?.hostnameLabel
        let isCopy = world.objects.nodes.contains {
            world.machineOfNode[$0.uid] != victim && $0.hostnameLabel == label
        }
        if isSure, !isCopy, chance(14) {
            remove(node: victim)
            if chance(50) { world.members.removeAll { $0.machine == victim } }
            if chance(20) { world.clusterStatus.removeAll { $0.node == world.machines[victim].node } }
        } else if isSure, chance(3) {
            world.members.removeAll { $0.machine == victim }
        }
        // Of one that is left alone nobody is ahead.
        if world.members.count(where: \.runs) < 2 {
            for index in world.members.indices { world.members[index].isBehind = false }
        }
        if chance(3) { addForgotten() }
    }

    mutating func remove(node machine: Int) {
        let name = world.machines[machine].node
        world.objects.nodes.removeAll { world.machineOfNode[$0.uid] == machine }
        world.objects.pods.removeAll { $0.nodeName == name && $0.controller == nil }
        for index in world.programs.indices where world.programs[index].machine == machine {
            let others = world.machines.indices.filter { $0 != machine && world.machines[$0].takesPods }
            world.programs[index].machine = chance(70) && !others.isEmpty ? pick(others) : nil
        }
        // Their controllers have recreated them; those of a program may run elsewhere by now.
        for index in world.objects.pods.indices where world.objects.pods[index].nodeName == name {
            let pod = world.objects.pods[index]
            let program = world.programs.first { pod.name.hasPrefix($0.name + "-") }
            world.objects.pods[index].metadata.deletionTimestamp = nil
            world.objects.pods[index].metadata.uid += "-again"
            if let home = program?.machine {
                world.objects.pods[index].spec.nodeName = world.machines[home].node
                world.objects.pods[index].status?.containerStatuses?[0].ready = program?.isBroken == false
            } else {
                world.objects.pods[index].spec.nodeName = nil
                world.objects.pods[index].status = .init(phase: "Pending")
            }
        }
    }

    /// A worker whose node was deleted some day, with a claim that is still bound to it.
    mutating func addForgotten() {
        var machine = machine("old", 60, .worker)
        machine.host = ""
        machine.namedNode = nil
        machine.power = chance(50) ? .on : .off
        machine.labels = [Cluster.Node.hostnameKey: machine.node]
        world.machines.insert(machine, at: 0)
        shift()
        let metadata = RunbookCluster.meta("cache", "onecloud")
        world.objects.statefulSets.append(
            StatefulSet(
                metadata: metadata,
                spec: .init(replicas: 1, volumeClaimTemplates: [.init(metadata: .init(name: "data"))])))
        add("data-cache-0", "onecloud", "local-path", on: 0)
        world.workloads.append(
            .init(
                namespace: "onecloud", target: .statefulSet("cache"),
                rule: .rebuild(.disposable, heal: nil, recreatedBy: nil)))
    }

    /// Every index grows by one.
    private mutating func shift() {
        world.victim += 1
        world.replacement += 1
        world.source += 1
        world.writer += 1
        for index in world.members.indices { world.members[index].machine? += 1 }
        for index in world.programs.indices { world.programs[index].machine? += 1 }
        world.machineOfNode = world.machineOfNode.mapValues { $0 + 1 }
        world.place = world.place.mapValues { $0 + 1 }
    }

    // MARK: The new one

    mutating func makeSpare() {
        if world.machines[world.victim].power == .off, world.machines[world.victim].role == .master, chance(6) {
            return reinstall()
        }
        let new = world.replacement
        let others = world.machines.indices.filter { $0 != new && world.machines[$0].role != .spare }
        if chance(3) { world.machines[new].hostname = world.machines[world.victim].hostname }
        if chance(2) { world.machines[new].hostname = world.machines[pick(others)].hostname }
        if chance(2) { world.machines[new].power = .off }
        if chance(2) { world.machines[new].isHiddenBy = pick([.alive, .unresponsive]) }
        if chance(2) { world.machines[new].listening.insert(2379) }
        if chance(2) { world.machines[new].clock = 3600 }
        if chance(2) { world.machines[new].freeKiB = 1 << 20 }
        if chance(2) { world.machines[new].unreachable = ["10.127.100.101:3306": "Connection refused"] }
        if chance(2) { world.machines[new].isCutOff = true }
        if chance(9) { makeFailedJoin() }
        if chance(2) { addStaleNode(at: new) }
        for unread in world.machines[new].unread where chance(50) {
            switch unread {
            case .listening: world.machines[new].listening.insert(6443)
            case .disks: world.machines[new].freeKiB = 1 << 20
            case .clock: world.machines[new].clock = 3600
            case .processes: world.machines[new].kubeletRuns = true
            case .traces: world.machines[new].traces = ["/etc/kubernetes/kubelet.conf"]
            case .addresses, .keepalived: break
            }
        }
    }

    /// What ocboot asks of a new host. It is drawn aside, so that what is drawn after it stays as it was.
    mutating func makeOcbootsHost() {
        let before = random
        defer { random = before }
        let new = world.replacement
        if world.distribution == .k3s { world.machines[new].runtimes = chance(90) ? [] : ["dockerd"] }
        if chance(3) { world.machines[new].hostname = "4-" + world.machines[new].hostname }
        let others = world.machines.indices.filter { $0 != world.victim && world.machines[$0].role == .master }
        if chance(2), let busy = others.randomElement(using: &random) { world.machines[busy].ocbootIsAtWork = true }
    }

    /// The dead one's own machine takes its place again: the old installation is gone, and whatever its disk had.
    mutating func reinstall() {
        let old = world.machines[world.victim]
        var machine = World.Machine(
            host: old.host, inventoryAddress: old.inventoryAddress, namedNode: old.namedNode, hostname: old.hostname,
            addresses: old.addresses, role: .spare)
        machine.id = chance(10) ? old.id : old.id + "-new"
        machine.kubeletRuns = false
        if chance(3) { machine.traces = old.traces }
        world.machines[world.victim].holdsVIP = false
        world.machines.append(machine)
        world.replacement = world.machines.count - 1
    }

    /// As far as it got, of this cluster or of another.
    mutating func makeFailedJoin() {
        let new = world.replacement
        let stage = Int.random(in: 0...4, using: &random)
        let manifests = world.distribution.manifestDirectory
        world.machines[new].keepalived = .backup
        world.machines[new].traces = [world.distribution.keepalivedManifest]
        guard stage > 0 else { return }
        world.machines[new].caCertificateSHA256 = chance(80) ? World.caCertificateSHA256 : "another's"
        world.machines[new].traces += [world.distribution.kubeletConfiguration, manifests + "/kube-apiserver.yaml"]
        world.machines[new].kubeletRuns = chance(70)
        world.machines[new].listening.formUnion([6443, 10250])
        // A node of that name may be another machine's.
        if stage > 1, !world.objects.nodes.contains(where: { $0.name == world.machines[new].node }) {
            add(node: new, [Cluster.Node.hostnameKey: world.machines[new].node])
            let last = world.objects.nodes.count - 1
            world.objects.nodes[last].status?.conditions?[0].status = "False"
        }
        if stage > 2 {
            var member = World.Member(
                id: "c0", name: world.machines[new].node, addresses: [world.machines[new].addresses[0]], machine: new)
            member.runs = false
            member.isStarted = false
            // A voter more would leave no majority: newer ones begin as learners.
            member.isLearner = chance(50) || world.members.count { $0.isWhole } <= (world.members.count + 1) / 2
            world.members.append(member)
            world.machines[new].traces.append(world.distribution.etcdDataDirectory + "/member")
        }
        if stage == 4, chance(30) {
            world.machines[new].traces = []
            world.machines[new].kubeletRuns = false
            world.machines[new].listening = [22]
        }
    }

    /// The spare was a worker, under this name or another, and its node is still there.
    mutating func addStaleNode(at machine: Int) {
        var metadata = RunbookCluster.meta(chance(50) ? "once" : world.machines[machine].node, nil)
        metadata.labels = [Cluster.Node.hostnameKey: metadata.name]
        let addresses = world.machines[machine].addresses.map { Node.Address(type: "InternalIP", address: $0) }
        for number in 0..<(chance(50) ? 1 : 2) {
            if number == 1 { metadata.name = "then" }
            metadata.uid = "uid-stale-\(number)"
            world.objects.nodes.append(
                Node(
                    metadata: metadata,
                    status: .init(
                        conditions: [
                            .init(type: "Ready", status: "Unknown", lastTransitionTime: "2022-04-01T00:00:00Z")
                        ], addresses: addresses)))
            world.machineOfNode[metadata.uid] = machine
        }
    }

    // MARK: The request

    mutating func makeRequest() {
        if chance(1) { world.replacement = pick(Array(0...world.replacement).filter { $0 != world.victim }) }
        if world.machines[world.replacement].host.isEmpty { world.replacement = world.machines.count - 1 }
        let new = world.machines[world.replacement]
        world.requested = chance(98) ? world.victim : pick(world.machines.indices.filter { $0 != world.replacement })
        let meant = world.machines[world.requested]
        var names = [meant.host, meant.host, meant.inventoryAddress, meant.node, meant.addresses[0]]
        if meant.host.isEmpty { names = [meant.node, meant.addresses[0]] }
        // By its name it may be another's host: whoever says it means the host then.
        if self.names == .exchanged { names = [meant.host.isEmpty ? meant.node : meant.host, meant.addresses[0]] }
        world.request = ReplacementRequest(dead: pick(names), replacement: new.host)
        if chance(2) { world.request.notReadyFor = 0 }
        if meant.isUp, chance(40) { world.request.fences = true }
        for index in world.machines.indices where world.machines[index].role == .master && chance(1.5) {
            world.machines[index].denied = [new.inventoryAddress: "Permission denied"]
            if world.distribution == .kubeadm, !world.request.fences, chance(50) {
                world.machines[index].denied = [World.vip: "Permission denied"]
                // Whoever has the VIP logs in to itself there.
                let (isHolder, own) = (world.machines[index].holdsVIP, world.machines[index].inventoryAddress)
                if isHolder { world.machines[index].denied[own] = "Permission denied" }
            }
        }
        let lost = world.objects.volumes.filter { world.place[$0.name] == world.requested }
        if chance(7) {
            world.request.acceptedLosses += lost.compactMap { volume in
                volume.spec.claimRef.map { "\($0.namespace ?? "")/\($0.name ?? "")" }
            }
        }
        if chance(2) { world.request.acceptedLosses += lost.map(\.name) }
        if chance(2), !lost.isEmpty, let claim = pick(lost).spec.claimRef {
            world.request.acceptedLosses.append("\(claim.namespace ?? "")/\(claim.name ?? "")")
        }
    }

    /// What of it is worth counting, beside what a plan itself says.
    mutating func count() {
        if masters == 5 { world.kinds.insert(.fiveMasters) }
        if world.machines.contains(where: { $0.role == .worker }) { world.kinds.insert(.workers) }
        if world.distribution == .k3s { world.kinds.insert(.k3s) }
        switch names {
        case .same: break
        case .imported, .exchanged: world.kinds.insert(.otherNames)
        case .fullyQualified: world.kinds.insert(.fullyQualified)
        case .upperCase: world.kinds.insert(.upperCase)
        }
        switch addressing {
        case .plain: break
        case .several: world.kinds.insert(.severalAddresses)
        case .dualStack: world.kinds.insert(.dualStack)
        case .elsewhere: world.kinds.insert(.addressElsewhere)
        }
    }
}

extension World {
    /// The kinds that a plan for it belongs to.
    func kinds(of plan: Plan) -> Set<Kind> {
        var kinds = kinds
        func insert(_ kind: Kind, if holds: Bool) { if holds { kinds.insert(kind) } }
        let rebuilt = plan.rebuilds.flatMap(\.claims)
        let classes = Set(rebuilt.compactMap { objects.volume($0.volume.name)?.spec.storageClassName })
        insert(
            .twoTemplates,
            if: plan.rebuilds.contains { rebuild in
                objects.statefulSets.contains { $0.uid == rebuild.uid && $0.templates.count == 2 }
            })
        insert(.otherTopologyKey, if: classes.contains("topolvm") || classes.contains("other"))
        insert(.staticClass, if: classes.contains("by-hand"))
        insert(.nodeRemovedByHand, if: plan.dead.uid == nil)
        insert(.memberRemovedByHand, if: plan.member == nil)
        insert(.acceptedLoss, if: plan.rebuilds.contains(where: \.isDataLost))
        insert(.fenced, if: plan.fences == true)
        insert(.sameMachine, if: plan.replacement.host == plan.dead.host)
        insert(.failedJoin, if: plan.failedJoin != nil)
        insert(.leftAside, if: plan.unsound != nil)
        insert(.retained, if: plan.keptVolumes != nil)
        insert(.newPrimary, if: plan.promotes)
        insert(.reusedName, if: plan.reusesName)
        return kinds
    }
}
