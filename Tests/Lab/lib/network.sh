# The network: a namespace per host, all of them on one bridge in a namespace of its own. No route leads out of it.

NETWORKS=$STATE/net

make_namespace() {
    mkdir -p "$NETWORKS"
    : >"$NETWORKS/$1"
    unshare --net="$NETWORKS/$1" true
    in_network "$1" ip link set lo up
}
in_network() { local name=$1; shift; nsenter --net="$NETWORKS/$name" -- "$@"; }
remove_namespace() {
    [[ -e $NETWORKS/$1 ]] || return 0
    while mountpoint -q "$NETWORKS/$1"; do umount "$NETWORKS/$1"; done
    rm -f "$NETWORKS/$1"
}

# connect NAMESPACE INTERFACE ADDRESS: a cable from the namespace to the bridge. The MAC follows from the address, as a
# machine that is installed again keeps its own.
connect() {
    local port mac
    port=p$(tr . - <<<"${3#*.*.}")
    mac=$(printf '02:6c:%02x:%02x:%02x:%02x' ${3//./ })
    in_network bridge ip link del "$port" 2>/dev/null || true
    in_network bridge ip link add "$port" type veth peer name "$2" address "$mac" netns "$NETWORKS/$1"
    in_network bridge ip link set "$port" master bridge0 up
    in_network "$1" ip addr add "$3/$PREFIX" brd + dev "$2"
    in_network "$1" ip link set "$2" up
}
disconnect() { in_network bridge ip link del "p$(tr . - <<<"${1#*.*.}")" 2>/dev/null || true; }

network_up() {
    make_namespace bridge
    # With an address of its own: else it takes the lowest of its cables' ones, so another one when that host's power is cut,
    # and for ten seconds who knew the old one reaches neither the database nor the gateway.
    in_network bridge ip link add bridge0 address 02:6c:00:00:00:01 type bridge mcast_snooping 0
    # Nothing of the machine's firewall modules may look at what crosses the bridge.
    in_network bridge sh -c 'for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e "$f" ] || echo 0 >"$f"; done'
    in_network bridge ip addr add "$DATABASE_ADDRESS/$PREFIX" brd + dev bridge0
    in_network bridge ip addr add "$GATEWAY/$PREFIX" brd + dev bridge0
    in_network bridge ip link set bridge0 up
    # kubeadm wants a default route on every host. It ends here: what is not in this network is unreachable, said at once.
    in_network bridge ip route add unreachable default
    in_network bridge sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
    make_namespace admin
    connect admin "$INTERFACE" "$ADMIN_ADDRESS"

    # Stand-in for the database outside of the cluster: a port that can be reached.
    start_first_process bridge unshare --pid --fork --kill-child --mount-proc \
        socat TCP-LISTEN:3306,fork,reuseaddr SYSTEM:'printf 5.7.0-stand-in'
}

# What a host's network namespace holds beside its cable: the routes to the others' pods, and the service "kubernetes",
# which stands in for kube-proxy: one address, translated to the API behind the VIP.
network_of_host() {
    local name=$1 i own
    own=$(index_of "$name")
    make_namespace "$name"
    connect "$name" "$INTERFACE" "${ADDRESSES[own]}"
    in_network "$name" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
    for i in "${!NAMES[@]}"; do
        ((i == own)) || in_network "$name" ip route add "$POD_NETWORK.$((i + 1)).0/24" via "${ADDRESSES[i]}"
    done
    in_network "$name" ip route add default via "$GATEWAY"
    for i in PREROUTING OUTPUT; do
        in_network "$name" iptables -w -t nat -A "$i" -d "$SERVICE_ADDRESS" -p tcp --dport 443 -j DNAT --to-destination "$VIP:6443"
    done
}

network_down() {
    local file
    for file in "$NETWORKS"/*; do
        [[ -e $file ]] && remove_namespace "${file##*/}"
    done
    return 0
}
