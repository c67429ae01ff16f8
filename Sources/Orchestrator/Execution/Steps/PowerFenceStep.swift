import Cluster
import Inventories
import Planning
import SSH

/// Cuts the old master's power by a command of the inventory's that runs on this machine, and sees that it is silent then: for an old
/// master that lives and does not let the tool in, and for one whose silence nobody trusts.
struct PowerFenceStep: Step {
    let plan: Plan
    let command: [String]

    let id = "fence"
    var title: String { "Cut the power of the old master \(plan.dead.host)" }
    let reason = "It may live, and think that it is MASTER and a member of etcd; a machine without power does neither."
    let estimate = 30
    var effects: [Effect] {
        [.destroys("all that runs on \(plan.dead.host): its power is cut, by the inventory's command, on this machine")]
    }

    /// For the switch to answer, and for the machine to fall silent; a neighbour's table forgets it within a minute.
    private static let limit = Duration.seconds(180)

    private var told: String { "this machine: \(ShellQuoting.join(command))" }
    private var act: String { "the power of \(plan.dead.host)" }

    func commands(_ inventory: Inventory) -> [String] { [told] }

    func check(_ context: RunContext) async throws -> StepStatus {
        // Silence alone is no proof: it has to be this run that cut the power.
        let wasCut = ((try? context.run.events()) ?? []).contains {
            $0.event == .destroyed && $0.step == id && $0.text == act
        }
        guard wasCut else { return .needed("its power has not been cut by this run") }
        if let node = try await DeadNode.returned(plan, context.kubectl()) {
            return .needed("\(ObjectReference(.node, node)) registered again")
        }
        if let sign = try await signOfLife(context) { return .needed(sign) }
        context.armWatch()
        return .satisfied("its power is cut, and neither this machine nor any survivor gets an answer from it")
    }

    func run(_ context: RunContext) async throws {
        try await FenceStep.refuseUnlessDead(plan, context)
        try context.record(Event(.destroying, step: id, text: act))
        context.tell(Event(.command, step: id, text: told))
        let (command, operation) = (command, "cut the power of \(plan.dead.host)")
        let advice =
            "try it by hand, and look at the machine; once its power is cut: masterswap resume; to have it cut: masterswap resume --fence"
        let result = try await context.uninterrupted {
            try await LocalCommand.run(command, limit: Self.limit, operation: operation, advice: advice)
        }
        for line in result.lines { context.output(line) }
        guard result.succeeded else {
            throw ClusterError(
                .commandFailed, host: "this machine", operation: operation,
                cause: "\(ShellQuoting.join(command)): \(result.outcome)", advice: advice)
        }
        context.tell(Event(.destroyed, step: id, text: act))
        try await context.wait(
            for: "\(plan.dead.host) to be silent", on: plan.dead.host, limit: min(Self.limit, context.limits.wait)
        ) {
            try await signOfLife(context).map { .pending($0) } ?? .done(())
        }
        if let node = try await DeadNode.returned(plan, context.kubectl()) {
            try await context.delete(ObjectReference(.node, node))
            try await DeadNode.awaitEnd(of: node.name, context) { try await DeadNode.returned(plan, context.kubectl()) }
        }
        try await FenceStep.awaitSilenceOfMember(plan, context)
    }

    /// By the look that a dead master is told by: this machine gets no answer, no survivor sees it alive, each of them tells what it sees,
    /// and one at least is sure. `nil` where that is so.
    private func signOfLife(_ context: RunContext) async throws -> String? {
        do {
            _ = try await context.remote(plan.dead.host).run(Command(["true"], timeout: .seconds(10)))
            return "it answers over SSH"
        } catch {
            try Task.checkCancellation()
            let failure = ClusterState.HostFailure(error, of: plan.dead.host)
            switch failure.sign {
            case .alive: return "it is alive on the network: \(failure.message)"
            case .inconclusive: return "whether it is off cannot be seen from here: \(failure.message)"
            case .unresponsive, .noRoute: break
            }
        }
        return PeerSight.doubt(await context.sightsOfTheDead(plan))
    }
}
