import Cluster
import Foundation
import Inventories
import Planning

/// Drops the dead node's entry from kubeadm's ClusterStatus (kubernetes/kubeadm#1300), and nothing else of it.
struct CleanClusterStatusStep: Step {
    let plan: Plan

    let id = "clean-cluster-status"
    var title: String { "Drop \(plan.dead.node) from kubeadm's ClusterStatus" }
    let reason = "kubeadm's join would ask the dead one's etcd, and fail (kubernetes/kubeadm#1300)."
    let estimate = 1
    var effects: [Effect] { [.changes("configmap kube-system/kubeadm-config: apiEndpoints without \(plan.dead.node)")] }

    func commands(_ inventory: Inventory) -> [String] {
        [
            plan.kubectl(["get"] + Self.configMap + ["-o", "json"]),
            plan.kubectl(Self.patchArguments("PATCH"))
                + " # tests the ClusterStatus that was read, replaces it by one without \(plan.dead.node)",
        ]
    }

    private static let configMap = ["configmap", "kubeadm-config", "-n", "kube-system"]
    private static func patchArguments(_ json: String) -> [String] {
        ["patch"] + configMap + ["--type=json", "-p", json]
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        guard let status = try await current(context) else { return .satisfied("there is no ClusterStatus") }
        if try await ReplacementNode.hasItsName(plan, try context.kubectl()) {
            return .satisfied("the entry of that name is the new node's")
        }
        return status.endpoints.contains(plan.dead.node)
            ? .needed("it is listed") : .satisfied("it lists \(status.endpoints.joined(separator: ", "))")
    }

    func run(_ context: RunContext) async throws {
        guard let status = try await current(context), let text = status.removing(plan.dead.node) else {
            throw ClusterError(
                .badOutput, host: plan.primary.host, operation: "edit configmap kube-system/kubeadm-config",
                cause: "the entry of \(plan.dead.node) is not written as kubeadm writes it",
                advice:
                    "take it out by hand: kubectl -n kube-system edit configmap kubeadm-config; then: masterswap resume"
            )
        }
        // Tested and replaced in one request, so that a change by somebody else in between is not lost.
        let patch = [
            PatchOperation(op: "test", path: "/data/ClusterStatus", value: status.text),
            PatchOperation(op: "replace", path: "/data/ClusterStatus", value: text),
        ]
        let json = String(decoding: try EventCoding.encode(patch), as: UTF8.self)
        do {
            try await context.kubectl().run(Self.patchArguments(json))
        } catch let error as ClusterError where error.code == .commandFailed {
            // Where the answer to a first try was lost, the test fails on what that one did.
            if let now = try await current(context), now.endpoints.contains(plan.dead.node) { throw error }
        }
    }

    private struct PatchOperation: Encodable {
        var op: String
        var path: String
        var value: String
    }

    private func current(_ context: RunContext) async throws -> ClusterStatus? {
        try await context.kubectl().find(ConfigMap.self, Self.configMap).flatMap(ClusterStatus.init)
    }
}
