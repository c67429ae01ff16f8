# A host: namespaces, a root of its own, and a first process. Killing that one is the power cut.
#
#   $STATE/hosts/NAME/disk   a tmpfs: the writable layer over the machine's programs (also etcd's disk: fast on any machine)
#   $STATE/hosts/NAME/data   on the real disk: /var/lib/containerd and /var/lib/kubelet

disk_of() { echo "$STATE/hosts/$1/disk"; }

insert_empty_disk() {
    remove_disk "$1"
    mkdir -p "$STATE/hosts/$1/data" "$(disk_of "$1")"
    mount -t tmpfs -o size=6g,mode=755 "masterswap-lab" "$(disk_of "$1")"
}
remove_disk() {
    local disk
    disk=$(disk_of "$1")
    while mountpoint -q "$disk" 2>/dev/null; do umount "$disk"; done
    rm -rf --one-file-system "$STATE/hosts/$1"
}

# The files that a host finds of its own: written into the environment of host/boot.
start_host() {
    local name=$1 i
    i=$(index_of "$name")
    network_of_host "$name"
    (
        enter_cgroups "$name"
        export LAB_NAME=$name LAB_ADDRESS=${ADDRESSES[i]} LAB_DISK LAB_DATA=$STATE/hosts/$name/data LAB_SHARE=$SHARE
        export LAB_INTERFACE=$INTERFACE LAB_VIP=$VIP LAB_PODS=$POD_NETWORK.$((i + 1)).0/24 LAB_REPOSITORY=$REPOSITORY
        export LAB_HIERARCHIES LAB_DISTRIBUTION=$DISTRIBUTION
        LAB_DISK=$(disk_of "$name")
        LAB_HIERARCHIES=$(hierarchies | xargs)
        start_first_process "$name" unshare --mount --uts --ipc --pid --cgroup --fork --kill-child "$SHARE/host/boot"
    )
}

# start_first_process NAME unshare --pid --fork …: in NAME's network, detached; both processes are recorded: the one that
# unshares, outside, and its child, which is the first inside.
start_first_process() {
    local name=$1
    shift
    (
        exec 9>&-    # the lab's lock is not theirs
        exec setsid nsenter --net="$NETWORKS/$name" -- "$@"
    ) </dev/null >>"$STATE/log/$name.log" 2>&1 &
    record_process "unshare-$name" $!
    wait_until 60 "the first process of $name" record_first_process "$name" || die "$name did not start" "see $STATE/log/$name.log"
}
record_first_process() {
    local parent child
    parent=$(process_of "unshare-$1") || return 1
    read -r child _ < <(echo "$(<"/proc/$parent/task/$parent/children")")
    [[ -n $child && $(readlink "/proc/$child/ns/pid") != "$(readlink /proc/self/ns/pid)" ]] || return 1
    record_process "host-$1" "$child"
}

# At once and from outside: first nothing goes over the cable any more, then every process is dead.
cut_power() {
    disconnect "${ADDRESSES[$(index_of "$1")]}"
    end_process "host-$1"
    end_process "unshare-$1"
    remove_namespace "$1"
    remove_cgroups "$1"
}

in_host() {
    local name=$1 pid
    shift
    pid=$(process_of "host-$name") || die "$name has no power" "next: $LAB/lab power-on $name"
    nsenter --target "$pid" --mount --uts --ipc --net --pid --cgroup -- /usr/bin/env -i TERM="${TERM:-dumb}" HOME=/root \
        PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin$IN_HOST_TOOLS" KUBECONFIG="$ADMIN_KUBECONFIG" "$@"
}
host_answers() { in_host "$1" test -e /run/lab/ready; }
wait_for_host() {
    wait_until 180 "sshd and containerd on $1" host_answers "$1" ||
        die "$1 does not come up" "see $STATE/log/$1.log, or: $LAB/lab shell $1"
}

# The admin's machine: the tool runs here, in a network that ends at the bridge. It sees the machine's files, but its own
# home: ssh takes the home from /etc/passwd, everything else from HOME.
ADMIN_HOME=$STATE/admin/home
admin_up() {
    mkdir -p "$STATE/admin/etc"
    mkdir -p -m 700 "$ADMIN_HOME/.ssh"
    sed "s|^root:.*|root:x:0:0:root:$ADMIN_HOME:/bin/bash|" /etc/passwd >"$STATE/admin/etc/passwd"
    hosts_file >"$STATE/admin/etc/hosts"
    cp "$STATE/keys/admin" "$ADMIN_HOME/.ssh/id_ed25519"
    cp "$STATE/keys/admin.pub" "$ADMIN_HOME/.ssh/id_ed25519.pub"
    # shellcheck disable=SC2016
    start_first_process admin unshare --mount --pid --fork --kill-child bash -c '
        set -e
        mount --make-rprivate /
        mount -t proc proc /proc
        # Over the whole of /etc: a mount on one file is gone as soon as somebody replaces that file (adduser does).
        mount -t overlay overlay -o "lowerdir=$1/etc:/etc" /etc
        : >"$1/ready"
        trap : TERM INT HUP
        while :; do sleep 3600 & wait; done' admin "$STATE/admin"
    wait_until 60 "the admin's machine" test -e "$STATE/admin/ready" || die "no admin's machine" "see $STATE/log/admin.log"
}
in_admin() {
    local pid folder=$PWD
    pid=$(process_of host-admin) || die "the admin's machine is not running" "next: $LAB/lab up"
    HOME=$ADMIN_HOME MASTERSWAP_DB_PASSWORD=$DATABASE_PASSWORD SSH_AUTH_SOCK= \
        nsenter --target "$pid" --mount --net --pid -- bash -c 'cd "$1" && shift && exec "$@"' admin "$folder" "$@"
}

hosts_file() {
    local i
    echo "127.0.0.1 localhost"
    for i in "${!NAMES[@]}"; do echo "${ADDRESSES[i]} ${NAMES[i]}"; done
}

# Trust: the admin's key and ocboot's (each master has it) open every host; all know the hosts' keys of the first start.
make_keys() {
    mkdir -p -m 700 "$STATE/keys"
    [[ -e $STATE/keys/admin ]] || ssh-keygen -q -t ed25519 -N '' -C admin -f "$STATE/keys/admin"
    [[ -e $STATE/keys/ocboot ]] || ssh-keygen -q -t rsa -b 2048 -N '' -C ocboot -f "$STATE/keys/ocboot"
    cat "$STATE/keys/admin.pub" "$STATE/keys/ocboot.pub" >"$SHARE/authorized_keys"
    hosts_file >"$SHARE/hosts"
}
known_hosts() {
    local i file
    for i in "${!NAMES[@]}"; do
        for file in "$(disk_of "${NAMES[i]}")"/upper/etc/ssh/ssh_host_*_key.pub; do
            echo "${ADDRESSES[i]},${NAMES[i]} $(cut -d' ' -f1,2 "$file")"
        done
    done
}
distribute_known_hosts() {
    local name
    known_hosts >"$ADMIN_HOME/.ssh/known_hosts"
    for name in "${MASTERS[@]}"; do in_host "$name" sh -c 'cat >/root/.ssh/known_hosts' <"$ADMIN_HOME/.ssh/known_hosts"; done
}
