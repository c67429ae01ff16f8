import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// How ocboot gets into the hosts: its port, and the logins that it makes of the primary.
@Suite struct OcbootSSHTests {
    func refusals(_ state: ClusterState) throws -> [Refusal] {
        do {
            _ = try Planner.plan(state, RunbookCluster.request, now: Date())
            return []
        } catch let refused as Refused { return refused.refusals }
    }

    // MARK: An sshd that is not on port 22

    static let ocbootFile = """
        primary_master_node:
          hostname: 10.127.100.229
          port: 2222
          user: root
          use_local: false
          onecloud_version: "v3.10.15"
          db_host: 10.127.100.101
          db_user: root
          db_password: "x"
          db_port: "3306"
          image_repository: registry.example/yunion
          node_ip: 10.127.100.229
          controlplane_host: 10.127.100.102
          controlplane_port: "6443"
          host_networks: "eth0/br0/10.127.100.229"
        master_nodes:
          controlplane_host: 10.127.100.102
          controlplane_port: "6443"
          hosts:
          - { user: root, hostname: 10.127.100.226, port: 2223, host_networks: "eth0/br0/10.127.100.226" }
        """

    func text(_ inventory: Inventory) throws -> String {
        var state = try RunbookCluster.state()
        state.inventory = inventory
        state.change(RunbookCluster.names[1]) { $0.listening = [22, 2222] }
        if inventory.cluster.distribution == .k3s {
            state.cluster.cloud.product = "Edge"
            state.change(RunbookCluster.names[1]) { $0.ocboot = OcbootCases.k3s }
        }
        if let version = inventory.ocboot?.onecloudVersion, version.hasPrefix("v3.10") {
            state.cluster.cloud.product = "Edge"
            state.change(RunbookCluster.names[1]) { $0.ocboot = OcbootCases.stacks("v3.10.15", ansible: "2.11.12") }
        }
        return try #require(try Planner.plan(state, RunbookCluster.request, now: Date()).ocboot).configuration
    }

    /// ocboot takes 22 where no port is written, for each host by itself.
    @Test func thePortOfEachHostIsWrittenForOcboot() throws {
        var inventory = try RunbookCluster.inventory()
        inventory.hosts[1].ssh.port = 2222
        inventory.hosts[3].ssh.port = 2224
        let text = try text(inventory)
        #expect(text.contains("  user: \"root\"\n  port: 2222\n  onecloud_version:"))
        #expect(text.contains("    hostname: \"10.127.100.224\"\n    port: 2224\n    host_networks:"))
        #expect(
            try !self.text(RunbookCluster.inventory()).contains(" port:"),
            "what the inventory does not say is left to ocboot")
    }

    @Test func onK3sTheOtherMasterHasItsPortToo() throws {
        var inventory = try RunbookCluster.inventory()
        inventory.cluster.distribution = .k3s
        inventory.hosts[2].ssh.port = 2226
        inventory.ocboot?.onecloudVersion = "v3.11.9"
        var state = try RunbookCluster.state()
        state.inventory = inventory
        state.becomeK3s()
        let text = try OcbootCases.run(state).configuration
        #expect(text.contains("    hostname: \"10.127.100.226\"\n    port: 2226\n"))
    }

    @Test func anImportedPortComesBackInTheConfiguration() throws {
        let draft = InventoryDraft(try OcbootFile(parsing: Self.ocbootFile, path: "ocboot.yml"))
        let imported = try Inventory.parse(
            draft.text.replacing(
                "FILL-IN: { address: FILL-IN, role: spare }",
                with: "new: { address: 10.127.100.224, role: spare, port: 2224 }"
            )
            .replacing("password: FILL-IN", with: "password: { env: X }"), file: "imported.yaml")
        #expect(imported.hosts.map(\.ssh.port) == [2222, 2223, 2224])
        var inventory = try RunbookCluster.inventory()
        for host in imported.hosts {
            let index = try #require(inventory.hosts.firstIndex { $0.address == host.address })
            inventory.hosts[index].ssh.port = host.ssh.port
        }
        inventory.ocboot = imported.ocboot
        let text = try text(inventory)
        #expect(
            text.split(separator: "\n").filter { $0.contains(" port: ") }.map {
                $0.trimmingCharacters(in: .whitespaces)
            } == ["port: 2222", "port: 2224"])
    }

    // MARK: ocboot logs in to the primary itself and to the VIP

    func probe(_ inventory: Inventory, _ index: Int) -> [OcbootLogin] {
        HostProbe(inventory, for: inventory.hosts[index]).logins
    }

    @Test func everyMasterTriesTheLoginsThatOcbootMakes() throws {
        var inventory = try RunbookCluster.inventory()
        inventory.hosts[1].ssh.port = 2222
        inventory.hosts[1].ssh.user = "admin"
        let (spare, own) = (inventory.hosts[3], inventory.hosts[1])
        #expect(probe(inventory, 1) == [OcbootLogin(spare), OcbootLogin(own), OcbootLogin(own, at: "10.127.100.102")])
        #expect(probe(inventory, 1)[2].port == 2222 && probe(inventory, 1)[2].user == "admin")
        #expect(probe(inventory, 3).isEmpty)
        inventory.cluster.distribution = .k3s
        #expect(probe(inventory, 1) == [spare, own, inventory.hosts[0], inventory.hosts[2]].map { OcbootLogin($0) })
        let script = HostProbe(inventory, for: own).script.command(label: "x", timeout: nil).arguments[2]
        #expect(script.contains("-p 2222 -l admin -- 10.127.100.229 true"))
    }

    func state(_ denied: [String: String], _ change: (inout ClusterState) -> Void = { _ in }) throws -> ClusterState {
        var state = try RunbookCluster.state()
        var facts = try #require(state.hosts[RunbookCluster.names[1]]?.facts)
        facts.deniedLogins = denied
        state.hosts[RunbookCluster.names[1]] = .reached(facts)
        change(&state)
        return state
    }

    /// "root@10.66.0.100: Permission denied (publickey,password)": ocboot's own key is not in its authorized_keys.
    @Test(arguments: [
        ("10.127.100.229", "itself (10.127.100.229)"), ("10.127.100.102", "the VIP"),
    ]) func aPrimaryThatDoesNotLetItselfInIsRefused(address: String, name: String) throws {
        let refusals = try refusals(state([address: "Permission denied (publickey,password)."]))
        #expect(refusals.map(\.rule) == ["replacement-fits"])
        #expect(
            refusals[0].reason.contains("\(RunbookCluster.names[1]) cannot log in to \(name) by SSH without a password")
        )
        #expect(
            refusals[0].advice.contains("ssh-copy-id root@10.127.100.229"), "the VIP's holder has the key, not the VIP")
    }

    @Test func thePortIsInTheAdvice() throws {
        let refusals = try refusals(
            state(["10.127.100.229": "Permission denied (publickey)."]) { $0.inventory.hosts[1].ssh.port = 2222 })
        #expect(refusals.first?.advice.contains("ssh-copy-id -p 2222 root@10.127.100.229") == true)
    }

    @Test func anSSHDThatIsNotThereIsNotRepairedByCopyingAKey() throws {
        let refusals = try refusals(state(["10.127.100.229": "Connection refused"]))
        #expect(refusals.first?.advice.contains("ssh-copy-id") == false)
        #expect(refusals.first?.advice.contains("ssh.port") == true)
    }

    /// ocboot on k3s lists another master, and never goes to the VIP by SSH; on kubeadm the other masters are not logged in to.
    @Test func theOtherMastersAreLoggedInToOnK3sOnly() throws {
        let denied = ["10.127.100.226": "Permission denied"]
        #expect(try refusals(state(denied)).isEmpty)
        let refusals = try refusals(state(denied) { $0.inventory.cluster.distribution = .k3s })
        #expect(refusals.filter { $0.rule == "replacement-fits" }.count == 1)
    }
}
