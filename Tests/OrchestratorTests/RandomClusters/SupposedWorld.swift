import Foundation

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// A world in which a master died, beside the same world with that one alive and its death supposed.
struct SupposedWorld {
    /// What differs; `nil` where both are judged alike.
    let difference: String?

    /// - Parameter real: what the tool sees of the world.
    /// - Returns: `nil` where there is nothing to compare: it was no plain death of a master.
    init?(_ world: World, real: ClusterState) {
        guard let (living, death) = world.beforeTheDeath else { return nil }
        var request = world.request
        request.notReadyFor = 0
        // Which node the host is must be known in daylight.
        let seen = living.observation()
        guard let host = seen.inventory.host(named: death.host), seen.node(of: host) != nil else { return nil }
        let applied = death.applied(to: seen)
        // In some worlds nobody is left who could be asked, and the random observation asks nevertheless.
        guard applied.cluster.source != nil else { return nil }
        let (real, supposed) = (Verdict(real, request), Verdict(applied, request))
        if death.lostMajority(in: seen) != nil, real.refusals.isEmpty {
            difference = "no majority was supposed, and it was \(real)"
        } else {
            difference = real == supposed ? nil : "supposed \(supposed), and it was \(real)"
        }
    }
}

private struct Verdict: Equatable {
    var refusals: Set<String> = []
    var primary: String?
    var member: String?
    var claims: [String] = []
    var steps: [String] = []

    init(_ state: ClusterState, _ request: ReplacementRequest) {
        do {
            let plan = try Planner.plan(state, request, now: Date(timeIntervalSince1970: 0))
            primary = plan.primary.host
            member = plan.member?.id
            claims = plan.rebuilds.flatMap(\.claims).map(\.claim.reference)
            steps = ReplacementSteps.make(plan).map(\.id)
        } catch let refused as Refused {
            refusals = Set(refused.refusals.map(\.rule))
        } catch {
            refusals = ["\(error)"]
        }
    }
}

extension World {
    /// The same world with the dead master alive, and its death; `nil` where it was no plain death of a master.
    fileprivate var beforeTheDeath: (World, SupposedDeath)? {
        let machine = machines[victim]
        guard machine.role == .master, !machine.isUp, machine.power == .off, !machine.host.isEmpty,
            machine.isHiddenBy == nil, machine.firewall == .open, requested == victim, !request.fences,
            machines.count(where: { $0.host == machine.host }) == 1, let node = node(of: victim),
            members.contains(where: { $0.machine == victim }),
            // What is seen is what is: a probe that fails in one of the two looks says nothing of the planner.
            !etcdIsUnread, !members.contains(where: { $0.looksUnhealthy || $0.givesNoStatus }),
            // Some worlds have a second member at the dead machine, which runs on.
            !members.contains(where: { $0.machine == nil })
        else { return nil }
        var living = self
        living.machines[victim].power = .on
        living.machines[victim].notReadyFor = nil
        for index in living.members.indices where living.members[index].machine == victim {
            living.members[index].runs = true
        }
        for index in living.objects.nodes.indices where living.objects.nodes[index].uid == node.uid {
            living.objects.nodes[index].status?.conditions = [
                .init(type: "Ready", status: "True", lastTransitionTime: "2022-04-01T00:00:00Z")
            ]
        }
        // Every other one keeps the VIP, so that it need not move; or the dead one had it.
        let holders = machines.indices.filter { machines[$0].holdsVIP }
        guard holders.count == 1, holders[0] != victim, number(of: machine) % 2 == 0 else {
            return (living, SupposedDeath(host: machine.host, holder: nil))
        }
        living.machines[holders[0]].holdsVIP = false
        living.machines[victim].holdsVIP = true
        return (living, SupposedDeath(host: machine.host, holder: machines[holders[0]].host))
    }

    private func number(of machine: Machine) -> Int { machine.id.utf8.reduce(0) { $0 + Int($1) } }
}
