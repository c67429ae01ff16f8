import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Whatever provisions the class of a claim that is to be recreated has to run when the dead node is gone.
@Suite struct ProvisionerTests {
    /// The runbook's cluster with another provisioner behind `local-path`.
    func state(_ provisioner: String, _ deployments: [Deployment] = []) throws -> ClusterState {
        var state = try RunbookCluster.state()
        state.cluster.objects.deployments.removeAll { $0.name == "local-path-provisioner" }
        state.cluster.objects.deployments += deployments
        state.cluster.objects.storageClasses = [
            StorageClass(metadata: RunbookCluster.meta("local-path", nil), provisioner: provisioner)
        ]
        return state
    }

    func deployment(_ name: String, replicas: Int = 1, available: Int? = 1, containers: [String] = []) -> Deployment {
        Deployment(
            metadata: RunbookCluster.meta(name, "storage"),
            spec: .init(
                replicas: replicas,
                template: .init(
                    spec: PodSpec(containers: containers.map { .init(name: $0, image: "registry.example/\($0):v1") }))),
            status: available.map { .init(availableReplicas: $0) })
    }

    func pod(_ deployment: String, on place: Int, isReady: Bool) -> Pod {
        RunbookCluster.pod(
            "\(deployment)-x", "storage", on: place, claim: nil, owner: ("Deployment", deployment), isReady: isReady)
    }

    @Test(arguments: [
        ("rancher.io/local-path", "local-path-provisioner", [String]()), ("example.com/my-disk", "my-disk", []),
        ("openebs.io/local", "openebs-localpv-provisioner", ["openebs-provisioner-hostpath"]),
        ("topolvm.io", "topolvm-controller", ["topolvm-controller", "csi-provisioner"]),
        ("local.csi.openebs.io", "openebs-lvm-controller", ["csi-provisioner", "openebs-lvm-plugin"]),
        ("microk8s.io/hostpath", "hostpath-provisioner", ["microk8s-hostpath"]),
        ("rancher.io/local-path", "renamed", ["local-path-provisioner"]),
    ]) func itIsFoundByItsNameOrItsContainers(provisioner: String, name: String, containers: [String]) throws {
        #expect(Lost.refusals(try state(provisioner, [deployment(name, containers: containers)])).isEmpty)
        #expect(try Lost.plan(try state(provisioner, [deployment(name, containers: containers)])).warnings == nil)
        let scaled = Lost.refusals(try state(provisioner, [deployment(name, replicas: 0, containers: containers)]))
        #expect(scaled.map(\.rule) == ["provisioner-runs"])
        #expect(scaled.first?.reason.contains("storage/\(name) is scaled to 0") == true)
        let broken = Lost.refusals(try state(provisioner, [deployment(name, available: nil, containers: containers)]))
        #expect(broken.map(\.rule) == ["provisioner-runs"])
    }

    @Test func anotherProgramThatHasTheWordInItsNameDoesNotStandForIt() throws {
        let other = deployment("local-path-dashboard")
        let down = deployment("local-path-provisioner", replicas: 0)
        #expect(Lost.refusals(try state("rancher.io/local-path", [other, down])).map(\.rule) == ["provisioner-runs"])
        // Its helper pods have its image.
        var state = try state("rancher.io/local-path", [down])
        var helper = RunbookCluster.pod("helper-pod", "storage", on: 1, claim: nil, owner: nil, isReady: true)
        helper.spec.containers = [.init(name: "local-path-provisioner-helper")]
        state.cluster.objects.pods.append(helper)
        #expect(Lost.refusals(state).map(\.rule) == ["provisioner-runs"])
    }

    @Test func onTheDeadNodeItsDeploymentStartsItElsewhere() throws {
        var state = try state("rancher.io/local-path", [deployment("local-path-provisioner", available: 0)])
        state.cluster.objects.pods.append(pod("local-path-provisioner", on: 0, isReady: true))
        #expect(Lost.refusals(state).isEmpty, "Ready is what was seen before the node died")
        for pin in 0..<3 {
            state.change(deployment: "local-path-provisioner") { deployment in
                deployment.spec.template.spec.nodeSelector = nil
                deployment.spec.template.spec.affinity = nil
                switch pin {
                case 0: deployment.spec.template.spec.nodeSelector = ["kubernetes.io/hostname": RunbookCluster.names[0]]
                case 1:
                    deployment.spec.template.spec.affinity = .init(
                        nodeAffinity: .init(
                            requiredDuringSchedulingIgnoredDuringExecution: Lost.onDead.required))
                default:
                    deployment.spec.template.spec.volumes = [
                        .init(name: "d", persistentVolumeClaim: .init(claimName: "default-influxdb"))
                    ]
                }
            }
            let refusals = Lost.refusals(state)
            #expect(refusals.map(\.rule) == ["provisioner-runs"], "\(pin)")
            #expect(refusals.first?.reason.contains("ran only on \(RunbookCluster.names[0])") == true)
        }
    }

    /// It moves only to a node that takes pods, which may be the new one.
    @Test func aNodeThatTakesNoPodsDoesNotCountForIt() throws {
        var state = try self.state("rancher.io/local-path", [deployment("local-path-provisioner", available: 0)])
        state.cluster.objects.pods.append(pod("local-path-provisioner", on: 0, isReady: true))
        for index in 1...2 { state.cluster.objects.nodes[index].spec = .init(unschedulable: true) }
        #expect(Lost.refusals(state).isEmpty, "the new node takes it")
        state.change(deployment: "local-path-provisioner") { $0.spec.template.spec.nodeSelector = ["disk": "ssd"] }
        state.cluster.objects.nodes[1].metadata.labels?["disk"] = "ssd"
        #expect(Lost.refusals(state).map(\.rule) == ["provisioner-runs"])
        state.cluster.objects.nodes[1].spec?.unschedulable = nil
        #expect(Lost.refusals(state).isEmpty)
        state.cluster.objects.nodes[1].spec?.unschedulable = true
        state.cluster.objects.nodes[2].metadata.labels?["disk"] = "ssd"
        #expect(Lost.refusals(state).map(\.rule) == ["provisioner-runs"], "somebody gave it to the masters by hand")
        state.change(deployment: "local-path-provisioner") {
            $0.spec.template.spec.nodeSelector = ["onecloud.yunion.io/controller": "enable"]
        }
        for index in 1...2 {
            state.cluster.objects.nodes[index].metadata.labels?["onecloud.yunion.io/controller"] = "enable"
        }
        #expect(Lost.refusals(state).isEmpty, "the cloud gives it to every master, and so to the new one")
    }

    @Test func brokenOnASurvivorItDoesNotRun() throws {
        var state = try state("rancher.io/local-path", [deployment("local-path-provisioner", available: 0)])
        state.cluster.objects.pods.append(pod("local-path-provisioner", on: 1, isReady: false))
        #expect(Lost.refusals(state).map(\.rule) == ["provisioner-runs"])
    }

    @Test func aDaemonSetsPodsAreOnOtherNodesToo() throws {
        func state(on places: [Int]) throws -> ClusterState {
            var state = try self.state("topolvm.io")
            for place in places {
                var pod = RunbookCluster.pod(
                    "topolvm-\(place)", "storage", on: place, claim: nil, owner: ("DaemonSet", "topolvm-node"),
                    isReady: place != 0)
                pod.spec.containers = [.init(name: "csi-provisioner")]
                state.cluster.objects.pods.append(pod)
            }
            return state
        }
        #expect(Lost.refusals(try state(on: [0, 1, 2])).isEmpty)
        let refusals = Lost.refusals(try state(on: [0]))
        #expect(refusals.map(\.rule) == ["provisioner-runs"])
        #expect(refusals.first?.reason.contains("nothing starts it elsewhere") == true)
    }

    @Test func whatCannotBeFoundIsToldBeforeAnythingIsAgreedTo() throws {
        let state = try state("vendor.example/san")
        let plan = try Lost.plan(state)
        #expect(plan.warnings?.count == 1)
        #expect(
            plan.warnings?.first?.contains("the storage class local-path (vendor.example/san) could not be found out")
                == true)
        let text = PlanText(plan, state.inventory)
        #expect(text.summary.contains { $0.kind == .warning && $0.text.hasPrefix("  WARNING: which program") })
        #expect(text.lines.contains { $0.kind == .warning && $0.text.hasPrefix("  WARNING: which program") })
    }

    // MARK: The class of a new claim

    /// The runbook's cluster; the claim templates of its MinIO name a class, or none.
    private func state(template: String?, _ classes: [StorageClass]) throws -> ClusterState {
        var state = try state("rancher.io/local-path", [deployment("local-path-provisioner")])
        state.cluster.objects.storageClasses += classes
        for index in state.cluster.objects.statefulSets.indices {
            state.cluster.objects.statefulSets[index].spec.volumeClaimTemplates?[0].spec = .init(
                storageClassName: template)
        }
        return state
    }

    private func storageClass(_ name: String, isDefault: Bool = false, allowed: [String]? = nil) -> StorageClass {
        var metadata = RunbookCluster.meta(name, nil)
        if isDefault { metadata.annotations = [StorageClass.defaultAnnotation: "true"] }
        return StorageClass(
            metadata: metadata, provisioner: "rancher.io/local-path",
            allowedTopologies: allowed.map {
                [.init(matchLabelExpressions: [.init(key: Node.hostnameKey, values: $0)])]
            })
    }

    /// A claim template may name another class than its claims once got, or none.
    @Test func aNewClaimsClassIsItsTemplatesOrTheDefaultOne() throws {
        #expect(Lost.refusals(try state(template: "local-path", [])).isEmpty)
        #expect(Lost.refusals(try state(template: nil, [storageClass("usual", isDefault: true)])).isEmpty)
        for (template, classes, reason) in [
            ("gone", [], "the storage class gone does not exist"),
            ("", [storageClass("usual", isDefault: true)], "with no storage class"),
            (nil, [storageClass("usual")], "with no storage class"),
            (
                nil, [storageClass("a", isDefault: true), storageClass("b", isDefault: true)],
                "each of a and b is said to be the default"
            ),
        ] as [(String?, [StorageClass], String)] {
            let refusals = Lost.refusals(try state(template: template, classes))
            #expect(refusals.map(\.rule) == ["provisioner-runs"], "\(reason)")
            #expect(refusals.first?.reason.contains(reason) == true, "\(refusals)")
            #expect(refusals.first?.reason.contains("onecloud-minio/export-minio-") == true)
        }
    }

    /// Another class is told; one whose volumes are on no node's disk could neither be waited for there nor be healed.
    @Test func anotherClassThanTodaysIsToldOrRefused() throws {
        let local = try Lost.plan(try state(template: "other", [storageClass("other")]))
        #expect(
            local.warnings?.contains { $0.contains("get the storage class other; today they have local-path") } == true)
        var network = storageClass("ceph", isDefault: true)
        network.provisioner = "rbd.csi.ceph.com"
        for mode in ["Immediate", "WaitForFirstConsumer"] {
            network.volumeBindingMode = mode
            let refusals = Lost.refusals(try state(template: nil, [network]))
            #expect(refusals.map(\.rule) == ["provisioner-runs"])
            #expect(
                refusals.first?.reason.contains("would get the storage class ceph, and today they have local-path")
                    == true)
        }
    }

    /// From 1.26 on the newest of several default classes is taken (kubernetes/kubernetes, pkg/volume/util/storageclass.go).
    @Test func ofSeveralDefaultsTheNewestIsTakenSince126() throws {
        var (old, new) = (storageClass("a", isDefault: true), storageClass("b", isDefault: true))
        old.metadata.creationTimestamp = "2024-01-01T00:00:00Z"
        new.metadata.creationTimestamp = "2025-01-01T00:00:00Z"
        new.provisioner = "rbd.csi.ceph.com"
        for (version, reason) in [("v1.25.9", "each of a and b"), ("v1.26.0", "would get the storage class b")] {
            var state = try state(template: nil, [old, new])
            for index in state.cluster.objects.nodes.indices {
                state.cluster.objects.nodes[index].status?.nodeInfo?.kubeletVersion = version
            }
            let refusals = Lost.refusals(state).filter { $0.rule == "provisioner-runs" }
            #expect(refusals.first?.reason.contains(reason) == true, "\(version): \(refusals)")
        }
    }

    @Test func theOldAnnotationOfATemplateCounts() throws {
        var state = try state(template: nil, [])
        for index in state.cluster.objects.statefulSets.indices {
            state.cluster.objects.statefulSets[index].spec.volumeClaimTemplates?[0].metadata.annotations = [
                Claim.classAnnotation: "local-path"
            ]
        }
        #expect(Lost.refusals(state).isEmpty)
    }

    @Test func aClassMustMakeVolumesOnTheNewNode() throws {
        func refusals(_ allowed: [String]) throws -> [Refusal] {
            Lost.refusals(try state(template: "zoned", [storageClass("zoned", allowed: allowed)]))
        }
        #expect(try refusals(RunbookCluster.names + [RunbookCluster.spare]).isEmpty)
        let refused = try refusals(RunbookCluster.names)
        #expect(refused.map(\.rule) == ["provisioner-runs"])
        #expect(refused.first?.reason.contains("makes no volumes on \(RunbookCluster.spare)") == true)
        var zoned = storageClass("zoned")
        zoned.allowedTopologies = [.init(matchLabelExpressions: [.init(key: "rack", values: ["r1"])])]
        let plan = try Lost.plan(try state(template: "zoned", [zoned]))
        #expect(plan.warnings?.contains { $0.contains("allowedTopologies") } == true)
    }

    // MARK: Without a provisioner

    /// A static class, or a class that exists in name only.
    @Test(arguments: [true, false]) func aSetWhoseVolumesAreMadeByHandIsNotRebuiltByDeletingItsClaims(hasClass: Bool)
        throws
    {
        var state = try state("kubernetes.io/no-provisioner")
        if !hasClass { state.cluster.objects.storageClasses = [] }
        let refusals = Lost.refusals(state)
        #expect(refusals.map(\.rule) == ["provisioner-runs"])
        let what = hasClass ? "has no provisioner" : "does not exist"
        #expect(refusals.first?.reason.contains("the storage class local-path \(what)") == true)
        #expect(
            refusals.first?.reason.contains(
                "would need 5 volumes that are Available on \(RunbookCluster.spare); there are 0") == true)
        func add(_ count: Int, on node: String) {
            for number in 0..<count {
                state.cluster.objects.volumes.append(
                    Volume(
                        metadata: RunbookCluster.meta("made-\(node)-\(number)", nil),
                        spec: .init(
                            storageClassName: "local-path",
                            nodeAffinity: Lost.affinity([Lost.requirement("kubernetes.io/hostname", "In", [node])]),
                            local: .init(path: "/disks/\(number)"), persistentVolumeReclaimPolicy: "Retain"),
                        status: .init(phase: "Available")))
            }
        }
        add(5, on: RunbookCluster.names[1])
        add(4, on: RunbookCluster.spare)
        #expect(Lost.refusals(state).map(\.rule) == ["provisioner-runs"])
        add(1, on: RunbookCluster.spare.uppercased())
        #expect(Lost.refusals(state).map(\.rule) == ["provisioner-runs"])
        state.cluster.objects.volumes[state.cluster.objects.volumes.count - 1].spec.nodeAffinity = Lost.affinity([
            Lost.requirement("kubernetes.io/hostname", "In", [RunbookCluster.spare])
        ])
        #expect(Lost.refusals(state).isEmpty, "somebody has made them")
        // Kept for a claim of that name, which is yet to come, or for another one.
        let last = state.cluster.objects.volumes.count - 1
        let input = try PlanningInput(state, RunbookCluster.request)
        let lost = try #require(input.lost.lazy.compactMap(\.claim).first)
        state.cluster.objects.volumes[last].spec.claimRef = .init(namespace: lost.namespace, name: lost.name)
        #expect(Lost.refusals(state).isEmpty)
        state.cluster.objects.volumes[last].spec.claimRef = .init(namespace: lost.namespace, name: "another")
        #expect(Lost.refusals(state).map(\.rule) == ["provisioner-runs"])
    }
}

/// That an operator recreates a deployment is believed only where one is found.
@Suite struct OperatorTests {
    static let name = "onecloud-operator"

    @Test func theOperatorsDeploymentMustRun() throws {
        for change in [0, 1] {
            var state = try RunbookCluster.state()
            state.change(deployment: Self.name) { deployment in
                if change == 0 { deployment.spec.replicas = 0 } else { deployment.status?.availableReplicas = 0 }
            }
            let refusals = Lost.refusals(state)
            #expect(refusals.map(\.rule) == ["operator-runs"])
            #expect(refusals.first?.reason.contains("onecloud/default-influxdb") == true)
            state.cluster.objects.pods.append(
                RunbookCluster.pod(
                    "operator-1", "onecloud", on: 0, claim: nil, owner: ("Deployment", Self.name), isReady: true))
            #expect(Lost.refusals(state).isEmpty == (change == 1), "it was on the dead node, and starts elsewhere")
        }
    }

    @Test func anOwnerOrAnOperatorHasToBeThere() throws {
        var state = try RunbookCluster.state()
        state.change(deployment: "default-influxdb") { $0.metadata.ownerReferences = nil }
        #expect(Lost.refusals(state).isEmpty, "the operator runs")
        state.cluster.objects.deployments.removeAll { $0.name == Self.name }
        let refusals = Lost.refusals(state)
        #expect(refusals.map(\.rule) == ["operator-runs"])
        #expect(
            refusals.first?.reason.contains("no owner that controls it, and no onecloud-operator was found") == true)
        state.change(deployment: "default-influxdb") {
            $0.metadata.ownerReferences = [.init(kind: "Influx", name: "i", uid: "1", controller: nil)]
        }
        #expect(
            Lost.refusals(state).map(\.rule) == ["operator-runs"], "an owner that does not control it recreates nothing"
        )
        state.change(deployment: "default-influxdb") {
            $0.metadata.ownerReferences = [.init(kind: "Influx", name: "i", uid: "1")]
        }
        #expect(Lost.refusals(state).isEmpty)
    }

    @Test func withoutADeploymentToRebuildNobodyAsks() throws {
        var state = try RunbookCluster.state()
        state.cluster.objects.deployments.removeAll { $0.name == Self.name }
        state.inventory.workloads.removeAll { $0.target == .deployment("default-influxdb") }
        state.inventory.workloads.append(
            .init(namespace: "onecloud", target: .claim("default-influxdb"), rule: .ignore))
        #expect(Lost.refusals(state).isEmpty)
    }
}
