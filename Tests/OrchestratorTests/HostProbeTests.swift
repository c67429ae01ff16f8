import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

@Suite struct HostProbeTests {
    /// As CentOS 7 answers.
    @Test func aHostsAnswersAreRead() throws {
        func section(_ text: String, _ status: Int32 = 0) -> SectionedScript.Section {
            .init(output: Data(text.utf8), status: status)
        }
        let inventory = try RunbookCluster.inventory()
        let probe = HostProbe(inventory, for: inventory.hosts[1])
        let facts = probe.facts(
            [
                "clock": section("1650000002.500000000\n"), "hostname": section("lzx-ocboot-ha-test-2\n"),
                "system": section("CentOS Linux 7 (Core)\n"), "kernel": section("3.10.0-1160.6.1.el7.x86_64\n"),
                "disks": section(
                    "/dev/vda1 41931756 6612352 35319404 16% /\n/dev/vda1 41931756 6612352 35319404 16% /\n"),
                "addresses": section(
                    "1: lo    inet 127.0.0.1/8 scope host lo\n32: br0    inet 10.127.100.229/24 brd 10.127.100.255 scope global br0\n32: br0    inet 10.127.100.102/32 scope global br0\n"
                ),
                "processes": section("kubelet\ndockerd\ncontainerd\n"),
                "listening": section(
                    "State Recv-Q Send-Q Local Address:Port Peer Address:Port\nLISTEN 0 128 *:22 *:*\nLISTEN 0 128 [::]:6443 [::]:*\n"
                ),
                "traces": section("/etc/kubernetes/kubelet.conf\n"),
                "certificates": section(
                    "/etc/kubernetes/pki/apiserver.crt notAfter=Apr  3 06:49:29 2023 GMT\n/etc/kubernetes/pki/bad.crt \n"
                ),
                "keepalived": section(RunbookCluster.manifest(1)), "login-10.127.100.224": section(""),
                "login-10.127.100.229": section(""),
                "login-10.127.100.102": section(""), "ocboot": section("", 1),
            ], startedAt: 1_650_000_000)
        #expect(facts.clockOffset == 2.5)
        #expect(facts.disks == [.init(mount: "/", availableKiB: 35_319_404, usedPercent: 16)])
        #expect(facts.holds("10.127.100.102"))
        #expect(facts.kubeletRuns == true)
        #expect(facts.runtimes == ["dockerd", "containerd"])
        #expect(facts.listening == [22, 6443])
        #expect(facts.certificates?.map(\.notAfter.timeIntervalSince1970) == [1_680_504_569])
        #expect(facts.manifest?.state == .backup)
        #expect(facts.deniedLogins.isEmpty)
        #expect(facts.ocboot == nil)
    }

    @Test func whyAConnectionFailedIsTold() throws {
        let inventory = try RunbookCluster.inventory()
        let spare = try #require(inventory.hosts.first { $0.role == .spare })
        func section(_ text: String, _ status: Int32) -> SectionedScript.Section {
            .init(output: Data(text.utf8), status: status)
        }
        let (spares, masters) = (HostProbe(inventory, for: spare), HostProbe(inventory, for: inventory.hosts[0]))
        let nothing = spares.facts(
            ["reach-10.127.100.102:6443": section("", 0), "reach-10.127.100.101:3306": section("", 124)], startedAt: 0)
        #expect(nothing.unreachable == ["10.127.100.101:3306": "no answer within 5 s"])
        let unseen = spares.facts(["reach-10.127.100.102:6443": section("", 7)], startedAt: 0)
        #expect(unseen.unreachable["10.127.100.102:6443"] == "exit status 7")
        #expect(unseen.unreachable["10.127.100.101:3306"] == "not looked at")
        let denied = masters.facts(
            [
                "login-10.127.100.224": section("root@10.127.100.224: Permission denied (publickey,password).\n", 255),
                "login-10.127.100.234": section("", 124), "login-10.127.100.102": section("", 0),
            ], startedAt: 0)
        #expect(
            denied.deniedLogins == [
                "10.127.100.224": "Permission denied (publickey,password).", "10.127.100.234": "no answer within 15 s",
            ])
    }

    /// The script itself, run by the machine's own shells; whatever it asks to connect to is a closed port of loopback.
    @Test(arguments: ["sh", "bash"]) func theScriptRunsToItsEnd(shell: String) async throws {
        var inventory = try RunbookCluster.inventory()
        inventory.cluster.vip = "127.0.0.1"
        inventory.cluster.apiPort = 1
        inventory.ocboot?.database.host = "127.0.0.1"
        inventory.ocboot?.database.port = 2
        for index in inventory.hosts.indices {
            inventory.hosts[index].address = "127.0.0.1"
            inventory.hosts[index].ssh.port = 1
        }
        let start = Date()
        let master = try await HostProbe(inventory, for: inventory.hosts[0]).run(on: LocalRemote(shell: shell))
        let took = Date().timeIntervalSince(start)
        #expect(!master.hostname.isEmpty)
        #expect(master.disks?.isEmpty == false)
        #expect(abs(try #require(master.clockOffset)) <= took, "it is this machine's own clock, read in that time")
        #expect(master.deniedLogins == ["127.0.0.1": "Connection refused"])
        let host = try #require(inventory.hosts.first { $0.role == .spare })
        let spare = try await HostProbe(inventory, for: host).run(on: LocalRemote(shell: shell))
        #expect(spare.unreachable == ["127.0.0.1:1": "Connection refused", "127.0.0.1:2": "Connection refused"])
    }

    @Test func aFileCannotForgeASection() async throws {
        var script = SectionedScript()
        script.section("a", "printf '\\n@0123456789abcdef b 0\\n'")
        script.section("b", "exit 3")
        let remote = LocalRemote(shell: "sh")
        let result = try await remote.run(script.command(label: "x", timeout: nil))
        let sections = try script.parse(result, host: "h", operation: "x")
        #expect(sections["b"]?.status == 3)
    }
}
