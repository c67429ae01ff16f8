import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// The roles that a replacement has made, in the inventory's own file: two changes, and every other byte as it was.
@Suite struct InventoryEditTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    static let (old, new) = (RunbookCluster.names[0], RunbookCluster.spare)

    func edited(_ text: String) throws -> String {
        try InventoryEdit.replace(Self.old, by: Self.new, in: text, file: "hosts.yaml")
    }

    /// The lines that differ, old and new.
    func difference(_ old: String, _ new: String) -> [[String]] {
        // Swift takes the line ends of Windows for one character.
        func lines(_ text: String) -> [String] {
            text.utf8.split(separator: 10, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        }
        let (a, b) = (lines(old), lines(new))
        #expect(a.count == b.count)
        return zip(a, b).filter { $0 != $1 }.map { [$0, $1] }
    }

    @Test func twoLinesChange() throws {
        let text = RunbookCluster.inventoryText
        #expect(
            difference(text, try edited(text)) == [
                [
                    "  lzx-ocboot-ha-test:   { address: 10.127.100.234, role: master }",
                    "  # lzx-ocboot-ha-test:   { address: 10.127.100.234, role: master }",
                ],
                [
                    "  lzx-ocboot-ha-test-4: { address: 10.127.100.224, role: spare }",
                    "  lzx-ocboot-ha-test-4: { address: 10.127.100.224, role: master }",
                ],
            ])
    }

    /// Blocks, quotes, comments in both languages, the line ends of Windows, the old one at the end.
    static let blocks = """
        # 我们的集群
        cluster: { name: ha-test, vip: 10.127.100.102 }
        hosts:
          "lzx-ocboot-ha-test-4":   # 备用机
            address: 10.127.100.224
            identity: ~/密钥          # 见手册
            role: "spare"            # until it is needed

          lzx-ocboot-ha-test-2: { address: 10.127.100.229, role: master }
          # the third
          lzx-ocboot-ha-test-3: { address: 10.127.100.226, role: master }
          lzx-ocboot-ha-test:
            # the first
            address: 10.127.100.234

            role: master

        # what may be rebuilt
        workloads: []
        """

    @Test(arguments: ["\n", "\r\n"]) func everyOtherByteStays(end: String) throws {
        let text = Self.blocks.replacing("\n", with: end)
        let changes = difference(text, try edited(text)).map { $0.map { $0.replacing("\r", with: "") } }
        #expect(
            changes == [
                [
                    #"    role: "spare"            # until it is needed"#,
                    #"    role: "master"            # until it is needed"#,
                ],
                ["  lzx-ocboot-ha-test:", "  # lzx-ocboot-ha-test:"],
                ["    address: 10.127.100.234", "    # address: 10.127.100.234"],
                ["    role: master", "    # role: master"],
            ])
        #expect(try edited(text).utf8.filter { $0 == 13 }.count == text.utf8.filter { $0 == 13 }.count)
    }

    @Test(arguments: [
        // One line for all.
        "hosts: { lzx-ocboot-ha-test: { address: 10.127.100.234, role: master }, b: { address: 10.0.0.2, role: master }, lzx-ocboot-ha-test-4: { address: 10.127.100.224, role: spare } }",
        // Others jump over it.
        "hosts:\n  lzx-ocboot-ha-test: { address: 10.127.100.234, role: master }\n  b: { address: 10.0.0.2, role: master, jump: lzx-ocboot-ha-test }\n  lzx-ocboot-ha-test-4: { address: 10.127.100.224, role: spare }",
        // By now.
        "hosts:\n  lzx-ocboot-ha-test: { address: 10.127.100.234, role: spare }\n  lzx-ocboot-ha-test-4: { address: 10.127.100.224, role: master }",
    ]) func whatCannotBeDoneByLinesIsLeftToAPerson(hosts: String) {
        #expect(throws: InventoryEdit.Impossible.self) {
            try edited("cluster: { name: a, vip: 10.127.100.102 }\n\(hosts)\n")
        }
    }

    // MARK: The file

    func plan() throws -> Plan { try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: Date()) }

    @Test func theFileIsReplacedAtOnceAndACopyKept() throws {
        try folder.write("hosts.yaml", Data(RunbookCluster.inventoryText.utf8))
        let path = folder.path + "/hosts.yaml"
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/link.yaml", withDestinationPath: "hosts.yaml")
        let told = try InventoryUpdate.write(try plan(), to: folder.path + "/link.yaml", run: "r1")
        #expect(told.contains("\(Self.new) as a master now") && told.hasSuffix("hosts.yaml.before-r1"))
        #expect(try Inventory.read(path).masters.map(\.name).contains(Self.new))
        #expect(try String(contentsOfFile: path + ".before-r1", encoding: .utf8) == RunbookCluster.inventoryText)
        for file in [path, path + ".before-r1"] {
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
            #expect(mode == 0o640, "\(file)")
        }
        #expect(
            try FileManager.default.destinationOfSymbolicLink(atPath: folder.path + "/link.yaml") == "hosts.yaml",
            "a link stays one")
        #expect(
            try Set(FileManager.default.contentsOfDirectory(atPath: folder.path)) == [
                "hosts.yaml", "hosts.yaml.before-r1", "link.yaml",
            ])
        // Once more, it is done already: the file and the copy stay.
        #expect(throws: ClusterError.self) { try InventoryUpdate.write(try plan(), to: path, run: "r1") }
        #expect(try String(contentsOfFile: path + ".before-r1", encoding: .utf8) == RunbookCluster.inventoryText)
    }
}
