import Foundation

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What a plan can do to a cluster that must never happen.
enum Harm: String, CaseIterable {
    case livingNodeDeleted, livingMemberRemoved, foreignNodeDeleted, otherClusterDestroyed, hostsMixedUp, workerReplaced
    case quorumLost, vipLost, vipContested
    /// Of data that nobody agreed to lose.
    case dataLost
    /// On a machine that is up, or on a server in the network.
    case livingDataDestroyed
    case foreignVolumeDeleted, keptVolumeDeleted
    case joinRefused, survivorsDowngraded, twoNodesAtOneAddress
    /// What is rebuilt stays empty, because what it is healed from is broken itself.
    case neverHealed
    case podsPendingForEver, rebuiltElsewhere, foreignUncordoned
    /// A step waits for what will never come.
    case runStuck
}

/// Does what a plan says to a world, and looks after each act what has become of it. It knows how etcd, kubeadm, Kubernetes'
/// controllers, keepalived and MinIO behave, and nothing of the tool's rules.
struct PlanExecution {
    var world: World
    let plan: Plan
    /// Each with the line that saw it first.
    var harms: [Harm: UInt] = [:]
    var deletedClaims: Set<String> = []
    var agreedClaims: Set<String> = []
    let claimsBefore: Set<String>
    let dead: Int
    let new: Int
    let survivors: [Int]

    static func harms(of plan: Plan, in world: World) -> [Harm: UInt] {
        guard let dead = plan.dead.uid.map({ world.machineOfNode[$0] }) ?? world.oldMachine(ofHost: plan.dead.host),
            let new = world.machine(ofHost: plan.replacement.host), dead == world.requested,
            new == world.replacement, plan.survivors.allSatisfy({ world.machine(ofHost: $0.host) != nil })
        else { return [.hostsMixedUp: #line] }
        var execution = PlanExecution(world, plan, dead: dead, new: new)
        execution.run()
        return execution.harms
    }

    private init(_ world: World, _ plan: Plan, dead: Int, new: Int) {
        (self.world, self.plan, self.dead, self.new) = (world, plan, dead, new)
        claimsBefore = Set(world.objects.claims.map(\.reference))
        survivors = plan.survivors.compactMap { world.machine(ofHost: $0.host) }
    }

    mutating func note(_ harm: Harm, if happened: Bool = true, line: UInt = #line) {
        if happened, harms[harm] == nil { harms[harm] = line }
    }

    mutating func run() {
        fence()
        deleteNode()
        removeMember()
        clean()
        join()
        promote()
        cordon()
        for rebuild in plan.rebuilds {
            for claim in rebuild.claims { delete(claim, of: rebuild) }
            recreate(rebuild)
        }
        for volume in plan.volumes { delete(volume) }
        leftClaims()
        verify()
    }

    // MARK: What must hold at all times

    mutating func look() {
        let voters = world.members.filter { !$0.isLearner }
        // One member alone can grow in no other way: etcd itself allows that.
        let isSecond = voters.count == 2 && voters.contains { $0.id == "new" } && voters.contains(where: \.isWhole)
        note(.quorumLost, if: voters.count { $0.isWhole } <= voters.count / 2 && !isSecond)
        let holders = world.machines.indices.filter { world.machines[$0].isUp && world.machines[$0].holdsVIP }
        note(.vipContested, if: holders.count > 1)
        note(
            .vipLost,
            if: holders.isEmpty || !world.apiServesOnVIP
                || !holders.contains { survivors.contains($0) || ($0 == new && $0 != dead) })
    }

    // MARK: The dead one

    mutating func fence() {
        guard plan.fences == true else { return }
        let isReady = world.node(of: dead)?.isReady == true
        note(.livingNodeDeleted, if: !world.request.fences || isReady)
        world.machines[dead].power = .off
        world.machines[dead].kubeletRuns = false
        for index in world.members.indices where world.members[index].machine == dead {
            world.members[index].runs = false
        }
        guard world.machines[dead].holdsVIP else { return }
        world.machines[dead].holdsVIP = false
        if !world.machines.contains(where: { $0.isUp && $0.holdsVIP }),
            let heir = survivors.first(where: { world.machines[$0].isUp && world.machines[$0].keepalivedRuns })
        {
            world.machines[heir].holdsVIP = true
            // By its own API server.
            world.apiServesOnVIP = true
        }
    }

    mutating func deleteNode() {
        let machine = world.machines[dead]
        note(.workerReplaced, if: machine.role != .master)
        switch machine.power {
        case .off: break
        case .on: note(.livingNodeDeleted)
        // Whoever asks for no time at all has said that it is dead for good.
        case .restarting: note(.livingNodeDeleted, if: world.request.notReadyFor > 0)
        }
        for pod in plan.lostPods {
            let node = world.objects.pods.first { $0.uid == pod.uid }?.nodeName
            note(.foreignNodeDeleted, if: node == nil || node != world.node(of: dead)?.name)
        }
        if let uid = plan.dead.uid { world.objects.nodes.removeAll { $0.uid == uid } }
        look()
    }

    mutating func removeMember() {
        guard let planned = plan.member else { return look() }
        guard let index = world.members.firstIndex(where: { $0.id == planned.id }) else { return note(.runStuck) }
        let member = world.members[index]
        note(.livingMemberRemoved, if: member.runs || (member.machine != nil && member.machine != dead))
        world.members.remove(at: index)
        look()
    }

    // MARK: The new one

    mutating func clean() {
        guard let left = plan.failedJoin else { return }
        let machine = world.machines[new]
        note(.otherClusterDestroyed, if: machine.role != .spare)
        let isOfThisCluster =
            machine.caCertificateSHA256 == World.caCertificateSHA256
            || (machine.caCertificateSHA256 == nil && machine.keepalived != nil && !machine.kubeletRuns)
        note(.otherClusterDestroyed, if: !left.traces.isEmpty && !isOfThisCluster)
        if let node = left.node {
            note(
                .foreignNodeDeleted,
                if: world.machineOfNode[node.uid] != new
                    || world.objects.nodes.contains { $0.uid == node.uid && $0.isControlPlane })
            world.objects.nodes.removeAll { $0.uid == node.uid }
        }
        if let planned = left.member {
            let member = world.members.first { $0.id == planned.id }
            note(.livingMemberRemoved, if: member?.machine != new || member?.runs == true)
            world.members.removeAll { $0.id == planned.id }
        }
        if Set(left.traces).isSuperset(of: machine.traces) {
            world.machines[new].traces = []
            world.machines[new].kubeletRuns = false
            world.machines[new].listening = [22]
        }
        look()
    }

    mutating func join() {
        let machine = world.machines[new]
        guard let primary = world.machine(ofHost: plan.primary.host), survivors.contains(primary) else {
            return note(.runStuck)
        }
        let from = world.machines[primary]
        // The VIP is looked for on every survivor, over SSH.
        note(.runStuck, if: survivors.contains { !isOpenToUs(world.machines[$0]) })
        // Two at once write the same files and wait for each other's package manager.
        note(.runStuck, if: survivors.contains { world.machines[$0].ocbootIsAtWork })
        note(.survivorsDowngraded, if: world.realRelease != world.release)
        let listed = world.members
        let isOneDown = listed.contains { !$0.runs && $0.isStarted && !$0.isLearner }
        let isOldKubeadm = (KubernetesVersion(world.kubernetes).map { $0 < KubernetesVersion(1, 37) }) ?? true
        let isRefused =
            [
                !isOpenToUs(machine), !from.isUp, !from.hasOcboot, !from.denied.isEmpty, !machine.unreachable.isEmpty,
                machine.isCutOff,
                machine.freeKiB < 5 << 20, abs(machine.clock - from.clock) > 30,
                // kubeadm's preflight, ocboot's own look, a member that another one is waited for.
                !machine.traces.isEmpty, machine.kubeletRuns,
                world.distribution == .k3s && !machine.runtimes.isEmpty,
                // Of 3.8 and 3.9, on every host that they name.
                world.distribution == .kubeadm && [machine, from].contains { $0.hostname.first?.isNumber == true },
                !machine.listening.isDisjoint(with: [2379, 2380, 6443, 10250]),
                !world.hasLeader, !world.alarms.isEmpty, listed.contains { $0.isLearner || !$0.isStarted },
                // etcd's strict-reconfig-check up to these releases, and kubeadm's check of every member.
                isOneDown && !["3.5.30", "3.6.11"].contains(world.etcdVersion),
                isOneDown && world.distribution == .kubeadm && isOldKubeadm,
                isOldKubeadm && !plan.hasStaleClusterStatus
                    && world.clusterStatus.contains { $0.node == world.machines[dead].node },
            ].contains(true)
        note(.joinRefused, if: isRefused)
        let others = world.objects.nodes.filter { node in node.uid != plan.dead.uid }
        note(.hostsMixedUp, if: others.contains { $0.name == machine.node })
        note(
            .twoNodesAtOneAddress,
            if: others.contains { node in machine.addresses.contains { node.internalAddresses.contains($0) } })
        world.members.append(
            World.Member(id: "new", name: machine.node, addresses: [machine.addresses[0]], machine: new, runs: false))
        look()
        world.members[world.members.count - 1].runs = true
        world.machines[new].role = .master
        world.machines[new].kubeletRuns = true
        look()
    }

    func isOpenToUs(_ machine: World.Machine) -> Bool {
        machine.isUp && machine.firewall == .open && machine.isHiddenBy == nil
    }

    mutating func promote() {
        guard plan.promotes, let primary = world.machine(ofHost: plan.primary.host) else { return }
        let manifest = world.machines[primary]
        note(.runStuck, if: !manifest.keepalivedRuns || manifest.unread.contains(.keepalived))
        world.machines[primary].keepalived = .master
        // Two that are MASTER with the same priority take it from each other.
        let masters = world.machines.indices.filter {
            world.machines[$0].isUp && $0 != new && world.machines[$0].keepalived == .master
        }
        note(.vipContested, if: masters.count > 1)
        for index in world.machines.indices { world.machines[index].holdsVIP = index == primary }
        look()
    }

    // MARK: The end

    mutating func verify() {
        for survivor in plan.survivors {
            let node = world.objects.node(survivor.node)
            note(.runStuck, if: !(node.map { takesPods($0) && $0.isReady } ?? false))
        }
        let aside = Set((plan.unsound ?? []).compactMap(\.memberID))
        let members = world.members.filter { !aside.contains($0.id) }
        note(.runStuck, if: members.count != survivors.count + 1 || members.contains { !$0.runs })
        let holders = world.machines.filter { $0.isUp && $0.holdsVIP }.map(\.host)
        note(.runStuck, if: holders != [plan.primary.host])
    }
}

extension World {
    static let caCertificateSHA256 = "ours"
}
