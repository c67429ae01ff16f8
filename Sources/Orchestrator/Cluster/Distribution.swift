public import Inventories

/// Where the kinds of cluster keep things, side by side.
///
/// What differs between the kinds stands in four files and nowhere else: where things are in this one, what is asked in
/// `Distribution+Questions`, what is done in `Distribution+Acts`, and by a recovery in `Distribution+Recovery`. A third kind is a case of `Inventory.Distribution` and a line in each
/// of their switches, which the compiler names. What ocboot's releases do to each kind is in `Planning/Ocboot`.
extension Inventory.Distribution {
    public var kubectl: [String] {
        switch self {
        case .kubeadm: ["kubectl", "--kubeconfig", kubeconfig]
        case .k3s: ["k3s", "kubectl"]
        }
    }

    /// The administrator's, on every master.
    package var kubeconfig: String {
        switch self {
        case .kubeadm: "/etc/kubernetes/admin.conf"
        case .k3s: "/etc/rancher/k3s/k3s.yaml"
        }
    }

    /// - Parameter apiServer: `ADDRESS:PORT` of the one beside the master that kubectl is given on; `nil` for the kubeconfig's own.
    func kubectl(apiServer: String?) -> [String] {
        switch self {
        case .kubeadm: kubectl + (apiServer.map { ["--server", "https://\($0)"] } ?? [])
        // Its own kubeconfig names the local API server already.
        case .k3s: kubectl
        }
    }

    /// A path that a master of this kind has, and no other host.
    package var masterMark: String {
        switch self {
        case .kubeadm: kubeconfig
        case .k3s: "/var/lib/rancher/k3s/server"
        }
    }

    public var manifestDirectory: String {
        switch self {
        case .kubeadm: "/etc/kubernetes/manifests"
        case .k3s: "/var/lib/rancher/k3s/agent/pod-manifests"
        }
    }

    /// The processes that are a kubelet. k3s is one process with all of it: it goes by `k3s-server` or `k3s-agent` in /proc/PID/comm,
    /// and shows itself as `/usr/local/bin/k3s server`, which pidof does not take for `k3s`.
    static let kubeletProcesses = ["kubelet", "k3s-server", "k3s-agent", "k3s"]

    /// Shell text that prints the address that the API server beside it is told to advertise, or nothing.
    package var advertisedAddress: String {
        switch self {
        case .kubeadm: "sed -n 's/.*--advertise-address=//p' \(apiServerManifest) 2>/dev/null | head -n 1"
        // A node with two addresses has them as `node-ip: FIRST,SECOND`.
        case .k3s:
            "sed -n 's/^node-ip: *[\"'\\'']*\\([0-9a-fA-F.:]*\\).*/\\1/p' /etc/rancher/k3s/config.yaml 2>/dev/null | head -n 1"
        }
    }

    /// What a cluster of this kind leaves on a host, as a glob pattern each.
    var traces: [String] {
        switch self {
        case .kubeadm: [kubeletConfiguration, etcdDataDirectory + "/member", manifestDirectory + "/*"]
        case .k3s:
            [
                kubeletConfiguration, etcdDataDirectory + "/member", manifestDirectory + "/*", certificateDirectory,
                "/var/lib/rancher/k3s/server/token", "/etc/rancher/node/password",
                "/etc/systemd/system/k3s*.service", "/usr/local/bin/k3s",
            ]
        }
    }

    /// Whether such a trace is there before a host has anything of a cluster's own: what ocboot writes first.
    package func isPreparation(_ trace: String) -> Bool {
        switch self {
        case .kubeadm: trace == keepalivedManifest
        case .k3s:
            trace == keepalivedManifest || trace == "/usr/local/bin/k3s"
                || (trace.hasPrefix("/etc/systemd/system/k3s") && trace.hasSuffix(".service"))
        }
    }

    /// A trace that says that the host was to be a master, and no worker.
    package var masterTrace: String {
        switch self {
        // kubeadm writes it before the kubelet registers.
        case .kubeadm: apiServerManifest
        case .k3s: certificateDirectory
        }
    }

    /// The service whose log tells about the kubelet.
    package var kubeletUnit: String {
        switch self {
        case .kubeadm: "kubelet"
        case .k3s: "k3s"
        }
    }

    public var apiServerManifest: String { manifestDirectory + "/kube-apiserver.yaml" }

    public var keepalivedManifest: String { manifestDirectory + "/keepalived.yaml" }

    /// Present on a host that has joined a cluster; ocboot skips the join where it is.
    public var kubeletConfiguration: String {
        switch self {
        case .kubeadm: "/etc/kubernetes/kubelet.conf"
        case .k3s: "/var/lib/rancher/k3s/agent/kubelet.kubeconfig"
        }
    }

    /// By which the kubelet is known to the API server; it names its node.
    var kubeletCertificate: String {
        switch self {
        case .kubeadm: "/var/lib/kubelet/pki/kubelet-client-current.pem"
        case .k3s: "/var/lib/rancher/k3s/agent/client-kubelet.crt"
        }
    }

    public var etcdDataDirectory: String {
        switch self {
        case .kubeadm: "/var/lib/etcd"
        case .k3s: "/var/lib/rancher/k3s/server/db/etcd"
        }
    }

    /// CA certificate, certificate and key that etcdctl shows to the local member.
    public var etcdCredentials: (ca: String, certificate: String, key: String) {
        switch self {
        case .kubeadm:
            let folder = "/etc/kubernetes/pki/etcd/"
            return (folder + "ca.crt", folder + "server.crt", folder + "server.key")
        case .k3s:
            let folder = "/var/lib/rancher/k3s/server/tls/etcd/"
            return (folder + "server-ca.crt", folder + "client.crt", folder + "client.key")
        }
    }

    public var certificateDirectory: String {
        switch self {
        case .kubeadm: "/etc/kubernetes/pki"
        case .k3s: "/var/lib/rancher/k3s/server/tls"
        }
    }

    /// The folders with a master's certificates, without those that the kubelet renews by itself.
    var certificateFolders: [String] {
        switch self {
        case .kubeadm: [certificateDirectory, certificateDirectory + "/etcd"]
        case .k3s: [certificateDirectory, certificateDirectory + "/etcd", "/var/lib/rancher/k3s/agent"]
        }
    }

    /// The CA certificate of the cluster's servers.
    public var caCertificate: String {
        switch self {
        case .kubeadm: certificateDirectory + "/ca.crt"
        case .k3s: certificateDirectory + "/server-ca.crt"
        }
    }

    /// kubeadm names a member after its node, as somebody may have written it in capitals; k3s adds a dash and eight hex digits.
    public func isMemberName(_ member: String, ofNode node: String) -> Bool {
        let (member, node) = (member.lowercased(), node.lowercased())
        switch self {
        case .kubeadm: return member == node
        case .k3s:
            guard member.hasPrefix(node + "-") else { return false }
            let suffix = member.dropFirst(node.count + 1)
            return suffix.count == 8 && suffix.allSatisfy(\.isHexDigit)
        }
    }

    /// The node that a member is named after.
    package func nodeName(ofMember member: String) -> String {
        switch self {
        case .kubeadm: return member
        case .k3s:
            guard let dash = member.lastIndex(of: "-") else { return member }
            let node = String(member[..<dash])
            return isMemberName(member, ofNode: node) ? node : member
        }
    }

    /// The secret with which k3s knows a node that comes again, and refuses another host under its name; `nil` where there is none.
    package func passwordSecret(ofNode node: String) -> String? {
        switch self {
        case .kubeadm: nil
        case .k3s: node.lowercased() + Self.passwordSuffix
        }
    }
    static let passwordSuffix = ".node-password.k3s"

    /// Paths below `/` that a master cannot be restored without.
    package var restorePaths: [String] {
        switch self {
        case .kubeadm: ["etc/kubernetes"]
        // A snapshot is useless without the server's token.
        case .k3s:
            [
                "etc/rancher/k3s", "etc/systemd/system/k3s.service", "etc/systemd/system/k3s.service.env",
                "var/lib/rancher/k3s/server/token", "var/lib/rancher/k3s/server/tls",
                "var/lib/rancher/k3s/agent/pod-manifests",
            ]
        }
    }
}
