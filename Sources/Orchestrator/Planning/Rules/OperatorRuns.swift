import Cluster
import Inventories

/// That an operator recreates a Deployment is the inventory's word; it is believed where the Deployment is controlled by another
/// operator's custom resource, or where Cloudpods' operator runs in its namespace: the OnecloudCluster alone recreates nothing.
public enum OperatorRuns: SafetyRule {
    public static let id = "operator-runs"
    public static let prevents = "deleting a deployment that nobody would recreate"

    /// Its Deployment in a Cloudpods cluster; it controls all of the cloud's Deployments.
    private static let name = "onecloud-operator"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        let deployments = input.lost.compactMap { lost -> Deployment? in
            guard case .rebuild(let workload) = lost.action, case .deployment(let name) = workload.target else {
                return nil
            }
            return input.state.deployment(workload.namespace, name)
        }
        guard !deployments.isEmpty else { return [] }
        return Array(uniqued: deployments).flatMap { deployment -> [Refusal] in
            // It controls Deployments of its own namespace only.
            let operators = input.services.filter { $0.name.hasSuffix(" \(deployment.namespace)/\(name)") }
            let owner = deployment.metadata.controller
            // Another operator's custom resource is that operator's affair.
            if let owner, owner.kind != "OnecloudCluster" { return [] }
            if operators.contains(where: \.isAvailable) { return [] }
            let why = operators.compactMap { service -> String? in
                guard case .isDown(let why, _) = service.state else { return nil }
                return "\(service.name) \(why)"
            }
            return [
                refusal(
                    "the inventory says that an operator recreates the deployment \(deployment.reference), and \(why.isEmpty ? "it has no owner that \(owner == nil ? "controls it" : "runs"), and no \(name) was found" : why.joined(separator: "; "))",
                    advice:
                        "have the operator run first: kubectl get deployment -A | grep \(name); or leave its claim alone under 'workloads': action: ignore"
                )
            ]
        }
    }
}
