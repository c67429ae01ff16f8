public import Foundation

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
        case etcdLeader = "etcd-leader"
        case etcdAlarm = "etcd-alarm"
        case etcdUnread = "etcd-unread"
        case podsPending = "pods-pending"
    }

    public struct Finding: Sendable, Codable, Hashable {
        public var code: Code
        public var severity: Severity
        /// A host, a node, `cluster`, or `this machine`.
        public var subject: String
        public var text: String
        public var advice: String
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

    public var schemaVersion = Self.schemaVersion
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
    /// etcd warns from a second on; what is measured here is good to about a round trip.
    static let clockWarning: TimeInterval = 2

    public init(_ state: ClusterState, at now: Date) {
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
        findings = []
        status = 0
        findings =
            HostChecks.findings(state, at: now) + KeepalivedChecks.findings(state)
            + ClusterChecks.findings(state, identity)
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

/// Each host for itself.
enum HostChecks {
    static func findings(_ state: ClusterState, at now: Date) -> [CheckReport.Finding] {
        let ours = ownClockError(state)
        return state.inventory.hosts.flatMap { host -> [CheckReport.Finding] in
            switch state.hosts[host.name] {
            case .reached(let facts):
                host.role == .spare && state.node(of: host) == nil
                    ? spare(host, facts, ours) : master(host, facts, ours, now)
            case .failed(let failure):
                [
                    .init(
                        code: .hostUnreachable, severity: .failure, subject: host.name, text: failure.message,
                        advice: DeathAdvice.unreachable(host, failure, state))
                ]
            case nil: []
            }
        } + clock(ours)
    }

    /// By how much all hosts together are off this machine's clock, in seconds: the median where there are three and more, and it is
    /// out of bounds. It is this machine's clock that is wrong then, not each of theirs.
    private static func ownClockError(_ state: ClusterState) -> Double {
        let offsets = state.inventory.hosts.compactMap { state.facts($0)?.clockOffset }.sorted()
        guard offsets.count >= 3, abs(offsets[offsets.count / 2]) > CheckReport.clockWarning else { return 0 }
        return offsets[offsets.count / 2]
    }

    private static func clock(_ ours: Double) -> [CheckReport.Finding] {
        guard ours != 0 else { return [] }
        return [
            .init(
                code: .clock, severity: .warning, subject: "this machine",
                text: String(format: "its clock is %+.1f s off the hosts'", -ours),
                advice: "set it: chronyc tracking")
        ]
    }

    private static func master(
        _ host: Inventory.Host, _ facts: HostFacts, _ ours: Double, _ now: Date
    ) -> [CheckReport.Finding] {
        var findings = both(host, facts, ours)
        if facts.kubeletRuns == false {
            findings.append(
                .init(
                    code: .kubeletDown, severity: .failure, subject: host.name, text: "the kubelet does not run",
                    advice: "look at it: journalctl -u kubelet"))
        }
        if facts.runtimes?.isEmpty == true {
            findings.append(
                .init(
                    code: .runtimeDown, severity: .failure, subject: host.name, text: "no container runtime runs",
                    advice: "look at docker or containerd there"))
        }
        if let first = facts.certificates?.min(by: { $0.notAfter < $1.notAfter }) {
            let left = first.notAfter.timeIntervalSince(now)
            if left < CheckReport.certificateWarning {
                findings.append(
                    .init(
                        code: .certificates, severity: left < 0 ? .failure : .warning, subject: host.name,
                        text: left < 0
                            ? "\(first.path) has expired" : "\(first.path) ends in \(Int(left / 86400)) days",
                        advice:
                            "renew them there: kubeadm certs renew all (1.19 and older: kubeadm alpha certs renew all)")
                )
            }
        }
        return findings
    }

    private static func spare(_ host: Inventory.Host, _ facts: HostFacts, _ ours: Double) -> [CheckReport.Finding] {
        var findings = both(host, facts, ours)
        if let traces = facts.clusterTraces, !traces.isEmpty {
            findings.append(
                .init(
                    code: .spareNotBare, severity: .warning, subject: host.name,
                    text: "is a spare, but has been in a cluster: \(traces.joined(separator: ", "))",
                    advice: "it cannot replace a master as it is; if nothing on it is needed: kubeadm reset"))
        }
        for (target, cause) in facts.unreachable.sorted(by: { $0.key < $1.key }) {
            findings.append(
                .init(
                    code: .spareCannotReach, severity: .warning, subject: host.name,
                    text: "cannot open a connection to \(target): \(cause)",
                    advice: "it cannot replace a master like that: look at routes and firewalls"))
        }
        return findings
    }

    /// - Parameter ours: what of a host's clock is this machine's error.
    private static func both(_ host: Inventory.Host, _ facts: HostFacts, _ ours: Double) -> [CheckReport.Finding] {
        var findings: [CheckReport.Finding] = []
        if !facts.unread.isEmpty {
            findings.append(
                .init(
                    code: .unread, severity: .warning, subject: host.name,
                    text: "could not be read: \(facts.unread.joined(separator: ", "))",
                    advice: "see there which of these is missing or fails: uname, pidof, ss, ip, date, df"))
        }
        if let offset = facts.clockOffset, abs(offset - ours) > CheckReport.clockWarning {
            findings.append(
                .init(
                    code: .clock, severity: .warning, subject: host.name,
                    text: ours == 0
                        ? String(format: "its clock is %+.1f s off this machine's", offset)
                        : String(format: "its clock is %+.1f s off the other hosts'", offset - ours),
                    advice: "see which of the two is right: chronyc tracking"))
        }
        for disk in facts.disks ?? [] where disk.usedPercent >= CheckReport.diskWarning {
            findings.append(
                .init(
                    code: .disk, severity: .warning, subject: host.name,
                    text: "\(disk.mount) is \(disk.usedPercent) % full",
                    advice: "the kubelet evicts pods from 90 % on: make room"))
        }
        return findings
    }
}

/// What only the comparison of all masters shows.
enum KeepalivedChecks {
    static func findings(_ state: ClusterState) -> [CheckReport.Finding] {
        let vip = state.inventory.cluster.vip
        var findings: [CheckReport.Finding] = []
        var manifests: [(name: String, manifest: KeepalivedManifest)] = []
        for host in state.liveMasters {
            switch state.facts(host)?.keepalived {
            case .manifest(let manifest): manifests.append((host.name, manifest))
            case .absent?:
                findings.append(
                    .init(
                        code: .keepalivedMissing, severity: .failure, subject: host.name,
                        text: "has no keepalived manifest",
                        advice: "it can never hold the VIP"))
            case .unreadable(let why)?:
                findings.append(
                    .init(
                        code: .keepalivedUnreadable, severity: .failure, subject: host.name,
                        text: "its keepalived manifest: \(why)",
                        advice: "look at \(state.inventory.cluster.distribution.keepalivedManifest)"))
            case nil: break
            }
        }
        for (name, manifest) in manifests where !manifest.virtualIPs.contains(vip) {
            findings.append(
                .init(
                    code: .keepalivedVIP, severity: .failure, subject: name,
                    text: "its keepalived does not carry \(vip)",
                    advice: "compare KEEPALIVED_VIRTUAL_IPS with the other masters"))
        }
        if Set(manifests.map(\.manifest.routerID)).count > 1 {
            findings.append(
                .init(
                    code: .keepalivedRouterID, severity: .failure, subject: "keepalived", text: "the router ids differ",
                    advice: "masters of one cluster share KEEPALIVED_ROUTER_ID"))
        }
        if Set(manifests.map(\.manifest.password)).count > 1 {
            findings.append(
                .init(
                    code: .keepalivedPassword, severity: .failure, subject: "keepalived", text: "the passwords differ",
                    advice: "masters of one cluster share KEEPALIVED_PASSWORD"))
        }
        let primaries = manifests.filter { $0.manifest.state == .master }.map(\.name)
        if primaries.count > 1 {
            findings.append(
                .init(
                    code: .keepalivedTwoMasters, severity: .warning, subject: "keepalived",
                    text: "\(primaries.joined(separator: " and ")) are both MASTER",
                    advice: "only the primary should be"))
        } else if primaries.isEmpty, !manifests.isEmpty {
            findings.append(
                .init(
                    code: .keepalivedNoMaster, severity: .warning, subject: "keepalived",
                    text: "no live master is in state MASTER",
                    advice: "the dead one was the primary; a replacement makes another one primary"))
        }
        let services = state.inventory.hosts.filter { state.facts($0)?.hasAsService(vip) == true }.map(\.name)
        if !services.isEmpty {
            findings.append(
                .init(
                    code: .vipOnService, severity: .failure, subject: "vip",
                    text:
                        "kube-proxy has bound \(vip) to \(HostFacts.serviceInterface) on \(services.listed): a Service has it among its externalIPs or as its load balancer's address",
                    advice: "take it out of that Service: kubectl get services -A -o wide | grep -F \(vip)"))
        }
        switch state.vipHolders.count {
        case 1: break
        // Nobody was there to look at.
        case 0 where state.liveMasters.isEmpty: break
        case 0:
            findings.append(
                .init(
                    code: .vipNotHeld, severity: .failure, subject: "vip", text: "no host holds \(vip)",
                    advice: "look at the keepalived pods"))
        default:
            findings.append(
                .init(
                    code: .vipHeldTwice, severity: .failure, subject: "vip",
                    text: "\(state.vipHolders.map(\.name).joined(separator: " and ")) hold \(vip)",
                    advice:
                        "they do not hear each other: compare router ids and passwords, look at the network between them"
                ))
        }
        return findings
    }
}

/// The cluster as a whole.
enum ClusterChecks {
    static func findings(_ state: ClusterState, _ identity: Identity) -> [CheckReport.Finding] {
        guard state.cluster.source != nil else {
            return [
                .init(
                    code: .clusterSilent, severity: .failure, subject: "cluster",
                    text: "no master gave an answer: \(state.unreachableSummary)",
                    advice: "look at kubelet and API server of the masters that are up")
            ]
        }
        var findings: [CheckReport.Finding] = []
        func add(
            _ code: CheckReport.Code, _ severity: CheckReport.Severity, _ subject: String, _ text: String,
            _ advice: String
        ) {
            findings.append(.init(code: code, severity: severity, subject: subject, text: text, advice: advice))
        }
        for problem in state.cluster.problems {
            add(.clusterUnread, .failure, "cluster", problem, "look at it on that host")
        }
        for node in state.objects.nodes {
            if !node.isReady {
                add(
                    .nodeNotReady, .failure, node.name, state.notReadyAge(of: node).text,
                    DeathAdvice.notReady(node, state))
            }
            if node.isCordoned {
                add(
                    .nodeCordoned, .warning, node.name, "the node is cordoned",
                    "if nobody needs that: kubectl uncordon \(node.name)")
            }
            if node.isControlPlane, identity.hosts(of: node).isEmpty {
                add(
                    .masterNotInInventory, .warning, node.name, "is a master that the inventory does not name",
                    "add it with 'role: master'; if it is one of the hosts, write under that one: 'node: \(node.name)'")
            }
        }
        for conflict in HostsAreNodes.conflicts(identity) {
            add(.hostUnclear, .failure, conflict.hosts[0], conflict.refusal.reason, conflict.refusal.advice)
        }
        for host in state.inventory.hosts where host.role == .spare && state.node(of: host)?.isControlPlane == true {
            add(
                .spareIsMaster, .warning, host.name, "is a master by now, and 'role: spare' in the inventory",
                "change its role")
        }
        for host in state.inventory.masters where state.nodes(of: host).isEmpty {
            add(
                .masterIsNoNode, .failure, host.name, "is no node of the cluster",
                "join it, or take it out of the inventory; if it is a node under another name and address, write: 'node: NAME'"
            )
        }
        if !state.cluster.apiAnswersOnVIP {
            add(
                .vipWithoutAPI, .failure, "vip",
                "no API server answers on \(state.inventory.cluster.vip):\(state.inventory.cluster.apiPort)",
                "look at the API server of its holder")
        }
        findings += EtcdChecks.findings(state, identity)
        let pending = state.objects.pods.filter(\.isPending).map(\.reference)
        if !pending.isEmpty {
            add(
                .podsPending, .warning, "pods", "Pending: \(pending.joined(separator: ", "))",
                "see why: kubectl describe pod")
        }
        return findings
    }
}
