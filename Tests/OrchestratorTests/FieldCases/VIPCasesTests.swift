import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// A VIP that several hosts have: on kube-proxy's interface, and because VRRP is blocked.
@Suite struct VIPCasesTests {
    static let vip = "10.127.100.102"
    static let names = RunbookCluster.names

    /// What `ip -o -4 addr` printed in the field, with the runbook's VIP.
    static let onServiceInterface = """
        1: lo    inet 127.0.0.1/8 scope host lo
        2: eth0    inet 10.66.0.11/24 brd 10.66.0.255 scope global eth0
        7: kube-ipvs0    inet 10.96.0.1/32 scope global kube-ipvs0
        7: kube-ipvs0    inet 10.127.100.102/32 scope global kube-ipvs0
        """

    @Test func kubeProxysInterfaceIsNamed() throws {
        var state = try RunbookCluster.state()
        let read = Self.onServiceInterface.split(separator: "\n").compactMap(HostProbe.address)
        for name in Self.names.dropFirst() { state.change(name) { $0.addresses? += read } }
        #expect(state.vipHolders.map(\.name) == [Self.names[1]], "keepalived's holder is still known")
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["one-vip-holder"])
        #expect(refusals[0].reason.contains("kube-ipvs0 on \(Self.names[1]) and \(Self.names[2])"))
        #expect(refusals[0].reason.contains("externalIPs"))
        #expect(!(refusals[0].reason + refusals[0].advice).contains("keepalived"))
        #expect(refusals[0].advice.contains("kubectl get services -A -o wide"))
        let findings = CheckReport(state, at: Date()).findings.filter { $0.subject == "vip" }
        #expect(findings.map(\.code) == [.vipOnService])
        #expect(findings[0].text.contains("kube-ipvs0"))
    }

    @Test func aRunDoesNotTakeItForAHolder() async throws {
        let remote = KubectlTests.ScriptedRemote("a") { _ in KubectlTests.output(Self.onServiceInterface) }
        let holder = KubectlTests.ScriptedRemote("b") { _ in
            KubectlTests.output(Self.onServiceInterface + "\n3: br0    inet \(Self.vip)/32 scope global br0\n")
        }
        #expect(try await VIP.holders(of: Self.vip, [remote, holder]) == ["b"])
    }

    /// cloudpods#22716: VRRP is blocked, and each keepalived is its own master.
    @Test func everyMasterThatHoldsItIsNamed() throws {
        var state = try RunbookCluster.state()
        let read = "2: br0    inet \(Self.vip)/32 scope global br0".split(separator: "\n").compactMap(HostProbe.address)
        for name in Self.names.dropFirst() {
            state.change(name) { facts in
                facts.addresses?.removeAll { $0.address == Self.vip }
                facts.addresses? += read
            }
        }
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.map(\.rule) == ["one-vip-holder"])
        #expect(refusals[0].reason.contains("\(Self.names[1]) and \(Self.names[2]) hold the VIP"))
        #expect(refusals[0].advice.contains("keepalived does not hear its peers"))
        let three = CheckReport(
            try {
                var state = try RunbookCluster.state(isDead: false)
                for name in Self.names {
                    state.change(name) { facts in
                        facts.addresses?.removeAll { $0.address == Self.vip }
                        facts.addresses? += read
                    }
                }
                return state
            }(), at: Date())
        #expect(three.findings.map(\.code) == [.vipHeldTwice])
        #expect(Self.names.allSatisfy { three.findings[0].text.contains($0) })
    }

    /// The keepalived of the master with the highest priority is broken: it never takes the VIP, and the run would wait for that.
    @Test func aMASTERThatDoesNotHoldTheVIPIsRefused() throws {
        var state = try RunbookCluster.state(dead: 2)
        #expect(state.vipHolders.map(\.name) == [Self.names[0]])
        let address = HostFacts.Address(interface: "br0", address: Self.vip)
        state.change(Self.names[0]) { $0.addresses?.removeAll { $0 == address } }
        state.change(Self.names[1]) { $0.addresses?.append(address) }
        let request = ReplacementRequest(dead: Self.names[2], replacement: RunbookCluster.spare)
        let refusals = FieldCluster.refusals(state, request)
        #expect(refusals.map(\.rule) == ["one-vip-holder"])
        #expect(refusals[0].reason.contains("\(Self.names[0]) is keepalived's MASTER"))
        #expect(refusals[0].reason.contains("is on \(Self.names[1])"))
    }
}
