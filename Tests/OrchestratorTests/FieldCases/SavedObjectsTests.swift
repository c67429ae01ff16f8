import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// The manifest of every object is saved before it is deleted.
@Suite struct SavedObjectsTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }
    var saved: String { folder.path + "/saved" }

    /// Everything else that the step asks for, answered.
    func cluster(_ objects: KubernetesObjects) -> FakeCluster {
        let snapshot = "an etcd snapshot"
        return FakeCluster(
            objects, configMap: ConfigMap(metadata: RunbookCluster.meta("kubeadm-config", "kube-system"), data: [:])
        ) { _, command in
            let text = command.display
            if text.hasPrefix("tar ") { return FakeCluster.output("tar") }
            if text.contains("snapshot status") { return FakeCluster.output(#"{"revision":7,"totalKey":9}"#) }
            if text.hasPrefix("sha256sum") {
                return FakeCluster.output("a48ba5ae1ec2a2b1a92b3ad0d1ca7e2cd4d06d5f14ff7f6a4e4f1a8fd22d5c2b")
            }
            if text.hasPrefix("read ") { return FakeCluster.output(text.hasSuffix(" 0") ? snapshot : "") }
            return nil
        }
    }

    func plan(_ state: ClusterState? = nil) throws -> Plan {
        var plan = try Lost.plan(try state ?? RunbookCluster.state())
        plan.kubernetes = nil
        return plan
    }

    func save(_ plan: Plan, _ cluster: FakeCluster) async throws {
        let kubectl = try cluster.context(plan, in: folder).kubectl()
        try await SavedObjects(plan: plan).save(kubectl, into: saved) { data, name in
            let file = URL(fileURLWithPath: saved + "/" + name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try data.write(to: file)
        }
    }

    @Test func eachDeletedObjectIsInAFileOfItsOwn() async throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.pods.append(
            RunbookCluster.pod("alone", "default", on: 0, claim: nil, owner: nil, isReady: false))
        let plan = try plan(state)
        let cluster = cluster(state.objects)
        #expect(SavedObjects(plan: plan).missing(in: saved).count == 15)
        try await save(plan, cluster)
        #expect(SavedObjects(plan: plan).missing(in: saved).isEmpty)
        let names = Set(try FileManager.default.contentsOfDirectory(atPath: saved + "/objects"))
        let expected = [
            "node.lzx-ocboot-ha-test.json", "persistentvolumeclaim.onecloud-minio.export-minio-0.json",
            "persistentvolume.pvc-onecloud-minio-export-minio-0.json", "statefulset.onecloud-minio.minio.json",
            "deployment.onecloud.default-influxdb.json", "pod.default.alone.json", "pods-of-lzx-ocboot-ha-test.json",
            "index.txt",
        ]
        #expect(names.isSuperset(of: expected), "\(names)")
        let file = saved + "/objects/persistentvolumeclaim.onecloud-minio.export-minio-0.json"
        let claim = try JSONDecoder().decode(Claim.self, from: Data(contentsOf: URL(fileURLWithPath: file)))
        #expect(claim == state.objects.claim("onecloud-minio", "export-minio-0"))
        // One question a namespace, one for what has none, and the dead node's pods.
        #expect(cluster.asked.count == 6, "\(cluster.asked)")
        #expect(cluster.asked.allSatisfy { $0.contains(": kubectl get ") })
        for command in SavedObjects(plan: plan).commands() { #expect(cluster.asked.contains(command), "\(command)") }
    }

    @Test func aSuccessorOfTheSameNameIsNotTakenForIt() async throws {
        let plan = try plan()
        var objects = try RunbookCluster.objects(dead: 0)
        let index = try #require(objects.claims.firstIndex { $0.name == "export-minio-0" })
        objects.claims[index].metadata.uid = "another"
        objects.volumes.removeAll { $0.name == "pvc-onecloud-default-influxdb" }
        try await save(plan, cluster(objects))
        let names = try FileManager.default.contentsOfDirectory(atPath: saved + "/objects")
        #expect(!names.contains("persistentvolumeclaim.onecloud-minio.export-minio-0.json"))
        let list = try String(contentsOfFile: saved + "/objects/index.txt", encoding: .utf8)
        #expect(
            list.contains(
                "persistentvolumeclaim onecloud-minio/export-minio-0 (uid uid-onecloud-minio-export-minio-0): was not there any more"
            ))
        #expect(SavedObjects(plan: plan).missing(in: saved).isEmpty)
    }

    /// A resume may have to delete what the run did not know of; what was saved before anything was changed stays.
    @Test func aResumeAddsWhatIsNew() async throws {
        var plan = try plan()
        let state = try RunbookCluster.state()
        try await save(plan, cluster(state.objects))
        let node = saved + "/objects/node.lzx-ocboot-ha-test.json"
        let before = try Data(contentsOf: URL(fileURLWithPath: node))
        plan.failedJoin = FailedJoin(
            traces: [], member: nil,
            node: ObjectReference(.node, name: RunbookCluster.spare, uid: "uid-cluster-\(RunbookCluster.spare)"))
        #expect(SavedObjects(plan: plan).missing(in: saved).map(\.name) == [RunbookCluster.spare])
        var objects = state.objects
        objects.nodes[0] = RunbookCluster.node(RunbookCluster.spare, "10.127.100.224", isReady: false)
        let cluster = cluster(objects)
        try await save(plan, cluster)
        #expect(SavedObjects(plan: plan).missing(in: saved).isEmpty)
        #expect(try Data(contentsOf: URL(fileURLWithPath: node)) == before)
        #expect(cluster.asked.count == 1)
    }

    @Test func theFilesAreAsSecretAsTheRest() async throws {
        let plan = try plan()
        let state = try RunbookCluster.state()
        let context = try cluster(state.objects).context(plan, in: folder)
        try FileManager.default.createDirectory(atPath: saved, withIntermediateDirectories: true)
        // The snapshot's checksum is not that of what the fake sends; the objects come before it.
        await #expect(throws: ClusterError.self) { try await SaveStep(plan: plan).run(context) }
        let objects = saved + "/objects"
        #expect(try FileManager.default.attributesOfItem(atPath: objects)[.posixPermissions] as? Int == 0o700)
        let names = try FileManager.default.contentsOfDirectory(atPath: objects)
        #expect(names.count > 10)
        for name in names {
            let mode = try FileManager.default.attributesOfItem(atPath: objects + "/" + name)[.posixPermissions] as? Int
            #expect(mode == 0o600, "\(name)")
        }
        guard case .needed(let what) = try await SaveStep(plan: plan).check(context) else {
            Issue.record("there is no snapshot")
            return
        }
        #expect(what == "not saved yet: etcd-snapshot.db")
        #expect(SaveStep(plan: plan).effects.contains { $0.text.hasPrefix("objects/") })
    }
}
