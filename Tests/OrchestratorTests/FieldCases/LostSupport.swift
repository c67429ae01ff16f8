import Foundation
import SSH

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What the tests about lost volumes share: changes to the runbook's cluster, and what is planned or refused then.
enum Lost {
    static func plan(
        _ state: ClusterState, _ request: ReplacementRequest = RunbookCluster.request
    ) throws -> Plan {
        try Planner.plan(state, request, now: Date(timeIntervalSince1970: 0))
    }

    /// Empty where there is a plan.
    static func refusals(
        _ state: ClusterState, _ request: ReplacementRequest = RunbookCluster.request
    ) -> [Refusal] {
        do {
            _ = try plan(state, request)
            return []
        } catch let refused as Refused {
            return refused.refusals
        } catch {
            return [Refusal("unexpected", "\(error)", advice: "")]
        }
    }

    static func request(accepting losses: [String]) -> ReplacementRequest {
        var request = RunbookCluster.request
        request.acceptedLosses = losses
        return request
    }

    static func requirement(_ key: String, _ operator: String, _ values: [String]? = nil) -> NodeSelector.Requirement {
        .init(key: key, operator: `operator`, values: values)
    }

    static func affinity(_ expressions: [NodeSelector.Requirement]...) -> Volume.NodeAffinity {
        .init(required: .init(nodeSelectorTerms: expressions.map { .init(matchExpressions: $0) }))
    }

    /// One more claim and its volume on a node's disk.
    static func add(
        _ name: String, in namespace: String = "onecloud", affinity: Volume.NodeAffinity?,
        storageClass: String = "local-path",
        to state: inout ClusterState
    ) {
        let claim = Claim(
            metadata: RunbookCluster.meta(name, namespace),
            spec: .init(storageClassName: storageClass, volumeName: "pv-\(name)"), status: .init(phase: "Bound"))
        state.cluster.objects.claims.append(claim)
        state.cluster.objects.volumes.append(
            Volume(
                metadata: RunbookCluster.meta("pv-\(name)", nil),
                spec: .init(
                    storageClassName: storageClass,
                    claimRef: .init(namespace: namespace, name: name, uid: claim.uid), nodeAffinity: affinity,
                    persistentVolumeReclaimPolicy: "Delete"), status: .init(phase: "Bound")))
    }

    static let onDead = affinity([requirement("kubernetes.io/hostname", "In", [RunbookCluster.names[0]])])
}

extension ClusterState {
    mutating func change(volume name: String, _ change: (inout Volume) -> Void) {
        for index in cluster.objects.volumes.indices where cluster.objects.volumes[index].name == name {
            change(&cluster.objects.volumes[index])
        }
    }

    mutating func change(deployment name: String, _ change: (inout Deployment) -> Void) {
        for index in cluster.objects.deployments.indices where cluster.objects.deployments[index].name == name {
            change(&cluster.objects.deployments[index])
        }
    }

    mutating func change(set name: String, _ change: (inout StatefulSet) -> Void) {
        for index in cluster.objects.statefulSets.indices where cluster.objects.statefulSets[index].name == name {
            change(&cluster.objects.statefulSets[index])
        }
    }
}
