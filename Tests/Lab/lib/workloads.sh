# The workloads of the runbook, and ocboot on the masters.

# claim NAMESPACE NAME LABEL SIZE [HOST]: a claim whose volume is on that host (its number), or an unbound one.
claim() {
    local NAMESPACE=$1 CLAIM=$2 LABEL=$3 SIZE=$4 SELECTED=
    [[ -z ${5:-} ]] || SELECTED="volume.kubernetes.io/selected-node: ${NAMES[$5]}"
    render "$LAB/workloads/claim.yaml"
}
minio_set() {
    local NAMESPACE=$1 SET=$2 BUCKET=$3 i
    shift 3
    for i in 0 1 2 3; do claim "$NAMESPACE" "export-$SET-$i" "$SET" 1Ti "${@:i+1:1}"; done
    render "$LAB/workloads/minio.yaml"
}

workloads_up() {
    local OWNER AVOIDED STORAGE=/opt/local-path-provisioner SERIES=default-influxdb SERIES_APP=influxdb SERIES_IMAGE=influxdb:1.7.7 PRODUCT=
    if is_k3s; then PRODUCT='productVersion: FullStack' STORAGE=/opt/k3s/storage SERIES=default-victoria-metrics SERIES_APP=victoria-metrics SERIES_IMAGE=victoria-metrics:v1.95.1; fi
    say "the workloads of the runbook"
    kube label --overwrite node "${MASTERS[@]}" onecloud.yunion.io/controller=enable >/dev/null
    kube label --overwrite node "${NODES[@]}" onecloud.yunion.io/host=enable >/dev/null
    kube apply -f - <"$LAB/workloads/1-base.yaml" >"$STATE/log/workloads.log"
    wait_until 120 "the custom resources to be served" kube get onecloudclusters,etcdclusters -A || die "no custom resources"
    # The pod and the claims go first: the operator makes only what is not there.
    {
        claim onecloud "$SERIES" "$SERIES_APP" 20G "$INFLUXDB_ON"
        claim onecloud default-glance glance 100G "$GLANCE_ON"
        claim onecloud default-baremetal-agent baremetal-agent 10G
        minio_set onecloud-minio minio onecloud-images "${MINIO_ON[@]}"
        minio_set onecloud-monitoring monitor-minio loki "${MONITOR_MINIO_ON[@]}"
    } | kube apply -f - >>"$STATE/log/workloads.log"
    render "$LAB/workloads/2-cluster.yaml" | kube apply -f - >>"$STATE/log/workloads.log"
    OWNER=$(kube get -n onecloud etcdcluster default -o 'jsonpath={.metadata.uid}')
    render "$LAB/workloads/etcd-pod.yaml" | kube apply -f - >>"$STATE/log/workloads.log"
    AVOIDED=$(IFS=,; echo "$DEAD${WORKERS[*]:+,${WORKERS[*]}}")
    render "$LAB/workloads/3-onecloud.yaml" | kube apply -f - >>"$STATE/log/workloads.log"
    wait_until 300 "every pod to be Ready" workloads_ready || die "not every pod is Ready" "see: $LAB/lab status"
    workloads_lie_as_planned
}

workloads_ready() {
    local pods ready
    pods=$(kube get pods -A -o jsonpath='{range .items[*]}{.metadata.name} {.status.phase} {.status.containerStatuses[*].ready}{"\n"}{end}') || return 1
    # Two sets of four, one time series, one glance, a host on each node, one etcd, two stand-ins, and the static pods.
    ready=$(grep -c ' Running true$' <<<"$pods") || true
    ((ready >= 8 + 1 + 1 + ${#NODES[@]} + 1 + 2 + $(static_pods) && ready == $(grep -c . <<<"$pods")))
}

workloads_lie_as_planned() {
    local i set where
    for i in 0 1 2 3; do
        [[ $(node_of onecloud-minio "minio-$i") == "${NAMES[${MINIO_ON[i]}]}" &&
            $(node_of onecloud-monitoring "monitor-minio-$i") == "${NAMES[${MONITOR_MINIO_ON[i]}]}" ]] ||
            die "minio-$i or monitor-minio-$i is not where profile $CLUSTER wants it" "see: $LAB/lab status"
    done
}
node_of() { kube get pod -n "$1" "$2" -o 'jsonpath={.spec.nodeName}'; }

# ocboot, and the key that it logs in with, as on every master of such a cluster.
# Another release of ocboot's on every master, the cloud that it belongs to, and hosts as it wants them: from 3.10 on it asks for four
# processors, and of Debian for version 11 with its old cgroups.
verb_ocboot() {
    (($# == 1)) || { usage >&2; exit 64; }
    local name
    for name in "${MASTERS[@]}"; do
        ! process_of "host-$name" >/dev/null || install_ocboot "$name" "$1"
    done
    for name in "${NAMES[@]}"; do
        ! process_of "host-$name" >/dev/null || suit_ocboot "$name"
    done
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$LAB/ocboot python3 -c 'import sys, releases; print(releases.RELEASES[sys.argv[1]].runs)' "$1" >"$STATE/onecloud"
    kube patch onecloudcluster default -n onecloud --type merge -p "{\"spec\":{\"version\":\"$(<"$STATE/onecloud")\",\"productVersion\":\"FullStack\"}}"
}

suit_ocboot() {
    in_host "$1" sh -c '
        umask 022; mkdir -p /run/lab
        # The kubelet looks for a clock speed in it, too.
        for n in 0 1 2 3; do sed "/^$/q; s/^processor.*/processor : $n/" /proc/cpuinfo; done >/run/lab/cpuinfo
        echo "$(cat /proc/cmdline) systemd.unified_cgroup_hierarchy=0" >/run/lab/cmdline
        for file in cpuinfo cmdline; do umount "/proc/$file" 2>/dev/null; mount --bind "/run/lab/$file" "/proc/$file"; done
        umount /etc/os-release 2>/dev/null; sed "s/^VERSION_ID=.*/VERSION_ID=11/" /etc/os-release >/run/lab/os-release
        mount --bind /run/lab/os-release /etc/os-release'
}

# install_ocboot HOST [RELEASE]: what its people have for it, Ansible among it, is in /usr/local/bin.
install_ocboot() {
    local folder
    folder=$(mktemp -d)
    "$LAB/ocboot/make" "${2:-3.8}" "$folder"
    tar -C "$folder" -c . | in_host "$1" sh -c 'rm -rf /root/ocboot && mkdir -p /root/ocboot && tar -C /root/ocboot --no-same-owner -x'
    rm -rf "$folder"
    in_host "$1" sh -c 'cp /root/ocboot/bin/* /usr/local/bin'
    in_host "$1" sh -c 'umask 077; cat >/root/.ssh/id_rsa' <"$STATE/keys/ocboot"
    in_host "$1" sh -c 'cat >/root/.ssh/id_rsa.pub' <"$STATE/keys/ocboot.pub"
}
