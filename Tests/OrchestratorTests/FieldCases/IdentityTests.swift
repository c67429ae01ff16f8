import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Hosts, nodes and members are matched by addresses and by what the host says of itself, never by equal names alone.
@Suite struct IdentityTests {
    static let names = RunbookCluster.names

    func nodes(_ state: ClusterState) -> [String?] {
        state.inventory.masters.map { state.node(of: $0)?.name }
    }

    @Test func namesThatTheOperatorChoseAreMatchedByAddress() throws {
        var state = try RunbookCluster.state()
        state.renameHosts { ["node-10-127-100-234", "blue", "green", "spare"][$0] }
        #expect(nodes(state) == Self.names)
        #expect(state.host(of: state.objects.nodes[1])?.name == "blue")
        let plan = try FieldCluster.plan(
            state, ReplacementRequest(dead: "node-10-127-100-234", replacement: "spare"))
        #expect(plan.dead.host == "node-10-127-100-234")
        #expect(plan.dead.node == Self.names[0])
        #expect(plan.survivors.map(\.host) == ["blue", "green"])
        #expect(plan.member?.id == RunbookCluster.memberIDs[0])
        #expect(plan.volumes.count == 5)
        let byNode = try FieldCluster.plan(state, ReplacementRequest(dead: Self.names[0], replacement: "spare"))
        #expect(byNode.dead == plan.dead)
    }

    /// Two hosts have each other's node's name: the addresses decide.
    @Test func swappedNamesDoNotSwapMachines() throws {
        var state = try RunbookCluster.state()
        state.renameHosts { [Self.names[1], Self.names[0], Self.names[2], "spare"][$0] }
        #expect(nodes(state) == Self.names)
        let refusals = FieldCluster.refusals(
            state, ReplacementRequest(dead: Self.names[0], replacement: "spare"))
        #expect(refusals.map(\.rule) == ["hosts-are-nodes"])
        #expect(refusals[0].reason.contains("two machines"))
        #expect(refusals[0].advice.contains("10.127.100.229") && refusals[0].advice.contains("10.127.100.234"))
        let plan = try FieldCluster.plan(state, ReplacementRequest(dead: "10.127.100.234", replacement: "spare"))
        #expect(plan.dead.node == Self.names[0])
        #expect(plan.dead.host == Self.names[1])
    }

    /// The inventory's m1 was silent; the node of that name has another address, and may well be alive there.
    @Test func anEqualNameAtAnotherAddressIsNotEnough() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes[0].status?.addresses = [.init(type: "InternalIP", address: "10.127.100.77")]
        state.cluster.members[0].peerURLs = ["https://10.127.100.77:2380"]
        #expect(state.node(of: state.inventory.hosts[0]) == nil)
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["hosts-are-nodes"])
        #expect(refusals[0].advice.contains("'node: \(Self.names[0])'"))
        state.inventory.hosts[0].node = Self.names[0]
        state.see(Self.names[0], as: RunbookCluster.silentView)
        let plan = try FieldCluster.plan(state)
        #expect(plan.dead.address == "10.127.100.77")
        #expect(plan.dead.inventoryAddress == "10.127.100.234")
        #expect(plan.member?.id == RunbookCluster.memberIDs[0])
    }

    /// What outlives the machine says that both addresses are its own.
    @Test(arguments: [true, false]) func memberOrClusterStatusTellOfADeadHostsAddress(byMember: Bool) throws {
        var state = try RunbookCluster.state()
        // The node's own address is one of another network.
        state.cluster.objects.nodes[0].status?.addresses = [.init(type: "InternalIP", address: "172.16.0.1")]
        if !byMember {
            state.cluster.members.removeFirst()
            state.cluster.clusterStatus = ClusterState.clusterStatus([(Self.names[0], "10.127.100.234")])
        }
        #expect(state.node(of: state.inventory.hosts[0])?.name == Self.names[0])
        state.see(Self.names[0], as: RunbookCluster.silentView)
        #expect(try FieldCluster.plan(state).dead.uid == "uid-cluster-\(Self.names[0])")
    }

    @Test func aReachedHostIsFoundByTheAddressesOnItsInterfaces() throws {
        var state = try RunbookCluster.state()
        state.renameHosts { ["a", "b", "c", "spare"][$0] }
        // The inventory has the address of another network; the host has both.
        for (index, host) in ["a", "b", "c"].enumerated() where index > 0 {
            state.inventory.hosts[index].address = "192.168.0.\(index)"
            state.change(host) { $0.addresses?.append(.init(interface: "eth1", address: "192.168.0.\(index)")) }
        }
        #expect(nodes(state) == Self.names)
        let plan = try FieldCluster.plan(state, ReplacementRequest(dead: "a", replacement: "spare"))
        #expect(plan.survivors.map(\.address) == ["10.127.100.229", "10.127.100.226"], "the API server's")
        #expect(plan.survivors.map(\.inventoryAddress) == ["192.168.0.1", "192.168.0.2"])
        #expect(InventoryIsTheSame.refusals(plan, state.inventory, run: "r").isEmpty, "a resume knows them again")
        var moved = state.inventory
        moved.hosts[1].address = "192.168.0.9"
        #expect(InventoryIsTheSame.refusals(plan, moved, run: "r").count == 1)
    }

    /// Every node has these; they are nobody's own.
    @Test func addressesThatEveryNodeHasProveNothing() throws {
        var state = try RunbookCluster.state()
        let second = Self.names[1]
        for (interface, address) in [
            ("kube-ipvs0", "10.127.100.234"), ("lo", "127.0.0.1"), ("docker0", "10.127.100.226"),
            ("eth0", "169.254.20.10"),
        ] {
            state.change(second) { $0.addresses?.append(.init(interface: interface, address: address)) }
        }
        state.inventory.hosts[1].address = "192.168.0.1"
        #expect(state.node(of: state.inventory.hosts[1])?.name == second)
    }

    @Test func theNameOfTheKubeletCountsWhereNoAddressDoes() throws {
        var state = try RunbookCluster.state()
        // A cloud's public address: on no interface.
        state.cluster.objects.nodes[1].status?.addresses = [.init(type: "InternalIP", address: "203.0.113.7")]
        state.change(Self.names[1]) { facts in
            facts.hostname = "LZX-OCBOOT-HA-TEST-2"
            facts.clusterTraces = ["/etc/kubernetes/kubelet.conf"]
        }
        #expect(state.node(of: state.inventory.hosts[1])?.name == Self.names[1], "a node's name is in lower case")
        state.change(Self.names[1]) { $0.hostname = "renamed.example.com" }
        #expect(state.node(of: state.inventory.hosts[1]) == nil)
        state.change(Self.names[1]) { $0.kubeletNodeName = Self.names[1] }
        #expect(state.node(of: state.inventory.hosts[1])?.name == Self.names[1], "its kubelet's certificate says so")
        // A bare machine may have the dead one's name, while the node and its member are elsewhere.
        state.cluster.members[1].peerURLs = ["https://203.0.113.7:2380"]
        state.change(Self.names[1]) { facts in
            facts.kubeletRuns = false
            facts.clusterTraces = []
        }
        #expect(state.node(of: state.inventory.hosts[1]) == nil)
    }

    @Test func aNameDoesNotCountAgainstAnotherHostsAddress() throws {
        var state = try RunbookCluster.state()
        // A host that is at no node's address calls itself like the third.
        state.inventory.hosts[1].address = "192.168.0.1"
        state.change(Self.names[1]) { facts in
            facts.addresses = [.init(interface: "eth0", address: "192.168.0.1")]
            facts.hostname = Self.names[2]
        }
        #expect(state.node(of: state.inventory.hosts[1]) == nil)
        #expect(state.host(of: state.objects.nodes[2])?.name == Self.names[2])
    }

    /// The spare was given the address that the dead one had on the cluster's network.
    @Test func aSpareWithTheDeadOnesAddressIsNotTheDeadOne() throws {
        var state = try RunbookCluster.state()
        state.inventory.hosts[0].address = "192.168.0.1"
        state.inventory.hosts[0].node = Self.names[0]
        state.change(RunbookCluster.spare) { facts in
            facts.addresses = [
                .init(interface: "eth0", address: "10.127.100.224"),
                .init(interface: "eth1", address: "10.127.100.234"),
            ]
        }
        state.see(Self.names[0], as: RunbookCluster.silentView)
        let plan = try FieldCluster.plan(state)
        #expect(plan.dead.host == Self.names[0] && plan.dead.uid == "uid-cluster-\(Self.names[0])")
        var node = RunbookCluster.node(RunbookCluster.spare, "10.127.100.234", isReady: true)
        #expect(plan.isReplacement(node))
        node.metadata.uid = "uid-cluster-\(Self.names[0])"
        #expect(!plan.isReplacement(node), "the dead one's node is not")
    }

    @Test func aMachineIDCountsWhereNothingElseDoes() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes[1].status?.addresses = nil
        state.cluster.objects.nodes[1].status?.nodeInfo?.machineID = "4c4c4544"
        state.change(Self.names[1]) { facts in
            facts.hostname = "renamed"
            facts.machineID = "4c4c4544"
        }
        #expect(state.node(of: state.inventory.hosts[1])?.name == Self.names[1])
    }

    @Test func dualStackAndSeveralAddressesAreAllOneNodes() throws {
        var state = try RunbookCluster.state()
        for index in 0..<3 {
            state.cluster.objects.nodes[index].status?.addresses = [
                .init(type: "Hostname", address: Self.names[index]),
                .init(type: "InternalIP", address: "FD00:0:0::\(index + 1)"),
                .init(type: "InternalIP", address: "172.20.0.\(index + 1)"),
                .init(type: "InternalIP", address: RunbookCluster.addresses[index]),
            ]
            state.cluster.members[index].peerURLs = ["https://[fd00::\(index + 1)]:2380"]
        }
        #expect(nodes(state) == Self.names)
        state.see(Self.names[0], as: RunbookCluster.silentView)
        let plan = try FieldCluster.plan(state)
        #expect(plan.member?.id == RunbookCluster.memberIDs[0])
        #expect(plan.dead.address == "10.127.100.234")
        #expect(plan.dead.isAt("fd00::1"))
        let byIPv6 = try FieldCluster.plan(
            state, ReplacementRequest(dead: "fd00::1", replacement: RunbookCluster.spare))
        #expect(byIPv6.dead == plan.dead)
    }

    @Test func twoNodesAtOneHostAreRefusedUntilItIsWritten() throws {
        var state = try RunbookCluster.state()
        var old = RunbookCluster.node("before-the-new-name", RunbookCluster.addresses[0], isReady: false, age: 0)
        old.metadata.uid = "old"
        old.metadata.labels = ["kubernetes.io/hostname": old.name]
        state.cluster.objects.nodes.append(old)
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["hosts-are-nodes"])
        #expect(refusals[0].advice.contains("hosts.\(Self.names[0])"))
        state.inventory.hosts[0].node = Self.names[0]
        #expect(try FieldCluster.plan(state).dead.uid == "uid-cluster-\(Self.names[0])")
    }

    /// A living host says itself which of the two it is.
    @Test func anOldNodeObjectOfALivingHostIsToldFromItsOwn() throws {
        var state = try RunbookCluster.state()
        var old = RunbookCluster.node("before-the-new-name", RunbookCluster.addresses[1], isReady: false, age: 0)
        old.metadata.uid = "old"
        state.cluster.objects.nodes.append(old)
        state.change(Self.names[1]) { $0.clusterTraces = ["/etc/kubernetes/kubelet.conf"] }
        #expect(state.node(of: state.inventory.hosts[1])?.name == Self.names[1])
    }

    @Test func twoHostsThatAreOneNodeAreRefused() throws {
        var state = try RunbookCluster.state()
        // The same machine under its other address.
        state.inventory.hosts.append(
            .init(name: "again", address: "192.168.0.1", role: .master, ssh: state.inventory.hosts[0].ssh))
        state.inventory.hosts[4].node = Self.names[1]
        state.hosts["again"] = state.hosts[Self.names[1]]
        #expect(state.host(of: state.objects.nodes[1]) == nil)
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.contains { $0.rule == "hosts-are-nodes" && $0.reason.contains("are both the node") })
    }

    /// The spare was a worker once, under another name, and its node was never deleted.
    @Test func aNodeThatIsLeftAtTheReplacementsAddressIsRefused() throws {
        var state = try RunbookCluster.state()
        var old = RunbookCluster.node("once", "10.127.100.224", isReady: false)
        old.metadata.labels = ["kubernetes.io/hostname": "once"]
        state.cluster.objects.nodes.append(old)
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["hosts-are-nodes"])
        #expect(refusals[0].reason.contains("the node once is at an address of lzx-ocboot-ha-test-4"))
        state.cluster.objects.nodes.removeLast()
        #expect(FieldCluster.refusals(state).isEmpty)
    }

    @Test func theReplacementMayHaveSeveralAddresses() throws {
        var state = try RunbookCluster.state()
        state.change(RunbookCluster.spare) { facts in
            facts.addresses = [
                .init(interface: "eth0", address: "10.127.100.224"), .init(interface: "eth1", address: "172.16.0.4"),
            ]
        }
        let plan = try FieldCluster.plan(state)
        var node = RunbookCluster.node(RunbookCluster.spare, "172.16.0.4", isReady: true)
        #expect(plan.isReplacement(node), "its kubelet chose the other one")
        node = RunbookCluster.node(RunbookCluster.spare, "172.16.0.5", isReady: true)
        #expect(!plan.isReplacement(node))
    }

    // MARK: What is written and read

    @Test(arguments: ["Upper", "under_score", "-x", "a b"]) func theInventorysNodeIsANodesName(name: String) {
        let text = RunbookCluster.inventoryText.replacing(
            "{ address: 10.127.100.234, role: master }",
            with: "{ address: 10.127.100.234, role: master, node: \"\(name)\" }")
        let error = #expect(throws: InventoryError.self) { try Inventory.parse(text, file: "f") }
        let problems = "\(error?.problems ?? [])"
        #expect(problems.contains("is no node's name"))
    }

    @Test func theInventorysNodeIsReadAndIsOneHosts() throws {
        let text = RunbookCluster.inventoryText.replacing(
            "{ address: 10.127.100.234, role: master }",
            with: "{ address: 10.127.100.234, role: master, node: m1.example }")
        #expect(try Inventory.parse(text, file: "f").hosts[0].node == "m1.example")
        #expect(try Inventory.parse(text, file: "f").host("m1.example")?.name == Self.names[0])
        let twice = text.replacing(
            "{ address: 10.127.100.229, role: master }",
            with: "{ address: 10.127.100.229, role: master, node: m1.example }")
        #expect(throws: InventoryError.self) { try Inventory.parse(twice, file: "f") }
    }

    @Test(arguments: [
        ("10.0.0.1", "10.0.0.1"), ("[FD00:0:0::1]", "fd00::1"), ("fe80::1%eth0", "fe80::1"),
        ("M1.Example", "m1.example"),
    ]) func anAddressHasOneWayOfWriting(text: String, canonical: String) {
        #expect(IPAddress.canonical(text) == canonical)
    }

    @Test(arguments: [
        ("https://10.0.0.1:2380", "10.0.0.1"), ("https://[fd00::1]:2380", "fd00::1"), ("http://m1:2380/", "m1"),
        ("nothing", nil),
    ]) func aPeerURLHasAHost(url: String, host: String?) {
        #expect(IPAddress.host(ofURL: url) == host)
    }

    /// `ip -o addr` of a host with both families.
    @Test func bothFamiliesOfAddressesAreRead() throws {
        let lines = """
            1: lo    inet6 ::1/128 scope host \\       valid_lft forever preferred_lft forever
            2: eth0    inet 10.66.0.11/24 brd 10.66.0.255 scope global eth0
            2: eth0    inet6 fd00::11/64 scope global \\       valid_lft forever preferred_lft forever
            2: eth0    inet6 fe80::222:96ff:fe6f:6ef1/64 scope link
            """
        var facts = HostFacts(hostname: "a")
        facts.addresses = lines.split(separator: "\n").compactMap(HostProbe.address)
        #expect(facts.addresses?.count == 4)
        #expect(facts.ownAddresses(vip: "10.66.0.100") == ["10.66.0.11", "fd00::11"])
    }

    /// Real subjects, as `openssl x509 -noout -subject` of 1.0 (CentOS 7) and of 3 print them.
    @Test(arguments: [
        "subject= /O=system:nodes/CN=system:node:lzx-ocboot-ha-test",
        "subject=O = system:nodes, CN = system:node:lzx-ocboot-ha-test",
        "subject=CN=system:node:lzx-ocboot-ha-test,O=system:nodes",
    ]) func theKubeletsCertificateNamesItsNode(subject: String) throws {
        let program = HostProbe.kubeletNode(.kubeadm)
        let start = try #require(program.range(of: "2>/dev/null | "))
        let result = try LocalRemote(shell: "sh").runNow(
            .script("printf '%s\\n' '\(subject)' | \(program[start.upperBound...])", timeout: nil, label: "x"))
        #expect(result.text.trimmingCharacters(in: .newlines) == "lzx-ocboot-ha-test")
    }
}
