import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// How each release is run, and with what configuration, as the drill `Tests/Drills/ocboot` has the real ones run:
/// `Tests/Drills/ocboot-runs.json`. `MASTERSWAP_RECORD=1 swift test --filter OcbootRunsTests` writes it.
@Suite struct OcbootRunsTests {
    private struct Run: Encodable {
        /// A branch or a tag of ocboot's repository.
        var reference: String
        var ansible: String
        var distribution: String
        /// The script that looks at it; `DIRECTORY` stands for ocboot's.
        var look: String
        var release: String
        var run: Plan.OcbootRun
    }

    private static let all: [(reference: String, version: String, live: String, distribution: Inventory.Distribution)] =
        [
            ("release/3.8", "v3.8.17", "v3.8.8", .kubeadm), ("release/3.9", "v3.9.14", "v3.9.14", .kubeadm),
            ("release/3.10", "v3.10.15", "v3.10.15", .kubeadm), ("release/3.11.7", "v3.11.7", "v3.11.7", .kubeadm),
            ("release/3.11.14", "v3.11.13", "v3.11.14", .kubeadm), ("release/3.12", "v3.11.8", "v3.12.1", .kubeadm),
            ("master-v3.11.8", "v3.11.8", "v3.11.8", .k3s), ("master-v3.11.9-3", "v3.11.9", "v3.11.9", .k3s),
            ("master-v3.11.9-3", "v3.11.9", "v3.11.9", .kubeadm), ("release/4.0.4", "v4.0.3", "v4.0.4", .k3s),
            ("master", "v4.0.3", "v4.0.4", .k3s), ("master", "v4.0.3", "v4.0.4", .kubeadm),
        ]

    @Test func theDrillRunsWhatTheProgramWould() throws {
        let runs = try Self.all.map { reference, version, live, distribution in
            let hasK3s = reference.hasPrefix("master") || reference == "release/4.0.4"
            var facts = OcbootFacts(release: version, commandLine: .configuration, hasK3s: hasK3s, takesK8sV115: hasK3s)
            switch reference {
            case "release/3.8": facts.ansible = "2.9.27"
            case "release/3.9":
                facts.commandLine = .optionalStack
                facts.ansible = "2.11.12"
            default:
                facts.commandLine = .stack(["full", "cmp", "virt"])
                let isOld = ["release/3.10", "release/3.11.7", "release/3.12"].contains(reference)
                facts.ansible = isOld ? "2.11.12" : "2.15.13"
            }
            facts.takesTags = reference != "release/3.8"
            var state = try RunbookCluster.state()
            if distribution == .k3s { state.becomeK3s() }
            state.inventory.ocboot?.onecloudVersion = live
            state.cluster.onecloudVersion = live
            // What no release has as its default.
            state.cluster.cloud.product = "CMP"
            state.cluster.cloud.podNetwork = "10.41.0.0/16"
            state.inventory.hosts[1].ssh.port = 2222
            state.inventory.hosts[3].ssh.port = 2224
            state.change(RunbookCluster.names[1]) { [facts] in
                $0.ocboot = facts
                // 3.8 comes back on port 22 for the join token.
                $0.listening = [22, 2222]
            }
            var ocboot = try #require(state.inventory.ocboot)
            ocboot.directory = "DIRECTORY"
            return Run(
                reference: reference, ansible: facts.ansible ?? "", distribution: distribution.rawValue,
                look: OcbootFacts.script(ocboot), release: version, run: try OcbootCases.run(state))
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let made = String(decoding: try encoder.encode(runs), as: UTF8.self) + "\n"
        let file = DocumentationTests.root.appendingPathComponent("Tests/Drills/ocboot-runs.json")
        if ProcessInfo.processInfo.environment["MASTERSWAP_RECORD"] != nil { try Data(made.utf8).write(to: file) }
        #expect(try String(contentsOf: file, encoding: .utf8) == made)
    }
}
