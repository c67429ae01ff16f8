import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// An old master whose power is cut by a command of the inventory's, and what counts as its silence.
@Suite struct PowerFenceTests {
    static let dead = RunbookCluster.names[0]
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    // MARK: The inventory

    func inventory(_ fence: String) throws -> Inventory {
        let line = "lzx-ocboot-ha-test:   { address: 10.127.100.234, role: master"
        return try Inventory.parse(
            RunbookCluster.inventoryText.replacing(line, with: "\(line), fence: \(fence)"), file: "hosts.yaml")
    }

    @Test func theCommandIsReadAsWords() throws {
        let inventory = try inventory(
            "[ipmitool, -I, lanplus, -H, 10.0.9.1, -U, admin, -f, /root/bmc, chassis, power, \"off\"]")
        #expect(inventory.host(named: Self.dead)?.fence?.last == "off")
        #expect(inventory.host(named: Self.dead)?.fence?.first == "ipmitool")
    }

    @Test(arguments: [
        ("[ipmitool, -H, 10.0.9.1, -P, geheim, chassis, power, off]", "-P"),
        ("[/usr/bin/ipmitool, -Pgeheim, chassis, power, off]", "-P"),
        ("[fence_ipmilan, -a, 10.0.9.1, -p, geheim]", "-p"), ("[fence_apc, --password=geheim]", "--password"),
        ("[curl, -u, \"admin:geheim\", https://10.0.9.1]", "-u"),
        ("[curl, -sku, \"admin:geheim\", https://10.0.9.1]", "-sku"),
        ("[curl, \"https://admin:geheim@10.0.9.1/off\"]", "a URL"), ("[sudo, ipmitool, -P, geheim]", "-P"),
        ("[sh, -c, \"ipmitool -P 'geheim' chassis power off\"]", "-P"), ("[racadm, -u, root, -p, geheim]", "-p"),
        ("[ipmipower, -h, 10.0.9.1, -p, geheim, --off]", "-p"), ("[sshpass, -p, geheim, ssh, 10.0.9.1]", "-p"),
        ("[env, IPMI_PASSWORD=geheim, ipmitool, -E]", "IPMI_PASSWORD"),
        ("[wget, --http-password=geheim, url]", "--http-password"),
        ("[switch-off, --password, geheim]", "--password"),
    ]) func aPasswordAmongItsWordsIsRefusedAndNotShown(fence: String, option: String) {
        let error = #expect(throws: InventoryError.self) { try inventory(fence) }
        let text = error?.description ?? ""
        #expect(
            text.hasPrefix("hosts.yaml:4: hosts.\(Self.dead).fence: '\(option)' has a password after it"), "\(text)")
        #expect(text.contains("-f FILE") && !text.contains("geheim"))
    }

    @Test(arguments: [
        "[ipmitool, -p, 623, -E, chassis, power, off]", "[my-switch, -P, 3]", "[fence_ipmilan, -S, /root/pw]",
        "[fence_apc, --password-script=/root/pw]", "[env, PASSWORD_FILE=/root/pw, my-switch]",
        "[curl, --netrc-file, /root/n, https://bmc/off]",
        "[sudo, ipmitool, -f, /root/bmc, chassis, power, off]",
    ])
    func whatIsNoPasswordIsTaken(fence: String) throws {
        #expect(try inventory(fence).host(named: Self.dead)?.fence != nil)
    }

    @Test(arguments: ["[]", "ipmitool chassis power off"]) func itIsAListOfWords(fence: String) {
        #expect(throws: InventoryError.self) { try inventory(fence) }
    }

    // MARK: The plan

    /// The first master is alive on the network and lets nobody in; its node is NotReady.
    func state(
        _ failure: ClusterState.HostFailure, fence: String = "[cut-power, a]"
    ) throws -> ClusterState {
        var state = try RunbookCluster.state()
        state.inventory = try inventory(fence)
        state.hosts[Self.dead] = .failed(failure)
        for name in RunbookCluster.names.dropFirst() {
            state.change(name) { $0.peers[RunbookCluster.addresses[0]] = RunbookCluster.livingView }
            state.change(name) { $0.addresses?.removeAll { $0.address == "10.127.100.102" } }
        }
        state.cluster.members[0].isHealthy = true
        return state
    }

    static let closed = ClusterState.HostFailure(message: "\(dead): authentication failed", sign: .alive)

    func plan(_ state: ClusterState, fences: Bool = true) throws -> Plan {
        var request = RunbookCluster.request
        request.fences = fences
        var plan = try Planner.plan(state, request, now: Date())
        plan.kubernetes = nil
        return plan
    }

    func refusals(_ state: ClusterState, fences: Bool = true) -> [Refusal] {
        do { _ = try plan(state, fences: fences) } catch { return (error as? Refused)?.refusals ?? [] }
        return []
    }

    @Test func aMasterThatLetsNobodyInIsFencedByItsPower() throws {
        let state = try self.state(Self.closed)
        #expect(refusals(state, fences: false).contains { $0.rule == "node-is-dead" })
        let plan = try self.plan(state)
        #expect(plan.fences == true && plan.fenceCommand == ["cut-power", "a"])
        #expect(plan.signsOfDeath?.contains("its power is cut first") == true)
        let lines = PlanText(plan, state.inventory).lines.map(\.text)
        #expect(lines.contains { $0.hasSuffix("$ this machine: cut-power a") }, "just what will be run")
        #expect(lines.contains { $0.contains("- all that runs on \(Self.dead): its power is cut") })
        #expect(ReplacementSteps.make(plan).map(\.id).prefix(3) == ["save", "fence", "drain"])
    }

    @Test func nothingElseIsForgivenForIt() throws {
        var ready = try state(Self.closed)
        ready.cluster.objects.nodes[0] = RunbookCluster.node(Self.dead, RunbookCluster.addresses[0], isReady: true)
        #expect(refusals(ready).map(\.rule).contains("node-is-dead"))
        // Whether it is off could not be seen from here afterwards.
        let unseen = try state(.init(message: "its jump host does not answer", sign: .inconclusive))
        #expect(refusals(unseen).map(\.rule) == ["node-is-dead"])
        var two = try state(Self.closed)
        two.cluster.members[2].isHealthy = false
        #expect(refusals(two).map(\.rule).contains("quorum-survives"))
    }

    /// Silence is no proof for whoever asks for the power to be cut.
    @Test func oneThatIsSilentAlreadyIsCutNevertheless() throws {
        var state = try RunbookCluster.state()
        state.inventory = try inventory("[cut-power, a]")
        #expect(try plan(state).fenceCommand == ["cut-power", "a"])
        #expect(try plan(state, fences: false).fenceCommand == nil)
    }

    // MARK: The act

    /// A program that leaves a file behind, and a cluster whose first master falls silent once the file is there.
    func scene(_ body: String, wait: Duration = .seconds(60), neighbour: String = "FAILED") throws -> (
        PowerFenceStep, RunContext, FakeCluster, wasRun: () -> Bool
    ) {
        let file = folder.path + "/cut"
        try folder.program("cut-power", "#!/bin/sh\n\(body)\n")
        var state = try self.state(Self.closed, fence: "[\(folder.path)/cut-power, \"\(file)\"]")
        let plan = try self.plan(state)
        state.cluster.members[0].isHealthy = false
        let cluster = FakeCluster(state.objects, members: state.cluster.members) { host, command in
            let isCut = FileManager.default.fileExists(atPath: file)
            if host == Self.dead {
                if isCut { throw SSHError(.unreachable, host: host, operation: "connect", cause: "No route to host") }
                throw SSHError(.authenticationFailed, host: host, operation: "connect", cause: "no key was accepted")
            }
            guard command.display == "look whether \(Self.dead) answers" else { return nil }
            let address = RunbookCluster.addresses[0]
            let silent =
                [22, 6443, 10250, 2380].map { "0 tcp \($0) 1 No route to host" }
                + ["0 route \(address) dev eth0 src 10.0.0.1", "0 neigh \(address) dev eth0 \(neighbour)"]
            return FakeCluster.sections(
                command, ["peers": (isCut ? silent : ["0 ping answered"]).joined(separator: "\n")])
        }
        let context = try cluster.context(
            plan, in: folder, limits: RunContext.Limits(wait: wait), inventory: state.inventory)
        let step = try #require(ReplacementSteps.make(plan).first { $0.id == "fence" } as? PowerFenceStep)
        return (step, context, cluster, { FileManager.default.fileExists(atPath: file) })
    }

    @Test func itIsRunWithoutAShellAndTheSilenceIsSeen() async throws {
        let (step, context, _, wasRun) = try scene(#"echo "Chassis Power Control: Down/Off"; : >"$1""#)
        #expect(try await step.check(context) == .needed("its power has not been cut by this run"))
        #expect(!wasRun(), "a look cuts nothing")
        try await step.run(context)
        #expect(wasRun())
        guard case .satisfied = try await step.check(context) else {
            Issue.record("not satisfied")
            return
        }
        let events = try context.run.events()
        #expect(events.contains { $0.event == .output && $0.text == "Chassis Power Control: Down/Off" })
        #expect(events.contains { $0.event == .command && $0.text?.hasPrefix("this machine: ") == true })
    }

    @Test func aCommandThatFailsIsNoFence() async throws {
        let (step, context, cluster, _) = try scene(#"echo "Unable to establish IPMI v2 session" >&2; exit 1"#)
        let error = await #expect(throws: ClusterError.self) { try await step.run(context) }
        #expect(error?.host == "this machine" && error?.cause.contains("exited(1)") == true, "\(error?.cause ?? "")")
        #expect(try context.run.events().contains { $0.text == "Unable to establish IPMI v2 session" })
        guard case .needed = try await step.check(context) else {
            Issue.record("it counts as fenced")
            return
        }
        #expect(cluster.acts == [])
    }

    @Test func oneThatIsNotThereIsNoFenceEither() async throws {
        let (step, context, _, _) = try scene("exit 0")
        let missing = PowerFenceStep(plan: step.plan, command: ["no-such-program-anywhere"])
        let error = await #expect(throws: ClusterError.self) { try await missing.run(context) }
        #expect(error?.cause.hasPrefix("no-such-program-anywhere: ") == true)
    }

    /// A switch that says Off and switches something else off.
    @Test func aMachineThatStillAnswersIsNotTakenForFenced() async throws {
        let (step, context, cluster, _) = try scene("exit 0", wait: .zero)
        let error = await #expect(throws: ClusterError.self) { try await step.run(context) }
        #expect(
            error?.code == .waitTimedOut && error?.cause.contains("it is alive on the network") == true,
            "\(error.map { "\($0)" } ?? "")")
        #expect(cluster.acts == [])
    }

    /// This machine gets no answer; a survivor that is not sure is waited for.
    @Test func theSurvivorsHaveToAgree() async throws {
        let (step, context, _, _) = try scene(#": >"$1""#, wait: .zero, neighbour: "REACHABLE")
        let error = await #expect(throws: ClusterError.self) { try await step.run(context) }
        #expect(
            error?.cause.contains(": it answers ARP, and its firewall rejects") == true,
            "\(error.map { "\($0)" } ?? "")")
    }

    @Test func whatIsDoubtful() {
        let silent = PeerSight(by: "a", sign: .silent("it does not answer ARP"))
        #expect(PeerSight.doubt([silent, PeerSight(by: "b", sign: .unclear("?"))]) == nil)
        #expect(PeerSight.doubt([silent, PeerSight(by: "b", sign: nil)]) == "b: did not tell")
        #expect(PeerSight.doubt([silent, PeerSight(by: "b", sign: .alive("it answers ping"))]) == "b: it answers ping")
        #expect(PeerSight.doubt([PeerSight(by: "b", sign: .unclear("dropped"))]) == "b: dropped")
        #expect(PeerSight.doubt([]) != nil)
    }
}
