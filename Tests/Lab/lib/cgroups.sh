# cgroup v1: what Kubernetes 1.20 needs. The hierarchies are mounted under the state folder, whatever the machine mounts
# where, and each host gets a cgroup of its own in each, which is the root of its cgroup namespace.

CGROUPS=$STATE/cgroup
CGROUP_PARENT=masterswap-lab-$(cksum <<<"$STATE" | cut -d' ' -f1)

# Prints one hierarchy a line, as mount options: controllers that the machine mounts together stay together.
hierarchies() {
    local controller group
    for controller in cpu cpuacct cpuset memory devices freezer blkio pids; do
        group=$(awk -F: -v c="$controller" '{ n = split($2, a, ","); for (i = 1; i <= n; i++) if (a[i] == c) print $2 }' /proc/self/cgroup)
        echo "${group:-$controller}"
    done | sort -u
    echo none,name=systemd
}

cgroups_up() {
    local options folder
    for options in $(hierarchies); do
        folder=$CGROUPS/${options#none,name=}
        mkdir -p "$folder"
        mountpoint -q "$folder" || mount -t cgroup -o "$options" cgroup "$folder" 2>/dev/null || die \
            "this kernel does not give out the cgroup v1 controller '$options'; Kubernetes 1.20 needs version 1" \
            "where the machine runs on cgroup v2 alone, start it with systemd.unified_cgroup_hierarchy=0 on the kernel's command line"
        mkdir -p "$folder/$CGROUP_PARENT"
        inherit_cpus "$folder" "$folder/$CGROUP_PARENT"
    done
}

inherit_cpus() {
    local file
    for file in cpuset.cpus cpuset.mems; do
        [[ ! -e $2/$file ]] || cat "$1/$file" >"$2/$file"
    done
}

# Puts this process into the cgroups of the host.
enter_cgroups() {
    local folder
    for folder in "$CGROUPS"/*/"$CGROUP_PARENT"; do
        mkdir -p "$folder/$1"
        inherit_cpus "$folder" "$folder/$1"
        echo "$BASHPID" >"$folder/$1/cgroup.procs"
    done
}

remove_cgroups() {
    local folder
    for folder in "$CGROUPS"/*/"$CGROUP_PARENT${1:+/$1}"; do
        [[ ! -d $folder ]] || wait_until 60 "the processes in $folder to end" remove_cgroup_tree "$folder"
    done
}
remove_cgroup_tree() { [[ ! -d $1 ]] || find "$1" -depth -type d -exec rmdir {} + ; }

cgroups_down() {
    local folder
    remove_cgroups
    for folder in "$CGROUPS"/*; do
        while mountpoint -q "$folder"; do umount "$folder"; done
    done
}
