import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

@Suite struct PlannerTests {
    let now = Date(timeIntervalSince1970: 1_650_000_000)

    func refusals(_ state: ClusterState, _ request: ReplacementRequest = RunbookCluster.request) -> [String] {
        do {
            _ = try Planner.plan(state, request, now: now)
            return []
        } catch let refused as Refused {
            return refused.refusals.map(\.rule)
        } catch {
            return ["unexpected: \(error)"]
        }
    }

    /// A master's kubectl need not be of its kubelet's release: flags follow the one, etcd's image the other.
    @Test func kubectlsOwnVersionIsTold() async throws {
        let state = try await ReadinessTests.state("dead-primary-kubectl-1.37")
        #expect(state.cluster.kubectl == KubernetesVersion(1, 37))
        #expect(state.objects.nodes.allSatisfy { $0.kubeletVersion?.hasPrefix("v1.20.") == true })
        var old = try RunbookCluster.state()
        old.cluster.kubectl = KubernetesVersion(1, 17)
        let plan = try Planner.plan(old, RunbookCluster.request, now: Date())
        #expect(plan.deletion(.init(.node, name: "m1", uid: "u")).contains("delete node m1 --wait=false"))
        old.cluster.kubectl = KubernetesVersion(1, 18)
        let newer = try Planner.plan(old, RunbookCluster.request, now: Date())
        #expect(newer.deletion(.init(.node, name: "m1", uid: "u")).contains("delete --raw"))
    }

    @Test func theRunbooksClusterGivesTheRunbooksPlan() throws {
        let plan = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: now)
        #expect(plan.dead.node == "lzx-ocboot-ha-test")
        #expect(plan.primary.node == "lzx-ocboot-ha-test-2", "the survivor that holds the VIP")
        #expect(plan.promotes)
        #expect(plan.member?.id == "14da7b338b44eee0")
        #expect(plan.survivors.map(\.node) == ["lzx-ocboot-ha-test-2", "lzx-ocboot-ha-test-3"])
        #expect(plan.cordons == ["lzx-ocboot-ha-test-2", "lzx-ocboot-ha-test-3"])
        #expect(
            plan.rebuilds.map(\.reference) == [
                "onecloud-minio/minio", "onecloud-monitoring/monitor-minio", "onecloud/default-influxdb",
            ])
        #expect(plan.rebuilds[0].claims.map(\.claim.name) == ["export-minio-0", "export-minio-3"])
        #expect(plan.rebuilds[0].claims.map(\.pod) == ["minio-0", "minio-3"])
        #expect(plan.rebuilds[1].claims.map(\.claim.name) == ["export-monitor-minio-0", "export-monitor-minio-3"])
        #expect(plan.volumes.count == 5)
        #expect(plan.kubernetes == KubernetesVersion(1, 15))
    }

    @Test(arguments: [1, 2]) func anyMasterCanBeTheDeadOne(dead: Int) throws {
        let state = try RunbookCluster.state(dead: dead)
        let plan = try Planner.plan(
            state, ReplacementRequest(dead: RunbookCluster.names[dead], replacement: RunbookCluster.spare), now: now)
        #expect(plan.primary.node == "lzx-ocboot-ha-test", "the primary stays where it is")
        #expect(!plan.promotes)
        #expect(plan.member?.id == RunbookCluster.memberIDs[dead])
        #expect(plan.rebuilds.flatMap { $0.claims }.count == 2)
        #expect(plan.rebuilds.allSatisfy { $0.name != "default-influxdb" })
    }

    @Test(arguments: ["lzx-ocboot-ha-test", "10.127.100.234"]) func theDeadOneIsFoundByNameOrAddress(reference: String)
        throws
    {
        let plan = try Planner.plan(
            try RunbookCluster.state(), ReplacementRequest(dead: reference, replacement: "10.127.100.224"), now: now)
        #expect(plan.dead.uid == "uid-cluster-lzx-ocboot-ha-test")
    }

    @Test func aClusterWithNothingWrongIsLeftAlone() throws {
        let refusals = refusals(try RunbookCluster.state(isDead: false))
        #expect(refusals.filter { $0 == "node-is-dead" }.count == 3, "Ready, on SSH, a healthy member: \(refusals)")
    }

    @Test func aHostThatIsNoSpareIsNotJoined() throws {
        var state = try RunbookCluster.state()
        state.inventory.hosts[3].role = .master
        #expect(refusals(state) == ["replacement-is-bare"])
    }

    @Test func aHostThatRefusesOurKeyIsAlive() throws {
        var state = try RunbookCluster.state()
        state.hosts[RunbookCluster.names[0]] = .failed(.init(message: "authentication failed", sign: .alive))
        #expect(refusals(state) == ["node-is-dead"])
    }

    @Test func twoDeadMastersAreRefusedWithTheNumbers() throws {
        var state = try RunbookCluster.state()
        let second = RunbookCluster.names[2]
        state.hosts[second] = .failed(.init(message: "\(second): connect: no answer", sign: .unresponsive))
        state.cluster.members[2].isHealthy = false
        state.cluster.objects.nodes[2] = RunbookCluster.node(
            second, RunbookCluster.addresses[2], isReady: false, age: 2)
        do {
            _ = try Planner.plan(state, RunbookCluster.request, now: now)
            Issue.record("a plan without quorum")
        } catch let refused as Refused {
            #expect(refused.refusals.contains { $0.rule == "survivors-are-sound" && $0.isUnreachable })
            let quorum = try #require(refused.refusals.first { $0.rule == "quorum-survives" })
            #expect(quorum.reason.contains("2 voting members, of which 2 must be healthy; 1 is"))
            #expect(ExitStatus(refused) == .refused)
        }
    }

    @Test func anUnstartedMemberIsRefused() throws {
        var state = try RunbookCluster.state()
        state.cluster.members.append(
            EtcdMember(id: "abc", name: "", peerURLs: ["https://10.127.100.99:2380"], clientURLs: []))
        #expect(refusals(state).contains("members-have-nodes"))
    }

    @Test func aMemberAtTheDeadAddressWithAnotherNameIsRefused() throws {
        var state = try RunbookCluster.state()
        state.cluster.members[0].name = "somebody-else"
        #expect(refusals(state).contains("members-have-nodes"))
    }

    @Test func theVIPMustHaveOneHolder() throws {
        let vip = HostFacts.Address(interface: "br0", address: "10.127.100.102")
        var two = try RunbookCluster.state()
        var facts = try #require(two.hosts[RunbookCluster.names[2]]?.facts)
        facts.addresses?.append(vip)
        two.hosts[RunbookCluster.names[2]] = .reached(facts)
        #expect(refusals(two) == ["one-vip-holder"])

        var none = try RunbookCluster.state()
        facts = try #require(none.hosts[RunbookCluster.names[1]]?.facts)
        facts.addresses?.removeAll { $0 == vip }
        none.hosts[RunbookCluster.names[1]] = .reached(facts)
        #expect(refusals(none) == ["one-vip-holder"])

        var silent = try RunbookCluster.state()
        silent.cluster.apiAnswersOnVIP = false
        #expect(refusals(silent) == ["one-vip-holder"])
    }

    @Test func theSpareMustBeBare() throws {
        var state = try RunbookCluster.state()
        var facts = try #require(state.hosts[RunbookCluster.spare]?.facts)
        facts.clusterTraces = ["/etc/kubernetes/kubelet.conf"]
        state.hosts[RunbookCluster.spare] = .reached(facts)
        #expect(refusals(state) == ["replacement-is-bare"])
        facts.clusterTraces = []
        facts.listening = [22, 2379]
        state.hosts[RunbookCluster.spare] = .reached(facts)
        #expect(refusals(state) == ["replacement-is-bare"])
        facts.listening = [22]
        facts.hostname = RunbookCluster.names[1]
        state.hosts[RunbookCluster.spare] = .reached(facts)
        #expect(refusals(state).contains("replacement-is-bare"))
    }

    @Test func aSurvivorIsNoSpare() throws {
        let request = ReplacementRequest(dead: RunbookCluster.names[0], replacement: RunbookCluster.names[1])
        #expect(refusals(try RunbookCluster.state(), request).contains("replacement-is-bare"))
    }

    @Test func aSpareWhosePortsCannotBeSeenIsNotTakenForBare() throws {
        var state = try RunbookCluster.state()
        var facts = try #require(state.hosts[RunbookCluster.spare]?.facts)
        facts.listening = nil
        state.hosts[RunbookCluster.spare] = .reached(facts)
        #expect(refusals(state) == ["replacement-is-bare"])
    }

    @Test func whatAnEarlierRunLeftCordonedIsUncordoned() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes[1].spec = .init(unschedulable: true)
        state.cluster.objects.nodes[1].metadata.annotations = [Node.cordonAnnotation: "20260101-000000-abcd"]
        state.inventory.workloads.removeAll()
        state.cluster.objects.claims.removeAll()
        state.cluster.objects.volumes.removeAll()
        let plan = try Planner.plan(state, RunbookCluster.request, now: now)
        #expect(plan.oldCordons == [RunbookCluster.names[1]])
        let step = try #require(ReplacementSteps.make(plan).first { $0.id == "uncordon" })
        #expect(step.title == "Uncordon \(RunbookCluster.names[1])")
    }

    @Test func aPlanIsRunOnlyWhereItIsWhatWouldBePlannedNow() throws {
        let inventory = try RunbookCluster.inventory()
        let saved = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: now)
        let later = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: now + 3600)
        #expect(PlanIsCurrent.refusals(saved, later) { PlanText($0, inventory).lines.map(\.text) } == [])
        var state = try RunbookCluster.state()
        let index = try #require(state.cluster.objects.claims.firstIndex { $0.name == "export-minio-0" })
        state.cluster.objects.claims[index].metadata.uid = "another"
        for volume in state.cluster.objects.volumes.indices
        where state.cluster.objects.volumes[volume].spec.claimRef?.name == "export-minio-0" {
            state.cluster.objects.volumes[volume].spec.claimRef?.uid = "another"
        }
        let moved = try Planner.plan(state, RunbookCluster.request, now: now)
        let refusals = PlanIsCurrent.refusals(saved, moved) { PlanText($0, inventory).lines.map(\.text) }
        #expect(refusals.map(\.rule) == ["plan-is-current"])
        #expect(refusals.first?.reason.contains("another") == true, "the difference is told: \(refusals)")
        #expect(try saved.hash != moved.hash)
        #expect(try saved.hash == Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: now).hash)
    }

    @Test func theSpareMustFit() throws {
        var state = try RunbookCluster.state()
        var facts = try #require(state.hosts[RunbookCluster.spare]?.facts)
        facts.clockOffset = 3600
        facts.unreachable["10.127.100.101:3306"] = "Connection refused"
        facts.disks = [.init(mount: "/", availableKiB: 1 << 20, usedPercent: 90)]
        state.hosts[RunbookCluster.spare] = .reached(facts)
        #expect(refusals(state) == ["replacement-fits", "replacement-fits", "replacement-fits"])
    }

    @Test func theNewPrimaryMustReachTheSpareWithoutAPassword() throws {
        var state = try RunbookCluster.state()
        var facts = try #require(state.hosts[RunbookCluster.names[1]]?.facts)
        facts.deniedLogins = ["10.127.100.224": "Permission denied"]
        state.hosts[RunbookCluster.names[1]] = .reached(facts)
        #expect(refusals(state) == ["replacement-fits"])
    }

    @Test func anotherOnecloudVersionIsRefused() throws {
        var state = try RunbookCluster.state()
        state.cluster.onecloudVersion = "v3.9.1"
        #expect(refusals(state) == ["ocboot-matches"])
        state.cluster.onecloudVersion = nil
        state.cluster.onecloudProblem = "Unable to connect to the server"
        #expect(refusals(state) == ["ocboot-matches"], "what is not known is not taken for right")
    }

    @Test func aLostClaimWithoutARuleIsNamedAndRefused() throws {
        var state = try RunbookCluster.state()
        state.inventory.workloads.removeAll { $0.target == .statefulSet("monitor-minio") }
        do {
            _ = try Planner.plan(state, RunbookCluster.request, now: now)
            Issue.record("a plan for claims without a rule")
        } catch let refused as Refused {
            #expect(refused.refusals.map(\.rule) == ["claims-have-rules", "claims-have-rules"])
            #expect(
                refused.refusals[0].reason.contains(
                    "onecloud-monitoring/export-monitor-minio-0 of statefulset/monitor-minio"))
        }
    }

    @Test func criticalDataBelowItsRedundancyNeedsConsentForEachClaim() throws {
        // A third drive is not healthy: two lost and one ill is more than MinIO's parity of two covers.
        var state = try RunbookCluster.state()
        let index = try #require(state.cluster.objects.pods.firstIndex { $0.name == "minio-1" })
        state.cluster.objects.pods[index].status?.containerStatuses?[0].ready = false
        #expect(refusals(state) == ["other-replicas-healthy"])
        var request = RunbookCluster.request
        request.acceptedLosses = ["export-minio-0"]
        #expect(refusals(state, request) == ["other-replicas-healthy"], "the other claim is not agreed to")
        request.acceptedLosses = ["export-minio-0", "onecloud-minio/export-minio-3"]
        let plan = try Planner.plan(state, request, now: now)
        #expect(plan.rebuilds[0].isDataLost)
        #expect(!plan.rebuilds[1].isDataLost)
    }

    @Test func aBareNameIsNoConsentWhereTwoLostClaimsHaveIt() throws {
        var state = try RunbookCluster.state()
        state.inventory.workloads[0].rule = .rebuild(.critical, heal: nil, recreatedBy: nil)
        var request = RunbookCluster.request
        request.acceptedLosses = ["export-minio-0", "export-minio-3"]
        #expect(refusals(state, request) == [])
        // A claim of the same name in another namespace is lost, too.
        var claim = try #require(state.objects.claim("onecloud-minio", "export-minio-0"))
        var volume = try #require(state.objects.volume(claim.spec.volumeName ?? ""))
        claim.metadata = RunbookCluster.meta("export-minio-0", "onecloud-monitoring")
        claim.spec.volumeName = "twin"
        volume.metadata = RunbookCluster.meta("twin", nil)
        volume.spec.claimRef = .init(namespace: claim.namespace, name: claim.name, uid: claim.uid)
        state.cluster.objects.claims.append(claim)
        state.cluster.objects.volumes.append(volume)
        state.inventory.workloads.append(
            .init(namespace: "onecloud-monitoring", target: .claim("export-minio-0"), rule: .ignore))
        #expect(refusals(state, request) == ["names-are-known", "critical-data-survives"])
        request.acceptedLosses = ["onecloud-minio/export-minio-0", "export-minio-3"]
        #expect(refusals(state, request) == [])
    }

    @Test func criticalDataWithoutHealHasNoRedundancy() throws {
        var state = try RunbookCluster.state()
        state.inventory.workloads[0].rule = .rebuild(.critical, heal: nil, recreatedBy: nil)
        #expect(refusals(state) == ["critical-data-survives"])
    }

    @Test func aReleasedVolumeOfTheDeadNodeIsDeletedAndAnIgnoredClaimStays() throws {
        var state = try RunbookCluster.state()
        // Its claim is gone: the volume is left over from an earlier life.
        state.cluster.objects.claims.removeAll { $0.name == "default-influxdb" }
        state.inventory.workloads.append(
            .init(namespace: "onecloud-monitoring", target: .claim("export-monitor-minio-0"), rule: .ignore))
        let plan = try Planner.plan(state, RunbookCluster.request, now: now)
        #expect(plan.rebuilds.map(\.name) == ["minio", "monitor-minio"])
        #expect(plan.ignoredClaims.map(\.name) == ["export-monitor-minio-0"])
        #expect(plan.rebuilds[1].claims.map(\.claim.name) == ["export-monitor-minio-3"])
        #expect(plan.volumes.contains { $0.name == "pvc-onecloud-default-influxdb" })
        #expect(!plan.volumes.contains { $0.name == "pvc-onecloud-monitoring-export-monitor-minio-0" })
    }

    @Test func aNodeThatIsDeletedAlreadyIsStillReplaced() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.nodes.removeFirst()
        let plan = try Planner.plan(state, RunbookCluster.request, now: now)
        #expect(plan.dead.uid == nil)
        #expect(plan.member?.id == "14da7b338b44eee0")
        #expect(plan.rebuilds.flatMap(\.claims).count == 5, "its volumes are known without it")
        state.inventory.workloads = []
        #expect(refusals(state).filter { $0 == "claims-have-rules" }.count == 5)
    }

    @Test func aSavedPlanIsTheSamePlan() throws {
        let plan = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: now)
        #expect(try EventCoding.decode(Plan.self, from: try EventCoding.encode(plan)) == plan)
    }

    @Test func noMasterThatAnswersIsStatusFour() throws {
        var state = try RunbookCluster.state()
        state.cluster = ClusterObservation(problems: ["x"])
        do {
            _ = try Planner.plan(state, RunbookCluster.request, now: now)
            Issue.record("a plan without a cluster")
        } catch { #expect(ExitStatus(error) == .unreachableOrUntrusted) }
    }

    @Test func withoutAQuorumItsNumbersAreTold() throws {
        var state = try RunbookCluster.state()
        state.cluster = ClusterObservation()
        let other = RunbookCluster.names[1]
        state.hosts[other] = .failed(.init(message: "\(other): no answer within 3 s", sign: .unresponsive))
        let told = refusals(state)
        #expect(told == ["a-master-answers", "quorum-survives"])
        let words = state.refusalsWithoutAnswer.map(\.reason).joined(separator: "\n")
        #expect(words.contains("1 of 3 masters answer, and etcd needs 2 of 3 members"))
        #expect(state.refusalsWithoutAnswer.allSatisfy { $0.isUnreachable })
    }
}
