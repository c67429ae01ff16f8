import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

@Suite struct KeepalivedManifestTests {
    @Test func theRunbooksEnvironmentIsRead() throws {
        let manifest = try KeepalivedManifest(RunbookCluster.manifest(1))
        #expect(manifest.priority == 90)
        #expect(manifest.state == .backup)
        #expect(manifest.virtualIPs == ["10.127.100.102"])
        #expect(manifest.routerID == "12")
        #expect(manifest.nodeIP == "10.127.100.229")
        #expect(manifest.interface == "eth0")
        #expect("\(manifest.password)" == "••••")
    }

    @Test func promotionChangesTwoLinesAndNothingElse() throws {
        let old = RunbookCluster.manifest(1)
        let new = try KeepalivedManifest(old).promoted()
        #expect(
            KeepalivedManifest.difference(old, new) == [
                "-       value: \"90\"", "+       value: \"100\"", "-       value: BACKUP", "+       value: MASTER",
            ])
        #expect(
            new.split(separator: "\n", omittingEmptySubsequences: false).count
                == old.split(separator: "\n", omittingEmptySubsequences: false).count)
        #expect(try KeepalivedManifest(new).promoted() == new, "once more changes nothing")
    }

    @Test func aPasswordThatLooksLikeAStateIsNotTouched() throws {
        let old = RunbookCluster.manifest(1).replacing("de17f785", with: "BACKUP")
        let new = try KeepalivedManifest(old).promoted()
        #expect(try KeepalivedManifest(new).password == Secret("BACKUP"))
    }

    @Test(arguments: [
        "", "a: b", "spec: {containers: [{env: []}]}", "\u{0}",
        "spec: {containers: [{env: [{name: KEEPALIVED_STATE, value: FAULT}]}]}",
    ])
    func whatIsNoManifestIsNotGuessedAt(text: String) {
        #expect(throws: KeepalivedManifest.Unreadable.self) { try KeepalivedManifest(text) }
    }

    @Test func valuesInFlowStyleAreLeftToAPerson() throws {
        let flow = """
            spec:
              containers:
              - env: [{name: KEEPALIVED_PRIORITY, value: "90"}, {name: KEEPALIVED_STATE, value: BACKUP}, {name: KEEPALIVED_VIRTUAL_IPS, value: 10.0.0.1}]
            """
        #expect(throws: KeepalivedManifest.Unreadable.self) { try KeepalivedManifest(flow).promoted() }
    }
}

@Suite struct EtcdOutputTests {
    /// The runbook's members as etcdctl prints them in JSON: ids in decimal, beyond what a Double holds.
    static let json = """
        {"header":{"cluster_id":1},"members":[{"ID":1502695021706596064,"name":"lzx-ocboot-ha-test","peerURLs":["https://10.127.100.234:2380"],"clientURLs":["https://10.127.100.234:2379"]},{"ID":4992968262186590817,"peerURLs":["https://10.127.100.229:2380"]}]}
        """

    @Test func idsAreHexadecimal() throws {
        let members = try EtcdOutput.members(Data(Self.json.utf8))
        #expect(members[0].id == String(1_502_695_021_706_596_064, radix: 16))
        #expect(members[0].id == "14da9f2b1ee73ae0" || members[0].id.count == 16)
        #expect(members[0].isStarted)
        #expect(!members[1].isStarted)
        #expect(members[1].addresses == ["10.127.100.229"])
    }

    @Test func theLargestIdIsRead() throws {
        let members = try EtcdOutput.members(Data(#"{"members":[{"ID":18446744073709551615,"name":"a"}]}"#.utf8))
        #expect(members[0].id == "ffffffffffffffff")
    }

    @Test(arguments: ["", "{}", #"{"members":[{"ID":"x"}]}"#, #"{"members":[{"ID":1"#]) func otherOutputIsAnError(
        json: String
    ) {
        #expect(throws: ClusterError.self) { try Etcdctl.parse(Data(json.utf8), host: "a") }
    }

    @Test func healthIsReadFromTheTextThatAllVersionsPrint() {
        let text = """
            https://10.0.0.2:2379 is healthy: successfully committed input: took = 10.5ms
            https://10.0.0.1:2379 is unhealthy: failed to commit input: context deadline exceeded
            Error: unhealthy cluster
            """
        #expect(EtcdOutput.healthyEndpoints(text) == ["https://10.0.0.2:2379"])
    }
}

@Suite struct MinIOHealTests {
    static let complete = """
        API: http://minio-3:9000
        Healing disk '/export' on 1st pool
        Healing disk '/export' on 1st pool complete
        Summary:
        {
          "ID": "0e5c1947-44f0-4f8a-b7f0-e3a55f441d6f",
          "PoolIndex": 0,
          "Path": "/export",
          "Started": "2022-04-13T06:49:29.882069559Z",
          "ObjectsHealed": 10,
          "ObjectsFailed": 0,
          "BytesDone": 1756978429,
          "BytesFailed": 0,
          "QueuedBuckets": [],
          "HealedBuckets": [
            ".minio.sys/config",
            ".minio.sys/buckets",
            "onecloud-images"
          ]
        }
        """

    @Test func theRunbooksLogIsAHeal() {
        guard case .complete(let summary) = MinIOHeal.state(ofLog: Self.complete) else { return #expect(Bool(false)) }
        #expect(summary.objectsHealed == 10)
        #expect(summary.healedBuckets.contains("onecloud-images"))
    }

    @Test func aHealThatHasNotEndedIsNoHeal() {
        #expect(MinIOHeal.state(ofLog: "API: up\n") == .notStarted)
        #expect(MinIOHeal.state(ofLog: "Healing disk '/export' on 1st pool\n") == .running)
        let cut = String(Self.complete.prefix(200))
        #expect(MinIOHeal.state(ofLog: cut) == .running, "a summary that is still being printed")
        #expect(
            MinIOHeal.state(ofLog: Self.complete + "\nHealing disk '/export' on 1st pool\n") == .running,
            "a second heal has begun")
    }

    @Test(arguments: [
        ("\"ObjectsFailed\": 0", "\"ObjectsFailed\": 2"), ("\"BytesFailed\": 0", "\"BytesFailed\": 7"),
        ("\"QueuedBuckets\": []", "\"QueuedBuckets\": [\"onecloud-images\"]"), ("\"ObjectsHealed\": 10,", ""),
    ]) func whatWasNotHealedIsAFailure(old: String, new: String) {
        guard case .failed = MinIOHeal.state(ofLog: Self.complete.replacing(old, with: new)) else {
            Issue.record("'\(new)' passed for a heal")
            return
        }
    }
}

@Suite struct KubernetesObjectsTests {
    let list =
        #"{"apiVersion":"v1","kind":"List","items":[{"kind":"Node","metadata":{"name":"a","uid":"1"}},{"kind":"Pod","metadata":{"name":"p","namespace":"n","uid":"2"},"spec":{"nodeName":"a"}}]}"#

    @Test func aMixedListIsSorted() throws {
        let objects = try Kubectl.decode(KubernetesObjects.self, from: Data(list.utf8), host: "h", operation: "get")
        #expect(objects.nodes.map(\.name) == ["a"])
        #expect(objects.pods.map(\.reference) == ["n/p"])
    }

    @Test(arguments: [
        "", "null", "[]", #"{"kind":"PodList","items":[]}"#,
        #"{"kind":"List","items":[{"kind":"Secret","metadata":{"name":"a","uid":"1"}}]}"#, #"{"kind":"List"}"#,
    ])
    func whatIsNotThatListIsAnError(json: String) {
        #expect(throws: ClusterError.self) {
            try Kubectl.decode(KubernetesObjects.self, from: Data(json.utf8), host: "h", operation: "get")
        }
    }

    @Test func everyTruncationIsAnError() {
        for length in 0..<list.utf8.count {
            #expect(throws: ClusterError.self) {
                try Kubectl.decode(
                    KubernetesObjects.self, from: Data(list.utf8.prefix(length)), host: "h", operation: "get")
            }
        }
    }

    /// A cluster far beyond any of Cloudpods: what it takes is printed, not judged.
    @Test func tenThousandPodsAreRead() throws {
        let pod =
            #"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"pod-NUMBER","namespace":"n","uid":"u-NUMBER","#
            + #""annotations":{"a":"\#(String(repeating: "x", count: 600))"}},"spec":{"nodeName":"a","containers":[{"name":"c","#
            + #""image":"registry.example/image:v1","env":[{"name":"A","value":"b"}]}],"volumes":[{"name":"d","#
            + #""persistentVolumeClaim":{"claimName":"c-NUMBER"}}]},"status":{"phase":"Running","containerStatuses":"#
            + #"[{"name":"c","ready":true,"restartCount":0}],"conditions":[{"type":"Ready","status":"True"}]}}"#
        let pods = (0..<10_000).map { pod.replacing("NUMBER", with: String($0)) }.joined(separator: ",")
        let json = Data((#"{"kind":"List","items":["# + pods + "]}").utf8)
        let before = Self.residentMiB()
        var objects = KubernetesObjects()
        let time = try ContinuousClock().measure {
            objects = try Kubectl.decode(KubernetesObjects.self, from: json, host: "h", operation: "get")
        }
        #expect(objects.pods.count == 10_000)
        #expect(objects.pods.last?.spec.claimNames == ["c-9999"])
        print(
            "10,000 pods, \(json.count >> 20) MiB of JSON: read in \(time), \(before) MiB resident before, \(Self.residentMiB()) after"
        )
        #expect(throws: ClusterError.self) {
            try Kubectl.decode(
                KubernetesObjects.self, from: json.prefix(json.count - 2), host: "h", operation: "get")
        }
    }

    private static func residentMiB() -> Int {
        let pages = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
        return (pages.flatMap { $0.count > 1 ? Int($0[1]) : nil } ?? 0) * 4096 / 1_048_576
    }

    @Test func volumesAreBoundByNodeAffinityNotByName() throws {
        let objects = try RunbookCluster.objects(dead: nil)
        let first = objects.nodes[0]
        // lzx-ocboot-ha-test is a prefix of the other names.
        #expect(objects.volumes.filter { $0.isOnly(on: first, among: objects.nodes) }.count == 5)
        var volume = objects.volumes[0]
        volume.spec.nodeAffinity?.required?.nodeSelectorTerms[0].matchExpressions?[0].values = [
            first.name, objects.nodes[1].name,
        ]
        #expect(!volume.isOnly(on: first, among: objects.nodes), "it can be mounted elsewhere too")
        volume.spec.nodeAffinity = nil
        #expect(!volume.isOnly(on: first, among: objects.nodes))
    }

    @Test(arguments: [
        ("export-minio-0", 0), ("export-minio-12", 12), ("export-minio-01", nil), ("export-minio-x", nil),
        ("export-monitor-minio-0", nil),
    ])
    func aClaimBelongsToItsSetsReplica(claim: String, ordinal: Int?) throws {
        let set = try #require(RunbookCluster.objects(dead: nil).statefulSets.first { $0.name == "minio" })
        #expect(set.ordinal(ofClaim: claim) == ordinal)
    }
}

@Suite struct ClusterStatusTests {
    static let text = """
        apiEndpoints:
          lzx-ocboot-ha-test:
            advertiseAddress: 10.127.100.234
            bindPort: 6443
          lzx-ocboot-ha-test-2:
            advertiseAddress: 10.127.100.229
            bindPort: 6443
        apiVersion: kubeadm.k8s.io/v1beta2
        kind: ClusterStatus

        """

    func clusterStatus(_ text: String?) -> ClusterStatus? {
        ClusterStatus(
            ConfigMap(
                metadata: RunbookCluster.meta("kubeadm-config", "kube-system"), data: text.map { ["ClusterStatus": $0] }
            ))
    }

    @Test func oneEntryIsTakenOut() throws {
        let status = try #require(clusterStatus(Self.text))
        #expect(status.endpoints == ["lzx-ocboot-ha-test", "lzx-ocboot-ha-test-2"])
        let expected = """
            apiEndpoints:
              lzx-ocboot-ha-test-2:
                advertiseAddress: 10.127.100.229
                bindPort: 6443
            apiVersion: kubeadm.k8s.io/v1beta2
            kind: ClusterStatus

            """
        #expect(status.removing("lzx-ocboot-ha-test") == expected)
        #expect(status.removing("nobody") == nil)
    }

    @Test func withoutItThereIsNothingToDo() {
        #expect(clusterStatus(nil) == nil)
        #expect(clusterStatus("") == nil)
    }

    @Test func anEntryWrittenInAnotherWayIsLeftToAPerson() throws {
        let flow = try #require(
            clusterStatus("apiEndpoints: {a: {advertiseAddress: 1.2.3.4, bindPort: 1}, b: {bindPort: 2}}"))
        #expect(flow.removing("a") == nil)
    }
}
