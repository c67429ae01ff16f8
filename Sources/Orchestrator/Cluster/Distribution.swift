public import Inventories

/// Where the kinds of cluster keep things.
extension Inventory.Distribution {
    public var kubectl: [String] {
        switch self {
        case .kubeadm: ["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"]
        case .k3s: ["k3s", "kubectl"]
        }
    }

    public var manifestDirectory: String {
        switch self {
        case .kubeadm: "/etc/kubernetes/manifests"
        case .k3s: "/var/lib/rancher/k3s/agent/pod-manifests"
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

    /// Certificate authority, certificate and key that etcdctl shows to the local member.
    public var etcdCredentials: (authority: String, certificate: String, key: String) {
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
}
