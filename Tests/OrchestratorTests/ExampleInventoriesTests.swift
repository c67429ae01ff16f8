import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// The example inventories are copied by people who have never seen the program: each of them is right.
@Suite struct ExampleInventoriesTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("inventory")

    static let examples: [String] =
        (try? FileManager.default.contentsOfDirectory(atPath: folder.path))?.filter {
            // hosts.yaml is the default name: a person's own, if it is there.
            $0.hasSuffix(".yaml") && $0 != "hosts.yaml"
        }.sorted() ?? []

    @Test func thereIsOneForEachKindOfCluster() {
        for name in ["kubeadm.yaml", "k3s.yaml", "jump-host-sudo.yaml", "lab.yaml"] {
            #expect(Self.examples.contains(name))
        }
    }

    @Test(arguments: examples) func itIsReadAndCouldReplaceAMaster(_ name: String) throws {
        let inventory = try Inventory.read(Self.folder.appendingPathComponent(name).path)
        #expect(inventory.masters.count == 3)
        #expect(inventory.hosts.count(where: { $0.role == .spare }) == 1)
        #expect(inventory.ocboot != nil)
        #expect(
            inventory.workloads.contains { if case .rebuild(.critical, .minio, _) = $0.rule { true } else { false } })
        #expect(inventory.cluster.distribution == (name == "k3s.yaml" ? .k3s : .kubeadm))
    }

    @Test(arguments: examples) func itBeginsWithWhatItIsFor(_ name: String) throws {
        let text = try String(contentsOf: Self.folder.appendingPathComponent(name), encoding: .utf8)
        #expect(text.hasPrefix("# "))
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 132 }, "a line is too long for a terminal")
    }

    @Test func theJumpHostIsOnTheWayToEveryMaster() throws {
        let inventory = try Inventory.read(Self.folder.appendingPathComponent("jump-host-sudo.yaml").path)
        for host in inventory.masters {
            let draft = inventory.draft(of: host)
            #expect(draft.jumps?.map(\.host) == ["198.51.100.7"])
            #expect(draft.become == .sudo(password: nil))
        }
        let spare = try #require(inventory.hosts.first { $0.role == .spare })
        #expect(inventory.draft(of: spare).jumps?.map(\.host) == ["198.51.100.9"])
        #expect(inventory.draft(of: spare).become == .none)
    }
}
