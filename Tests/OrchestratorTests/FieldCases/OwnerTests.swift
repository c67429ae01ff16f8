import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Who has a lost claim, whatever kind of workload it is.
@Suite struct OwnerTests {
    func state(_ change: (inout KubernetesObjects, _ claim: String) -> Void) throws -> ClusterState {
        var state = try RunbookCluster.state()
        Lost.add("data", affinity: Lost.onDead, to: &state)
        change(&state.cluster.objects, "data")
        return state
    }

    func pod(_ claim: String, _ owners: [ObjectMeta.OwnerReference]?) -> Pod {
        var pod = RunbookCluster.pod("p", "onecloud", on: 0, claim: claim, owner: nil, isReady: false)
        pod.metadata.ownerReferences = owners
        return pod
    }

    static let template = PodTemplate(
        spec: PodSpec(volumes: [.init(name: "d", persistentVolumeClaim: .init(claimName: "data"))]))

    /// Told with the refusal, as no rule names the claim.
    func owner(_ change: (inout KubernetesObjects, _ claim: String) -> Void) throws -> String? {
        let state = try state(change)
        let claim = try #require(state.objects.claim("onecloud", "data"))
        let owner = state.owner(of: claim)
        let refusals = Lost.refusals(state)
        #expect(refusals.map(\.rule) == ["claims-have-rules"])
        let words = owner.map { " of \($0) is bound to" } ?? "onecloud/data is bound to"
        #expect(refusals.first?.reason.contains(words) == true, "\(refusals)")
        return owner
    }

    @Test func aJobsAndACronJobsClaims() throws {
        let job = { (owner: [ObjectMeta.OwnerReference]?) -> Job in
            var metadata = RunbookCluster.meta("backup-1", "onecloud")
            metadata.ownerReferences = owner
            return Job(metadata: metadata, spec: .init(template: PodTemplate(spec: PodSpec())))
        }
        let byJob: [ObjectMeta.OwnerReference] = [.init(kind: "Job", name: "backup-1", uid: "uid-onecloud-backup-1")]
        #expect(
            try owner { objects, claim in
                objects.jobs = [job(nil)]
                objects.pods.append(pod(claim, byJob))
            } == "job/backup-1")
        #expect(
            try owner { objects, claim in
                objects.jobs = [job([.init(kind: "CronJob", name: "backup", uid: "u")])]
                objects.pods.append(pod(claim, byJob))
            } == "cronjob/backup")
        #expect(
            try owner { objects, _ in
                objects.jobs = [
                    .init(metadata: RunbookCluster.meta("once", "onecloud"), spec: .init(template: Self.template))
                ]
            } == "job/once", "its pods are deleted already")
        #expect(
            try owner { objects, _ in
                objects.cronJobs = [
                    .init(
                        metadata: RunbookCluster.meta("nightly", "onecloud"),
                        spec: .init(jobTemplate: .init(spec: .init(template: Self.template))))
                ]
            } == "cronjob/nightly", "it does not run now")
    }

    @Test func anOperatorsResourceAndABarePod() throws {
        let resource: [ObjectMeta.OwnerReference] = [
            .init(kind: "Node", name: "n", uid: "1", controller: nil),
            .init(kind: "EtcdCluster", name: "default", uid: "2"),
        ]
        #expect(
            try owner { $0.pods.append(pod($1, resource)) } == "etcdcluster/default", "the controller, not the first")
        #expect(try owner { $0.pods.append(pod($1, nil)) } == "pod/p")
        #expect(
            try owner { $0.pods.append(pod($1, Array(resource.prefix(1)))) } == "pod/p",
            "an owner that is no controller")
        #expect(
            try owner { objects, claim in
                let index = objects.claims.firstIndex { $0.name == claim }!
                objects.claims[index].metadata.ownerReferences = [
                    .init(kind: "Tenant", name: "t", uid: "3", controller: nil)
                ]
            } == "tenant/t")
        #expect(try owner { _, _ in } == nil)
    }

    @Test func anEphemeralVolumesClaimIsItsPods() throws {
        #expect(
            try owner { objects, claim in
                var pod = pod("another", [.init(kind: "ReplicaSet", name: "r", uid: "uid-onecloud-r")])
                pod.spec.volumes = [.init(name: "scratch")]
                objects.pods.append(pod)
                var set = RunbookCluster.meta("r", "onecloud")
                set.ownerReferences = [.init(kind: "Deployment", name: "web", uid: "w")]
                objects.replicaSets = [ReplicaSet(metadata: set)]
                let index = objects.claims.firstIndex { $0.name == claim }!
                objects.claims[index].metadata.ownerReferences = [.init(kind: "Pod", name: "p", uid: pod.uid)]
            } == "deployment/web")
    }

    @Test func aPodWhoseOwnerIsNoControllerIsLostForGood() throws {
        let owners: [ObjectMeta.OwnerReference] = [.init(kind: "ConfigMap", name: "c", uid: "1", controller: nil)]
        var state = try RunbookCluster.state()
        state.cluster.objects.pods.append(pod("default-baremetal-agent", owners))
        #expect(try Lost.plan(state).lostPods.map(\.name) == ["p"])
    }

    /// A real List, of the kinds that are asked for.
    @Test func theKindsAreRead() throws {
        let json = #"""
            {"kind":"List","items":[
            {"kind":"Job","metadata":{"name":"j","namespace":"n","uid":"1","ownerReferences":[{"kind":"CronJob","name":"c","uid":"2","controller":true}]},"spec":{"template":{"spec":{"containers":[],"volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"x"}}]}}}},
            {"kind":"CronJob","metadata":{"name":"c","namespace":"n","uid":"2"},"spec":{"jobTemplate":{"spec":{"template":{"spec":{"volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"x"}}]}}}}}},
            {"kind":"StorageClass","metadata":{"name":"s","uid":"3"},"provisioner":"kubernetes.io/no-provisioner"},
            {"kind":"Pod","metadata":{"name":"p","namespace":"n","uid":"4"},"spec":{"containers":[{"name":"c","envFrom":[{"secretRef":{"name":"s"}}],"env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]}]}},
            {"kind":"PersistentVolume","metadata":{"name":"v","uid":"5"},"spec":{"nfs":{"server":"10.0.0.1","path":"/x"},"persistentVolumeReclaimPolicy":"Retain"}}]}
            """#
        let objects = try Kubectl.decode(KubernetesObjects.self, from: Data(json.utf8), host: "h", operation: "get")
        #expect(objects.jobs.first?.metadata.controller?.name == "c")
        #expect(objects.cronJobs.first?.claimNames == ["x"])
        #expect(objects.storageClass("s")?.isStatic == true)
        #expect(objects.pods.first?.spec.containers?.first?.env?.first?.valueFrom != nil)
        #expect(objects.pods.first?.spec.containers?.first?.envFrom?.count == 1)
        #expect(objects.volumes.first?.isOnNetwork == true)
        for kind in ["storageclasses.storage.k8s.io", "jobs.batch", "cronjobs.batch"] {
            #expect(KubernetesObjects.kinds.split(separator: ",").contains(Substring(kind)))
        }
    }
}
