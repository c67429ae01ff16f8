import Cluster
import Foundation
import Inventories
import Planning

/// Drops dead nodes' entries from kubeadm's ClusterStatus (kubernetes/kubeadm#1300), and nothing else of it.
struct CleanClusterStatusStep: Step {
    let nodes: [String]
    /// The inventory's name of the host that kubectl is given on first.
    let primary: String
    /// Of a replacement, whose new node may have the dead one's name.
    let plan: Plan?

    init(plan: Plan) {
        (nodes, primary, self.plan) = ([plan.dead.node], plan.primary.host, plan)
    }
    init(nodes: [String], on primary: String) {
        (self.nodes, self.primary, plan) = (nodes, primary, nil)
    }

    private var names: String { nodes.joined(separator: ", ") }

    let id = "clean-cluster-status"
    var title: String { "Drop \(names) from kubeadm's ClusterStatus" }
    let reason = "kubeadm's join would ask the dead one's etcd, and fail (kubernetes/kubeadm#1300)."
    let estimate = 1
    var effects: [Effect] { [.changes("configmap kube-system/kubeadm-config: apiEndpoints without \(names)")] }

    func commands(_ inventory: Inventory) -> [String] {
        [
            "\(primary): \(Kubectl.label(["get"] + Self.configMap + ["-o", "json"]))",
            "\(primary): \(Kubectl.label(Self.patchArguments("PATCH"))) # tests the ClusterStatus that was read, replaces it by one without \(names)",
        ]
    }

    private static let configMap = ["configmap", "kubeadm-config", "-n", "kube-system"]
    private static func patchArguments(_ json: String) -> [String] {
        ["patch"] + configMap + ["--type=json", "-p", json]
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        guard let status = try await current(context) else { return .satisfied("there is no ClusterStatus") }
        if let plan, try await ReplacementNode.hasItsName(plan, try context.kubectl()) {
            return .satisfied("the entry of that name is the new node's")
        }
        return status.endpoints.contains(where: nodes.contains)
            ? .needed("it is listed") : .satisfied("it lists \(status.endpoints.joined(separator: ", "))")
    }

    func run(_ context: RunContext) async throws {
        guard let status = try await current(context), let text = status.removing(nodes) else {
            throw ClusterError(
                .badOutput, host: primary, operation: "edit configmap kube-system/kubeadm-config",
                cause: "the entry of \(names) is not written as kubeadm writes it",
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
            if let now = try await current(context), now.endpoints.contains(where: nodes.contains) { throw error }
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
