# What every part of the lab uses: where things are, the profile, waiting, and saying what went wrong.

STATE=${MASTERSWAP_LAB:-/var/lib/masterswap-lab}
STATE=$(realpath -m -- "$STATE")
SHARE=$STATE/share              # bound read-only into every host as /opt/lab
KUBERNETES_VERSION=v1.20.2
REPOSITORY=registry.cn-beijing.aliyuncs.com/yunionio   # image names only: nothing is ever pulled
SERVICE_NETWORK=10.96.0.0/12
SERVICE_ADDRESS=10.96.0.1       # the service "kubernetes"

say() { printf 'lab: %s\n' "$*" >&2; }
die() { printf 'lab: %s\n' "$@" >&2; exit 1; }

# wait_until SECONDS WHAT COMMAND...: polls until the command succeeds.
wait_until() {
    local limit=$1 what=$2 end=$((SECONDS + $1))
    shift 2
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { say "waited ${limit} s in vain for: $what"; return 1; }
        sleep 0.3
    done
}

# Processes are known by pid and start time, so that a number used again by another process is never killed.
started_at() { sed -e 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
record_process() { printf '%s %s\n' "$2" "$(started_at "$2")" >"$STATE/run/$1"; }
process_of() {
    local pid start
    read -r pid start 2>/dev/null <"$STATE/run/$1" || return 1
    [[ -n $start && $(started_at "$pid") == "$start" ]] || return 1
    echo "$pid"
}
end_process() {
    local pid
    pid=$(process_of "$1") || { rm -f "$STATE/run/$1"; return 0; }
    kill -KILL "$pid" 2>/dev/null || true
    wait_until 60 "the end of process $pid ($1)" gone "$1"
    rm -f "$STATE/run/$1"
}
gone() { ! process_of "$1"; }

# The profile of the lab that is up, or the one asked for.
load_profile() {
    local file=$1
    [[ -f $file ]] || file=$LAB/profiles/$1
    [[ -f $file ]] || die "no profile '$1'" "there are: $(ls "$LAB/profiles" | xargs)"
    WORKERS=() ETCD= DISTRIBUTION=kubeadm ONECLOUD=v3.8.8
    # shellcheck source=/dev/null
    source "$file"
    PROFILE_FILE=$file
    PRIMARY=${NAMES[0]}
    SPARE=${NAMES[-1]}
    NODES=("${NAMES[@]:0:${#NAMES[@]}-1}")    # the masters first, then the workers
    MASTERS=("${NODES[@]:0:${#NODES[@]}-${#WORKERS[@]}}")
    # The lab's own tools, which a host with k3s has not, come last in the path of what the lab itself runs there.
    ADMIN_KUBECONFIG=/etc/kubernetes/admin.conf IN_HOST_TOOLS=
    ! is_k3s || ADMIN_KUBECONFIG=/etc/rancher/k3s/k3s.yaml IN_HOST_TOOLS=:/opt/lab/kubernetes:/opt/lab/programs
    [[ "${NODES[*]:${#MASTERS[@]}}" == "${WORKERS[*]}" ]] ||
        die "profile '$1': the workers must stand in NAMES after the masters, right before the spare" "names: ${NAMES[*]}; workers: ${WORKERS[*]}"
}
is_k3s() { [[ $DISTRIBUTION == k3s ]]; }
is_worker() { [[ " ${WORKERS[*]} " == *" $1 "* ]]; }
require_lab() {
    [[ -f $STATE/profile ]] || die "no lab is up (state would be in $STATE)" "next: $LAB/lab up"
    load_profile "$STATE/profile"
}
require_root() { ((EUID == 0)) || die "the lab makes namespaces and mounts: run it as root (sudo $LAB/lab …)"; }

index_of() {
    local i
    for i in "${!NAMES[@]}"; do
        [[ $1 == "${NAMES[i]}" || $1 == "${ADDRESSES[i]}" ]] && { echo "$i"; return 0; }
    done
    die "no host '$1' in this lab" "there are: ${NAMES[*]}"
}
address_of() { echo "${ADDRESSES[$(index_of "$1")]}"; }

# render FILE: the file with every @NAME@ replaced by the shell variable of that name.
render() {
    local text name
    text=$(<"$1")
    while [[ $text =~ @([A-Z_]+)@ ]]; do
        name=${BASH_REMATCH[1]}
        [[ -v $name ]] || die "$1 names @$name@, which no profile sets"
        text=${text//"@$name@"/"${!name}"}
    done
    printf '%s\n' "$text"
}
