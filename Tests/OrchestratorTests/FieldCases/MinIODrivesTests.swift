import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What MinIO may lose is counted in drives, of each erasure set, with the parity that its pods are given.
@Suite struct MinIODrivesTests {
    /// A set of so many pods, each with so many drives; the first `onDead` pods are on the dead node.
    static func state(
        pods: Int, drives: Int = 1, onDead: Int, template: PodSpec? = nil, sets: ([String]) -> [[String]] = { [$0] }
    ) throws -> ClusterState {
        var state = try RunbookCluster.state()
        state.inventory.workloads.removeAll { $0.target != .statefulSet("minio") }
        state.cluster.objects.claims = []
        state.cluster.objects.volumes = []
        state.cluster.objects.pods = []
        let templates = drives == 1 ? ["export"] : (0..<drives).map { "export-\($0)" }
        state.change(set: "minio") {
            $0.spec = .init(
                replicas: pods, volumeClaimTemplates: templates.map { .init(metadata: .init(name: $0)) },
                template: template.map { PodTemplate(spec: $0) })
        }
        for pod in 0..<pods {
            let place = pod < onDead ? 0 : 1 + pod % 2
            for template in templates {
                let affinity = Lost.affinity([
                    Lost.requirement("kubernetes.io/hostname", "In", [RunbookCluster.names[place]])
                ])
                Lost.add("\(template)-minio-\(pod)", in: "onecloud-minio", affinity: affinity, to: &state)
            }
            var replica = RunbookCluster.pod(
                "minio-\(pod)", "onecloud-minio", on: place, claim: nil, owner: ("StatefulSet", "minio"),
                isReady: place != 0)
            replica.spec.volumes = templates.map {
                .init(name: $0, persistentVolumeClaim: .init(claimName: "\($0)-minio-\(pod)"))
            }
            state.cluster.objects.pods.append(replica)
        }
        let volumes = state.objects.volumes.map(\.name)
        state.drives = Dictionary(
            uniqueKeysWithValues: volumes.map { ($0, MinIODrive(.whole, layout: .init(id: $0, sets: sets(volumes)))) })
        return state
    }

    static func containers(_ variables: [PodSpec.Variable], image: String = "minio:latest") -> PodSpec {
        PodSpec(containers: [.init(name: "minio", image: image, env: variables)])
    }

    func rules(_ state: ClusterState) -> [String] { Lost.refusals(state).map(\.rule) }

    @Test func twoTemplatesAreTwoDrivesAPod() throws {
        // 4 pods with 2 drives: 8 drives, EC:4.
        let two = try Self.state(pods: 4, drives: 2, onDead: 2)
        let plan = try Lost.plan(two)
        #expect(
            plan.rebuilds.first?.redundancy
                == .init(replicas: 8, lost: 4, mayBeLost: 4, healthy: 4, dataShards: 4))
        #expect(plan.rebuilds.first?.claims.count == 4)
        #expect(plan.rebuilds.first?.claims.map(\.pod) == ["minio-0", "minio-1", "minio-0", "minio-1"])
        let three = Lost.refusals(try Self.state(pods: 4, drives: 2, onDead: 3))
        #expect(three.map(\.rule) == ["critical-data-survives"])
        #expect(three.first?.reason.contains("6 of 8 volumes are lost, and its redundancy tolerates 4") == true)
        // 3 pods with 4 drives: 12 drives, EC:4; a pod alone is within it, by pods it would not be.
        #expect(try Lost.plan(try Self.state(pods: 3, drives: 4, onDead: 1)).rebuilds.first?.redundancy?.mayBeLost == 4)
        // A pod's claims are deleted one by one, the pod once.
        let step = RebuildStatefulSetStep(plan: plan, rebuild: try #require(plan.rebuilds.first))
        #expect(step.effects.count { $0.text.hasPrefix("pod ") } == 2)
        #expect(step.effects.count { $0.text.contains("persistentvolumeclaim") } == 4)
    }

    @Test(arguments: [
        (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3), (8, 4), (12, 4), (16, 4),
    ]) func theDefaultFollowsTheSize(drives: Int, parity: Int) throws {
        let set = try #require(try Self.state(pods: drives, onDead: 1).statefulSet("onecloud-minio", "minio"))
        #expect(MinIOParity(set).parity(ofSet: drives) == parity)
        #expect(rules(try Self.state(pods: drives, onDead: parity)).isEmpty)
        #expect(rules(try Self.state(pods: drives, onDead: parity + 1)) == ["critical-data-survives"])
    }

    /// Until 2021-01 it was half of the drives; an image that does not say its release is taken for a newer one.
    @Test(arguments: [
        ("minio/minio:RELEASE.2020-12-23T02-24-12Z", 8), ("minio/minio:RELEASE.2021-01-30T00-20-58Z", 4),
        ("minio/minio:RELEASE.2021-06-17T00-10-46Z", 4), ("minio/minio:latest", 4), ("bitnami/minio:2020.12.3", 4),
    ]) func theDefaultFollowsTheRelease(image: String, parity: Int) throws {
        let state = try Self.state(pods: 16, onDead: parity, template: Self.containers([], image: image))
        let set = try #require(state.statefulSet("onecloud-minio", "minio"))
        #expect(MinIOParity(set).parity(ofSet: 16) == parity)
        #expect(MinIOParity(set).parity(ofSet: 4) == 2)
    }

    @Test(arguments: [("EC:1", 1), ("EC:2", 2), ("EC:0", 0), ("EC:3", 2)])
    func theEnvironmentWins(value: String, parity: Int) throws {
        let template = Self.containers([.init(name: "MINIO_STORAGE_CLASS_STANDARD", value: value)])
        let state = try Self.state(pods: 4, onDead: 2, template: template)
        let set = try #require(state.statefulSet("onecloud-minio", "minio"))
        #expect(MinIOParity(set).parity(ofSet: 4) == parity)
        #expect(rules(state) == (parity >= 2 ? [] : ["critical-data-survives"]))
    }

    @Test func whatTheEnvironmentHidesIsNotKnown() throws {
        let name = "MINIO_STORAGE_CLASS_STANDARD"
        var fromFile = Self.containers([])
        fromFile.containers?[0].envFrom = [Presence()]
        let hidden: [PodSpec] = [
            Self.containers([.init(name: name, valueFrom: Presence())]), fromFile,
            Self.containers([.init(name: "MINIO_CONFIG_ENV_FILE", value: "/tmp/config.env")]),
            Self.containers([.init(name: name, value: "two")]),
        ]
        for template in hidden {
            let state = try Self.state(pods: 4, onDead: 1, template: template)
            let refusals = Lost.refusals(state)
            #expect(refusals.map(\.rule) == ["critical-data-survives"])
            #expect(
                refusals.first?.reason.contains("it is not known how many drives onecloud-minio/minio may lose") == true
            )
            let agreed = try Lost.plan(state, Lost.request(accepting: ["onecloud-minio/export-minio-0"]))
            #expect(agreed.rebuilds.first?.isDataLost == true)
        }
        fromFile.containers?[0].env = [.init(name: name, value: "EC:2")]
        #expect(rules(try Self.state(pods: 4, onDead: 1, template: fromFile)).isEmpty, "env comes before envFrom")
    }

    // MARK: Drives that do not count

    @Test func aDriveThatIsBeingHealedCountsAsLost() throws {
        var state = try Self.state(pods: 4, onDead: 2)
        let progress = HealProgress(items: 12, bytes: 5 << 20, totalItems: 40)
        state.drives["pv-export-minio-3"]?.state = .healing(progress)
        let refusals = Lost.refusals(state)
        #expect(refusals.map(\.rule) == ["critical-data-survives", "other-replicas-healthy"])
        #expect(
            refusals.first?.reason.contains(
                "3 of 4 volumes are lost, those counted that are being healed, and its redundancy tolerates 2") == true)
        #expect(
            refusals.last?.reason.contains(
                "the drive of export-minio-3 is still being healed (12 of 40 files, 5.0 MiB)") == true)
        state.drives["pv-export-minio-3"]?.state = .unformatted
        #expect(rules(state) == ["critical-data-survives", "other-replicas-healthy"])
        // Within the parity, and yet the heal goes first.
        var one = try Self.state(pods: 4, onDead: 1)
        one.drives["pv-export-minio-3"]?.state = .healing(nil)
        #expect(rules(one) == ["other-replicas-healthy"])
    }

    /// On a worker, which no inventory names, or on a host that does not answer.
    @Test(arguments: [MinIODrive(.unknown("master-3: no answer")), nil])
    func aDriveThatWasNotSeenCountsAsLost(drive: MinIODrive?) throws {
        var state = try Self.state(pods: 4, onDead: 2)
        state.drives["pv-export-minio-3"] = drive
        let refusals = Lost.refusals(state)
        #expect(refusals.map(\.rule) == ["critical-data-survives"])
        #expect(refusals.first?.reason.contains("3 of 4 volumes are lost") == true)
        #expect(refusals.first?.reason.contains("it is not known whether the drive of export-minio-3 is whole") == true)
        state.inventory.workloads[0].rule = .rebuild(.replicated, heal: .minio, recreatedBy: nil)
        #expect(rules(state) == ["critical-data-survives"])
        state.inventory.workloads[0].rule = .rebuild(.disposable, heal: .minio, recreatedBy: nil)
        #expect(rules(state).isEmpty, "its data may go")
    }

    @Test func whereTheOthersAreEnoughADriveThatWasNotSeenIsToldOf() throws {
        var state = try Self.state(pods: 4, onDead: 1)
        state.drives["pv-export-minio-3"] = MinIODrive(.unknown("master-3: no answer"))
        let plan = try Lost.plan(state)
        #expect(
            plan.warnings?.contains {
                $0.contains("whether the drive of export-minio-3 is whole: master-3: no answer")
            } == true)
        state.drives["pv-export-minio-2"] = MinIODrive(.unknown("master-2: no answer"))
        #expect(rules(state) == ["critical-data-survives"])
    }

    /// Whether the drives list their sets or not: a disk that was copied, or put in from another MinIO, holds none of this one's data.
    @Test(arguments: [true, false]) func aDriveThatIsNotTheSetsOwnCountsAsLost(listsSets: Bool) throws {
        var state = try Self.state(pods: 4, onDead: 2)
        for volume in state.drives.keys where !listsSets { state.drives[volume]?.layout?.sets = [] }
        #expect(rules(state).isEmpty)
        var copied = state
        copied.drives["pv-export-minio-3"]?.layout?.id = "pv-export-minio-2"
        let refusals = Lost.refusals(copied)
        #expect(refusals.map(\.rule) == ["critical-data-survives"])
        #expect(refusals.first?.reason.contains("another drive has its id") == true)
        state.drives["pv-export-minio-3"]?.layout?.deployment = "another"
        #expect(rules(state) == ["critical-data-survives"])
        var three = try Self.state(pods: 6, onDead: 3)
        three.drives["pv-export-minio-5"]?.layout?.deployment = "another"
        #expect(Lost.refusals(three).first?.reason.contains("4 of 6 volumes are lost") == true, "the two others agree")
    }

    @Test func aHealThatLeftSomethingOutIsToldOf() throws {
        var state = try Self.state(pods: 4, onDead: 1)
        state.drives["pv-export-minio-2"]?.failedItems = 3
        #expect(
            try Lost.plan(state).warnings?.first?.contains("onecloud-minio/export-minio-2 ended with 3 files") == true)
    }

    // MARK: Several erasure sets

    /// Two pools of four in one StatefulSet, as MinIO's Helm chart makes them: each has EC:2, whatever their sum has.
    @Test func eachPoolIsCountedByItself() throws {
        let pools = { (ids: [String]) in [Array(ids[..<4]), Array(ids[4...])] }
        var state = try Self.state(pods: 8, onDead: 3)
        for (index, volume) in state.objects.volumes.map(\.name).enumerated() {
            let pool = pools(state.objects.volumes.map(\.name))[index / 4]
            state.drives[volume]?.layout = .init(id: volume, sets: [pool])
        }
        let refusals = Lost.refusals(state)
        #expect(refusals.map(\.rule) == ["critical-data-survives"])
        #expect(refusals.first?.reason.contains("3 of 4 volumes are lost, and its redundancy tolerates 2") == true)
        // The first pool as a whole: nothing on the other drives tells of it.
        var whole = try Self.state(pods: 8, onDead: 4)
        let names = whole.objects.volumes.map(\.name)
        for volume in names[4...] { whole.drives[volume]?.layout = .init(id: volume, sets: [Array(names[4...])]) }
        let unseen = Lost.refusals(whole)
        #expect(unseen.map(\.rule) == ["critical-data-survives"])
        #expect(unseen.first?.reason.contains("4 of the 8 drives") == true)
    }

    @Test func theDrivesOwnListOfSetsIsTaken() throws {
        // 32 drives in two sets of 16, EC:4 each; the dead node's 8 are spread over both.
        let spread = { (ids: [String]) in
            [
                ids.enumerated().filter { $0.offset % 2 == 0 }.map(\.element),
                ids.enumerated().filter { $0.offset % 2 == 1 }.map(\.element),
            ]
        }
        let plan = try Lost.plan(try Self.state(pods: 8, drives: 4, onDead: 2, sets: spread))
        #expect(plan.rebuilds.first?.redundancy?.mayBeLost == 4)
        #expect(plan.rebuilds.first?.redundancy?.dataShards == 12)
        let halves = { (ids: [String]) in [Array(ids[..<16]), Array(ids[16...])] }
        #expect(rules(try Self.state(pods: 8, drives: 4, onDead: 2, sets: halves)) == ["critical-data-survives"])
    }

    /// Where the drives do not list their sets: the smallest that MinIO may have chosen, and all that is lost in one of them.
    @Test(arguments: [
        (4, 1, 4), (16, 1, 16), (8, 2, 16), (8, 4, 16), (16, 2, 16), (5, 4, 4), (6, 4, 12), (3, 8, 8), (20, 1, 10),
        (17, 2, 2), (19, 1, 1),
    ]) func aSetIsTakenToBeAsSmallAsItCanBe(servers: Int, each: Int, size: Int) throws {
        let set = try #require(RunbookCluster.objects(dead: nil).statefulSets.first)
        #expect(MinIOParity(set).smallestSet(drives: servers * each, servers: servers) == size)
    }

    @Test func withoutAListOfSetsAllThatIsLostIsInOne() throws {
        var state = try Self.state(pods: 20, onDead: 4)
        for volume in state.drives.keys { state.drives[volume]?.layout = nil }
        #expect(try Lost.plan(state).rebuilds.first?.redundancy?.mayBeLost == 4)
        var five = try Self.state(pods: 20, onDead: 5)
        for volume in five.drives.keys { five.drives[volume]?.layout = nil }
        #expect(rules(five) == ["critical-data-survives"])
        let template = Self.containers([.init(name: "MINIO_ERASURE_SET_DRIVE_COUNT", value: "5")])
        var given = try Self.state(pods: 20, onDead: 3, template: template)
        for volume in given.drives.keys { given.drives[volume]?.layout = nil }
        #expect(rules(given) == ["critical-data-survives"])
    }

    /// A claim template for something else, such as logs: neither a drive to count nor one to wait for.
    @Test func aTemplateThatIsNoDriveIsNotCounted() throws {
        var state = try Self.state(pods: 4, drives: 2, onDead: 2)
        let drives = state.objects.volumes.map(\.name).filter { $0.hasPrefix("pv-export-0") }
        for volume in state.drives.keys {
            if volume.hasPrefix("pv-export-1") {
                state.drives[volume] = MinIODrive(.unformatted)
            } else {
                state.drives[volume]?.layout = .init(id: volume, sets: [drives])
            }
        }
        let refusals = Lost.refusals(state)
        #expect(refusals.map(\.rule) == ["critical-data-survives"])
        #expect(
            refusals.first?.reason.contains("no drives on export-1-minio-0 and export-1-minio-1: nothing heals") == true
        )
        var half = state
        half.drives["pv-export-1-minio-2"] = MinIODrive(.unknown("master-2: no answer"))
        #expect(!Lost.refusals(half).isEmpty, "it may be a drive of a second pool")
        var request = RunbookCluster.request
        request.acceptedLosses = ["onecloud-minio/export-1-minio-0", "onecloud-minio/export-1-minio-1"]
        let plan = try FieldCluster.plan(state, request)
        #expect(plan.rebuilds.first?.redundancy == .init(replicas: 4, lost: 2, mayBeLost: 2, healthy: 2, dataShards: 2))
        #expect(plan.rebuilds.first?.claims.map(\.isDrive) == [nil, nil, false, false])
        #expect(plan.volumes.count == 4)
        #expect(rules(try Self.state(pods: 4, drives: 1, onDead: 3)) == ["critical-data-survives"])
    }

    @Test func aClaimThatNoReplicaUsesIsNotRebuilt() throws {
        var state = try Self.state(pods: 4, onDead: 1)
        state.change(set: "minio") { $0.spec.ordinals = .init(start: 1) }
        let refusals = Lost.refusals(state)
        #expect(refusals.first?.rule == "claims-have-rules")
        #expect(refusals.first?.reason.contains("has no minio-0") == true)
    }

    /// A pod starts with all of its claims or not at all.
    @Test func oneClaimOfAPodIsNotLeftAloneWhileTheOtherIsRebuilt() throws {
        var state = try Self.state(pods: 4, drives: 2, onDead: 1)
        func ignore(_ claim: String) {
            state.inventory.workloads.append(
                .init(namespace: "onecloud-minio", target: .claim(claim), rule: .ignore))
        }
        ignore("export-1-minio-0")
        let refusals = Lost.refusals(state)
        #expect(refusals.map(\.rule) == ["claims-have-rules"])
        #expect(refusals[0].reason.contains("export-0-minio-0 is to be rebuilt"))
        #expect(refusals[0].reason.contains("export-1-minio-0 as well"))
        ignore("export-0-minio-0")
        #expect(try Lost.plan(state).rebuilds.isEmpty)
    }
}
