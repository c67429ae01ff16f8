import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Which ocboot is run how, and which is not run at all: decided before anything is removed.
@Suite struct OcbootInvocationTests {
    func refusal(_ state: ClusterState) -> Refusal? {
        let refusals = FieldCluster.refusals(state)
        return refusals.count == 1 ? refusals[0] : nil
    }

    // MARK: Its command

    /// 3.8 has no tags: `use_ee` skips the tasks that set the administrator's password.
    @Test func upToRelease38TheEditionLeavesTheUsersAlone() throws {
        let run = try OcbootCases.run(OcbootCases.state(RunbookCluster.ocboot))
        #expect(run.invocation.command == ["./run.py", "{config}"])
        #expect(run.invocation.environment == ["NO_REBOOT=1", "PYTHONUNBUFFERED=1"])
        #expect(run.configuration.contains("  use_ee: true\n"))
        #expect(run.invocation.restartsNewHost)
    }

    @Test func from39OnTheCloudsTagIsSkipped() throws {
        let facts = OcbootFacts(release: "v3.9.14", commandLine: .optionalStack, takesTags: true)
        let run = try OcbootCases.run(OcbootCases.state(facts, running: "v3.9.14", product: "CMP"))
        #expect(run.invocation.command == ["./run.py", "{config}", "--stack", "cmp"])
        #expect(run.invocation.environment.contains("SKIP_TAGS=cloud,reboot,kernel,gpu"))
        #expect(run.configuration.contains("  use_ee: false\n"))
        #expect(!run.invocation.restartsNewHost)
    }

    @Test(arguments: [("FullStack", "full"), ("CMP", "cmp"), ("Edge", "virt"), ("LightEdge", "light-virt")])
    func from310OnTheStackIsTheCloudsProduct(product: String, stack: String) throws {
        let run = try OcbootCases.run(
            OcbootCases.state(OcbootCases.stacks("v3.11.13"), running: "v3.11.14", product: product))
        #expect(run.invocation.command == ["./run.py", stack, "{config}"])
        #expect(run.configuration.contains("  product_version: \"\(product)\"\n"))
    }

    /// The branch release/3.12 has v3.11.8 in VERSION.
    @Test func theVersionOfABranchMayLagBehind() throws {
        let run = try OcbootCases.run(
            OcbootCases.state(
                OcbootCases.stacks("v3.11.8", ansible: "2.11.12"), running: "v3.12.1", product: "Edge"))
        #expect(run.invocation.release == "3.11 and 3.12")
    }

    @Test func anOcbootWithK3sIsToldThatTheClusterIsKubeadms() throws {
        let run = try OcbootCases.run(OcbootCases.state(OcbootCases.k3s, running: "v3.11.9", product: "Edge"))
        #expect(run.invocation.command == ["./run.py", "virt", "{config}", "--k8s-v115"])
    }

    @Test func onK3sEverySurvivorIsListed() throws {
        var state = try FieldCluster.state()
        state.becomeK3s()
        state.change(RunbookCluster.names[1]) { facts in
            facts.k3sNetworks = [
                "cluster-cidr: 10.41.0.0/16", "service-cidr: \"10.97.0.0/16\"", "cluster-domain: 'cloud.local'",
            ]
        }
        let run = try OcbootCases.run(state)
        #expect(run.invocation.command == ["./run.py", "virt", "{config}"])
        #expect(run.invocation.environment.contains("SKIP_TAGS=cloud,reboot,kernel,gpu"))
        #expect(run.configuration.ranges(of: "    hostname: ").count == 4, "three companions and the new one")
        #expect(run.configuration.ranges(of: "host_networks").count == 1, "the new one's alone")
        #expect(run.configuration.contains("pod_network_cidr: \"10.41.0.0/16\""))
        #expect(run.configuration.contains("service_cidr: \"10.97.0.0/16\""))
        #expect(run.configuration.contains("service_dns_domain: \"cloud.local\""))
        #expect(run.invocation.effects.contains { $0.contains("keepalived.yaml of every master") })
    }

    @Test func theInventorysOwnCommandIsTaken() throws {
        var state = try OcbootCases.state(OcbootCases.stacks("v3.11.13"), running: "v3.11.14", product: "Edge")
        state.inventory.ocboot?.command = ["/opt/venv/bin/python", "run.py", "full", "{config}"]
        #expect(
            try OcbootCases.run(state).invocation.command == ["/opt/venv/bin/python", "run.py", "full", "{config}"])
    }

    // MARK: Refused before anything is removed

    @Test func oneThatIsNotThereIsRefused() throws {
        #expect(refusal(try OcbootCases.state(nil))?.reason.contains("/root/ocboot is not there") == true)
        #expect(
            refusal(try OcbootCases.state(OcbootFacts(hasProgram: false, release: "v3.8.8")))?.reason.contains(
                "no run.py")
                == true)
    }

    @Test(arguments: [
        (OcbootFacts(release: nil), "VERSION is not there"),
        (OcbootFacts(release: "v9.1.0"), "none that this program knows"),
        (
            OcbootFacts(release: "v3.9.14", takesTags: true),
            "is of release v3.9.14, and the inventory says that the cloud runs v3.8.8"
        ),
        (OcbootFacts(release: "v3.8.8", ansible: nil), "there is no ansible-playbook"),
        (OcbootFacts(release: "v3.8.8", ansible: "2.15.13"), "do not run with Ansible 2.15.13"),
        (OcbootFacts(release: "v3.8.8", hasYAML: false), "no module yaml"),
        (OcbootFacts(release: "v3.8.8", commandLine: nil), "its command line cannot be read"),
        (OcbootFacts(release: "v3.8.8", startProblem: "ModuleNotFoundError: x"), "ModuleNotFoundError"),
    ]) func oneThatCannotWorkIsRefused(facts: OcbootFacts, words: String) throws {
        let found = try #require(refusal(try OcbootCases.state(facts)))
        #expect(found.rule == "ocboot-matches")
        #expect(found.reason.contains(words), "\(found)")
    }

    @Test func ansibleWithoutItsCollectionsIsRefused() throws {
        var facts = OcbootCases.stacks("v3.11.13")
        facts.hasCollections = false
        let state = try OcbootCases.state(facts, running: "v3.11.14", product: "Edge")
        #expect(refusal(state)?.reason.contains("no collection ansible.posix") == true)
    }

    @Test func anUnknownProductIsRefusedWhereAStackIsWanted() throws {
        let facts = OcbootCases.stacks("v3.11.13")
        #expect(
            refusal(try OcbootCases.state(facts, running: "v3.11.14"))?.reason.contains("has no productVersion") == true
        )
        #expect(
            refusal(try OcbootCases.state(facts, running: "v3.11.14", product: "Baremetal"))?.reason.contains(
                "Baremetal")
                == true)
    }

    @Test func theWrongKindIsRefused() throws {
        var facts = OcbootCases.k3s
        facts.takesK8sV115 = false
        #expect(
            refusal(try OcbootCases.state(facts, running: "v3.11.9", product: "Edge"))?.reason.contains(
                "would set up k3s")
                == true)
        var state = try OcbootCases.state(OcbootCases.stacks("v3.11.13"), running: "v3.11.14", product: "Edge")
        state.inventory.cluster.distribution = .k3s
        #expect(FieldCluster.refusals(state).contains { $0.reason.contains("makes kubeadm clusters only") })
    }

    /// Its environment does not reach into the container, and with it not what keeps the administrator's password.
    @Test func theContainerIsRefused() throws {
        var state = try OcbootCases.state(OcbootCases.stacks("v3.11.13"), running: "v3.11.14", product: "Edge")
        state.inventory.ocboot?.command = ["./ocboot.sh", "run.py", "virt", "{config}"]
        #expect(refusal(state)?.reason.contains("container that SKIP_TAGS does not reach") == true)
        state.inventory.ocboot?.command = ["./run.py", "{config}"]
        #expect(refusal(state)?.reason.contains("has no stack") == true)
    }

    /// Of 3.11.7 and 3.12 it was measured that their roles end with "Conditional is marked as unsafe" by Ansible 2.15 (docs/ocboot.md).
    @Test func anAnsibleThatTheRolesDoNotTakeIsRefused() throws {
        var facts = OcbootCases.stacks("v3.11.8")
        facts.ansible = "2.15.13"
        #expect(
            refusal(try OcbootCases.state(facts, running: "v3.12.1", product: "Edge"))?.reason
                .contains("Ansible 2.15.13") == true)
        facts.ansible = "2.11.12"
        #expect(FieldCluster.refusals(try OcbootCases.state(facts, running: "v3.12.1", product: "Edge")).isEmpty)
        facts = OcbootCases.stacks("v3.11.13")
        facts.ansible = "2.15.13"
        #expect(FieldCluster.refusals(try OcbootCases.state(facts, running: "v3.11.14", product: "Edge")).isEmpty)
    }

    // MARK: What it asks of the hosts

    @Test func whatAHostLacksIsRefused() throws {
        let facts = OcbootCases.stacks("v3.11.13")
        var state = try OcbootCases.state(facts, running: "v3.11.14", product: "Edge")
        state.change(RunbookCluster.spare) { spare in
            spare.machine.processors = 2
            spare.machine.memoryKiB = 4 << 20
            spare.machine.systemID = "debian"
            spare.machine.kernelArguments = "quiet"
        }
        state.change(RunbookCluster.names[1]) { $0.machine.processors = 3 }
        // Not named in ocboot's configuration.
        state.change(RunbookCluster.names[2]) { $0.machine.processors = 1 }
        let refusals = FieldCluster.refusals(state)
        #expect(refusals.allSatisfy { $0.rule == "hosts-suit-ocboot" })
        #expect(refusals.count == 4, "\(refusals)")
        #expect(refusals.contains { $0.reason.hasPrefix("\(RunbookCluster.names[1]) has 3 processors") })
        let old = try OcbootCases.state(RunbookCluster.ocboot)
        #expect(FieldCluster.refusals(old).isEmpty, "3.8 asks for none of these")
    }

    /// A host is not to be changed for an ocboot that has to go.
    @Test func whatTheWrongOcbootWantsIsNotAsked() throws {
        var state = try OcbootCases.state(OcbootCases.stacks("v3.11.13"), running: "v3.8.8", product: "Edge")
        state.change(RunbookCluster.spare) { $0.machine.processors = 1 }
        #expect(FieldCluster.refusals(state).map(\.rule) == ["ocboot-matches"])
    }

    /// A host's words stay words on a terminal.
    @Test func aRefusalHoldsNoEscapes() {
        let refusal = Refusal("x", "it says \u{1B}]0;a\u{7}\nb", advice: "\u{202E}c")
        #expect(refusal.description == "x: it says \\x1b]0;a\\x07\\nb; \\u{202e}c")
    }

    @Test(arguments: [
        ("debian", "11", true), ("debian", "12", false), ("centos", "7", true), ("rhel", "8.9", false),
        ("kylin", "V10", true),
        ("openEuler", "22.03", true),
    ]) func theOperatingSystemsThatItTakes(id: String, version: String, isTaken: Bool) throws {
        var state = try OcbootCases.state(OcbootCases.stacks("v3.11.13"), running: "v3.11.14", product: "Edge")
        state.change(RunbookCluster.spare) { spare in
            spare.machine.systemID = id
            spare.machine.systemVersion = version
        }
        #expect(FieldCluster.refusals(state).isEmpty == isTaken, "\(FieldCluster.refusals(state))")
    }

    /// In daylight, by `check`.
    @Test func theSameIsToldBeforeTheNight() throws {
        func findings(_ facts: OcbootFacts?, _ change: (inout HostFacts) -> Void = { _ in }) throws -> [CheckReport
            .Finding]
        {
            var state = try RunbookCluster.state(isDead: false)
            state.inventory.ocboot?.onecloudVersion = "v3.11.14"
            state.cluster.onecloudVersion = "v3.11.14"
            state.cluster.cloud.product = "Edge"
            state.change(RunbookCluster.names[0]) { $0.ocboot = facts }
            state.change(RunbookCluster.spare, change)
            return CheckReport(state, at: Date()).findings
        }
        let facts = OcbootCases.stacks("v3.11.13")
        #expect(try findings(facts).isEmpty)
        let small = try findings(facts) { $0.machine.processors = 2 }
        #expect(small.map(\.code) == [.unsuitableForOcboot])
        #expect(small.first?.subject == RunbookCluster.spare)
        #expect(small.first?.severity == .warning)
        #expect(try findings(nil).map(\.code) == [.ocbootCannotRun])
        var without = facts
        without.ansible = nil
        #expect(try findings(without).first?.text.contains("there is no ansible-playbook") == true)
    }

    /// k3s' own container runtime is told of a spare that is still to be joined, and not of a master that the inventory calls a spare.
    @Test(arguments: [true, false]) func aSpareThatWasJoinedIsNoNewHost(isJoined: Bool) throws {
        var state = try RunbookCluster.state(isDead: false)
        state.becomeK3s()
        state.inventory.hosts[isJoined ? 2 : 3].role = .spare
        for host in state.inventory.hosts {
            state.change(host.name) { facts in
                facts.runtimes = host.role == .master || isJoined ? ["containerd"] : ["dockerd"]
            }
        }
        let told = CheckReport(state, at: Date()).findings.filter { $0.text.contains("a container runtime of its own") }
        #expect(told.map(\.subject).contains(state.inventory.hosts[isJoined ? 2 : 3].name) == !isJoined)
    }

    @Test func anOldReleaseAsksTheVIPsHolderOnPort22() throws {
        var state = try OcbootCases.state(RunbookCluster.ocboot)
        state.inventory.hosts[1].ssh.port = 2222
        state.change(RunbookCluster.names[1]) { $0.listening = [2222, 6443] }
        #expect(refusal(state)?.reason.contains("by SSH on port 22, and nothing listens there") == true)
        state.change(RunbookCluster.names[1]) { $0.listening = [22, 2222, 6443] }
        #expect(FieldCluster.refusals(state).isEmpty)
    }

    @Test func anotherUserThanRootNeedsARelease() throws {
        var state = try OcbootCases.state(RunbookCluster.ocboot)
        state.inventory.hosts[3].ssh.user = "ops"
        #expect(refusal(state)?.reason.contains("logs in to \(RunbookCluster.spare) as ops") == true)
    }
}
