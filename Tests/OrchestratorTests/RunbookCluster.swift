import Foundation
import SSH

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// The runbook's cluster as a value: three masters, the first one dead, MinIO and InfluxDB with volumes on it, a bare spare.
enum RunbookCluster {
    static let inventoryText = """
        cluster: { name: ha-test, vip: 10.127.100.102 }
        ssh: { user: root, identity: ~/.ssh/id_ed25519 }
        hosts:
          lzx-ocboot-ha-test:   { address: 10.127.100.234, role: master }
          lzx-ocboot-ha-test-2: { address: 10.127.100.229, role: master }
          lzx-ocboot-ha-test-3: { address: 10.127.100.226, role: master }
          lzx-ocboot-ha-test-4: { address: 10.127.100.224, role: spare }
        ocboot:
          onecloud_version: v3.8.8
          image_repository: registry.example/yunionio
          database: { host: 10.127.100.101, user: root, password: { env: MASTERSWAP_DB_PASSWORD } }
        workloads:
          - { namespace: onecloud-minio, statefulset: minio, data: critical, heal: minio }
          - { namespace: onecloud-monitoring, statefulset: monitor-minio, data: replicated, heal: minio }
          - { namespace: onecloud, deployment: default-influxdb, data: disposable, recreated_by: operator }
          - { namespace: onecloud, claim: default-baremetal-agent, action: ignore }
        """

    static let names = ["lzx-ocboot-ha-test", "lzx-ocboot-ha-test-2", "lzx-ocboot-ha-test-3"]
    static let addresses = ["10.127.100.234", "10.127.100.229", "10.127.100.226"]
    static let memberIDs = ["14da7b338b44eee0", "454ae6f931376261", "5afd19948b9009f6"]
    static let spare = "lzx-ocboot-ha-test-4"
    static let spareAddress = "10.127.100.224"

    /// An unchanged ocboot of the release that runs, and all that it needs.
    static let ocboot = OcbootFacts(release: "v3.8.17")

    static func inventory() throws -> Inventory { try Inventory.parse(inventoryText, file: "runbook.yaml") }

    static let request = ReplacementRequest(dead: names[0], replacement: spare)

    /// - Parameters:
    ///   - dead: which master is dead; the others are well.
    ///   - isDead: `false` gives the cluster with nothing wrong.
    static func state(dead: Int = 0, isDead: Bool = true) throws -> ClusterState {
        let inventory = try inventory()
        var hosts: [String: ClusterState.HostObservation] = [:]
        let holder = dead == 0 && isDead ? 1 : 0
        for (index, name) in names.enumerated() {
            if isDead, index == dead {
                hosts[name] = .failed(.init(message: "\(name): connect: No route to host", sign: .noRoute))
                continue
            }
            var facts = HostFacts(hostname: name, kubeletRuns: true, runtimes: ["containerd"])
            facts.addresses = [.init(interface: "eth0", address: addresses[index])]
            if index == holder { facts.addresses?.append(.init(interface: "br0", address: "10.127.100.102")) }
            facts.keepalived = .manifest(try KeepalivedManifest(manifest(index)))
            facts.ocboot = ocboot
            for (other, peer) in addresses.enumerated() where other != index {
                facts.peers[peer] = isDead && other == dead ? silentView : livingView
            }
            facts.peers[spareAddress] = livingView
            hosts[name] = .reached(facts)
        }
        hosts[spare] = .reached(HostFacts(hostname: spare))
        var cluster = ClusterObservation(source: names[holder], apiAnswersOnVIP: true)
        cluster.objects = try objects(dead: isDead ? dead : nil)
        cluster.clock = try Date("2022-04-13T09:12:00Z", strategy: .iso8601)
        cluster.members = names.indices.map { index in
            EtcdMember(
                id: memberIDs[index], name: names[index], peerURLs: ["https://\(addresses[index]):2380"],
                clientURLs: ["https://\(addresses[index]):2379"], isHealthy: !(isDead && index == dead))
        }
        cluster.etcd = condition(cluster.members)
        var state = ClusterState(inventory: inventory, hosts: hosts, cluster: cluster)
        state.drives = drives(cluster.objects)
        return state
    }

    /// As MinIO formatted the drives of each set, all of them whole: one erasure set for each StatefulSet.
    static func drives(_ objects: KubernetesObjects) -> [String: MinIODrive] {
        var drives: [String: MinIODrive] = [:]
        for set in objects.statefulSets {
            let volumes = objects.claims.filter {
                $0.namespace == set.namespace && set.ordinal(ofClaim: $0.name) != nil
            }.compactMap(\.spec.volumeName)
            for volume in volumes { drives[volume] = MinIODrive(.whole, layout: .init(id: volume, sets: [volumes])) }
        }
        return drives
    }

    /// What a survivor on the same network sees of a machine without power, and of one that is well.
    static let silentView = PeerView(
        attempts: [22: .rejected, 6443: .rejected, 10250: .unanswered, 2380: .rejected], neighbour: "FAILED")
    static let livingView = PeerView(ping: .answered)

    /// What members say of themselves where all is well: the healthy ones answer, the first of them leads, no alarm is raised.
    static func condition(_ members: [EtcdMember], version: String = "3.4.23") -> EtcdCondition {
        let healthy = members.filter(\.isHealthy)
        return EtcdCondition(
            statuses: healthy.map {
                EtcdStatus(
                    memberID: $0.id, version: version, leader: healthy.first?.id, raftIndex: 90_001,
                    raftAppliedIndex: 90_001)
            }, alarms: [])
    }

    static func manifest(_ index: Int) -> String {
        """
        apiVersion: v1
        kind: Pod
        metadata:
          name: keepalived
          namespace: kube-system
        spec:
          containers:
          - name: keepalived
            env:
            # the weight: 100 on the primary, 90 on the others
            - name: KEEPALIVED_PRIORITY
              value: "\(index == 0 ? 100 : 90)"
            - name: KEEPALIVED_VIRTUAL_IPS
              value: '#PYTHON2BASH:[''10.127.100.102'']'
            - name: KEEPALIVED_STATE
              value: \(index == 0 ? "MASTER" : "BACKUP")
            - name: KEEPALIVED_PASSWORD
              value: de17f785
            - name: KEEPALIVED_ROUTER_ID
              value: "12"
            - name: KEEPALIVED_NODE_IP
              value: \(addresses[index])
            - name: KEEPALIVED_INTERFACE
              value: eth0
            image: registry.example/yunionio/keepalived:v2.0.25

        """
    }

    /// Where the runbook's replicas are: two of each MinIO on the first master, one on each of the others.
    static let replicaNodes = [0, 2, 1, 0]

    static func objects(dead: Int?) throws -> KubernetesObjects {
        var objects = KubernetesObjects()
        for (index, name) in names.enumerated() {
            objects.nodes.append(node(name, addresses[index], isReady: index != dead, age: index))
        }
        for (namespace, set) in [("onecloud-minio", "minio"), ("onecloud-monitoring", "monitor-minio")] {
            objects.statefulSets.append(
                StatefulSet(
                    metadata: meta(set, namespace),
                    spec: .init(replicas: 4, volumeClaimTemplates: [.init(metadata: .init(name: "export"))])))
            for (ordinal, place) in replicaNodes.enumerated() {
                add("export-\(set)-\(ordinal)", namespace, on: place, to: &objects)
                objects.pods.append(
                    pod(
                        "\(set)-\(ordinal)", namespace, on: place, claim: "export-\(set)-\(ordinal)",
                        owner: ("StatefulSet", set), isReady: place != dead))
            }
        }
        add("default-influxdb", "onecloud", on: 0, to: &objects)
        var influxdb = meta("default-influxdb", "onecloud")
        influxdb.ownerReferences = [.init(kind: "OnecloudCluster", name: "default", uid: "uid-onecloud")]
        objects.deployments.append(
            Deployment(
                metadata: influxdb,
                spec: .init(
                    replicas: 1,
                    template: .init(
                        spec: PodSpec(volumes: [
                            .init(name: "data", persistentVolumeClaim: .init(claimName: "default-influxdb"))
                        ])))))
        objects.pods.append(
            pod(
                "default-influxdb-1", "onecloud", on: 0, claim: "default-influxdb",
                owner: ("ReplicaSet", "default-influxdb-abc"), isReady: dead != 0))
        objects.deployments += [
            running("local-path-provisioner", "local-path-storage"), running("onecloud-operator", "onecloud"),
        ]
        objects.storageClasses = [
            StorageClass(metadata: meta("local-path", nil), provisioner: "rancher.io/local-path")
        ]
        objects.claims.append(
            Claim(
                metadata: meta("default-baremetal-agent", "onecloud"), spec: .init(storageClassName: "local-path"),
                status: .init(phase: "Pending")))
        return objects
    }

    static func running(_ name: String, _ namespace: String) -> Deployment {
        Deployment(
            metadata: meta(name, namespace),
            spec: .init(replicas: 1, template: .init(spec: PodSpec(containers: [.init(name: name)]))),
            status: .init(availableReplicas: 1))
    }

    static func node(_ name: String, _ address: String, isReady: Bool, age: Int = 0) -> Node {
        var metadata = meta(name, nil)
        metadata.creationTimestamp = "2022-04-13T0\(age):00:00Z"
        metadata.labels = ["kubernetes.io/hostname": name, "node-role.kubernetes.io/master": ""]
        return Node(
            metadata: metadata,
            status: .init(
                conditions: [
                    .init(
                        type: "Ready", status: isReady ? "True" : "Unknown",
                        // Twelve minutes before the cluster is read.
                        lastTransitionTime: isReady ? metadata.creationTimestamp : "2022-04-13T09:00:00Z")
                ],
                addresses: [.init(type: "InternalIP", address: address)], nodeInfo: .init(kubeletVersion: "v1.15.12")))
    }

    static func meta(_ name: String, _ namespace: String?) -> ObjectMeta {
        ObjectMeta(name: name, namespace: namespace, uid: "uid-\(namespace ?? "cluster")-\(name)")
    }

    static func pod(
        _ name: String, _ namespace: String, on place: Int, claim: String?, owner: (kind: String, name: String)?,
        isReady: Bool
    ) -> Pod {
        var metadata = meta(name, namespace)
        if let owner {
            metadata.ownerReferences = [
                .init(kind: owner.kind, name: owner.name, uid: "uid-\(namespace)-\(owner.name)")
            ]
        }
        return Pod(
            metadata: metadata,
            spec: PodSpec(
                nodeName: names[place],
                volumes: claim.map { [.init(name: "data", persistentVolumeClaim: .init(claimName: $0))] } ?? []),
            status: .init(phase: "Running", containerStatuses: [.init(name: "main", ready: isReady)]))
    }

    private static func add(_ claim: String, _ namespace: String, on place: Int, to objects: inout KubernetesObjects) {
        let volume = "pvc-\(namespace)-\(claim)"
        objects.claims.append(
            Claim(
                metadata: meta(claim, namespace), spec: .init(storageClassName: "local-path", volumeName: volume),
                status: .init(phase: "Bound")))
        objects.volumes.append(
            Volume(
                metadata: meta(volume, nil),
                spec: .init(
                    storageClassName: "local-path",
                    claimRef: .init(namespace: namespace, name: claim, uid: "uid-\(namespace)-\(claim)"),
                    nodeAffinity: .init(
                        required: .init(nodeSelectorTerms: [
                            .init(matchExpressions: [
                                .init(key: "kubernetes.io/hostname", operator: "In", values: [names[place]])
                            ])
                        ])),
                    hostPath: .init(path: "/opt/local-path-provisioner/\(volume)"),
                    persistentVolumeReclaimPolicy: "Delete"),
                status: .init(phase: "Bound")))
    }
}
