public import Cluster
import Crypto
public import Foundation
public import Inventories
import SSH

/// What a recovery will do: the surviving master becomes a cluster of one member. What the operator agrees to.
public struct RecoveryPlan: Sendable, Hashable, Codable {
    /// Of this format.
    public static let currentVersion = 1

    public var version = RecoveryPlan.currentVersion
    public var cluster: String
    /// Missing in plans of before there was another kind than kubeadm's.
    public var distribution: Inventory.Distribution?
    public var vip: String
    public var madeAt: Date
    public var survivor: Plan.Master
    public var dead: [Dead]
    /// IDs of members that never started, of machines that are bare: they are forgotten with the dead ones'.
    public var unstarted: [String]?
    public var etcd: Etcd
    /// Seconds for which the dead ones are watched before anything is touched: a machine that only restarts is back by then.
    public var watch: Int
    /// Seconds since the survivor's database was written or opened, at least; `nil` where that is not known. The others may have had a
    /// majority without it.
    public var silentFor: Int?
    /// What etcd's data are made of, in the place of the survivor's own.
    public var snapshot: Snapshot?
    /// Somebody has left `--force-new-cluster` in etcd's manifest: this one takes it out.
    public var isUnfinished: Bool?
    /// Unfinished runs, by their names: none of them can be resumed in the cluster that is made.
    public var givesUp: [String]?
    /// The survivor's keepalived is to become MASTER.
    public var promotes: Bool
    /// The edit of its keepalived manifest as `diff -u` has it, without the password; `nil` where there is none to make.
    public var manifestDiff: [String]?

    /// SHA-256 of the plan's JSON with sorted keys, in hexadecimal.
    public var hash: String {
        get throws { SHA256.hash(data: try EventCoding.encode(self)).hexadecimal }
    }

    /// Another master of the inventory.
    public struct Dead: Sendable, Hashable, Codable, Plan.Addressed {
        /// The inventory's name.
        public var host: String
        /// Its member's name, which is its node's; the inventory's where it has no member any more.
        public var node: String
        public var address: String
        public var addresses: [String]?
        public var inventoryAddress: String? { nil }
        public var memberID: String?
        /// By what it was taken for dead, a phrase each.
        public var signs: [String]
    }

    /// The survivor's member, as it was when it was planned.
    public struct Etcd: Sendable, Hashable, Codable {
        /// `nil` where etcd does not run, and a snapshot is restored: the restored member has another one.
        public var memberID: String?
        /// As the member told it; `nil` where it did not.
        public var revision: Int?
        /// Of the database, in bytes.
        public var databaseBytes: Int
    }
}

extension RecoveryPlan {
    package var kind: Inventory.Distribution { distribution ?? .kubeadm }

    /// A snapshot of etcd on this machine.
    public struct Snapshot: Sendable, Hashable, Codable {
        public var path: String
        /// When it was taken; of a file of which nothing else is known, when it was written.
        public var at: Date
        /// The master that it was taken of, by its inventory name.
        public var host: String?
        /// `nil` where only the restored etcd will tell.
        public var revision: Int?
        public var bytes: Int
        /// In hexadecimal; `nil` as long as it was not read.
        public var sha256: String?

        public init(
            path: String, at: Date, host: String? = nil, revision: Int? = nil, bytes: Int, sha256: String? = nil
        ) {
            self.path = path
            self.at = at
            self.host = host
            self.revision = revision
            self.bytes = bytes
            self.sha256 = sha256
        }

        /// `3 h old, of a, at revision 812`.
        package func text(at now: Date) -> String {
            "\(NotReadyAge.words(max(0, now.timeIntervalSince(at)))) old"
                + (host.map { ", of \($0)" } ?? "") + (revision.map { ", at revision \($0)" } ?? "")
        }
    }
}

/// What the operator asks for.
public struct RecoveryRequest: Sendable, Hashable {
    /// An inventory name or an address.
    public var survivor: String
    /// Seconds for which the others are watched.
    public var withoutQuorumFor: Int
    /// To be restored.
    public var snapshot: RecoveryPlan.Snapshot?
    /// Those that this machine has of the cluster, the newest first: what is offered where the survivor's data are not usable.
    public var known: [RecoveryPlan.Snapshot]

    /// Five minutes: a machine that restarts is back by then.
    public static let usualWithoutQuorumFor = 300

    public init(
        survivor: String, withoutQuorumFor: Int = usualWithoutQuorumFor, snapshot: RecoveryPlan.Snapshot? = nil,
        known: [RecoveryPlan.Snapshot] = []
    ) {
        self.survivor = survivor
        self.withoutQuorumFor = withoutQuorumFor
        self.snapshot = snapshot
        self.known = known
    }
}

/// The masters that a run acts on and asks, whatever it does.
public struct RunScene: Sendable, Hashable {
    public var vip: String
    /// Theirs, and what kubectl's flags follow; `nil` counts as current.
    public var kubernetes: KubernetesVersion?
    public var kubectlVersion: KubernetesVersion?
    /// kubectl is given there first; one of `masters`.
    public var primary: Plan.Master
    /// Those that live.
    public var masters: [Plan.Master]
    /// The inventory's name of the host that joins; `nil` where none does.
    public var newcomer: String?
}

extension Plan {
    public var scene: RunScene {
        RunScene(
            vip: vip, kubernetes: kubernetes, kubectlVersion: kubectlVersion, primary: primary, masters: survivors,
            newcomer: replacement.host)
    }
}

extension RecoveryPlan {
    /// Why the others must not be cut off; `nil` where nothing of them is seen.
    package func objection(to etcd: SurvivorEtcd) -> String? {
        let known = Set(dead.compactMap(\.memberID) + (unstarted ?? []) + [self.etcd.memberID].compactMap(\.self))
        if let other = etcd.members.first(where: { !known.contains($0.id) }) {
            return "etcd member \(other.id) '\(other.name)' has joined since the recovery was planned"
        }
        if let leader = etcd.status?.leader, leader != self.etcd.memberID || etcd.members.count > 1 {
            return "etcd knows a leader, \(leader)"
        }
        guard etcd.answering.isEmpty else {
            return "etcd member \(etcd.answering.joined(separator: ", ")) answers"
        }
        return nil
    }

    public var scene: RunScene { RunScene(vip: vip, primary: survivor, masters: [survivor]) }
    public var title: String { "Recover \(cluster) from \(survivor.node)" }
}
