import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// A survivor becomes a cluster of its own only where no other master can come back.
@Suite struct RecoveryPlannerTests {
    typealias Cluster = RecoveryCluster

    @Test func twoDeadMastersArePlannedFor() throws {
        let plan = try Cluster.plan()
        #expect(plan.survivor.node == Cluster.survivor && plan.survivor.address == "10.127.100.229")
        #expect(plan.dead.map(\.host) == Cluster.dead)
        #expect(plan.dead.map(\.memberID) == [Cluster.ids[0], Cluster.ids[2]])
        #expect(plan.dead[1].signs.contains("\(Cluster.survivor): it does not answer ARP"))
        #expect(plan.etcd.memberID == Cluster.ids[1] && plan.watch == 300)
        #expect(plan.promotes && plan.manifestDiff != nil && plan.isUnfinished == nil)
        #expect(
            RecoverySteps.make(plan).map(\.id) == [
                "watch", "save", "copy-data", "new-cluster", "first-manifest", "api-server", "promote",
                "clean-cluster-status",
                "dead-nodes", "verify",
            ])
        let decoded = try EventCoding.decode(RecoveryPlan.self, from: try EventCoding.encode(plan))
        #expect(decoded == plan)
    }

    @Test func thePlanTellsWhatIsForgottenAndWhatComesNext() throws {
        let text = RecoveryText(try Cluster.plan(), try RunbookCluster.inventory())
        let lines = text.lines
        for name in Cluster.dead {
            #expect(lines.contains { $0.text == "     masterswap replace \(name) --with SPARE" })
        }
        #expect(lines.contains { $0.kind == .destroyed && $0.text.contains(Cluster.ids[2]) })
        #expect(lines.contains { $0.kind == .warning && $0.text.contains("must never run again") })
        #expect(!lines.contains { $0.text.contains("de17f785") }, "the VRRP password")
        #expect(text.summary.contains { $0.kind == .destroyed && $0.text.contains(Cluster.ids[0]) })
    }

    @Test func thePlanNamesTheRunThatIsGivenUp() throws {
        var state = try Cluster.state()
        var facts = try #require(state.hosts[Cluster.survivor]?.facts)
        facts.runs = [.unfinished, .done].map {
            RunHead(
                run: "20220415-030\($0 == .done ? 0 : 1)", title: "Replace a with b", startedAt: Cluster.now, state: $0)
        }
        state.hosts[Cluster.survivor] = .reached(facts)
        let plan = try RecoveryPlanner.plan(state, Cluster.etcd(), Cluster.request, room: nil, now: Cluster.now)
        #expect(plan.givesUp == ["20220415-0301"])
        let text = RecoveryText(plan, state.inventory)
        #expect(text.lines.contains { $0.text.hasPrefix("  given up: unfinished run 20220415-0301, ") })
        #expect(text.summary.contains { $0.text == "To be given up: unfinished run 20220415-0301" })
        #expect(throws: Refused.self, "another one than was shown") {
            try RecoveryPlanner.refuseIfOther(plan, try Cluster.plan())
        }
    }

    // MARK: Refused

    func rules(_ change: (inout ClusterState, inout SurvivorEtcd) -> Void) throws -> [String] {
        try Cluster.refusals(change).map(\.rule)
    }

    func see(_ index: Int, as view: PeerView?, in state: inout ClusterState, by viewer: String = Cluster.survivor) {
        guard case .reached(var facts)? = state.hosts[viewer] else { return }
        facts.peers[(RunbookCluster.addresses + [RunbookCluster.spareAddress])[index]] = view
        state.hosts[viewer] = .reached(facts)
    }

    @Test func aClusterThatAnswersIsNotRecovered() throws {
        #expect(try rules { state, _ in state.cluster.source = Cluster.survivor } == ["quorum-is-lost"])
        #expect(
            try rules { _, etcd in
                etcd.status = .init(memberID: Cluster.ids[1], leader: Cluster.ids[0], revision: 1)
            } == ["quorum-is-lost"])
    }

    @Test func aMasterThatAnswersIsNotDead() throws {
        let refusals = try Cluster.refusals { state, _ in
            state.hosts[Cluster.dead[1]] = .reached(HostFacts(hostname: Cluster.dead[1]))
        }
        #expect(refusals.map(\.rule) == ["others-are-dead"])
        #expect(refusals[0].advice.contains("there is a majority again"))
        #expect(
            try rules { state, _ in
                state.hosts[Cluster.dead[1]] = .failed(.init(message: "slow", sign: .alive))
            } == ["others-are-dead"], "one that is only slow has accepted the connection")
    }

    /// A firewall or a cable between here and it gives the same silence.
    @Test func oneThatOnlyWeDoNotReachIsNotDead() throws {
        for view in [RunbookCluster.livingView, PeerView(attempts: [2380: .accepted, 22: .unanswered])] {
            let refusals = try Cluster.refusals { state, _ in see(2, as: view, in: &state) }
            #expect(refusals.map(\.rule) == ["others-are-dead"])
            #expect(refusals[0].reason.contains("\(Cluster.dead[1]) is alive, seen from \(Cluster.survivor)"))
        }
        for view in [nil, PeerView(attempts: [22: .rejected])] {
            let refusals = try Cluster.refusals { state, _ in see(2, as: view, in: &state) }
            #expect(refusals.map(\.rule) == ["others-are-dead"])
            #expect(refusals[0].reason.contains("seen from here only"))
        }
        #expect(
            try rules { state, _ in see(0, as: RunbookCluster.livingView, in: &state, by: RunbookCluster.spare) }
                == ["others-are-dead"], "a spare sees it")
    }

    @Test func oneWhoseEtcdAnswersTheSurvivorIsNotDead() throws {
        let refusals = try Cluster.refusals { _, etcd in etcd.answering = [Cluster.ids[2]] }
        #expect(refusals.map(\.rule) == ["others-are-dead"])
        #expect(refusals[0].reason == "etcd member \(Cluster.ids[2]) answers \(Cluster.survivor)")
    }

    /// A run that is resumed later may meet a cluster that has come back, or that others have joined since.
    @Test func othersThatCameBackOrJoinedAreNotCutOff() throws {
        let plan = try Cluster.plan()
        func objection(_ change: (inout SurvivorEtcd) -> Void) -> String? {
            var etcd = Cluster.etcd()
            change(&etcd)
            return plan.objection(to: etcd)
        }
        #expect(objection { _ in } == nil)
        let (own, other) = (Cluster.ids[1], Cluster.ids[0])
        func status(_ leader: String) -> SurvivorEtcd.Status {
            .init(memberID: own, leader: leader, revision: 1)
        }
        #expect(objection { $0.answering = [other] } == "etcd member \(other) answers")
        #expect(objection { $0.status = status(other) } == "etcd knows a leader, \(other)")
        #expect(objection { $0.status = status(own) } == "etcd knows a leader, \(own)")
        #expect(
            objection { etcd in
                etcd.members.removeAll { $0.id != own }
                etcd.status = status(own)
            } == nil, "it is the only member already")
        let joined = objection { etcd in
            etcd.members[0] = EtcdMember(id: "5e", name: "s1", peerURLs: ["https://10.0.0.9:2380"], clientURLs: [])
        }
        #expect(joined == "etcd member 5e 's1' has joined since the recovery was planned")
    }

    @Test func machinesThatMayOnlyRestartAreWaitedFor() throws {
        func watch(_ silentFor: Int?, _ wanted: Int = 300) throws -> Int {
            var etcd = Cluster.etcd()
            etcd.silentFor = silentFor
            let request = RecoveryRequest(survivor: Cluster.survivor, withoutQuorumFor: wanted)
            let plan = try RecoveryPlanner.plan(try Cluster.state(), etcd, request, room: nil, now: Cluster.now)
            #expect((RecoverySteps.make(plan).first?.id == "watch") == (plan.watch > 0))
            return plan.watch
        }
        #expect(try watch(40) == 300)
        #expect(try watch(nil) == 300)
        #expect(try watch(900) == 300)
        #expect(try watch(nil, 0) == 0)
    }

    @Test func aMemberOnAnotherNetworkIsLookedForThere() throws {
        func elsewhere(_ etcd: inout SurvivorEtcd) { etcd.members[2].peerURLs = ["https://192.168.7.3:2380"] }
        #expect(try rules { _, etcd in elsewhere(&etcd) } == ["others-are-dead"], "nobody looked there")
        #expect(
            try rules { state, etcd in
                elsewhere(&etcd)
                guard case .reached(var facts)? = state.hosts[Cluster.survivor] else { return }
                facts.peers["192.168.7.3"] = RunbookCluster.silentView
                state.hosts[Cluster.survivor] = .reached(facts)
            }.isEmpty)
    }

    @Test func aMemberThatIsNobodysIsRefused() throws {
        let rules = try rules { _, etcd in
            etcd.members.append(EtcdMember(id: "77", name: "", peerURLs: ["https://10.0.0.9:2380"], clientURLs: []))
        }
        #expect(rules == ["members-are-known"])
    }

    /// Both may die during a replacement: after the removal of the first one's member, and after the new one was added.
    @Test func aReplacementMayHaveBeenUnderWay() throws {
        var etcd = Cluster.etcd()
        etcd.members.removeFirst()
        var state = try Cluster.state()
        func plan() throws -> RecoveryPlan {
            try RecoveryPlanner.plan(state, etcd, Cluster.request, room: nil, now: Cluster.now)
        }
        #expect(try plan().dead.map(\.memberID) == [nil, Cluster.ids[2]])
        etcd.members.append(
            EtcdMember(
                id: "77", name: "", peerURLs: ["https://\(RunbookCluster.spareAddress):2380"], clientURLs: []))
        state.change(RunbookCluster.spare) { $0.clusterTraces = ["/var/lib/etcd/member"] }
        let refused = try #require(#expect(throws: Refused.self) { try plan() })
        #expect(refused.refusals.map(\.rule) == ["others-are-dead"], "the spare is at work")
        state.hosts[RunbookCluster.spare] = .failed(.init(message: "no answer within 10 s", sign: .unresponsive))
        see(3, as: RunbookCluster.silentView, in: &state)
        #expect(try plan().dead.map(\.memberID) == [nil, Cluster.ids[2], "77"])
    }

    /// A join that was begun may have added a member that never started: it has no data, and a machine that is bare does not start it.
    @Test func aMemberThatNeverStartedIsForgottenWithTheOthers() throws {
        var etcd = Cluster.etcd()
        etcd.members.removeFirst()
        etcd.members.append(
            EtcdMember(
                id: "77", name: "", peerURLs: ["https://\(RunbookCluster.spareAddress):2380"], clientURLs: []))
        var state = try Cluster.state()
        func plan() throws -> RecoveryPlan {
            try RecoveryPlanner.plan(state, etcd, Cluster.request, room: nil, now: Cluster.now)
        }
        state.change(RunbookCluster.spare) { ($0.kubeletRuns, $0.clusterTraces) = (false, []) }
        #expect(try plan().dead.map(\.memberID) == [nil, Cluster.ids[2]])
        #expect(try plan().unstarted == ["77"])
        #expect(try plan().objection(to: etcd) == nil)
        state.change(RunbookCluster.spare) { $0.clusterTraces = ["/etc/kubernetes/kubelet.conf"] }
        let refused = try #require(#expect(throws: Refused.self) { try plan() })
        #expect(refused.refusals.map(\.rule) == ["others-are-dead"])
        #expect(refused.refusals[0].advice.contains("take off what it left: kubeadm reset"))
    }

    /// Two of five that live are no majority.
    @Test func ofFiveMastersTheOneWithMoreIsChosen() throws {
        var (state, etcd) = (try Cluster.state(), Cluster.etcd())
        for index in 4...5 {
            let name = "m\(index)"
            state.inventory.hosts.append(
                Inventory.Host(name: name, address: "10.127.100.\(index)", role: .master, ssh: .init(become: .none)))
            etcd.members.append(
                EtcdMember(
                    id: "\(index)", name: name, peerURLs: ["https://10.127.100.\(index):2380"], clientURLs: []))
            state.hosts[name] = .failed(.init(message: "no answer within 10 s", sign: .unresponsive))
            guard case .reached(var facts)? = state.hosts[Cluster.survivor] else { return }
            facts.peers["10.127.100.\(index)"] = RunbookCluster.silentView
            state.hosts[Cluster.survivor] = .reached(facts)
        }
        etcd.status = .init(memberID: Cluster.ids[1], revision: 4321)
        #expect(try RecoveryPlanner.plan(state, etcd, Cluster.request, room: nil, now: Cluster.now).dead.count == 4)
        state.hosts["m4"] = .reached(HostFacts(hostname: "m4"))
        let refused = try #require(throws: Refused.self) {
            try RecoveryPlanner.plan(state, etcd, Cluster.request, room: nil, now: Cluster.now)
        }
        #expect(refused.refusals[0].advice.contains("(3 of 5): bring back more of them"))
        #expect(refused.refusals[0].advice.contains("which is at 4321 on \(Cluster.survivor)"))
    }

    @Test func theSurvivorHasToBeUsable() throws {
        #expect(throws: Refused.self) {
            try RecoveryPlanner.plan(
                try Cluster.state(), Cluster.etcd(), .init(survivor: RunbookCluster.spare), room: nil, now: Cluster.now)
        }
        #expect(try rules { _, etcd in etcd.members = [] } == ["etcd-data-is-usable"])
        #expect(try rules { _, etcd in etcd.members[1].isLearner = true } == ["etcd-data-is-usable"])
        #expect(
            try rules { _, etcd in
                etcd.manifest = EtcdManifest("    - --name=\(Cluster.survivor)\n    command: [etcd]\n")
            } == ["etcd-data-is-usable"])
        #expect(
            try rules { state, _ in
                guard case .reached(var facts)? = state.hosts[Cluster.survivor] else { return }
                facts.keepalived = .absent
                facts.kubeletRuns = false
                state.hosts[Cluster.survivor] = .reached(facts)
            } == ["survivor-is-sound", "survivor-is-sound"])
    }

    @Test func thereHasToBeRoom() throws {
        #expect(try rules { _, etcd in etcd.availableKiB = 7 << 10 } == ["room-is-left"])
        #expect(try Cluster.refusals(room: 100 << 20).map(\.rule) == ["room-is-left"])
        #expect(try Cluster.refusals(room: nil).isEmpty)
    }

    // MARK: Cut off

    func cutOff(_ state: inout ClusterState, _ etcd: inout SurvivorEtcd) {
        etcd.manifest = EtcdManifest(Cluster.forcing)
        etcd.members = [etcd.members[1]]
        etcd.status = .init(memberID: Cluster.ids[1], leader: Cluster.ids[1], revision: 1)
        etcd.silentFor = 1
        state.cluster.source = Cluster.survivor
    }

    @Test func oneThatWasCutOffWithTheFlagIsFinished() throws {
        var (state, etcd) = (try Cluster.state(), Cluster.etcd())
        cutOff(&state, &etcd)
        let plan = try RecoveryPlanner.plan(state, etcd, Cluster.request, room: nil, now: Cluster.now)
        #expect(plan.isUnfinished == true)
        #expect(RecoverySteps.make(plan).map(\.id).prefix(3) == ["save", "copy-data", "new-cluster"])
        etcd.members = Cluster.etcd().members
        #expect(throws: Refused.self, "somebody has joined since: the next start would forget them") {
            try RecoveryPlanner.plan(state, etcd, Cluster.request, room: nil, now: Cluster.now)
        }
    }

    @Test func oneThatWasCutOffWhileEtcdWasStoppedSaysHowToGoOn() throws {
        let refusals = try Cluster.refusals { _, etcd in
            etcd.kept = etcd.manifest
            (etcd.manifest, etcd.status, etcd.members) = (nil, nil, [])
        }
        #expect(refusals.map(\.rule) == ["etcd-data-is-usable"])
        #expect(refusals[0].advice.contains("masterswap resume"))
    }

    @Test func whatWasCutOffStopsReplacementsAndIsTold() throws {
        for left in [HostFacts.Recovery.forced, .stopped] {
            var state = try RunbookCluster.state()
            guard case .reached(var facts)? = state.hosts[Cluster.survivor] else { return }
            facts.recovery = left
            state.hosts[Cluster.survivor] = .reached(facts)
            let refused = try #require(
                throws: Refused.self
            ) { try Planner.plan(state, RunbookCluster.request, now: Cluster.now) }
            #expect(refused.refusals.map(\.rule) == ["survivors-are-sound"])
            let finding = try #require(
                CheckReport(state, at: Cluster.now).findings.first { $0.code == .recoveryUnfinished })
            #expect(finding.subject == Cluster.survivor && finding.advice.contains("masterswap resume"))
        }
    }

    @Test func aSilentClusterNamesTheVerbWhereItFits() throws {
        var state = try Cluster.state()
        let words = "masterswap recover \(Cluster.survivor)"
        func told() -> Bool {
            CheckReport(state, at: Cluster.now).findings.contains {
                $0.code == .clusterSilent && $0.advice.contains(words)
            }
        }
        #expect(told())
        #expect(state.refusalsWithoutAnswer.contains { $0.advice.contains(words) })
        see(2, as: RunbookCluster.livingView, in: &state)
        #expect(!told())
        #expect(!state.refusalsWithoutAnswer.contains { $0.advice.contains(words) })
        #expect(
            state.refusalsWithoutAnswer.contains {
                $0.advice
                    == "bring etcd back on \(Cluster.dead[1]), which is on; restore no snapshot while \(Cluster.survivor) has newer data"
            })
    }

    // MARK: After it

    /// One member, and two dead masters whose nodes are left.
    func afterwards() throws -> ClusterState {
        var state = try RunbookCluster.state()
        let recovered = try Cluster.state()
        state.hosts = recovered.hosts
        state.cluster.members = [state.cluster.members[1]]
        state.cluster.etcd = RunbookCluster.condition(state.cluster.members)
        state.cluster.objects.nodes[2].status?.conditions?[0].status = "Unknown"
        state.cluster.objects.nodes[2].status?.conditions?[0].lastTransitionTime = "2022-04-13T09:00:00Z"
        for index in state.cluster.objects.pods.indices
        where state.cluster.objects.pods[index].nodeName == Cluster.dead[1] {
            state.cluster.objects.pods[index].status?.containerStatuses?[0].ready = false
            for claim in state.cluster.objects.pods[index].spec.claimNames {
                let volume = "pvc-\(state.cluster.objects.pods[index].namespace)-\(claim)"
                state.drives[volume] = MinIODrive(.unknown("its host is not reached"))
            }
        }
        return state
    }

    var accepting: ReplacementRequest {
        var request = RunbookCluster.request
        request.acceptedLosses = [
            "onecloud-minio/export-minio-0", "onecloud-minio/export-minio-3",
            "onecloud-monitoring/export-monitor-minio-0",
            "onecloud-monitoring/export-monitor-minio-3",
        ]
        return request
    }

    @Test func theDeadOnesAreReplacedInTurn() throws {
        let state = try afterwards()
        let refused = try #require(
            throws: Refused.self
        ) { try Planner.plan(state, RunbookCluster.request, now: Cluster.now) }
        #expect(
            Set(refused.refusals.map(\.rule)) == ["critical-data-survives", "other-replicas-healthy"],
            "only the drives that both had are refused: \(refused)")
        let plan = try Planner.plan(state, accepting, now: Cluster.now)
        #expect(plan.survivors.map(\.node) == [Cluster.survivor] && plan.member == nil)
        #expect(plan.unsound?.map(\.node) == [Cluster.dead[1]] && plan.unsound?[0].isGone == true)
        #expect(!plan.rebuilds.contains { $0.heal == .minio && !$0.isDataLost })
        let text = PlanText(plan, state.inventory)
        #expect(text.summary.contains { $0.text.contains("ITS DATA IS LOST") })
        #expect(plan.warnings?.contains { $0.hasPrefix("etcd has one member left") } == true)
        #expect(
            try Planner.plan(RunbookCluster.state(), RunbookCluster.request, now: Cluster.now).warnings?
                .contains { $0.hasPrefix("etcd has one member left") } != true)
        #expect(text.summary.contains { $0.text.contains("\(Cluster.dead[1]) is dead, too") })
    }

    @Test func aSecondDeadMasterThatMayLiveOrIsAMemberStillIsAFault() throws {
        var alive = try afterwards()
        see(2, as: RunbookCluster.livingView, in: &alive)
        var member = try afterwards()
        member.cluster.members.append(try RunbookCluster.state().cluster.members[2])
        member.cluster.members[1].isHealthy = false
        for state in [alive, member] {
            let refused = try #require(throws: Refused.self) { try Planner.plan(state, accepting, now: Cluster.now) }
            #expect(refused.refusals.contains { $0.rule == "survivors-are-sound" }, "\(refused)")
        }
    }
}
