import Foundation
import Synchronization

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What the tool sees of a world. Kubernetes' and etcd's objects are seen as they are; a probe may fail, and what failed is unknown.
extension World {
    func observation() -> ClusterState {
        var hosts: [String: ClusterState.HostObservation] = [:]
        for (index, machine) in machines.enumerated() where !machine.host.isEmpty {
            hosts[machine.host] = look(at: index)
        }
        var cluster = ClusterObservation(source: machines[source].host, apiAnswersOnVIP: apiServesOnVIP)
        cluster.objects = objects
        cluster.objects.pods += machines.filter { $0.isUp && !$0.keepalivedRuns }.map(Self.brokenKeepalived)
        cluster.clock = clockIsUnread ? nil : Self.now.addingTimeInterval(machines[source].clock)
        cluster.members = members.map { member in
            EtcdMember(
                id: member.id, name: member.isStarted ? member.name : "",
                peerURLs: member.addresses.map { "https://\(IPAddress.inURL($0)):2380" },
                clientURLs: member.isStarted ? ["https://\(IPAddress.inURL(member.addresses[0])):2379"] : [],
                isLearner: member.isLearner,
                isHealthy: hasQuorum && member.isStarted && member.runs && !member.looksUnhealthy)
        }
        cluster.etcd = condition
        cluster.clusterStatus = clusterStatus.isEmpty ? nil : Self.status(clusterStatus)
        cluster.onecloudVersion = runningRelease
        cluster.cloud.product = "Edge"
        cluster.onecloudProblem = releaseProblem
        var state = ClusterState(inventory: inventory, hosts: hosts, cluster: cluster)
        state.inventory = state.inventory.preparing(request)
        state.drives = seenDrives(hosts)
        for machine in machines where hosts[machine.host]?.facts != nil {
            state.sources[machine.host] = [.packages: !machine.isCutOff]
        }
        return state
    }

    /// The mirror of its static pod, as the kubelet that runs it reports it.
    private static func brokenKeepalived(on machine: Machine) -> Pod {
        var metadata = RunbookCluster.meta("keepalived-\(machine.node)", "kube-system")
        metadata.annotations = ["kubernetes.io/config.mirror": "1"]
        return Pod(
            metadata: metadata, spec: PodSpec(nodeName: machine.node),
            status: .init(phase: "Running", containerStatuses: [.init(name: "keepalived", ready: false)]))
    }

    private static let base = try? RunbookCluster.inventory()

    var inventory: Inventory {
        guard var inventory = Self.base, let ssh = inventory.hosts.first?.ssh else {
            fatalError("the runbook's inventory")
        }
        inventory.cluster = .init(
            name: "random", distribution: distribution, vip: Self.vip, apiPort: 6443,
            localStorageClasses: declaredClasses)
        inventory.hosts = []
        for machine in machines where !machine.host.isEmpty {
            guard !inventory.hosts.contains(where: { $0.name == machine.host }) else { continue }
            inventory.hosts.append(
                .init(
                    name: machine.host, address: machine.inventoryAddress,
                    role: machine.role == .master ? .master : .spare, ssh: ssh, node: machine.namedNode))
        }
        inventory.workloads = workloads
        inventory.ocboot?.onecloudVersion = release
        return inventory
    }

    // MARK: Hosts

    private var ocboot: OcbootFacts { distribution == .k3s ? OcbootCases.k3s : RunbookCluster.ocboot }

    private func look(at index: Int) -> ClusterState.HostObservation {
        let machine = machines[index]
        func failed(_ sign: ClusterState.HostFailure.Sign) -> ClusterState.HostObservation {
            .failed(.init(message: "\(machine.host): connect: no answer", sign: sign))
        }
        if let sign = machine.isHiddenBy { return failed(sign) }
        guard machine.isUp else { return failed(index % 2 == 0 ? .noRoute : .unresponsive) }
        switch machine.firewall {
        case .rejects: return failed(.noRoute)
        case .drops: return failed(.unresponsive)
        case .open: break
        }
        func read<T>(_ what: Unread, _ value: T) -> T? { machine.unread.contains(what) ? nil : value }
        var addresses = machine.allAddresses.map { HostFacts.Address(interface: "eth0", address: $0) }
        if machine.holdsVIP { addresses.append(.init(interface: "br0", address: Self.vip)) }
        var facts = HostFacts(
            hostname: machine.hostname, clockOffset: read(.clock, machine.clock),
            disks: read(.disks, [.init(mount: "/", availableKiB: machine.freeKiB, usedPercent: 50)]),
            addresses: read(.addresses, addresses), kubeletRuns: read(.processes, machine.kubeletRuns),
            runtimes: machine.runtimes, listening: read(.listening, machine.listening),
            clusterTraces: read(.traces, machine.traces), unreachable: machine.unreachable,
            deniedLogins: machine.denied, ocboot: machine.hasOcboot ? ocboot : nil)
        if machine.unread.contains(.keepalived) {
            facts.keepalived = .unreadable("no KEEPALIVED_STATE")
        } else {
            facts.keepalived = machine.keepalived.flatMap { Self.manifests[$0] }.map { .manifest($0) } ?? .absent
        }
        facts.machineID = machine.id
        if machine.ocbootIsAtWork {
            facts.ocbootAtWork = [.init(process: 1, user: "root", runningFor: "00:10", program: "python3")]
        }
        facts.caCertificateSHA256 = machine.caCertificateSHA256
        if machine.role != .spare { facts.kubeletNodeName = machine.node }
        if machine.tellsOfPeers {
            for (other, peer) in machines.enumerated() where !peer.host.isEmpty && peer.host != machine.host {
                for address in peer.allAddresses { facts.peers[address] = Self.view(of: peer, from: index + other) }
            }
        }
        return .reached(facts)
    }

    private static let manifests: [KeepalivedManifest.State: KeepalivedManifest] = {
        func manifest(_ index: Int) -> KeepalivedManifest? {
            try? KeepalivedManifest(RunbookCluster.manifest(index).replacing("10.127.100.102", with: vip))
        }
        return [.master: manifest(0), .backup: manifest(1)].compactMapValues { $0 }
    }()

    /// - Parameter variant: on the same network, or behind a router.
    private static func view(of peer: Machine, from variant: Int) -> PeerView {
        guard peer.isUp else {
            return variant % 3 == 0
                ? PeerView(attempts: [22: .unanswered, 6443: .unanswered]) : RunbookCluster.silentView
        }
        return switch peer.firewall {
        case .open where variant % 5 == 0: PeerView(attempts: [22: .accepted])
        case .open where variant % 7 == 0: PeerView(attempts: [22: .refused])
        case .open: RunbookCluster.livingView
        case .rejects where variant % 3 == 0: PeerView(attempts: [22: .rejected, 6443: .rejected])
        case .rejects: PeerView(attempts: [22: .rejected, 6443: .rejected], neighbour: "REACHABLE")
        case .drops: PeerView(attempts: [22: .unanswered, 6443: .unanswered], neighbour: "REACHABLE")
        }
    }

    // MARK: etcd

    private var condition: EtcdCondition {
        if etcdIsUnread { return EtcdCondition(problems: ["etcd gave no answer"]) }
        let answering = members.filter { $0.runs && $0.isStarted && !$0.givesNoStatus }
        let leader = (members.first { $0.isWhole } ?? answering.first)?.id
        return EtcdCondition(
            statuses: answering.map { member in
                EtcdStatus(
                    memberID: member.id, clusterID: member.isOfAnotherCluster ? "2" : "1", version: etcdVersion,
                    leader: member.isOfAnotherCluster ? member.id : hasLeader && hasQuorum ? leader : nil,
                    raftIndex: 90_001, raftAppliedIndex: member.isBehind ? 70_000 : 90_001)
            }, alarms: alarms.map { EtcdAlarm(memberID: members.first?.id ?? "", kind: $0) })
    }

    private static let parsed = Mutex<[String: ClusterStatus]>([:])

    /// There are few different ones, and parsing each again would take most of the time.
    private static func status(_ entries: [(node: String, address: String)]) -> ClusterStatus? {
        let key = entries.map { "\($0.node) \($0.address)" }.joined(separator: ",")
        if let known = parsed.withLock({ $0[key] }) { return known }
        let status = ClusterState.clusterStatus(entries)
        parsed.withLock { $0[key] = status }
        return status
    }

    // MARK: Drives

    /// Those on machines that answer are looked at; of the others nothing is known.
    private func seenDrives(_ hosts: [String: ClusterState.HostObservation]) -> [String: MinIODrive] {
        var seen: [String: MinIODrive] = [:]
        for minio in minio {
            for volume in minio.sets.joined() {
                guard let place = place[volume], let state = drives[volume] else { continue }
                let host = machines[place].host
                guard machines[place].isUp, hosts[host]?.facts != nil, node(of: place) != nil else {
                    seen[volume] = MinIODrive(.unknown("\(host): no answer"))
                    continue
                }
                let layout: MinIODrive.Layout? =
                    switch state {
                    case .whole, .healing: .init(id: volume, sets: minio.sets)
                    case .unformatted, .unknown: nil
                    }
                seen[volume] = MinIODrive(state, layout: layout)
            }
        }
        return seen
    }
}
