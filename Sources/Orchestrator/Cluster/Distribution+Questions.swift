package import Inventories
import SSH

/// How the kinds of cluster are asked, side by side.
extension Inventory.Distribution {
    /// etcd runs as a static pod of each master, with etcdctl in it. Elsewhere it runs inside of the server's own process, on hosts
    /// without an etcdctl, and is asked as ``EtcdBeside``.
    package var hasEtcdctl: Bool {
        switch self {
        case .kubeadm: true
        case .k3s: false
        }
    }

    /// The ConfigMap kube-system/kubeadm-config.
    package var hasKubeadmConfig: Bool {
        switch self {
        case .kubeadm: true
        case .k3s: false
        }
    }

    /// Questions to every host of this kind alone, as sections of its script.
    var hostQuestions: [(name: String, script: String)] {
        switch self {
        case .kubeadm:
            [
                ("docker", "[ -e /etc/docker/daemon.json ] || exit 44\ncat /etc/docker/daemon.json"),
                ("recovery", recoveryLeftovers),
            ]
        case .k3s:
            [
                // Nothing else of that file: it has the token.
                (
                    "k3s-networks",
                    "sed -n '/^ *\\(\(CloudFacts.k3sKeys.joined(separator: "\\|"))\\) *:/p' /etc/rancher/k3s/config.yaml 2>/dev/null; true"
                ), ("etcd", EtcdBeside.script), ("recovery", recoveryLeftovers),
            ]
        }
    }

    /// Questions to the cluster of this kind alone.
    /// - Parameter kubectl: shell text.
    func clusterQuestions(_ kubectl: String) -> [(name: String, script: String)] {
        switch self {
        case .kubeadm: []
        case .k3s:
            // Their names and UIDs alone leave the master.
            [
                (
                    "node-passwords",
                    "\(kubectl) --request-timeout=10s get secrets -n kube-system -o jsonpath='{range .items[*]}{.metadata.name} {.metadata.uid}{\"\\n\"}{end}' | grep -F '\(Self.passwordSuffix) '; true"
                )
            ]
        }
    }

    /// Where snapshots of etcd usually are, beside the places that all kinds have.
    var snapshotFolders: [String] {
        switch self {
        case .kubeadm: ["/var/lib", "/opt", "/root", "/data"].map { "\($0)/etcd*backup*" }
        case .k3s: ["/var/lib/rancher/k3s/server/db/snapshots"]
        }
    }

    /// Shell text that prints a line for everything that a master of this kind is made of and that runs, or would start with the host.
    package var signsOfLife: String {
        func processes(_ names: String) -> String {
            """
            for name in \(names); do
                pid=$(pidof "$name") && echo "$name runs, process $pid"
            done
            """
        }
        let own =
            switch self {
            case .kubeadm: processes("kubelet etcd keepalived kube-apiserver")
            // etcd and the API server are in its process.
            case .k3s:
                """
                \(processes("k3s-server k3s-agent k3s keepalived"))
                for unit in \(Self.k3sUnits); do
                    case $(systemctl is-enabled "$unit" 2>/dev/null) in enabled*) echo "$unit starts with the host" ;; esac
                done
                """
            }
        // Containers go on without what has started them, and without their shims.
        return """
            \(own)
            for pid in $(\(Self.podProcesses)); do
                echo "$(cat "/proc/$pid/comm" 2>/dev/null) of a pod runs, process $pid"
            done
            """
    }

    static let k3sUnits = "k3s k3s-agent"

    /// Shell text that prints the process ids of containers: the kubelet puts them into cgroups of that name, with either driver.
    static let podProcesses = "grep -l kubepods /proc/[0-9]*/cgroup 2>/dev/null | cut -d / -f 3"

    // MARK: What people are told to ask

    /// etcdctl as a person gives it on a master. The hosts of k3s have none: one of the same release as its etcd has to be brought.
    package var etcdctlByHand: String {
        switch self {
        case .kubeadm: "etcdctl"
        case .k3s: "ETCDCTL_API=3 " + ShellQuoting.join(["etcdctl"] + etcdctlOptions)
        }
    }

    var etcdctlOptions: [String] {
        let credentials = etcdCredentials
        return [
            "--endpoints=https://127.0.0.1:2379", "--cacert=\(credentials.ca)",
            "--cert=\(credentials.certificate)", "--key=\(credentials.key)",
        ]
    }

    /// Where a member's own words are.
    package var etcdLog: String {
        switch self {
        case .kubeadm: "its etcd pod"
        case .k3s: "the log of its k3s: journalctl -u k3s"
        }
    }

    /// What tells alarms.
    package var alarmQuestion: String {
        switch self {
        case .kubeadm: "etcdctl alarm list"
        case .k3s: "curl http://127.0.0.1:2381/health"
        }
    }

    /// What tells how far each member is.
    package var statusQuestion: String {
        switch self {
        case .kubeadm: "etcdctl endpoint status --cluster"
        case .k3s: "curl http://127.0.0.1:2381/metrics, on each master"
        }
    }
}
