import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

@Suite struct PlanTextTests {
    func plan() throws -> Plan {
        try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: Date(timeIntervalSince1970: 0))
    }

    @Test func everyStepHasAReasonAndATime() throws {
        for step in ReplacementSteps.make(try plan()) {
            #expect(!step.reason.isEmpty, "\(step.id)")
            #expect(step.estimate > 0, "\(step.id)")
        }
    }

    @Test func theDataAtRiskIsToldWithItsRedundancy() throws {
        let text = PlanText(try plan(), try RunbookCluster.inventory()).summary.map(\.text).joined(separator: "\n")
        #expect(
            text.contains(
                "onecloud-minio/minio (critical, 2 claims): survives: 2 of 4 drives are gone, and its redundancy tolerates 2"
            ))
        #expect(text.contains("onecloud/default-influxdb (disposable, 1 claim): begins empty"))
        #expect(
            text.contains("node lzx-ocboot-ha-test, etcd member 14da7b338b44eee0, 5 claims, 5 volumes, 1 deployment"))
    }

    @Test func flagsFollowTheVersion() throws {
        let inventory = try RunbookCluster.inventory()
        var plan = try plan()
        func text() -> String { PlanText(plan, inventory).lines.map(\.text).joined(separator: "\n") }
        #expect(text().contains("--delete-local-data"))
        #expect(text().contains("kubectl delete node lzx-ocboot-ha-test --wait=false"))
        plan.kubernetes = KubernetesVersion(1, 28)
        #expect(text().contains("--delete-emptydir-data --skip-wait-for-delete-timeout=1"))
        #expect(text().contains("kubectl delete --raw /api/v1/nodes/lzx-ocboot-ha-test -f -"))
    }

    @Test func theManifestsDiffIsInItWithoutThePassword() throws {
        let text = PlanText(try plan(), try RunbookCluster.inventory()).lines.map(\.text).joined(separator: "\n")
        #expect(text.contains("-      value: \"90\"\n"))
        #expect(text.contains("+      value: \"100\"\n"))
        #expect(!text.contains("de17f785"))
    }

    @Test func theDiffIsWhatDiffSays() throws {
        let manifest = try KeepalivedManifest(RunbookCluster.manifest(1))
        let folder = try TemporaryFolder()
        let (old, new) = (folder.path + "/old", folder.path + "/new")
        func write(_ text: String, _ path: String) throws {
            try Data(text.replacing("de17f785", with: "••••").utf8).write(to: URL(fileURLWithPath: path))
        }
        try write(manifest.text, old)
        try write(try manifest.promoted(), new)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/diff")
        process.arguments = ["-u", "--label", "m.yaml", "--label", "m.yaml", old, new]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(manifest.promotionDiff(path: "m.yaml")?.map { $0 + "\n" }.joined() == text)
    }

    @Test func aSavedPlanIsReadAgainBesideItsExplanation() throws {
        let plan = try plan()
        let data = try EventCoding.encode(PlanDocument(plan, try RunbookCluster.inventory()))
        #expect(try EventCoding.decode(Plan.self, from: data) == plan)
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let steps = try #require(object["steps"] as? [[String: Any]])
        #expect(steps.count == ReplacementSteps.make(plan).count)
        #expect(steps.allSatisfy { $0["reason"] is String && $0["commands"] is [String] })
    }
}
