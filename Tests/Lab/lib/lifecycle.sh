# The verbs: up and down, power, and what they tell.

# Settings of the whole machine that a lab changes, and kubelets change: kept by the first lab, put back by the last one's
# `down`. A file for each lab that is up stands beside them.
SETTINGS=(fs/inotify/max_user_instances fs/inotify/max_user_watches vm/overcommit_memory vm/panic_on_oom kernel/panic
    kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes)
KEPT=/run/masterswap-lab-settings
keep_settings() {
    local name
    mkdir -p "$KEPT"
    [[ -e $KEPT/values ]] || for name in "${SETTINGS[@]}"; do echo "$name $(<"/proc/sys/$name")"; done >"$KEPT/values"
    echo "$STATE" >"$KEPT/$CGROUP_PARENT"
    echo 8192 >/proc/sys/fs/inotify/max_user_instances
    (($(</proc/sys/fs/inotify/max_user_watches) >= 524288)) || echo 524288 >/proc/sys/fs/inotify/max_user_watches
}
restore_settings() {
    local name value others
    [[ -e $KEPT/$CGROUP_PARENT ]] || return 0
    rm "$KEPT/$CGROUP_PARENT"
    others=("$KEPT"/masterswap-lab-*)
    ((${#others[@]} == 0)) || return 0
    while read -r name value; do
        [[ $(<"/proc/sys/$name") == "$value" ]] || echo "$value" >"/proc/sys/$name"
    done <"$KEPT/values"
    rm -r "$KEPT"
}

verb_up() {
    local profile=runbook kubernetes started=$SECONDS name
    while (($#)); do
        case $1 in
            --profile) profile=${2:?--profile wants a name or a file}; shift ;;
            --profile=*) profile=${1#*=} ;;
            *) usage >&2; exit 64 ;;
        esac
        shift
    done
    load_profile "$profile"
    if [[ -e $STATE/up ]] && cmp -s "$PROFILE_FILE" "$STATE/profile" && lab_is_whole; then
        say "is up already (profile $CLUSTER)"
        return
    fi
    "$LAB/../install-packages" "$LAB/packages"
    kubernetes=$("$LAB/build-kubernetes")
    started=$SECONDS
    [[ ! -e $STATE ]] || { say "clearing away the lab that was here"; take_down; }
    load_profile "$profile"

    mkdir -p -m 755 "$STATE" "$SHARE" "$STATE"/{run,log,hosts,admin}
    cp "$PROFILE_FILE" "$STATE/profile"
    keep_settings
    trap 'status=$?; ((status == 0)) || say "up failed; what is there stays for you to look at. next: $LAB/lab status, then $LAB/lab down"' EXIT

    cp -r "$LAB/host" "$LAB/ocboot" "$LAB/k3s" "$SHARE/"
    ! is_k3s || gather_programs
    mkdir -p "$SHARE/kubernetes"
    mount --bind -o ro "$kubernetes" "$SHARE/kubernetes"
    make_keys
    network_up
    cgroups_up
    build_images "$kubernetes"
    admin_up
    for name in "${NAMES[@]}"; do
        insert_empty_disk "$name"
        start_host "$name"
        [[ $name != "$PRIMARY" ]] || wait_for_host "$name"
    done
    if is_k3s; then k3s_cluster_up; else cluster_up; fi
    wait_for_host "$SPARE"
    if is_k3s; then
        for name in "${NAMES[@]}"; do suit_ocboot "$name"; done
        for name in "${MASTERS[@]}"; do install_ocboot "$name" k3s; done
    else
        for name in "${MASTERS[@]}"; do install_ocboot "$name"; done
    fi
    distribute_known_hosts
    wait_until 240 "${#NODES[@]} Ready nodes" nodes_ready || die "not all nodes are Ready" "see: $LAB/lab host $PRIMARY -- kubectl get nodes"
    workloads_up
    wait_until 240 "the pods of kube-system to be ready" system_pods_ready || die "kube-system is not well" "see: $LAB/lab status"
    [[ $(vip_holders) == "$PRIMARY" ]] || die "the VIP $VIP is on '$(vip_holders | xargs)', not on $PRIMARY alone"
    : >"$STATE/up"
    say "up after $((SECONDS - started)) s: $CLUSTER, VIP $VIP on $PRIMARY; bare: $SPARE"
}

lab_is_whole() {
    local name
    for name in "${NAMES[@]}" admin; do process_of "host-$name" >/dev/null || return 1; done
    nodes_ready && [[ ! -e $STATE/changed ]]
}

verb_down() {
    local started=$SECONDS
    [[ -e $STATE ]] || { rm -f "$STATE.lock"; say "nothing is up"; return; }
    take_down
    rm -f "$STATE.lock"
    say "down after $((SECONDS - started)) s"
}
take_down() {
    local file name
    [[ ! -f $STATE/profile ]] || load_profile "$STATE/profile"
    for file in "$STATE"/run/host-* "$STATE"/run/unshare-*; do end_process "${file##*/}"; done
    network_down
    cgroups_down
    for file in "$STATE"/hosts/*; do remove_disk "${file##*/}"; done
    while mountpoint -q "$SHARE/kubernetes" 2>/dev/null; do umount "$SHARE/kubernetes"; done
    restore_settings
    rm -rf --one-file-system "$STATE"
}

verb_power_cut() {
    (($# == 1)) || { usage >&2; exit 64; }
    require_lab
    local name
    name=${NAMES[$(index_of "$1")]}
    process_of "host-$name" >/dev/null || { say "$name has no power already"; return; }
    : >"$STATE/changed"
    cut_power "$name"
    say "$name is dead"
}

verb_power_on() {
    require_lab
    local name keep=false word
    for word in "$@"; do
        case $word in
            --keep-disk) keep=true ;;
            --empty-disk) keep=false ;;
            -*) usage >&2; exit 64 ;;
            *) name=${NAMES[$(index_of "$word")]} ;;
        esac
    done
    [[ -v name ]] || { usage >&2; exit 64; }
    ! process_of "host-$name" >/dev/null || die "$name has power" "next: $LAB/lab power-cut $name"
    : >"$STATE/changed"
    cut_power "$name"    # what a half start may have left
    $keep || insert_empty_disk "$name"
    start_host "$name"
    wait_for_host "$name"
    # What ocboot asks of a machine does not depend on its disk.
    ! is_k3s || suit_ocboot "$name"
    if $keep; then say "$name is on again, as it was"; else say "$name is on, with an empty disk and new host keys"; fi
}

verb_status() {
    local name state
    echo "state: $STATE   profile: $CLUSTER   VIP $VIP on: $(vip_holders | xargs)"
    for name in "${NAMES[@]}"; do
        state=off
        process_of "host-$name" >/dev/null && state=on
        printf '%-24s %-16s power %s\n' "$name" "$(address_of "$name")" "$state"
    done
    for name in "${NAMES[@]}"; do
        process_of "host-$name" >/dev/null && in_host "$name" test -e "$ADMIN_KUBECONFIG" || continue
        KUBE_HOST=$name kube --request-timeout 5s get nodes && KUBE_HOST=$name kube get pods -A -o wide && break
    done
    return 0
}

verb_env() {
    local name
    for name in STATE CLUSTER DISTRIBUTION VIP INTERFACE ROUTER_ID PRIMARY SPARE DEAD ADMIN_HOME ADMIN_ADDRESS DATABASE_ADDRESS NAMES ADDRESSES MASTERS WORKERS; do
        # shellcheck disable=SC2001
        declare -p "$name" | sed -E 's/^declare -[-a-z]+ ([A-Z_]+)=/LAB_\1=/'
    done
    echo "LAB_LOG=$STATE/log"
}

# There is one clock for the whole machine: what differs is what `date` says on the host, to people and to programs over ssh.
verb_clock() {
    (($# == 2)) && [[ $2 =~ ^[+-]?[0-9]+$ ]] || { usage >&2; exit 64; }
    local name
    name=${NAMES[$(index_of "$1")]}
    if (($2 == 0)); then in_host "$name" rm -f /usr/local/bin/date; return; fi
    sed "s/@OFFSET@/$2/" "$LAB/host/date" | in_host "$name" sh -c 'cat >/usr/local/bin/date; chmod 755 /usr/local/bin/date'
}

# How long, or for ever, the finalizers stay that k3s puts on a node, after it was deleted.
verb_finalizers() {
    is_k3s || die "only nodes of k3s have such finalizers" "next: $LAB/lab up --profile k3s"
    (($# == 1)) && [[ $1 =~ ^(hold|free|[0-9]+)$ ]] || { usage >&2; exit 64; }
    local name
    for name in "${NAMES[@]}"; do
        process_of "host-$name" >/dev/null || continue
        if [[ $1 == free ]]; then in_host "$name" rm -f /run/lab/k3s-finalizers; else in_host "$name" sh -c 'echo "$1" >/run/lab/k3s-finalizers' sh "$1"; fi
    done
}

# /usr/local/bin stands before /usr/bin, where the lab's own is, for people and for programs over ssh.
verb_kubectl() {
    (($# == 1)) || { usage >&2; exit 64; }
    local name program link=/usr/local/bin/kubectl
    # There kubectl is k3s, which looks here.
    ! is_k3s || link=/etc/lab/kubectl
    if [[ $1 != own ]]; then
        program=$("$LAB/fetch-kubectl" "$1")
        mkdir -p "$SHARE/kubectl"
        [[ -e $SHARE/kubectl/$1 ]] || cp "$program" "$SHARE/kubectl/$1"
    fi
    for name in "${NAMES[@]}"; do
        process_of "host-$name" >/dev/null || continue
        if [[ $1 == own ]]; then in_host "$name" rm -f "$link"; else in_host "$name" ln -sfn "/opt/lab/kubectl/$1" "$link"; fi
    done
}
