public import Foundation
import SSH

/// What one script saw on one host. What could not be read is `nil`, never a value that looks like a reading.
public struct HostFacts: Sendable, Hashable {
    public struct Address: Sendable, Hashable {
        public var interface: String
        public var address: String

        package init(interface: String, address: String) {
            self.interface = interface
            self.address = address
        }
    }
    public struct Disk: Sendable, Hashable {
        public var mount: String
        public var availableKiB: Int
        public var usedPercent: Int
    }
    public struct Certificate: Sendable, Hashable {
        public var path: String
        public var notAfter: Date
    }
    /// A file that looks like a snapshot of etcd.
    public struct Snapshot: Sendable, Hashable {
        public var path: String
        /// When it was last written, by our clock.
        public var at: Date

        public init(path: String, at: Date) {
            self.path = path
            self.at = at
        }
    }
    /// What could not be read is `nil`.
    public struct Machine: Sendable, Hashable {
        public var processors: Int?
        public var memoryKiB: Int?
        /// ID and VERSION_ID of os-release: `centos`, `7`.
        public var systemID: String?
        public var systemVersion: String?
        /// What the kernel was started with, as far as ocboot asks for it: others may be secrets.
        public var kernelArguments: String?

        public init() {}
    }

    public enum Recovery: String, Sendable, Hashable {
        /// `--force-new-cluster` is in it.
        case forced
        /// It was put aside.
        case stopped
        /// k3s was stopped, its data whole.
        case serverStopped = "server-stopped"
        /// etcd's data are being replaced by a snapshot's.
        case restoring
    }

    public enum Keepalived: Sendable, Hashable {
        case absent
        case manifest(KeepalivedManifest)
        case unreadable(String)
    }

    public var hostname: String
    /// The node that its kubelet is, as the kubelet's certificate for the API server says; `nil` where there is none to read.
    public var kubeletNodeName: String?
    /// Where the API server beside it is told to be: its certificate has that address. `nil` where no manifest says so.
    public var apiAddress: String?
    /// The content of /etc/machine-id; `nil` where there is none.
    public var machineID: String?
    public var system: String
    public var kernel: String
    /// Its clock minus ours, in seconds; good to about the round trip.
    public var clockOffset: TimeInterval?
    public var disks: [Disk]?
    public var addresses: [Address]?
    public var kubeletRuns: Bool?
    /// Container runtimes whose daemon runs: `dockerd`, `containerd`, …
    public var runtimes: [String]?
    /// TCP ports that something listens on.
    public var listening: Set<Int>?
    /// Signs of a cluster on its disk, as paths: kubelet configuration, manifests, etcd data.
    public var clusterTraces: [String]?
    /// SHA-256 of the cluster's CA certificate, in hexadecimal; `nil` where it has none.
    public var caCertificateSHA256: String?
    public var certificates: [Certificate]?
    public var keepalived: Keepalived
    /// Each `address:port`, of those asked for, that it cannot open a TCP connection to, and the cause.
    public var unreachable: [String: String]
    /// Each address, of those asked for, that it cannot log in to by SSH without a password, as ocboot will, and the cause.
    public var deniedLogins: [String: String]
    /// What it sees of the other hosts, by address; one that it did not tell about is missing.
    public var peers: [String: PeerView] = [:]
    /// What the member of etcd inside of its k3s tells; `nil` where it tells nothing, and on kubeadm, where etcdctl is asked.
    public var etcd: EtcdBeside?
    /// What is in ocboot's directory; `nil` where there is none, and where it was not looked at.
    public var ocboot: OcbootFacts?
    /// What ocboot asks of a host before it does anything.
    public var machine = Machine()
    /// docker's settings; `nil` where there is no daemon.json, or it cannot be read.
    public var docker: DockerDaemon?
    /// What a recovery that was cut off has left of etcd's manifest; `nil` where that is not so.
    public var recovery: Recovery?
    /// The lines of k3s's config.yaml about its networks.
    public var k3sNetworks: [String] = []

    /// The runs of this tool whose records are there.
    public var runs: [RunHead] = []
    public var ocbootAtWork: [OcbootAtWork] = []

    /// The newest snapshot of etcd in the usual places: empty where there is none, `nil` where nobody looked.
    public var snapshots: [Snapshot]?

    public init(
        hostname: String, system: String = "", kernel: String = "", clockOffset: TimeInterval? = 0, disks: [Disk]? = [],
        addresses: [Address]? = [], kubeletRuns: Bool? = false, runtimes: [String]? = [], listening: Set<Int>? = [],
        clusterTraces: [String]? = [], certificates: [Certificate]? = [], keepalived: Keepalived = .absent,
        unreachable: [String: String] = [:], deniedLogins: [String: String] = [:], ocboot: OcbootFacts? = nil
    ) {
        self.hostname = hostname
        self.system = system
        self.kernel = kernel
        self.clockOffset = clockOffset
        self.disks = disks
        self.addresses = addresses
        self.kubeletRuns = kubeletRuns
        self.runtimes = runtimes
        self.listening = listening
        self.clusterTraces = clusterTraces
        self.certificates = certificates
        self.keepalived = keepalived
        self.unreachable = unreachable
        self.deniedLogins = deniedLogins
        self.ocboot = ocboot
    }

    /// Nothing of a cluster is on it or runs on it; `false` also where that could not be read.
    public var isBare: Bool { kubeletRuns == false && clusterTraces?.isEmpty == true }

    /// What of the above could not be read.
    public var unread: [String] {
        [
            ("its host name", hostname.isEmpty), ("which processes run", kubeletRuns == nil),
            ("what a cluster left on its disk", clusterTraces == nil), ("what listens on it", listening == nil),
            ("its addresses", addresses == nil), ("its clock", clockOffset == nil), ("its free space", disks == nil),
        ].filter(\.1).map(\.0)
    }

    /// Where kube-proxy in ipvs mode binds the addresses of Services, on every node: whoever has one there does not hold it.
    public static let serviceInterface = "kube-ipvs0"

    /// Whether it has the address on an interface; `false` also where its addresses could not be read.
    public func holds(_ address: String) -> Bool {
        addresses?.contains { $0.address == address && $0.interface != Self.serviceInterface } == true
    }

    /// kube-proxy takes an address for a Service's.
    public func hasAsService(_ address: String) -> Bool {
        addresses?.contains { $0.address == address && $0.interface == Self.serviceInterface } == true
    }

    public var manifest: KeepalivedManifest? {
        if case .manifest(let manifest) = keepalived { manifest } else { nil }
    }
}
