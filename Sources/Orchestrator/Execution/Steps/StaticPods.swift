/// What is left of a master's static pods where its kubelet is stopped: the containers go on without their manifests.
enum StaticPods {
    /// A shell fragment that stops those containers, and takes the VIP off the interfaces: a keepalived that is killed leaves it
    /// behind. The variable `vip` must be set.
    static let stop = """
        for name in keepalived etcd kube-apiserver kube-controller-manager kube-scheduler; do
            if command -v crictl >/dev/null; then
                for id in $(crictl ps -q --name "^$name$" 2>/dev/null); do crictl stop "$id" >/dev/null; done
            fi
            if command -v docker >/dev/null; then
                for id in $(docker ps -q --filter "name=^/?k8s_${name}_" 2>/dev/null); do docker stop "$id" >/dev/null; done
            fi
        done
        ip -o -4 addr | while read -r _ device _ address _; do
            case $address in "$vip"/*) ip addr del "$address" dev "$device" ;; esac
        done
        """
}
