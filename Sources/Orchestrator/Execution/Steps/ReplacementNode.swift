import Cluster
import Planning

/// What the steps ask about the new node, which may have the name, the address, or both of the dead one: their UIDs and member
/// ids differ.
enum ReplacementNode {
    /// The new node, once it is there.
    /// - Throws: ``ClusterError`` with `changed` where another host has its name.
    static func find(_ plan: Plan, _ kubectl: Kubectl) async throws -> Node? {
        guard let node = try await kubectl.find(Node.self, ["node", plan.replacement.node]), node.uid != plan.dead.uid
        else { return nil }
        guard plan.isReplacement(node) else {
            throw ClusterError(
                .changed, host: plan.replacement.host, operation: "look at node \(plan.replacement.node)",
                cause:
                    "it is at \(node.internalAddresses.isEmpty ? "no address" : node.internalAddresses.listed), planned was \(plan.replacement.address)",
                advice: "another host has that name; give the new one a name of its own")
        }
        return node
    }

    /// It has joined, under the dead one's name.
    static func hasItsName(_ plan: Plan, _ kubectl: Kubectl) async throws -> Bool {
        guard plan.reusesName else { return false }
        return try await find(plan, kubectl) != nil
    }

    /// Pods that a claim of the dead node's disk is still mounted in: with the dead one's name back in the cluster, they are
    /// started again there, on an empty folder, and hold the claim that is to go.
    static func evictHolders(of lost: Plan.LostClaim, _ plan: Plan, _ context: RunContext) async throws {
        let kubectl = try context.kubectl()
        guard let namespace = lost.claim.namespace, try await hasItsName(plan, kubectl),
            let claim = try await kubectl.find(
                Claim.self, ["persistentvolumeclaim", lost.claim.name, "-n", namespace]),
            claim.uid == lost.claim.uid, claim.metadata.deletionTimestamp != nil
        else { return }
        for pod in try await kubectl.list(Pod.self, ["pods", "-n", namespace])
        where pod.nodeName == plan.replacement.node && pod.spec.claimNames.contains(claim.name)
            && pod.metadata.deletionTimestamp == nil
        {
            try await context.delete(ObjectReference(.pod, pod))
        }
    }
}
