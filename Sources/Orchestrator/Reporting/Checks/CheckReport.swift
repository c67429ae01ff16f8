public import Cluster
import Execution
public import Foundation
import Inventories
import SSH

/// What `check` finds: a value made of what was seen, for the table and for JSON alike.
public struct CheckReport: Sendable, Codable {
    public enum Severity: String, Sendable, Codable, Comparable {
        case ok, warning, failure

        public static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }
        private var rank: Int { self == .ok ? 0 : self == .warning ? 1 : 2 }
    }

    /// What kind of problem it is: stable, for scripts and for comparing one check with the next.
    public enum Code: String, Sendable, Codable, CaseIterable {
        case hostUnreachable = "host-unreachable"
        case kubeletDown = "kubelet-down"
        case runtimeDown = "runtime-down"
        case certificates, clock, disk
        case unread = "facts-unread"
        case spareNotBare = "spare-not-bare"
        case spareCannotReach = "spare-cannot-reach"
        case keepalivedMissing = "keepalived-missing"
        case keepalivedUnreadable = "keepalived-unreadable"
        case keepalivedDown = "keepalived-down"
        case keepalivedVIP = "keepalived-vip"
        case keepalivedRouterID = "keepalived-router-id"
        case keepalivedPassword = "keepalived-password"
        case keepalivedTwoMasters = "keepalived-two-masters"
        case keepalivedNoMaster = "keepalived-no-master"
        case vipNotHeld = "vip-not-held"
        case vipHeldTwice = "vip-held-twice"
        case vipOnService = "vip-on-service"
        case vipWithoutAPI = "vip-without-api"
        case clusterSilent = "cluster-silent"
        case clusterUnread = "cluster-unread"
        case nodeNotReady = "node-not-ready"
        case nodeCordoned = "node-cordoned"
        case masterNotInInventory = "master-not-in-inventory"
        case spareIsMaster = "spare-is-master"
        case masterIsNoNode = "master-is-no-node"
        case hostUnclear = "host-unclear"
        case masterWithoutMember = "master-without-member"
        case memberWithoutNode = "member-without-node"
        case memberLearner = "member-learner"
        case memberNotStarted = "member-not-started"
        case memberUnhealthy = "member-unhealthy"
        case memberBehind = "member-behind"
        case etcdDataDiffers = "etcd-data-differs"
        case etcdLeader = "etcd-leader"
        case etcdAlarm = "etcd-alarm"
        case etcdUnread = "etcd-unread"
        case podsPending = "pods-pending"
        case ocbootCannotRun = "ocboot-cannot-run"
        case unsuitableForOcboot = "unsuitable-for-ocboot"
        case snapshotOld = "snapshot-old"
        case recoveryUnfinished = "recovery-unfinished"
        case runUnfinished = "run-unfinished"
    }

    public struct Finding: Sendable, Codable, Hashable {
        public var code: Code
        public var severity: Severity
        /// A host, a node, `cluster`, or `this machine`.
        public var subject: String
        public var text: String
        public var advice: String

        init(code: Code, severity: Severity, subject: String, text: String, advice: String) {
            self.code = code
            self.severity = severity
            self.subject = subject
            // What a host said may be in it.
            (self.text, self.advice) = (TerminalText.line(text), TerminalText.line(advice))
        }
    }

    public struct Host: Sendable, Codable {
        public var name: String
        public var address: String
        public var role: String
        public var reached: Bool
        public var error: String?
        public var hostname: String?
        public var system: String?
        /// Seconds; its clock minus this machine's.
        public var clockOffset: Double?
        /// Of the fullest of `/`, `/var/lib` and `/tmp`.
        public var diskUsedPercent: Int?
        public var kubeletRuns: Bool?
        public var runtimes: [String]?
        /// Of the certificate that ends first.
        public var certificatesUntil: Date?
        public var keepalived: Keepalived?
        public var holdsVip: Bool?
    }

    /// The password is compared across masters, and never shown.
    public struct Keepalived: Sendable, Codable {
        public var priority: Int
        public var state: String
        public var routerId: String
        public var virtualIps: [String]
    }

    public struct NodeLine: Sendable, Codable {
        public var name: String
        public var address: String?
        public var ready: Bool
        public var cordoned: Bool
        public var version: String?
    }

    public struct Member: Sendable, Codable {
        public var id: String
        public var name: String
        public var healthy: Bool
        public var started: Bool
        public var learner: Bool
    }

    /// What is different from the last check of the same cluster by this user.
    public struct Change: Sendable, Codable, Hashable {
        public enum Kind: String, Sendable, Codable, CaseIterable {
            case newProblem = "new-problem"
            case goneProblem = "gone-problem"
            case vipMoved = "vip-moved"
            case nodeAdded = "node-added"
            case nodeRemoved = "node-removed"
            case memberAdded = "member-added"
            case memberRemoved = "member-removed"
        }
        public var kind: Kind
        public var subject: String
        public var text: String
    }

    /// Of the JSON document: it goes up when a key is renamed, removed or gets another meaning (docs/check.schema.json).
    public static let schemaVersion = 1

    public var schemaVersion: Int = Self.schemaVersion
    public var cluster: String
    public var at: Date
    /// The master that the cluster was read by.
    public var source: String?
    public var hosts: [Host]
    public var nodes: [NodeLine]
    public var members: [Member]
    public var vip: String
    public var vipHolders: [String]
    public var apiAnswersOnVip: Bool
    public var pendingPods: [String]
    /// The newest snapshot of etcd of each place that is known, the newest first; missing where there is none.
    public var snapshots: [KnownSnapshot]?
    public var findings: [Finding]
    /// When the last check was; nothing where there was none.
    public var since: Date?
    public var changes: [Change]?
    public var status: Int
}

extension CheckReport {
    /// Certificates of kubeadm last a year; a month is the time to renew them in peace.
    static let certificateWarning: TimeInterval = 30 * 86400
    static let diskWarning = 85

    /// - Parameter here: the newest snapshot on this machine, or that there is none; `nil` where nobody looked.
    public init(_ state: ClusterState, here: KnownSnapshot.Here? = nil, at now: Date) {
        let inventory = state.inventory
        cluster = inventory.cluster.name
        at = now
        source = state.cluster.source
        hosts = inventory.hosts.map { Self.host($0, state) }
        let identity = Identity(state)
        nodes = state.objects.nodes.map {
            NodeLine(
                name: $0.name, address: $0.address(preferring: identity.host(of: $0)?.address), ready: $0.isReady,
                cordoned: $0.isCordoned,
                version: $0.kubeletVersion)
        }
        members = state.cluster.members.map {
            Member(id: $0.id, name: $0.name, healthy: $0.isHealthy, started: $0.isStarted, learner: $0.isLearner)
        }
        vip = inventory.cluster.vip
        vipHolders = state.vipHolders.map(\.name)
        apiAnswersOnVip = state.cluster.apiAnswersOnVIP
        pendingPods = state.objects.pods.filter(\.isPending).map(\.reference)
        let known = state.snapshots(here: here?.newest, at: now)
        snapshots = known.isEmpty ? nil : known
        findings = []
        status = 0
        findings =
            HostChecks.findings(state, at: now) + KeepalivedChecks.findings(state)
            + ClusterChecks.findings(state, identity) + OcbootChecks.findings(state)
        if here != nil { findings += KnownSnapshot.findings(known, at: now) }
        let isMasterUnreachable = inventory.masters.contains {
            state.hosts[$0.name]?.failure?.isUnreachableOrUntrusted == true
        }
        let worst = findings.map(\.severity).max() ?? .ok
        let exit: ExitStatus =
            isMasterUnreachable ? .unreachableOrUntrusted : worst == .failure ? .checkOrStepFailed : .done
        status = Int(exit.rawValue)
    }

    private static func host(_ host: Inventory.Host, _ state: ClusterState) -> Host {
        guard let facts = state.facts(host) else {
            return Host(
                name: host.name, address: host.address, role: host.role.rawValue, reached: false,
                error: state.hosts[host.name]?.failure?.message ?? "not looked at")
        }
        return Host(
            name: host.name, address: host.address, role: host.role.rawValue, reached: true, hostname: facts.hostname,
            system: facts.system, clockOffset: facts.clockOffset.map { ($0 * 1000).rounded() / 1000 },
            diskUsedPercent: facts.disks?.map(\.usedPercent).max(), kubeletRuns: facts.kubeletRuns,
            runtimes: facts.runtimes,
            certificatesUntil: facts.certificates?.map(\.notAfter).min(),
            keepalived: facts.manifest.map {
                Keepalived(
                    priority: $0.priority, state: $0.state.rawValue, routerId: $0.routerID, virtualIps: $0.virtualIPs)
            },
            holdsVip: facts.holds(state.inventory.cluster.vip))
    }
}
