import Cluster
import Inventories
import Planning

/// Removes the one dead member from etcd, by its id.
struct RemoveMemberStep: Step {
    let plan: Plan

    let id = "remove-member"
    var title: String {
        let id = plan.member.map { " \($0.id)" } ?? ""
        return plan.kind.removesMembersItself
            ? "See \(plan.kind.rawValue) remove the dead etcd member\(id)" : "Remove the dead etcd member\(id)"
    }
    let reason = "A dead member counts for the quorum, and would stand in the way of the new one."
    let estimate = 5
    var effects: [Effect] {
        plan.member.map { [.destroys("etcd member \($0.id) '\($0.name)' at \($0.peerURLs.joined(separator: ", "))")] }
            ?? []
    }

    func commands(_ inventory: Inventory) -> [String] {
        guard let member = plan.member else { return [] }
        let distribution = inventory.cluster.distribution
        return plan.memberQuestions(distribution)
            + (distribution.removesMembersItself ? [] : [plan.etcdctl(Self.removal(member.id))])
    }

    private static func removal(_ id: String) -> [String] { ["member", "remove", id] }

    func check(_ context: RunContext) async throws -> StepStatus {
        guard try await current(context) != nil else { return .satisfied("etcd has no member of the dead node") }
        return .needed("it is still a member")
    }

    func run(_ context: RunContext) async throws {
        guard let member = try await current(context) else { return }
        if context.distribution.removesMembersItself {
            // It was to be done before the node was gone.
            try await context.awaitRemoval(of: member.id, limit: .seconds(60)) { try await current(context) != nil }
            return context.destroyed("etcd member \(member.id) '\(member.name)'")
        }
        try await context.assertMayAct()
        try context.record(Event(.destroying, step: id, text: "etcd member \(member.id) '\(member.name)'"))
        do {
            try await context.etcdctl().remove(member.id)
        } catch {
            // The answer to a removal that was done may be lost on its way.
            if try await current(context) != nil { throw error }
        }
        context.destroyed("etcd member \(member.id) '\(member.name)'")
    }

    func verify(_ context: RunContext) async throws -> StepStatus {
        // After a removal the members may hold a new election; they are asked until they agree.
        try await context.wait(for: "etcd to be without the dead member", limit: .seconds(60)) {
            let members = try await context.etcdctl().members()
            if members.contains(where: { $0.id == plan.member?.id }) { return .pending("it is listed") }
            // A member that never started is removed by a step of its own, and members that the plan leaves aside are not waited for.
            let unhealthy = members.filter {
                $0.isStarted && !$0.isHealthy && !plan.unsoundMemberIDs.contains($0.id)
            }
            guard unhealthy.isEmpty else {
                return .pending("not healthy: \(unhealthy.map(\.name).joined(separator: ", "))")
            }
            let healthy = members.filter(\.isHealthy).map(\.name)
            return .done(
                .satisfied(
                    "\(healthy.count) of \(members.count) members are healthy: \(healthy.joined(separator: ", "))"))
        }
    }

    /// The planned member, if it is there and the same; the quorum after its removal is counted again on the way.
    private func current(_ context: RunContext) async throws -> EtcdMember? {
        guard let planned = plan.member else { return nil }
        let members = try await context.etcdctl().members()
        guard let member = members.first(where: { $0.id == planned.id }) else { return nil }
        func changed(_ cause: String, _ advice: String) -> ClusterError {
            ClusterError(
                .changed, host: plan.primary.host, operation: "look at etcd member \(planned.id)", cause: cause,
                advice: advice)
        }
        guard member.name == planned.name, member.peerURLs == planned.peerURLs else {
            throw changed(
                "it is '\(member.name)' at \(member.peerURLs.joined(separator: ", ")) by now",
                "make a new plan: masterswap plan")
        }
        guard !member.isHealthy else {
            throw changed(
                "it is healthy again", "the old master is back: shut it down for good, then: masterswap resume")
        }
        let quorum = Quorum(members.filter { $0.id != planned.id })
        guard quorum.isThere else {
            throw changed(
                "without it etcd has \(quorum)", "bring the others back first, then: masterswap resume")
        }
        return member
    }
}

extension RunContext {
    /// Waits until a member is gone that the cluster removes by itself; what that leaves is never removed behind its back.
    /// - Parameter limit: `nil` for that of every wait.
    func awaitRemoval(of member: String, limit: Duration? = nil, _ isThere: () async throws -> Bool) async throws {
        do {
            try await wait(for: "\(distribution.rawValue) to remove etcd member \(member)", limit: limit) {
                try await isThere() ? .pending("it is listed") : .done(())
            }
        } catch var error as ClusterError where error.code == .waitTimedOut {
            error.advice =
                "see why on the masters: journalctl -u \(distribution.kubeletUnit); where it stays, and its machine is gone for good or stopped, remove it by hand: \(distribution.removalOfLeft(member)); then: masterswap resume"
            throw error
        }
    }
}
