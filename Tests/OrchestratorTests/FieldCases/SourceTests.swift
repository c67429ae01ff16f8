import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// A new master that gets no images joins as far as its first pull, and waits there.
@Suite struct SourceTests {
    private let registry = Source(host: "registry.cn-beijing.aliyuncs.com", port: 443)

    @Test(arguments: [
        ("registry.cn-beijing.aliyuncs.com/yunionio/etcd:3.4.13-0", "registry.cn-beijing.aliyuncs.com:443"),
        ("10.0.0.9:5000/yunionio/etcd:3.4.13-0", "10.0.0.9:5000"), ("registry:5000/etcd", "registry:5000"),
        ("quay.io/coreos/etcd@sha256:0123", "quay.io:443"),
        // Of the default registry, which a mirror stands in for.
        ("etcd:3.4.13", nil), ("rancher/mirrored-pause:3.6", nil), ("docker.io/library/busybox", nil),
        ("registry-1.docker.io/library/busybox", nil),
        // No references.
        ("", nil), ("/x", nil), (".:/x", nil), ("a.b:99999/x", nil), ("a:1:2/x", nil), ("[fd00::1]:5000/x", nil),
    ]) func theRegistryOfAnImage(image: String, expected: String?) {
        #expect(Source(ofImage: image)?.text == expected)
    }

    @Test func theRegistriesOfTheMastersOwnPodsAreAskedFor() throws {
        let state = try RunbookCluster.state()
        #expect(SourceProbe(state).sources.contains(.packages))
        var pod = Pod(
            metadata: ObjectMeta(name: "etcd-x", uid: "1", annotations: ["kubernetes.io/config.mirror": "1"]),
            spec: PodSpec(
                nodeName: RunbookCluster.names[1], containers: [.init(name: "etcd", image: "10.0.0.9:5000/etcd:1")]))
        var other = state
        other.cluster.objects.pods = [pod]
        #expect(SourceProbe(other).sources.map(\.text) == ["10.0.0.9:5000", "iso.yunion.cn:443"])
        // A pod that runs anywhere may have come by another way.
        pod.metadata.annotations = nil
        other.cluster.objects.pods = [pod]
        #expect(SourceProbe(other).sources == [.packages])
    }

    /// The script by a real shell: an open and a closed port of loopback.
    @Test(arguments: ["sh", "bash"]) func aHostTriesEachSource(shell: String) async throws {
        let listener = try LoopbackPort(backlog: 4)
        let (open, closed) = (Source(host: "127.0.0.1", port: listener.number), Source(host: "127.0.0.1", port: 1))
        let reached = try await SourceProbe.look(at: [closed, open], from: LocalRemote(shell: shell))
        #expect(reached == [closed: false, open: true])
    }

    @Test func behindAProxyNothingIsKnown() async throws {
        let remote = KubectlTests.ScriptedRemote("new") { command in
            let shell = LocalRemote(shell: "sh", environment: ["https_proxy": "http://127.0.0.1:1"])
            return try shell.runNow(command)
        }
        #expect(try await SourceProbe.look(at: [Source(host: "127.0.0.1", port: 1)], from: remote) == nil)
    }

    @Test func whatOnlyTheSpareCannotReachIsRefused() throws {
        var state = try RunbookCluster.state()
        state.sources = [RunbookCluster.names[1]: [registry: true], RunbookCluster.spare: [registry: false]]
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["replacement-fits"])
        #expect(refusals.first?.reason.contains("cannot open a connection to \(registry.text)") == true)
        state.sources[RunbookCluster.spare] = [registry: true]
        #expect(FieldCluster.refusals(state).isEmpty)
        // Where it is not known, nobody is stopped.
        state.sources[RunbookCluster.spare] = nil
        #expect(FieldCluster.refusals(state).isEmpty)
    }

    /// Behind a proxy a master does not tell: nobody may say that it reaches nothing.
    @Test func whatTheMastersReachIsNotKnown() throws {
        var state = try RunbookCluster.state()
        state.sources = [RunbookCluster.spare: [registry: false]]
        #expect(FieldCluster.refusals(state).isEmpty)
        #expect(try FieldCluster.plan(state).warnings?.contains { $0.contains(registry.text) } != true)
        state.sources[RunbookCluster.names[2]] = [registry: false]
        #expect(try FieldCluster.plan(state).warnings?.contains { $0.contains(registry.text) } == true)
    }

    /// A cloud without a way out: its images came by another way, and will again.
    @Test func whatNobodyReachesIsAWarning() throws {
        var state = try RunbookCluster.state()
        for name in RunbookCluster.names.dropFirst() + [RunbookCluster.spare] {
            state.sources[name] = [registry: false]
        }
        #expect(FieldCluster.refusals(state).isEmpty)
        let plan = try FieldCluster.plan(state)
        #expect(
            plan.warnings?.contains { $0.contains("nor a master can open a connection to \(registry.text)") } == true)
        var whole = try RunbookCluster.state(isDead: false)
        whole.sources = state.sources
        #expect(CheckReport(whole, at: Date()).findings.isEmpty)
        whole.sources[RunbookCluster.names[0]] = [registry: true]
        #expect(CheckReport(whole, at: Date()).findings.map(\.code) == [.spareCannotReach])
    }
}
