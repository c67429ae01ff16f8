# A cluster of k3s' shape: the stand-in for k3s on every master, put there as ocboot's roles do it (Tests/Lab/k3s).

K3S_TOKEN=mytoken@yunionio    # ocboot's own, the same in every cluster that it makes

# What is in k3s itself, and so on no host of its cluster: bound into each as /opt/lab/programs.
gather_programs() {
    local etcd=/usr/bin program
    [[ -z $ETCD ]] || etcd=$("$LAB/fetch-etcd" "$ETCD")
    mkdir -p "$SHARE/programs"
    for program in /usr/bin/{containerd,containerd-shim-runc-v2,ctr,runc} "$etcd"/{etcd,etcdctl,etcdutl}; do
        [[ ! -e $program ]] || cp -L "$program" "$SHARE/programs/"
    done
}

# k3s_on HOST STATE ROLE
k3s_on() {
    wait_for_host "$1"
    in_host "$1" /opt/lab/k3s/install NODE_ADDRESS="$(address_of "$1")" VIP="$VIP" REPOSITORY="$REPOSITORY" CLUSTER_CIDR="$POD_NETWORK.0.0/16" \
        SERVICE_CIDR="$SERVICE_NETWORK" TOKEN="$K3S_TOKEN" STATE="$2" ROLE="$3" START=yes >>"$STATE/log/k3s-$1.log" 2>&1 ||
        die "k3s does not come up on $1" "see $STATE/log/k3s-$1.log; and /var/log/k3s.log and k3s-etcd.log in: $LAB/lab shell $1"
}

k3s_cluster_up() {
    local name
    ((${#WORKERS[@]} == 0)) || die "a cluster of k3s has no workers here"
    say "k3s server --cluster-init on $PRIMARY"
    in_host "$PRIMARY" ip addr add "$VIP/32" dev "$INTERFACE"
    k3s_on "$PRIMARY" MASTER --cluster-init
    for name in "${MASTERS[@]:1}"; do
        say "k3s server --server https://$VIP:6443 on $name"
        k3s_on "$name" BACKUP "--server https://$VIP:6443"
    done
    # As if a noon had passed: k3s takes one by itself at 0:00 and 12:00, on each master.
    for name in "${MASTERS[@]}"; do in_host "$name" k3s etcd-snapshot save --name etcd-snapshot 2>>"$STATE/log/k3s-$name.log"; done
}
