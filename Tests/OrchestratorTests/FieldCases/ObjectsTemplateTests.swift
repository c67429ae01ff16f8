import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

enum RealKubectl {
    /// `$MASTERSWAP_KUBECTL` names another version to try.
    static let path: String? =
        ([ProcessInfo.processInfo.environment["MASTERSWAP_KUBECTL"] ?? ""]
        + (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/kubectl" })
        .first { FileManager.default.isExecutableFile(atPath: $0) }
}

/// The template that real kubectl programs print the cluster with: what is read by it is what is read of whole objects.
@Suite(.enabled(if: RealKubectl.path != nil, "no kubectl here: install kubernetes-client"))
struct ObjectsTemplateTests {
    private func read(_ port: String, _ format: String) async throws -> Data {
        let result = try await LocalRemote(shell: "sh").run(
            .init([
                RealKubectl.path ?? "", "--kubeconfig", "/dev/null", "--server", "http://127.0.0.1:\(port)", "get",
                KubernetesObjects.kinds, "-A", "-o", format,
            ]))
        try #require(result.succeeded, "\(result.errorText)")
        return result.standardOutput
    }

    private func withAPI<T>(pods: Int, nodes: Int, _ body: (String) async throws -> T) async throws -> T {
        let api = Process()
        api.executableURL = DocumentationTests.root.appendingPathComponent("Tests/Stand-ins/kubernetes-api")
        api.arguments = ["--pods", "\(pods)", "--nodes", "\(nodes)"]
        let (input, output) = (Pipe(), Pipe())
        api.standardInput = input
        api.standardOutput = output
        try api.run()
        defer {
            try? input.fileHandleForWriting.close()
            api.waitUntilExit()
        }
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        return try await body(line.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    @Test func whatIsReadIsWhatWholeObjectsHave() async throws {
        try await withAPI(pods: 60, nodes: 5) { port in
            let whole = try JSONDecoder().decode(KubernetesObjects.self, from: try await read(port, "json"))
            let text = try await read(port, ObjectsTemplate.argument)
            let part = try JSONDecoder().decode(KubernetesObjects.self, from: text)
            #expect(part.pods.count == 60)
            #expect(part.volumes.map(\.spec) == whole.volumes.map(\.spec))
            #expect(part.volumes.map(\.phase) == whole.volumes.map(\.phase))
            #expect(part.claims.map(\.spec) == whole.claims.map(\.spec))
            #expect(part.nodes.map(\.status) == whole.nodes.map(\.status))
            #expect(part.nodes.map(\.metadata.labels) == whole.nodes.map(\.metadata.labels))
            #expect(part.pods.map(\.claimNamesAndNode) == whole.pods.map(\.claimNamesAndNode))
            #expect(part.pods.map(\.isReady) == whole.pods.map(\.isReady))
            #expect(part.pods.map { part.owner(of: $0) } == whole.pods.map { whole.owner(of: $0) })
            #expect(part.deployments.map(\.replicas) == whole.deployments.map(\.replicas))
            #expect(
                part.statefulSets.map(\.spec.volumeClaimTemplates)
                    == whole.statefulSets.map(\.spec.volumeClaimTemplates))
            #expect(
                part.statefulSets[0].spec.volumeClaimTemplates?.map(\.spec?.storageClassName) == [nil, "zoned", ""])
            #expect(part.storageClasses.map(\.allowedTopologies) == whole.storageClasses.map(\.allowedTopologies))
            #expect(part.storageClasses.map(\.isDefault) == [false, true])
            #expect(part.replicaSets.count == part.deployments.count, "without those that own no pod any more")
            let printed = String(decoding: text, as: UTF8.self)
            #expect(!printed.contains("not-to-be-printed"), "values of variables may be secrets")
            #expect(printed.contains("EC:2"), "but for those that a decision rests on")
        }
    }

    /// What goes over the wire, for a tenth of a cluster far beyond any of Cloudpods; `make bench` measures the whole of it.
    @Test func aThousandPodsTakeAtMostHalfAMegabyte() async throws {
        try await withAPI(pods: 1_000, nodes: 20) { port in
            let text = try await read(port, ObjectsTemplate.argument)
            #expect(text.count <= 500_000)
            #expect(try JSONDecoder().decode(KubernetesObjects.self, from: text).pods.count == 1_000)
        }
    }
}

extension Pod {
    fileprivate var claimNamesAndNode: [String] { spec.claimNames + [nodeName ?? ""] }
}
