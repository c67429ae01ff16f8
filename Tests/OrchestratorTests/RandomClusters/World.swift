import Foundation

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// A cluster as it really is: what runs, which machine is whose node, where data is. The tool never sees it; it sees what
/// ``World/observation()`` derives from it.
struct World {
    enum Role { case master, worker, spare }
    /// A machine that restarts is back within minutes.
    enum Power { case on, off, restarting }
    /// What a machine does to connections from everybody.
    enum Firewall { case open, rejects, drops }
    /// What a look at a machine does not tell.
    enum Unread: CaseIterable { case clock, addresses, listening, processes, traces, disks, keepalived }

    struct Machine {
        /// The inventory's; empty for a machine that the inventory does not name.
        var host = ""
        var inventoryAddress = ""
        /// The inventory's `node`.
        var namedNode: String?
        /// Of an operating system, as it was installed.
        var hostname: String
        /// The InternalIPs of its node.
        var addresses: [String]
        var role: Role
        var power = Power.on
        var firewall = Firewall.open
        /// Why this machine cannot see it; `nil` where it can.
        var isHiddenBy: ClusterState.HostFailure.Sign?
        var kubeletRuns = true
        var keepalivedRuns = true
        var keepalived: KeepalivedManifest.State?
        var holdsVIP = false
        /// Seconds that its clock is ahead of the true time.
        var clock = 0.0
        var id = ""
        var labels: [String: String] = [:]
        var traces: [String] = []
        var caCertificateSHA256: String?
        var listening: Set<Int> = [22]
        var freeKiB = 50 << 20
        var unreachable: [String: String] = [:]
        /// It gets no answer from the registry that the masters pull from.
        var isCutOff = false
        var denied: [String: String] = [:]
        var hasOcboot = true
        /// Somebody has started it.
        var ocbootIsAtWork = false
        var runtimes = ["containerd"]
        var unread: Set<Unread> = []
        /// What its tools say of others: `false` where bash or timeout is missing.
        var tellsOfPeers = true
        /// The age of its node as NotReady, by the true time; `nil` where it is Ready.
        var notReadyFor: Double?

        /// As the kubelet registers it.
        var node: String { hostname.lowercased() }
        var isUp: Bool { power == .on }
        /// Its kubelet is at work, so that pods start on it.
        var takesPods: Bool { isUp && kubeletRuns }
        var allAddresses: [String] { addresses.contains(inventoryAddress) ? addresses : addresses + [inventoryAddress] }
    }

    struct Member {
        var id: String
        var name: String
        var addresses: [String]
        /// `nil` where it belongs to a machine that is in no inventory and no node.
        var machine: Int?
        var isStarted = true
        var isLearner = false
        /// Its process is at work and in touch with the others.
        var runs = true
        var isBehind = false
        /// It was begun again with empty data, as a cluster of its own.
        var isOfAnotherCluster = false
        /// A probe that came at a bad moment.
        var looksUnhealthy = false
        var givesNoStatus = false

        /// It counts for the majority, and holds what was written.
        var isWhole: Bool { runs && isStarted && !isLearner && !isBehind && !isOfAnotherCluster }
    }

    /// A program that makes volumes, or recreates Deployments: a Deployment of one pod.
    struct Program {
        var namespace: String
        var name: String
        var replicas = 1
        var selector: [String: String] = [:]
        /// Where its pod is.
        var machine: Int?
        /// Its pod fails wherever it is.
        var isBroken = false
    }

    /// The drives of one MinIO.
    struct Drives {
        var reference: String
        var parity: Int
        /// Volumes by their names; each list is an erasure set.
        var sets: [[String]]
    }

    /// What makes a cluster worth counting.
    enum Kind: String, CaseIterable {
        case fiveMasters, workers, otherNames, fullyQualified, upperCase, severalAddresses, dualStack, addressElsewhere
        case twoTemplates, otherTopologyKey, nodeRemovedByHand, memberRemovedByHand, acceptedLoss, fenced, sameMachine
        case failedJoin, leftAside, k3s, retained, newPrimary, reusedName, staticClass
    }

    var distribution = Inventory.Distribution.kubeadm
    var machines: [Machine] = []
    var victim = 0
    var replacement = 0
    var members: [Member] = []
    var objects = KubernetesObjects()
    var machineOfNode: [String: Int] = [:]
    /// The machine on whose disk a volume is; none for storage in the network.
    var place: [String: Int] = [:]
    var drives: [String: MinIODrive.State] = [:]
    var minio: [Drives] = []
    var programs: [Program] = []
    /// Program by storage class; a class without one is provisioned from outside of the cluster.
    var provisioners: [String: String] = [:]
    /// The program outside of the cluster that provisions the rest runs.
    var outsideProvisionerRuns = true
    var declaredClasses = ["local-path"]
    var workloads: [Inventory.Workload] = []
    var request = ReplacementRequest(dead: "", replacement: "")
    /// Whom the request means.
    var requested = 0
    var kinds: Set<Kind> = []
    var etcdVersion = "3.4.23"
    var kubernetes = "v1.20.15"
    var alarms: [EtcdAlarm.Kind] = []
    var hasLeader = true
    var etcdIsUnread = false
    /// Node names with addresses, as kubeadm's ClusterStatus has them; empty from Kubernetes 1.22 on.
    var clusterStatus: [(node: String, address: String)] = []
    var apiServesOnVIP = true
    /// What runs, and what was seen of it.
    var realRelease = ""
    var runningRelease: String?
    var releaseProblem: String?
    var clockIsUnread = false
    /// The master that is asked for the cluster, and the one whose controller manager writes conditions.
    var source = 0
    var writer = 0

    static let vip = "10.0.0.250"
    static let zoneKey = "topology.kubernetes.io/zone"
    static let topolvmKey = "topology.topolvm.io/node"
    static let now = Date(timeIntervalSince1970: 1_649_841_120)

    /// That of the inventory, and of the ocboots on the masters.
    var release: String { distribution == .k3s ? "v3.11.9" : "v3.8.8" }

    /// Without it no member answers as a healthy one does.
    var hasQuorum: Bool {
        let voters = members.filter { !$0.isLearner }
        return voters.count { $0.runs && $0.isStarted && !$0.isOfAnotherCluster } > voters.count / 2
    }

    func machine(ofHost host: String) -> Int? { machines.lastIndex { $0.host == host && !host.isEmpty } }
    /// The machine as it was before it was reinstalled, where it is to take its own place again.
    func oldMachine(ofHost host: String) -> Int? { machines.firstIndex { $0.host == host && !host.isEmpty } }
    func node(of machine: Int) -> Node? { objects.nodes.first { machineOfNode[$0.uid] == machine } }
    func member(of machine: Int) -> Member? { members.first { $0.machine == machine && $0.isStarted } }
    func rule(_ claim: Claim) -> Inventory.Workload? {
        let named = workloads.first { $0.namespace == claim.namespace && $0.target == .claim(claim.name) }
        return named
            ?? workloads.first { workload in
                guard workload.namespace == claim.namespace else { return false }
                return switch workload.target {
                case .claim: false
                case .statefulSet(let name):
                    objects.statefulSets.contains {
                        $0.namespace == claim.namespace && $0.name == name && $0.ordinal(ofClaim: claim.name) != nil
                    }
                case .deployment(let name):
                    objects.deployments.contains {
                        $0.namespace == claim.namespace && $0.name == name
                            && $0.spec.template.spec.claimNames.contains(claim.name)
                    }
                }
            }
    }
}
