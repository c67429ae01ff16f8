package import Inventories
package import SSH

/// What is done to the kinds of cluster, and what they do by themselves, side by side.
extension Inventory.Distribution {
    // MARK: Members

    /// A member goes with its node: the server's controller removes it before the node is gone, and nothing else may.
    package var removesMembersItself: Bool {
        switch self {
        case .kubeadm: false
        case .k3s: true
        }
    }

    /// What a person does about a member whose machine is gone for good.
    package func removalByHand(of member: String, named name: String) -> String {
        switch self {
        case .kubeadm: "etcdctl member remove \(member)"
        case .k3s: "kubectl delete node \(nodeName(ofMember: name)), with which k3s removes it"
        }
    }

    /// The same about one that was left behind: its node is gone, or never was.
    package func removalOfLeft(_ member: String) -> String {
        switch self {
        case .kubeadm: "etcdctl member remove \(member)"
        case .k3s: "\(etcdctlByHand) member remove \(member), with an etcdctl of the same release as k3s' etcd"
        }
    }

    /// kubeadm's check of etcd wants every listed member to answer (kubernetes/kubernetes#138403).
    package func joinWantsEveryMember(_ version: KubernetesVersion?) -> Bool {
        switch self {
        case .kubeadm: version.map { $0 < KubernetesVersion(1, 37) } ?? true
        case .k3s: false
        }
    }

    /// Takes a snapshot of etcd into the file; `nil` where etcdctl takes it.
    package func snapshot(to path: String) -> Command? {
        switch self {
        case .kubeadm: return nil
        case .k3s:
            // k3s gives the file a name of its own, in the folder that it is told.
            let script = #"""
                umask 077
                PATH=$PATH:/usr/local/bin
                rm -rf -- "$1.d" && mkdir -- "$1.d" || exit 1
                k3s etcd-snapshot save --etcd-snapshot-dir "$1.d" --name masterswap && mv -- "$1.d"/* "$1"
                status=$?
                rm -rf -- "$1.d"
                exit $status
                """#
            return .script(
                script, [path], timeout: .seconds(300),
                label: "k3s etcd-snapshot save --etcd-snapshot-dir \(path).d --name masterswap")
        }
    }

    /// How its certificates are renewed on a master.
    package var certificateRenewal: String {
        switch self {
        case .kubeadm: "kubeadm certs renew all (1.19 and older: kubeadm alpha certs renew all)"
        case .k3s: "systemctl stop k3s; k3s certificate rotate; systemctl start k3s, on one master after the other"
        }
    }

    /// Shell text that tells when a master's certificates end.
    var certificateEnds: String {
        switch self {
        case .kubeadm: "kubeadm certs check-expiration"
        case .k3s:
            "for c in \(certificateDirectory)/*.crt; do openssl x509 -noout -enddate -in $c; done (k3s renews them as it starts)"
        }
    }

    /// Where an administrator's kubeconfig comes from that a master does not have.
    var kubeconfigSource: String {
        switch self {
        case .kubeadm: "Copy \(kubeconfig) from another one"
        case .k3s: "k3s writes \(kubeconfig) as it starts: systemctl status k3s"
        }
    }

    /// What tells why a master's API server does not listen.
    var apiServerSigns: String {
        switch self {
        case .kubeadm: "its kubelet and its containers"
        case .k3s: "its service: systemctl status k3s, journalctl -u k3s"
        }
    }

    // MARK: ocboot

    /// It asks the VIP's holder for the join token, over SSH.
    package var ocbootAsksVIP: Bool {
        switch self {
        case .kubeadm: true
        case .k3s: false
        }
    }

    /// It is given every other survivor beside the new host, and waits until as many are joined as it is given.
    package var ocbootNamesEveryMaster: Bool {
        switch self {
        case .kubeadm: false
        case .k3s: true
        }
    }

    /// It writes keepalived's manifest of every master that it is given: its primary becomes MASTER with priority 100.
    package var ocbootPromotes: Bool {
        switch self {
        case .kubeadm: false
        case .k3s: true
        }
    }

    /// A new host needs no container runtime, and must not have one.
    package var bringsRuntime: Bool {
        switch self {
        case .kubeadm: false
        case .k3s: true
        }
    }

    /// The program that joins, and has to end before anything of its join is cleaned; `nil` where that is the master itself.
    package var joiner: String? {
        switch self {
        case .kubeadm: "kubeadm"
        case .k3s: nil
        }
    }

    // MARK: Stopping

    /// Shell text that stops what would start containers again, now and with the host; it ends with 1 where it cannot.
    private var stopForGood: String {
        switch self {
        case .kubeadm:
            """
            systemctl disable kubelet || exit 1
            systemctl stop kubelet || exit 1
            """
        // systemd restarts it for ever. A unit that is not there has no state.
        case .k3s:
            """
            for unit in \(Self.k3sUnits); do
                case $(systemctl is-enabled "$unit" 2>/dev/null) in '' | not-found) continue ;; esac
                systemctl disable "$unit" || exit 1
                systemctl stop "$unit" || exit 1
            done
            """
        }
    }

    /// Shell text that stops the containers that go on without that. A keepalived that is killed leaves the VIP behind, which is taken
    /// off the interfaces. The variable `vip` must be set.
    private var stopContainers: String {
        let containers =
            switch self {
            // etcd has the time to end in order, and docker stops the others at once.
            case .kubeadm:
                """
                for name in keepalived etcd ''; do
                    if command -v crictl >/dev/null; then
                        for id in $(crictl ps -q ${name:+--name "^$name$"} 2>/dev/null); do crictl stop "$id" >/dev/null; done
                    fi
                    if command -v docker >/dev/null; then
                        ids=$(docker ps -q --filter "name=^/?k8s_${name:+${name}_}" 2>/dev/null)
                        [ -z "$ids" ] || docker stop $ids >/dev/null
                    fi
                done
                """
            // Its containerd ends with it, so that there is nobody to ask. The script kills what its shims run, and not what has lost its shim.
            case .k3s: "! command -v k3s-killall.sh >/dev/null || k3s-killall.sh >/dev/null 2>&1 </dev/null"
            }
        return """
            \(containers)
            for pid in $(\(Self.podProcesses)); do kill -9 "$pid" 2>/dev/null; done
            ip -o -4 addr | while read -r _ device _ address _; do
                case $address in "$vip"/*) ip addr del "$address" dev "$device" ;; esac
            done
            """
    }

    /// Stops an old master for good. `$1` manifests, `$2` where they are kept, `$3` the VIP. Stopped containers first lose who would
    /// start them again. `done` is written last: a fence that was cut off half-way is none.
    package var fence: String {
        """
        umask 077
        PATH=$PATH:/usr/local/bin
        mkdir -p "$2" && chmod 700 "$2" || exit 1
        [ -d "$2/copy" ] || { cp -a "$1" "$2/copy.new" && mv "$2/copy.new" "$2/copy"; } || exit 1
        \(stopForGood)
        mkdir -p "$2/manifests" || exit 1
        for file in "$1"/*; do [ ! -e "$file" ] || mv -f -- "$file" "$2/manifests/" || exit 1; done
        vip=$3
        \(stopContainers)
        : >"$2/done"
        """
    }

    /// What a fence stops, as it is told to people.
    package var fenceLabel: String {
        switch self {
        case .kubeadm: "stop the kubelet for good, and all of its containers"
        case .k3s: "stop and disable k3s, stop all of its containers"
        }
    }
    package var fencedService: String {
        switch self {
        case .kubeadm: "its kubelet"
        case .k3s: "k3s there, with etcd and the API server in it"
        }
    }
    package var fencedContainers: String {
        switch self {
        case .kubeadm: "its containers, all of them; its static pods' manifests moved away"
        case .k3s: "its containers, all of them, by k3s-killall.sh; its static pods' manifests moved away"
        }
    }

    // MARK: A join that failed

    /// Stops on the new host what would go on with the join; its disk stays.
    package var stopJoin: Command {
        switch self {
        case .kubeadm: Command(["systemctl", "stop", "kubelet"], timeout: .seconds(60))
        case .k3s: .script(stopForGood, [], timeout: .seconds(120), label: "systemctl disable --now k3s")
        }
    }

    /// Takes what a join left off the new host.
    package func reset(vip: String) -> Command {
        switch self {
        case .kubeadm:
            // kubeadm leaves the data of a member whose manifest was never written, and containers where it finds no way to the runtime:
            // a keepalived among them that holds the VIP.
            let script = """
                vip=$3
                \(stopContainers)
                kubeadm reset -f || exit 1
                rm -rf -- "$1" && rm -f -- "$2"/*
                """
            return .script(
                script, [etcdDataDirectory + "/member", manifestDirectory, vip], timeout: .seconds(300),
                label:
                    "kubeadm reset -f, its containers stopped before, the rest of etcd's data and of the manifests removed after"
            )
        case .k3s:
            // The script leaves the node's password, and is itself gone where it was cut off.
            let script = """
                vip=$1
                PATH=$PATH:/usr/local/bin
                \(stopForGood)
                \(stopContainers)
                ! command -v k3s-uninstall.sh >/dev/null || k3s-uninstall.sh >/dev/null 2>&1 </dev/null
                rm -f /etc/systemd/system/k3s*.service /etc/systemd/system/k3s*.service.env /usr/local/bin/k3s
                systemctl daemon-reload
                rm -rf --one-file-system /etc/rancher/k3s /etc/rancher/node /var/lib/rancher/k3s
                """
            return .script(
                script, [vip], timeout: .seconds(300),
                label:
                    "k3s-uninstall.sh, k3s and its containers stopped before, the node's password and the rest removed after"
            )
        }
    }

    /// By what it is taken off, as it is told to people.
    package var resetName: String {
        switch self {
        case .kubeadm: "kubeadm reset"
        case .k3s: "k3s-uninstall.sh"
        }
    }
}
