# The cluster: kubeadm init on the first master, joins of the other nodes, as ocboot's people would: nothing here is of the lab's own
# making but the settings, which Tests/Lab/README.md names.

kubelet_configuration() {
    cat <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
# A kubelet that just started at times knows no size of its disk yet, counts it as none, and refuses etcd's static pod, which asks
# for 100Mi of it, for good.
featureGates: { LocalStorageCapacityIsolation: false }
failSwapOn: false
resolvConf: ""
evictionHard: { memory.available: "50Mi" }
imageGCHighThresholdPercent: 100
END
}

init_configuration() {
    cat <<END
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
localAPIEndpoint: { advertiseAddress: $(address_of "$PRIMARY"), bindPort: 6443 }
nodeRegistration: { name: $PRIMARY, criSocket: /run/containerd/containerd.sock, taints: [] }
---
apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterConfiguration
clusterName: $CLUSTER
kubernetesVersion: $KUBERNETES_VERSION
imageRepository: $REPOSITORY
controlPlaneEndpoint: $VIP:6443
networking: { serviceSubnet: $SERVICE_NETWORK }
etcd: { local: { extraArgs: { heartbeat-interval: "250", election-timeout: "2500" } } }
apiServer:
  extraArgs:
    audit-log-path: /var/log/kubernetes/audit.log
    audit-policy-file: /opt/lab/host/audit-policy.yaml
  extraVolumes:
    - { name: audit-policy, hostPath: /opt/lab/host/audit-policy.yaml, mountPath: /opt/lab/host/audit-policy.yaml, readOnly: true, pathType: File }
    - { name: audit-log, hostPath: /var/log/kubernetes, mountPath: /var/log/kubernetes, pathType: DirectoryOrCreate }
---
END
    kubelet_configuration
}

# join_configuration NAME TOKEN [CERTIFICATE-KEY]: of a master with the key, of a worker without.
join_configuration() {
    cat <<END
apiVersion: kubeadm.k8s.io/v1beta2
kind: JoinConfiguration
discovery: { bootstrapToken: { token: $2, apiServerEndpoint: "$VIP:6443", unsafeSkipCAVerification: true } }
nodeRegistration: { name: $1, criSocket: /run/containerd/containerd.sock, taints: [] }
${3:+controlPlane: { localAPIEndpoint: { advertiseAddress: $(address_of "$1"), bindPort: 6443 \}, certificateKey: $3 \}}
END
}

# What ocboot's kubeadm puts on every master before it joins: keepalived as a static pod.
write_keepalived() {
    local name=$1 KEEPALIVED_PRIORITY=$2 KEEPALIVED_STATE=$3 NODE_ADDRESS
    NODE_ADDRESS=$(address_of "$name")
    render "$LAB/host/keepalived.yaml" | in_host "$name" sh -c '
        mkdir -p /etc/kubernetes/manifests && umask 077 && cat >/etc/kubernetes/manifests/keepalived.yaml'
}

kubeadm_on() {
    local name=$1
    shift
    in_host "$name" kubeadm "$@" >>"$STATE/log/kubeadm-$name.log" 2>&1 ||
        die "kubeadm $1 failed on $name" "see $STATE/log/kubeadm-$name.log; and /var/log/kubelet.log in: $LAB/lab shell $name"
}

cluster_up() {
    local name token key
    say "kubeadm init on $PRIMARY"
    write_keepalived "$PRIMARY" 100 MASTER
    in_host "$PRIMARY" ip addr add "$VIP/32" dev "$INTERFACE"
    init_configuration | in_host "$PRIMARY" sh -c 'umask 077; mkdir -p /run/lab; cat >/run/lab/kubeadm.yaml'
    token=$(in_host "$PRIMARY" kubeadm token generate)
    key=$(in_host "$PRIMARY" kubeadm certs certificate-key)
    kubeadm_on "$PRIMARY" init --config /run/lab/kubeadm.yaml --skip-phases=addon --ignore-preflight-errors=all
    kubeadm_on "$PRIMARY" token create "$token" --ttl 2h
    kubeadm_on "$PRIMARY" init phase upload-certs --upload-certs --certificate-key "$key"

    for name in "${NODES[@]:1}"; do
        say "kubeadm join on $name"
        wait_for_host "$name"
        if is_worker "$name"; then key=; else write_keepalived "$name" 90 BACKUP; fi
        join_configuration "$name" "$token" "$key" | in_host "$name" sh -c 'umask 077; cat >/run/lab/kubeadm.yaml'
        kubeadm_on "$name" join --config /run/lab/kubeadm.yaml --ignore-preflight-errors=all
    done
    in_host "$PRIMARY" kubeadm token delete "$token" >/dev/null 2>&1 || true
}

kube() { in_host "${KUBE_HOST:-$PRIMARY}" kubectl "$@"; }

vip_holders() {
    local name
    for name in "${NAMES[@]}"; do
        process_of "host-$name" >/dev/null && [[ $(in_host "$name" ip -o -4 addr show) == *" $VIP/"* ]] && echo "$name"
    done
    return 0
}
nodes_ready() { [[ $(kube get nodes --no-headers | grep -cw Ready) == ${#NODES[@]} ]]; }
# Of kubeadm five static pods on each master, of k3s keepalived's alone.
static_pods() { if is_k3s; then echo "${#MASTERS[@]}"; else echo $((5 * ${#MASTERS[@]})); fi; }
# Each with its container ready.
system_pods_ready() {
    local ready
    ready=$(kube get pods -n kube-system -l tier=control-plane -o jsonpath='{range .items[*]}{.status.containerStatuses[0].ready}{"\n"}{end}') || return 1
    [[ $(grep -cx true <<<"$ready") == "$(static_pods)" && $ready != *false* ]]
}
