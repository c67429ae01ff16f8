public import Cluster
import Crypto
public import Foundation
public import Inventories
import SSH

/// What a replacement will do, down to UIDs and the member id: what the operator agrees to, and what every destructive step
/// compares again right before its act.
public struct Plan: Sendable, Hashable, Codable {
    /// Of this format.
    public static let currentVersion = 1

    public var version = Plan.currentVersion
    public var cluster: String
    /// `nil` in plans of before 0.3.
    public var distribution: Inventory.Distribution?
    public var vip: String
    public var madeAt: Date
    /// The survivors' Kubernetes.
    public var kubernetes: KubernetesVersion?
    /// kubectl on a survivor; `nil` where it is not known.
    public var kubectlClient: KubernetesVersion?
    public var dead: DeadNode
    public var replacement: Replacement
    public var survivors: [Master]
    /// Further masters, which are not whole and which etcd's quorum can do without: they are left as they are, and nothing is asked
    /// of them. `nil` where there is none.
    public var unsound: [UnsoundMaster]?
    /// What was concluded from little, for whoever agrees to the plan; `nil` where there is nothing to say.
    public var remarks: [String]?
    /// The survivor that ocboot runs on and that shall hold the VIP; one of `survivors`.
    public var primary: Master
    /// The dead one was the primary, so that the new one's keepalived is to become MASTER.
    public var promotes: Bool
    /// `nil` where it is gone from etcd already.
    public var member: PlannedMember?
    /// What an earlier join of the new host left, to be cleaned first.
    public var failedJoin: FailedJoin?
    /// The old master answers, or may, and is to be fenced first.
    public var fences: Bool?
    /// By which its power is cut, on the admin's machine: the program and its arguments; `nil` where it is fenced over SSH.
    public var fenceCommand: [String]?
    /// The old master was back since the run began, and its kubelet registered its node again: `dead.uid` is that one's.
    public var nodeReturned: Bool?
    /// The dead node's entry stands in kubeadm's ClusterStatus.
    public var hasStaleClusterStatus: Bool
    public var drainTimeout: Int
    /// Pods on the dead node that nothing makes again.
    public var lostPods: [ObjectReference]
    /// Nodes to cordon while claims are rebuilt: those that are schedulable now and are not the new one.
    public var cordons: [String]
    public var rebuilds: [Rebuild]
    /// Claims bound to the dead node that the inventory says to leave.
    public var ignoredClaims: [ObjectReference]
    /// Volumes of the dead node to delete once nothing claims them: of the rebuilt claims, and those released before.
    public var volumes: [ObjectReference]
    /// Volumes of the dead node that are left as they are, each with the reason; `nil` where there are none.
    public var keptVolumes: [KeptVolume]?
    /// What could not be found out and is no reason to refuse: for the operator to look at before agreeing.
    public var warnings: [String]?
    /// What the operator agreed to lose, as named on the command line.
    public var acceptedLosses: [String]
    /// The edit of the primary's keepalived manifest as `diff -u` has it, without the password; `nil` where there is none to make,
    /// and in plans of before 0.2.
    public var manifestDiff: [String]?

    /// ocboot's release, as the inventory had it; `nil` in plans of before 0.2.
    public var onecloudVersion: String?
    /// How ocboot is run, and with what configuration; `nil` in plans of before 0.3.
    public var ocboot: OcbootRun?
    /// Nodes that an earlier run of this tool left cordoned: uncordoned at the end.
    public var oldCordons: [String]?
    /// What resumes pass over, as the operator wants it; `nil` where that is nothing.
    public var passedOver: [PassedOver]?
    /// By what the node was taken for dead, a phrase each; `nil` in plans of before 0.2.
    public var signsOfDeath: [String]?

    package var kind: Inventory.Distribution { distribution ?? .kubeadm }

    /// SHA-256 of the plan's JSON with sorted keys, in hexadecimal.
    public var hash: String {
        get throws { SHA256.hash(data: try EventCoding.encode(self)).hexadecimal }
    }

    /// The new node will have the dead one's name: then only its UID tells them apart.
    public var reusesName: Bool { dead.node == replacement.node }

    /// Whether a node of the new one's name is the new one, as opposed to the dead one or a third. Its address is known a moment
    /// after it registers.
    package func isReplacement(_ node: Node) -> Bool {
        node.name == replacement.node && node.uid != dead.uid
            && (node.internalAddresses.isEmpty || node.internalAddresses.contains(where: replacement.isAt))
    }

    /// Where each survivor's API server is, by the inventory's name of the host.
    public var apiAddresses: [String: String] {
        Dictionary(survivors.map { ($0.host, $0.address) }, uniquingKeysWith: { first, _ in first })
    }

    /// Members that nothing is asked of.
    package var unsoundMemberIDs: Set<String> { Set((unsound ?? []).compactMap(\.memberID)) }

    public struct DeadNode: Sendable, Hashable, Codable, Addressed {
        /// The inventory's name.
        public var host: String
        public var node: String
        /// The node's, or the inventory's where the node is deleted.
        public var address: String
        /// `nil` where the node is deleted already.
        public var uid: String?
        public var hostnameLabel: String
        public var inventoryAddress: String?
        public var addresses: [String]?
        /// Its labels, besides the hostname label, that its volumes' node affinities ask for: they are compared again after the node
        /// is deleted. `nil` where the hostname label is all that they ask for.
        public var topology: [String: String]?

        /// As node selectors see it.
        package var selectable: SelectableNode {
            var labels = topology ?? [:]
            labels[Node.hostnameKey] = hostnameLabel
            return SelectableNode(name: node, labels: labels, hasAllLabels: topology != nil)
        }
    }

    public struct OcbootRun: Sendable, Hashable, Codable {
        public var invocation: OcbootInvocation
        /// The file's text, without the database's password.
        public var configuration: String
        /// There is an OnecloudCluster, which is compared before and after.
        public var hasCloud: Bool?
        /// What it changes of the survivors' files is put back where that is safe; missing where that was not asked for.
        public var restoresSurvivors: Bool?
    }

    public struct KeptVolume: Sendable, Hashable, Codable {
        public var volume: ObjectReference
        public var reason: String
    }

    public struct Replacement: Sendable, Hashable, Codable, Addressed {
        public var host: String
        /// The inventory's.
        public var address: String
        /// The name that the node will have: the host's own.
        public var node: String
        public var inventoryAddress: String? { nil }
        public var addresses: [String]?
    }

    public struct Master: Sendable, Hashable, Codable, Addressed {
        public var host: String
        public var node: String
        /// The node's.
        public var address: String
        public var inventoryAddress: String?
        public var addresses: [String]?
    }

    /// A master that is neither dead nor whole.
    public struct UnsoundMaster: Sendable, Hashable, Codable {
        public var host: String
        public var node: String
        /// `nil` where it has no etcd member.
        public var memberID: String?
        /// What is wrong with it.
        public var reasons: [String]
        /// It is dead by every sign, and no member of etcd; `nil` where that is not so.
        public var isGone: Bool?
    }

    /// A machine with the addresses that are its own.
    public protocol Addressed {
        var address: String { get }
        /// The inventory's, where `address` is another.
        var inventoryAddress: String? { get }
        /// Further ones; `nil` where there is none, and in plans of before 0.2.
        var addresses: [String]? { get }
    }

    public struct PlannedMember: Sendable, Hashable, Codable {
        public var id: String
        public var name: String
        public var peerURLs: [String]
    }

    /// One workload whose claims on the dead node are deleted, so that it makes them again on the new one.
    public struct Rebuild: Sendable, Hashable, Codable {
        public enum Kind: String, Sendable, Hashable, Codable {
            case statefulSet, deployment
        }

        public var kind: Kind
        public var namespace: String
        public var name: String
        public var uid: String
        public var data: Inventory.Workload.DataClass
        public var heal: Inventory.Workload.Heal?
        /// More is lost than the redundancy covers, and that was agreed to: nothing can heal.
        public var isDataLost: Bool
        public var claims: [LostClaim]
        /// Why the data survives; `nil` for a deployment, and in plans of before 0.2.
        public var redundancy: Redundancy?

        public var reference: String { "\(namespace)/\(name)" }
    }

    /// A set's volumes when it was planned; the unit is the claim, which is MinIO's drive.
    public struct Redundancy: Sendable, Hashable, Codable {
        /// All claims: the replicas times the claim templates.
        public var replicas: Int
        /// On the dead node.
        public var lost: Int
        /// How many of one erasure set may be lost without losing data.
        public var mayBeLost: Int
        /// Elsewhere and whole: bound, their pods ready, MinIO's drives not being healed.
        public var healthy: Int
        /// The drives of an erasure set that an object must be on to be readable; `nil` in plans of before 0.3.
        public var dataShards: Int?
    }

    public struct LostClaim: Sendable, Hashable, Codable {
        public var claim: ObjectReference
        public var volume: ObjectReference
        /// The replica's pod, by name: a StatefulSet's. Its UID changes with every eviction.
        public var pod: String?
        /// `false` where MinIO has something else than a drive on it, which nothing heals.
        public var isDrive: Bool?
    }
}

/// Why nothing is done: the rule that says so, the reason, and the next thing to do.
public struct Refusal: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    public var rule: String
    public var reason: String
    public var advice: String
    /// A needed host could not be reached or trusted: exit status 4 in place of 3.
    public var isUnreachable: Bool

    public init(_ rule: String, _ reason: String, advice: String, isUnreachable: Bool = false) {
        self.rule = rule
        // What a host said may be in it.
        (self.reason, self.advice) = (TerminalText.line(reason), TerminalText.line(advice))
        self.isUnreachable = isUnreachable
    }

    public var description: String { "\(rule): \(reason); \(advice)" }
}

/// Several refusals at once: all are shown, so that an operator fixes them in one go.
public struct Refused: Error, Sendable, CustomStringConvertible {
    public var refusals: [Refusal]

    public init(_ refusals: [Refusal]) {
        self.refusals = refusals
    }

    public var description: String { refusals.map(\.description).joined(separator: "\n") }
}

/// What the operator asks for.
public struct ReplacementRequest: Sendable, Hashable {
    /// An inventory name, a node name or an address.
    public var dead: String
    public var replacement: String
    /// `CLAIM` or `NAMESPACE/CLAIM`.
    public var acceptedLosses: [String]
    /// The run that is resumed; `nil` for a new one.
    public var resumes: String?
    /// Accepted losses of the run that is resumed; one that is not there any more is no error.
    public var acceptedBefore: [String] = []
    /// Seconds.
    public var drainTimeout: Int
    /// An old master that answers is fenced, over SSH.
    public var fences: Bool
    /// What ocboot changes of the survivors' files is put back, where that is safe.
    public var restoresSurvivors: Bool
    /// Seconds for which the dead node must have been NotReady.
    public var notReadyFor: Int

    public var allAcceptedLosses: [String] { acceptedBefore + acceptedLosses.filter { !acceptedBefore.contains($0) } }

    /// Five minutes: a machine that restarts is back by then, and Kubernetes itself evicts a node's pods after that time.
    public static let usualNotReadyFor = 300

    public init(
        dead: String, replacement: String, acceptedLosses: [String] = [], drainTimeout: Int = 30, fences: Bool = false,
        restoresSurvivors: Bool = false, notReadyFor: Int = usualNotReadyFor
    ) {
        self.dead = dead
        self.replacement = replacement
        self.acceptedLosses = acceptedLosses
        self.drainTimeout = drainTimeout
        self.fences = fences
        self.restoresSurvivors = restoresSurvivors
        self.notReadyFor = notReadyFor
    }
}

extension Plan.Addressed {
    public var allAddresses: Set<String> { Set([address] + (inventoryAddress.map { [$0] } ?? []) + (addresses ?? [])) }
    /// By which the inventory names the machine.
    package var knownAddress: String { inventoryAddress ?? address }

    package func isAt(_ address: String) -> Bool { allAddresses.contains(IPAddress.canonical(address)) }
    package func isAt(_ member: EtcdMember) -> Bool { !allAddresses.isDisjoint(with: member.addresses) }
}

extension Inventory {
    /// Where a master's own machine is to take its place again, reinstalled, it is looked at as what it is by now: a spare.
    public func preparing(_ request: ReplacementRequest) -> Inventory {
        var inventory = self
        if let index = hosts.firstIndex(where: { $0 == host(request.replacement) }),
            host(request.dead) == hosts[index]
        {
            inventory.hosts[index].isReinstalledMaster = hosts[index].role == .master
            inventory.hosts[index].role = .spare
        }
        return inventory
    }
}
