import Foundation

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Makes worlds in which each thing may be wrong, most of them well: else no plan would ever be made.
struct RandomCluster {
    var random: SeededGenerator
    var world = World()
    var masters = 3
    var names = Names.same
    var addressing = Addressing.plain

    enum Names { case same, imported, fullyQualified, upperCase, exchanged }
    enum Addressing { case plain, several, dualStack, elsewhere }

    static func world(_ random: inout SeededGenerator) -> World {
        var cluster = RandomCluster(random: random)
        cluster.make()
        random = cluster.random
        return cluster.world
    }

    init(random: SeededGenerator) { self.random = random }

    mutating func chance(_ percent: Double) -> Bool { Double.random(in: 0..<100, using: &random) < percent }
    mutating func pick<T>(_ choices: [T]) -> T { choices[Int.random(in: choices.indices, using: &random)] }

    mutating func make() {
        world = World()
        makeMachines()
        makeDeath()
        makeNodes()
        makeMembers()
        makeVIP()
        makeFaults()
        makePrograms()
        makeData()
        removeByHand()
        makeSpare()
        makeOcbootsHost()
        makeRequest()
        count()
    }

    // MARK: Machines

    mutating func makeMachines() {
        masters = chance(66) ? 3 : chance(88) ? 5 : pick([2, 4])
        names = chance(50) ? .same : pick([.imported, .imported, .fullyQualified, .upperCase, .exchanged])
        addressing = chance(60) ? .plain : pick([.several, .dualStack, .elsewhere])
        world.distribution = chance(8) ? .k3s : .kubeadm
        let workers = chance(50) ? 0 : pick([1, 2, 3])
        for index in 0..<masters { world.machines.append(machine("m\(index + 1)", index, .master)) }
        if names == .exchanged {
            let hosts = world.machines.map(\.host)
            for index in world.machines.indices { world.machines[index].host = hosts[(index + 1) % hosts.count] }
        }
        for index in 0..<workers {
            var worker = machine("w\(index + 1)", 20 + index, .worker)
            if !chance(30) { worker.host = "" }
            world.machines.append(worker)
        }
        world.machines.append(machine("s1", 40, .spare))
        world.victim = chance(3) ? masters : Int.random(in: 0..<masters, using: &random)
        // It is a spare where there is no worker; then another one would take its place.
        if world.machines[world.victim].role == .spare { world.machines.append(machine("s2", 41, .spare)) }
        world.replacement = world.machines.count - 1
        world.kubernetes = pick(["v1.15.12", "v1.20.15", "v1.20.15", "v1.28.3", "v1.37.0"])
        world.etcdVersion = pick(["3.4.23", "3.4.23", "3.5.16", "3.5.30", "3.6.11"])
        world.source = 0
        world.writer = 0
    }

    mutating func machine(_ name: String, _ number: Int, _ role: World.Role) -> World.Machine {
        let address = "10.0.0.\(10 + number)"
        var machine = World.Machine(
            host: name, inventoryAddress: address, hostname: name, addresses: [address], role: role)
        switch names {
        case .same, .exchanged: break
        case .imported: machine.host = "node-10-0-0-\(10 + number)"
        case .fullyQualified: machine.hostname = "\(name).example.org"
        case .upperCase: (machine.host, machine.hostname) = (name.uppercased(), name.uppercased())
        }
        switch addressing {
        case .plain: break
        case .several: machine.addresses.append("192.168.0.\(10 + number)")
        case .dualStack: machine.addresses.insert("fd00::\(10 + number)", at: chance(50) ? 0 : 1)
        case .elsewhere:
            machine.inventoryAddress = "172.16.0.\(10 + number)"
            if role == .master, chance(85) { machine.namedNode = machine.node }
        }
        machine.id = "id-\(name)"
        machine.keepalived = role == .master ? (number == 0 ? .master : .backup) : nil
        machine.caCertificateSHA256 = role == .spare ? nil : World.caCertificateSHA256
        machine.kubeletRuns = role != .spare
        machine.clock = chance(3) ? pick([-900, -20, 20, 900]) : 0
        if role != .spare {
            machine.traces = ["/etc/kubernetes/kubelet.conf"]
            machine.listening = [22, 10250]
        }
        if role == .master {
            machine.traces += ["/var/lib/etcd/member", "/etc/kubernetes/manifests/kube-apiserver.yaml"]
            machine.listening.formUnion([2379, 2380, 6443])
        }
        if chance(2) { machine.unread = [pick(World.Unread.allCases)] }
        if machine.unread.contains(.clock), chance(50) { machine.clock = pick([-900, 900]) }
        if chance(1) { machine.tellsOfPeers = false }
        return machine
    }

    /// The one that is to be replaced, which may be alive.
    mutating func makeDeath() {
        let isReallyDead = chance(82)
        let age: Double = chance(95) ? pick([301, 720, 3600, 400_000]) : pick([20, 100, 299])
        change(world.victim) { machine in
            machine.notReadyFor = age
            machine.power = .off
        }
        if !isReallyDead { makeLivingVictim() }
        for index in 0..<world.replacement where index != world.victim {
            if chance(masters > 3 ? 3 : 1.5) { makeSecondFault(index) }
        }
    }

    mutating func makeLivingVictim() {
        let kind = Int.random(in: 0...5, using: &random)
        let age: Double = pick([20, 100, 299, 720, 3600])
        let firewall = pick([World.Firewall.open, .rejects, .drops])
        let hiddenBy: ClusterState.HostFailure.Sign? =
            chance(50) ? pick([.noRoute, .unresponsive, .alive, .inconclusive]) : nil
        let young: Double = pick([20, 100, 200])
        change(world.victim) { machine in
            machine.power = .on
            machine.isHiddenBy = hiddenBy
            switch kind {
            case 0: machine.notReadyFor = nil
            case 1:
                machine.power = .restarting
                machine.notReadyFor = young
            case 2:
                machine.notReadyFor = nil
                machine.firewall = firewall
            default:
                machine.kubeletRuns = false
                machine.notReadyFor = age
                machine.firewall = firewall
            }
        }
        // What a restart leaves of the time is told by the clocks of others.
        if kind == 1, chance(30) {
            let other = pick(Array(0..<masters).filter { $0 != world.victim } + [world.source])
            let clock: Double = pick([-900, 900])
            let isUnread = chance(30)
            change(other) { machine in
                machine.clock = clock
                if isUnread { machine.unread.insert(.clock) }
            }
        }
    }

    mutating func makeSecondFault(_ index: Int) {
        let kind = Int.random(in: 0...3, using: &random)
        let sign: ClusterState.HostFailure.Sign = pick([.noRoute, .unresponsive, .alive, .inconclusive])
        let age: Double = pick([20, 600, 90_000])
        change(index) { machine in
            switch kind {
            case 0: machine.isHiddenBy = sign
            case 1:
                machine.kubeletRuns = false
                machine.notReadyFor = age
            default:
                machine.power = .off
                machine.notReadyFor = age
            }
        }
    }

    mutating func change(_ machine: Int, _ change: (inout World.Machine) -> Void) {
        change(&world.machines[machine])
    }

    mutating func makeNodes() {
        let writers = (0..<masters).filter { world.machines[$0].isUp && $0 != world.victim }
        if !writers.isEmpty { world.writer = pick(writers) }
        let sources = (0..<masters).filter { index in
            let machine = world.machines[index]
            return machine.isUp && machine.isHiddenBy == nil && machine.firewall == .open && machine.kubeletRuns
        }
        if !sources.isEmpty { world.source = pick(sources) }
        let isShortLabel = chance(50)
        for index in world.machines.indices where world.machines[index].role != .spare {
            let machine = world.machines[index]
            let label = isShortLabel ? String(machine.node.prefix { $0 != "." }) : machine.node
            var labels = [Cluster.Node.hostnameKey: label, World.zoneKey: "zone-\(index % 3)"]
            labels[World.topolvmKey] = machine.node
            if machine.role == .master { labels["node-role.kubernetes.io/master"] = "" }
            if chance(40) { labels["disk"] = "ssd" }
            // Copied from another node's.
            if chance(0.3) { labels[Cluster.Node.hostnameKey] = world.machines[0].node }
            add(node: index, labels)
        }
    }

    mutating func add(node index: Int, _ labels: [String: String]) {
        let machine = world.machines[index]
        var metadata = RunbookCluster.meta(machine.node, nil)
        metadata.uid += "-\(index)"
        metadata.creationTimestamp = "2022-04-0\(1 + index % 9)T00:00:00Z"
        metadata.labels = labels
        let since = machine.notReadyFor.map {
            World.now.addingTimeInterval(world.machines[world.writer].clock - $0).formatted(.iso8601)
        }
        let condition = Node.Condition(
            type: "Ready", status: since == nil ? "True" : "Unknown",
            lastTransitionTime: since ?? "2022-04-01T00:00:00Z")
        world.objects.nodes.append(
            Node(
                metadata: metadata, spec: .init(unschedulable: chance(8)),
                status: .init(
                    conditions: [condition],
                    addresses: machine.addresses.map { .init(type: "InternalIP", address: $0) },
                    nodeInfo: .init(kubeletVersion: world.kubernetes, machineID: machine.id))))
        world.machineOfNode[metadata.uid] = index
        world.machines[index].labels = labels
    }

    // MARK: etcd and the VIP

    mutating func makeMembers() {
        for index in 0..<masters {
            let machine = world.machines[index]
            let suffix = world.distribution == .k3s ? "-0123456\(index)" : ""
            var member = World.Member(
                id: "a\(index)", name: machine.node + suffix, addresses: [machine.addresses[0]], machine: index)
            // etcd lives on where only the kubelet is stopped, as a rule.
            member.runs = machine.isUp && (machine.kubeletRuns || chance(index == world.victim ? 30 : 60))
            if machine.isUp, chance(1.5) { member.runs = false }
            if machine.isUp, machine.firewall != .open { member.runs = false }
            if chance(1) { member.isBehind = true }
            if chance(0.7) { member.isLearner = true }
            if chance(0.7) { member.isStarted = false }
            if chance(0.5), member.runs { member.isOfAnotherCluster = true }
            if chance(1) { member.looksUnhealthy = true }
            if chance(0.7) { member.givesNoStatus = true }
            // It was set up with another address of its machine, or the machine has got another one since.
            if chance(1.5) { member.addresses = [pick([machine.allAddresses.last ?? "", "10.0.9.\(index)"])] }
            world.members.append(member)
        }
        if chance(3), world.machines[world.victim].role == .master {
            let runs = chance(50)
            let name = pick(["gone", world.machines[world.victim].node, world.machines[0].node])
            let address = pick(["10.0.9.99", world.machines[world.victim].addresses[0], world.machines[0].addresses[0]])
            var leftover = World.Member(id: "b0", name: name, addresses: [address], machine: nil)
            leftover.runs = runs
            world.members.append(leftover)
        }
        if world.kubernetes < "v1.22" || world.kubernetes == "v1.15.12", world.distribution == .kubeadm {
            world.clusterStatus = (0..<masters).map { (world.machines[$0].node, world.machines[$0].addresses[0]) }
        }
        if chance(1.5) { world.alarms = [pick([.noSpace, .corrupt])] }
        if chance(1) { world.hasLeader = false }
        world.etcdIsUnread = chance(1)
    }

    mutating func makeVIP() {
        let able = (0..<masters).filter { world.machines[$0].isUp }
        if chance(3) { change(pick(Array(0..<masters))) { $0.keepalivedRuns = false } }
        if chance(3) { change(pick(Array(0..<masters))) { $0.keepalived = .master } }
        let running = able.filter { world.machines[$0].keepalivedRuns }
        if let holder = running.first(where: { world.machines[$0].keepalived == .master }) ?? running.first {
            world.machines[holder].holdsVIP = true
        }
        if chance(2) { for index in world.machines.indices { world.machines[index].holdsVIP = false } }
        if chance(2), let other = able.last { world.machines[other].holdsVIP = true }
        if chance(2) { world.apiServesOnVIP = false }
    }

    /// Of the whole, and of masters as ocboot needs them.
    mutating func makeFaults() {
        world.realRelease = chance(3) ? "v3.9.0" : world.release
        world.runningRelease = chance(90) ? world.realRelease : nil
        if world.runningRelease == nil {
            if world.realRelease != world.release || chance(20) { world.releaseProblem = "no answer" }
        }
        world.clockIsUnread = chance(1.5)
        for index in 0..<masters {
            if chance(1.5) { world.machines[index].hasOcboot = false }
        }
    }
}
