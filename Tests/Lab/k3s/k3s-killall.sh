#!/bin/sh
# Stand-in for k3s' own script of that name: stops its services, kills the containers that they leave running, and removes their mounts
# and interfaces. As with the real one, an address that keepalived had stays on its interface.
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"
for unit in /etc/systemd/system/k3s*.service; do
    [ -s "$unit" ] && systemctl stop "$(basename "$unit")"
done
tree() {
    for parent in "$@"; do
        echo "$parent"
        tree $(ps -e -o ppid= -o pid= | awk -v parent="$parent" '$1 == parent { print $2 }')
    done
}
shims=$(ps -e -o pid= -o args= | awk '$2 ~ "^(/var/lib/rancher/k3s/data/[^/]*/bin|/opt/lab/programs)/containerd-shim" { print $1 }')
[ -z "$shims" ] || kill -9 $(tree $shims) 2>/dev/null
for place in /run/k3s/containerd /var/lib/kubelet/pods /run/netns/cni-; do
    awk -v place="$place" 'index($2, place) == 1 { print $2 }' /proc/self/mounts | sort -r | while read -r mounted; do
        umount -f "$mounted" && rm -rf "$mounted"
    done
done
ip link delete cni0 2>/dev/null
rm -rf /var/lib/cni /run/cni-addresses
true
