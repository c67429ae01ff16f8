import Cluster
import Foundation
import Inventories

/// A node that may come back, or works, is not taken apart. It is dead only by every sign: it answers neither us nor any survivor,
/// its node has been NotReady for long enough, and its etcd member is not healthy.
///
/// Where the machine itself is to take its place again, it answers; it has to be another installation than the node was, and bare.
public enum NodeIsDead: SafetyRule {
    public static let id = "node-is-dead"
    public static let prevents = "taking a working master apart, or one that only its network has left"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        // What is to be done about another kind of node, `node-is-a-master` says.
        guard input.deadIsMaster else { return [] }
        let dead = input.dead
        var refusals: [Refusal] = []
        if let node = input.deadNode {
            if node.isReady {
                refusals.append(
                    refusal(
                        "\(dead.node) is Ready",
                        advice: orNothing(
                            input, "a working node is not replaced; if it is the right one, shut it down first")))
            } else {
                if node.isReportedByItsKubelet, !input.fences {
                    refusals.append(
                        refusal(
                            "\(dead.node) is NotReady by the word of its own kubelet, which is at work",
                            advice: "see why it is not Ready: kubectl describe node \(dead.node)"))
                }
                refusals += objections(to: input.state.notReadyAge(of: node), input)
            }
        }
        switch input.state.hosts[dead.host] {
        case .reached(let facts) where input.isSameMachine:
            refusals += objections(to: facts, input)
        case .reached where input.fences: break
        case .reached:
            refusals.append(
                refusal(
                    "\(dead.host) answers over SSH",
                    advice: orNothing(
                        input,
                        "shut it down for good and wait until it is NotReady, then try again; or have it stopped over SSH: --fence"
                    )))
        case .failed(let failure) where input.isSameMachine:
            refusals.append(refusal(failure.message, advice: "it has to be up, reinstalled", isUnreachable: true))
        case .failed(let failure):
            switch failure.sign {
            case .inconclusive:
                refusals.append(
                    refusal(
                        "whether \(dead.host) is alive cannot be seen: \(failure.message)",
                        advice: "repair the way to it, or ask from a machine that is on its network",
                        isUnreachable: true))
            // Its power is cut before anything is taken apart, and its silence is seen then.
            case .alive where input.fenceCommand != nil, .unresponsive where input.fenceCommand != nil,
                .noRoute where input.fenceCommand != nil:
                break
            case .alive:
                refusals.append(
                    refusal("\(dead.host) is alive on the network: \(failure.message)", advice: notReplaced(input)))
            case .unresponsive, .noRoute: refusals += objections(bySurvivors: input)
            }
        case nil:
            refusals.append(
                refusal(
                    "\(dead.node) is in no inventory entry, so that nobody looked whether it lives",
                    advice: "add it to the inventory's hosts with 'role: master'"))
        }
        for member in input.deadMembers where member.isHealthy && !input.fences {
            refusals.append(refusal("its etcd member \(member.id) is healthy", advice: notReplaced(input)))
        }
        return refusals
    }

    /// Nobody is told to switch off a master that may be well.
    private static func notReplaced(_ input: PlanningInput) -> String {
        orNothing(
            input,
            "a master that is alive is not replaced: find out why it looks dead; only where it is to go nevertheless, shut it down for good first"
        )
    }

    /// - Returns: `advice`, unless following it would cost etcd its majority.
    private static func orNothing(_ input: PlanningInput, _ advice: String) -> String {
        input.etcdHoldsWithoutTheDead
            ? advice
            : "leave it on: without its etcd member etcd would have no majority; see which master is really dead: masterswap check"
    }

    private static func objections(to age: NotReadyAge, _ input: PlanningInput) -> [Refusal] {
        let limit = TimeInterval(input.request.notReadyFor)
        // Whoever asks for no time at all need not know it either.
        guard limit > 0 else { return [] }
        switch age {
        case .known(let age) where age >= limit: return []
        case .known:
            return [
                refusal(
                    "\(input.dead.node) has been \(age.text), \(NotReadyAge.words(limit)) are needed",
                    advice:
                        "wait: a machine that only restarts is back by then; where you know that it is dead for good: --not-ready-for SECONDS"
                )
            ]
        case .unknown:
            return [
                refusal(
                    "\(input.dead.node) is \(age.text)",
                    advice:
                        "look at it: kubectl describe node \(input.dead.node); where you know that it is dead for good: --not-ready-for 0"
                )
            ]
        }
    }

    /// It does not answer here. That alone says little: each survivor must have looked, none may have seen it alive, and one at
    /// least must be sure that it is silent.
    private static func objections(bySurvivors input: PlanningInput) -> [Refusal] {
        let host = input.dead.host
        let sights = sights(input)
        let alive = input.state.lifeSigns(of: host).map { sight in
            refusal("\(host) is alive, seen from \(sight.text)", advice: notReplaced(input))
        }
        let untold = sights.filter { $0.sign == nil }.map { sight in
            refusal(
                "\(sight.by) did not tell whether it sees \(host)",
                advice:
                    "see that bash, timeout and ip are there: masterswap exec --limit \(sight.by) -- which bash timeout ip"
            )
        }
        guard alive.isEmpty, untold.isEmpty, !sights.contains(where: \.isUnresponsive) else { return alive + untold }
        let told =
            sights.isEmpty
            ? "no surviving master could be asked" : sights.map(\.text).joined(separator: "; ")
        return [
            refusal(
                "that \(host) is dead is seen from here only: \(told)",
                advice: orNothing(
                    input,
                    "try again in a minute; if it stays so, find out whether it is on: it has to be shut down for good")
            )
        ]
    }

    private static func sights(_ input: PlanningInput) -> [PeerSight] {
        input.state.sights(of: input.dead.host, by: input.survivors.map(\.host))
    }

    /// By what the node is taken for dead, for the plan.
    package static func signs(_ input: PlanningInput) -> [String] {
        let state = input.state
        let age = input.deadNode.map { state.notReadyAge(of: $0).text } ?? "its node is deleted"
        let connection: [String] =
            switch state.hosts[input.dead.host] {
            case .reached where input.isSameMachine: ["its machine was reinstalled"]
            case _ where input.fenceCommand != nil: ["its power is cut first"]
            case .reached: ["it answers here, and is fenced first"]
            default: ["it does not answer here"] + sights(input).map(\.text)
            }
        return [age] + connection
            + input.deadMembers.filter { !$0.isHealthy }.map { "etcd member \($0.id) is not healthy" }
    }

    /// Why a machine that answers may still be the old master.
    private static func objections(to facts: HostFacts, _ input: PlanningInput) -> [Refusal] {
        let host = input.dead.host
        var refusals: [Refusal] = []
        if facts.kubeletRuns == nil || facts.clusterTraces == nil {
            refusals.append(
                refusal(
                    "whether \(host) was reinstalled is unknown: its processes or its disk could not be read",
                    advice: "see there that pidof works: command -v pidof"))
        } else if !facts.isBare {
            let signs = (facts.kubeletRuns == true ? ["a running kubelet"] : []) + (facts.clusterTraces ?? [])
            refusals.append(
                refusal(
                    "\(host) is the old master, not reinstalled: it has \(signs.joined(separator: ", "))",
                    advice: orNothing(
                        input, "shut it down for good and name a spare, or reinstall it")))
        }
        if facts.holds(input.state.inventory.cluster.vip) {
            refusals.append(refusal("\(host) holds the VIP", advice: "take it off that host first"))
        }
        guard let machine = facts.machineID else {
            refusals.append(
                refusal(
                    "\(host) has no machine id, by which a new installation is told from the old one",
                    advice: "run there: systemd-machine-id-setup"))
            return refusals
        }
        if machine == input.deadNode?.status?.nodeInfo?.machineID {
            refusals.append(
                refusal(
                    "\(host) has the machine id of \(input.dead.node), \(machine): the old installation",
                    advice:
                        "reinstall it; if it was, from an image with a machine id in it, run there: rm /etc/machine-id; systemd-machine-id-setup"
                ))
        }
        return refusals
    }
}
