import Foundation

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

extension RandomCluster {
    // MARK: Programs and data

    mutating func makePrograms() {
        let homes = world.machines.indices.filter { world.machines[$0].role != .spare }
        for (namespace, name) in [
            ("local-path-storage", "local-path-provisioner"), ("topolvm-system", "topolvm-controller"),
            ("onecloud", "onecloud-operator"),
        ] {
            var program = World.Program(namespace: namespace, name: name, machine: pick(homes))
            if chance(1.5) { program.replicas = 0 }
            // Of one that was on the dead machine nobody could tell.
            if chance(1.5), let home = program.machine, world.machines[home].takesPods { program.isBroken = true }
            if chance(5) { program.selector = ["disk": "ssd"] }
            if chance(1) { program.machine = nil }
            if program.replicas == 0 { program.machine = nil }
            if !chance(1.5) || name == "onecloud-operator" { add(program) }
        }
        world.provisioners = ["local-path": "local-path-provisioner", "topolvm": "topolvm-controller"]
        for (name, provisioner) in [
            ("local-path", "rancher.io/local-path"), ("topolvm", "topolvm.io"), ("ceph", "rbd.csi.ceph.com"),
            ("by-hand", "kubernetes.io/no-provisioner"), ("other", "example.org/disks"),
        ] {
            world.objects.storageClasses.append(
                StorageClass(metadata: RunbookCluster.meta(name, nil), provisioner: provisioner))
        }
        for (name, program) in world.provisioners where !world.programs.contains(where: { $0.name == program }) {
            world.provisioners[name] = nil
        }
        world.outsideProvisionerRuns = chance(70)
        if chance(70) { world.declaredClasses += ["topolvm", "other"] }
    }

    mutating func add(_ program: World.Program) {
        world.programs.append(program)
        let metadata = RunbookCluster.meta(program.name, program.namespace)
        var deployment = Deployment(
            metadata: metadata,
            spec: .init(
                replicas: program.replicas, template: .init(spec: PodSpec(containers: [.init(name: program.name)]))))
        if !program.selector.isEmpty { deployment.spec.template.spec.nodeSelector = program.selector }
        deployment.status = .init(availableReplicas: program.machine == nil || program.isBroken ? 0 : 1)
        world.objects.deployments.append(deployment)
        var set = RunbookCluster.meta(program.name + "-abc", program.namespace)
        set.ownerReferences = [.init(kind: "Deployment", name: program.name, uid: metadata.uid)]
        world.objects.replicaSets.append(ReplicaSet(metadata: set))
        guard program.replicas > 0 else { return }
        world.objects.pods.append(
            pod(
                program.name + "-abc-x", program.namespace, on: program.machine, claims: [],
                owner: .init(kind: "ReplicaSet", name: set.name, uid: set.uid), isReady: !program.isBroken))
    }

    /// As the API server has it: of a machine that is off the last word of its kubelet stays, until the pod is evicted.
    mutating func pod(
        _ name: String, _ namespace: String, on machine: Int?, claims: [String], owner: ObjectMeta.OwnerReference?,
        isReady: Bool
    ) -> Pod {
        var metadata = RunbookCluster.meta(name, namespace)
        if let owner { metadata.ownerReferences = [owner] }
        let volumes = claims.map { PodSpec.PodVolume(name: $0, persistentVolumeClaim: .init(claimName: $0)) }
        guard let machine else {
            return Pod(metadata: metadata, spec: PodSpec(volumes: volumes), status: .init(phase: "Pending"))
        }
        if !world.machines[machine].takesPods, chance(40) { metadata.deletionTimestamp = "2022-04-13T09:00:00Z" }
        let says = isReady && (world.machines[machine].takesPods || chance(70))
        return Pod(
            metadata: metadata, spec: PodSpec(nodeName: world.machines[machine].node, volumes: volumes),
            status: .init(phase: "Running", containerStatuses: [.init(name: "main", ready: says)]))
    }

    mutating func makeData() {
        addMinIO("onecloud-minio", "minio", .critical)
        if chance(50) { addMinIO("onecloud-monitoring", "monitor-minio", .replicated) }
        if chance(15) { addSet() }
        if chance(60) { addInfluxDB() }
        if chance(10) { addLoose() }
        if chance(12) { addUnclaimed() }
        if chance(10) { addNetworkVolume() }
        if chance(10) { addForHand() }
    }

    mutating func homes() -> [Int] {
        let withWorkers = chance(20)
        return world.machines.indices.filter { index in
            world.machines[index].role == .master || (withWorkers && world.machines[index].role == .worker)
        }
    }

    mutating func localClass() -> String { chance(70) ? "local-path" : chance(85) ? "topolvm" : "other" }

    mutating func addMinIO(_ namespace: String, _ name: String, _ data: Inventory.Workload.DataClass) {
        let (replicas, templates) = chance(60) ? (4, 1) : pick([(3, 2), (4, 2), (2, 2), (6, 1)])
        let count = replicas * templates
        let storageClass = localClass()
        var variables: [PodSpec.Variable] = []
        var image = "minio/minio:RELEASE.2021-06-17T00-10-46Z"
        var size = count
        if count == 8, chance(30) {
            size = 4
            variables.append(.init(name: "MINIO_ERASURE_SET_DRIVE_COUNT", value: "4"))
        }
        var parity = min(size / 2, 4)
        if chance(15) {
            parity = pick([1, 2, size / 2])
            variables.append(.init(name: "MINIO_STORAGE_CLASS_STANDARD", value: "EC:\(parity)"))
        } else if chance(3) {
            parity = pick([1, size / 2])
            variables.append(.init(name: "MINIO_STORAGE_CLASS_STANDARD", valueFrom: Presence()))
        } else if chance(10) {
            image = pick(["minio/minio:latest", "minio/minio:RELEASE.2020-11-19T23-48-16Z"])
        }
        let metadata = RunbookCluster.meta(name, namespace)
        let names = (0..<templates).map { templates == 1 ? "export" : "export\($0)" }
        let set = StatefulSet(
            metadata: metadata,
            spec: .init(
                replicas: replicas, volumeClaimTemplates: names.map { .init(metadata: .init(name: $0)) },
                template: .init(spec: PodSpec(containers: [.init(name: "minio", image: image, env: variables)]))))
        world.objects.statefulSets.append(set)
        let homes = homes()
        var volumes: [String] = []
        for ordinal in 0..<replicas {
            let home = chance(85) ? homes[ordinal % homes.count] : pick(homes)
            let claims = names.map { set.claimName(template: $0, ordinal: ordinal) }
            for claim in claims {
                let volume = add(claim, namespace, storageClass, on: home)
                world.drives[volume] =
                    chance(1.5)
                    ? .healing(nil) : chance(0.7) ? .unknown("no answer") : chance(0.7) ? .unformatted : .whole
                volumes.append(volume)
            }
            let isReady = !chance(1)
            world.objects.pods.append(
                pod(
                    "\(name)-\(ordinal)", namespace, on: home, claims: claims,
                    owner: .init(kind: "StatefulSet", name: name, uid: metadata.uid), isReady: isReady))
        }
        let sets = stride(from: 0, to: count, by: size).map { Array(volumes[$0..<min(count, $0 + size)]) }
        world.minio.append(.init(reference: "\(namespace)/\(name)", parity: parity, sets: sets))
        if !chance(2) {
            world.workloads.append(
                .init(
                    namespace: namespace, target: .statefulSet(name),
                    rule: .rebuild(data, heal: .minio, recreatedBy: nil)))
        }
        if chance(1.5) {
            let claim = set.claimName(template: pick(names), ordinal: Int.random(in: 0..<replicas, using: &random))
            world.workloads.append(.init(namespace: namespace, target: .claim(claim), rule: .ignore))
        }
    }

    /// One that nothing heals.
    mutating func addSet() {
        let metadata = RunbookCluster.meta("redis", "onecloud")
        let replicas = pick([1, 2, 3])
        let storageClass = localClass()
        let set = StatefulSet(
            metadata: metadata,
            spec: .init(replicas: replicas, volumeClaimTemplates: [.init(metadata: .init(name: "data"))]))
        world.objects.statefulSets.append(set)
        let homes = homes()
        // The last one may be left of a set that was scaled down.
        for ordinal in 0..<(replicas + (chance(10) ? 1 : 0)) {
            let home = pick(homes)
            let claim = set.claimName(template: "data", ordinal: ordinal)
            add(claim, "onecloud", storageClass, on: home)
            guard ordinal < replicas else { continue }
            world.objects.pods.append(
                pod(
                    "redis-\(ordinal)", "onecloud", on: home, claims: [claim],
                    owner: .init(kind: "StatefulSet", name: "redis", uid: metadata.uid), isReady: true))
        }
        guard chance(90) else { return }
        world.workloads.append(
            .init(
                namespace: "onecloud", target: .statefulSet("redis"),
                rule: .rebuild(pick([.critical, .replicated, .disposable, .disposable]), heal: nil, recreatedBy: nil)))
    }

    mutating func addInfluxDB() {
        let name = "default-influxdb"
        var metadata = RunbookCluster.meta(name, "onecloud")
        let owner = chance(90) ? "OnecloudCluster" : "MetricsCluster"
        if !chance(8) { metadata.ownerReferences = [.init(kind: owner, name: "default", uid: "uid-owner")] }
        let home = pick(homes())
        add(name, "onecloud", localClass(), on: home)
        let volumes = [PodSpec.PodVolume(name: "data", persistentVolumeClaim: .init(claimName: name))]
        world.objects.deployments.append(
            Deployment(
                metadata: metadata, spec: .init(replicas: 1, template: .init(spec: PodSpec(volumes: volumes))),
                status: .init(availableReplicas: 1)))
        let owned = ObjectMeta.OwnerReference(kind: "ReplicaSet", name: name + "-abc", uid: "uid-\(name)-abc")
        world.objects.pods.append(
            pod(name + "-abc-1", "onecloud", on: home, claims: [name], owner: owned, isReady: true))
        var set = RunbookCluster.meta(name + "-abc", "onecloud")
        set.uid = owned.uid
        set.ownerReferences = [.init(kind: "Deployment", name: name, uid: metadata.uid)]
        world.objects.replicaSets.append(ReplicaSet(metadata: set))
        guard !chance(2) else { return }
        world.workloads.append(
            .init(
                namespace: "onecloud", target: .deployment(name),
                rule: .rebuild(chance(93) ? .disposable : .critical, heal: nil, recreatedBy: .operator)))
    }

    /// A claim of a Job, of an operator's resource, or of a pod that nobody recreates.
    mutating func addLoose() {
        let home = pick(homes())
        add("loose", "onecloud", localClass(), on: home)
        let owner: ObjectMeta.OwnerReference? = pick([
            nil, .init(kind: "Job", name: "backup-1", uid: "uid-job"), .init(kind: "EtcdCluster", name: "e", uid: "u"),
        ])
        world.objects.pods.append(
            pod("loose-1", "onecloud", on: home, claims: ["loose"], owner: owner, isReady: true))
        if chance(60) {
            world.workloads.append(.init(namespace: "onecloud", target: .claim("loose"), rule: .ignore))
        }
    }

    /// What a claim left that is gone, perhaps of the name of one that is there.
    mutating func addUnclaimed() {
        let volume = "pvc-old"
        let claim = pick(world.objects.claims)
        let isNamesake = chance(40)
        let home = pick(homes())
        add(
            volume: volume, localClass(), on: home,
            claim: .init(
                namespace: claim.namespace, name: isNamesake ? claim.name : "old", uid: "uid-of-an-older-claim"),
            phase: pick(["Released", "Failed"]))
        if chance(40) { retain(volume) }
    }

    mutating func addNetworkVolume() {
        let home = pick(homes())
        let zone = world.machines[home].labels[World.zoneKey] ?? ""
        let isClaimed = chance(60)
        let claim = Claim(
            metadata: RunbookCluster.meta("shared", "onecloud"),
            spec: .init(storageClassName: "ceph", volumeName: "pv-shared"), status: .init(phase: "Bound"))
        var volume = Volume(
            metadata: RunbookCluster.meta("pv-shared", nil),
            spec: .init(
                storageClassName: "ceph",
                claimRef: isClaimed
                    ? .init(namespace: "onecloud", name: "shared", uid: claim.uid) : nil,
                persistentVolumeReclaimPolicy: pick(["Delete", "Retain"])),
            status: .init(phase: isClaimed ? "Bound" : pick(["Available", "Released"])))
        volume.spec.csi = Presence()
        if chance(70) { volume.spec.nodeAffinity = affinity(World.zoneKey, zone) }
        world.objects.volumes.append(volume)
        guard isClaimed else { return }
        world.objects.claims.append(claim)
        let rule = Inventory.Workload.Rule.rebuild(.disposable, heal: nil, recreatedBy: .operator)
        world.objects.deployments.append(
            Deployment(
                metadata: RunbookCluster.meta("web", "onecloud"),
                spec: .init(
                    replicas: 1,
                    template: .init(
                        spec: PodSpec(volumes: [
                            .init(name: "d", persistentVolumeClaim: .init(claimName: "shared"))
                        ]))), status: .init(availableReplicas: 1)))
        if chance(50) { world.workloads.append(.init(namespace: "onecloud", target: .deployment("web"), rule: rule)) }
    }

    /// A claim of a static class, and volumes that were made for its successor.
    mutating func addForHand() {
        let metadata = RunbookCluster.meta("static", "onecloud")
        let set = StatefulSet(
            metadata: metadata, spec: .init(replicas: 1, volumeClaimTemplates: [.init(metadata: .init(name: "data"))]))
        world.objects.statefulSets.append(set)
        let home = pick(homes())
        add("data-static-0", "onecloud", "by-hand", on: home)
        world.objects.pods.append(
            pod(
                "static-0", "onecloud", on: home, claims: ["data-static-0"],
                owner: .init(kind: "StatefulSet", name: "static", uid: metadata.uid), isReady: true))
        world.workloads.append(
            .init(
                namespace: "onecloud", target: .statefulSet("static"),
                rule: .rebuild(.disposable, heal: nil, recreatedBy: nil)))
        guard chance(60) else { return }
        let free = chance(80) ? world.replacement : pick(homes())
        add(volume: "pv-free", "by-hand", on: free, claim: nil, phase: "Available")
    }

    func affinity(_ key: String, _ value: String) -> Volume.NodeAffinity {
        .init(
            required: .init(nodeSelectorTerms: [
                .init(matchExpressions: [.init(key: key, operator: "In", values: [value])])
            ]))
    }

    @discardableResult
    mutating func add(_ claim: String, _ namespace: String, _ storageClass: String, on machine: Int) -> String {
        let name = "pvc-\(namespace)-\(claim)"
        let metadata = RunbookCluster.meta(claim, namespace)
        world.objects.claims.append(
            Claim(
                metadata: metadata, spec: .init(storageClassName: storageClass, volumeName: name),
                status: .init(phase: "Bound")))
        add(
            volume: name, storageClass, on: machine,
            claim: .init(namespace: namespace, name: claim, uid: metadata.uid), phase: "Bound")
        if chance(2) { retain(name) }
        return name
    }

    mutating func add(
        volume name: String, _ storageClass: String, on machine: Int, claim: Volume.ClaimReference?, phase: String
    ) {
        let node = world.machines[machine].node
        let label = world.machines[machine].labels[Cluster.Node.hostnameKey] ?? node
        var volume = Volume(
            metadata: RunbookCluster.meta(name, nil),
            spec: .init(
                storageClassName: storageClass, claimRef: claim, persistentVolumeReclaimPolicy: "Delete"),
            status: .init(phase: phase))
        switch storageClass {
        case "topolvm":
            volume.spec.csi = Presence()
            let value = world.machines[machine].labels[World.topolvmKey] ?? node
            volume.spec.nodeAffinity = affinity(World.topolvmKey, value)
        case "other":
            volume.spec.local = .init(path: "/disks/\(name)")
            volume.spec.nodeAffinity = .init(
                required: .init(nodeSelectorTerms: [
                    .init(matchFields: [.init(key: "metadata.name", operator: "In", values: [node])])
                ]))
        default:
            volume.spec.hostPath = .init(path: "/opt/\(name)")
            // Made by hand, with no word about where it is.
            if !chance(0.5) { volume.spec.nodeAffinity = affinity(Cluster.Node.hostnameKey, label) }
        }
        world.objects.volumes.append(volume)
        world.place[name] = machine
    }

    mutating func retain(_ volume: String) {
        for index in world.objects.volumes.indices where world.objects.volumes[index].name == volume {
            world.objects.volumes[index].spec.persistentVolumeReclaimPolicy = "Retain"
        }
        world.kinds.insert(.retained)
    }
}
