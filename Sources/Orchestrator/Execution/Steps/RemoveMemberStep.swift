import Cluster
import Inventories
import Planning

/// Removes the one dead member from etcd, by its id.
struct RemoveMemberStep: Step {
    let plan: Plan

    let id = "remove-member"
    var title: String { "Remove the dead etcd member" + (plan.member.map { " \($0.id)" } ?? "") }
    let reason = "A dead member counts for the quorum, and would stand in the way of the new one."
    let estimate = 5
    var effects: [Effect] {
        plan.member.map { [.destroys("etcd member \($0.id) '\($0.name)' at \($0.peerURLs.joined(separator: ", "))")] }
            ?? []
    }

    func commands(_ inventory: Inventory) -> [String] {
        guard let member = plan.member else { return [] }
        let distribution = inventory.cluster.distribution
        let questions = plan.memberQuestions(distribution)
        return switch distribution {
        case .kubeadm: questions + [plan.etcdctl(Self.removal(member.id))]
        // Its controller does it, once the node is told to go.
        case .k3s: questions
        }
    }

    private static func removal(_ id: String) -> [String] { ["member", "remove", id] }

    func check(_ context: RunContext) async throws -> StepStatus {
        guard try await current(context) != nil else { return .satisfied("etcd has no member of the dead node") }
        return .needed("it is still a member")
    }

    func run(_ context: RunContext) async throws {
        guard let member = try await current(context) else { return }
        if context.distribution == .k3s { return try await awaitRemoval(of: member, context) }
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

    /// k3s removes the member of a node that is deleted; what it leaves is never removed behind its back.
    private func awaitRemoval(of member: EtcdMember, _ context: RunContext) async throws {
        do {
            try await context.wait(for: "k3s to remove etcd member \(member.id) '\(member.name)'") {
                try await current(context) == nil ? .done(()) : .pending("it is listed")
            }
        } catch var error as ClusterError where error.code == .waitTimedOut {
            error.advice = Etcdctl.removalByHand(member.id)
            throw error
        }
        context.destroyed("etcd member \(member.id) '\(member.name)'")
    }

    func verify(_ context: RunContext) async throws -> StepStatus {
        // After a removal the members may hold a new election; they are asked until they agree.
        try await context.wait(for: "etcd to be without the dead member", limit: .seconds(60)) {
            let members = try await context.etcdctl().members()
            if members.contains(where: { $0.id == plan.member?.id }) { return .pending("it is listed") }
            // One that never started is cleaned up after, by a step of its own.
            // Nor is one waited for that the plan goes on without.
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
        let voting = members.filter { $0.id != planned.id && !$0.isLearner }
        let healthy = voting.filter(\.isHealthy).count
        guard healthy >= voting.count / 2 + 1 else {
            throw changed(
                "without it \(healthy) of \(voting.count) voting members are healthy, \(voting.count / 2 + 1) are needed",
                "bring the others back first, then: masterswap resume")
        }
        return member
    }
}
