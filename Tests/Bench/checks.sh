# Twenty things that one might look at on a host, most of them by the shell alone.
n=0
look() { n=$((n + 1)); if "$@" >/dev/null 2>&1; then echo "check $n ok: $*"; else echo "check $n not: $*"; fi; }
look test -d /etc
look test -r /etc/os-release
look test -x /bin/sh
look test -d /var/log
look test -e /etc/kubernetes/admin.conf
look test -w /tmp
look test -d /proc/1
look grep -q Mem /proc/meminfo
look test -s /etc/passwd
look test -e /var/run/docker.sock
look test -d /opt/k3s
look uname -r
look test -r /proc/loadavg
look date +%s
look test -d /sys
look df -P /
look test -e /etc/hostname
look test -h /etc/mtab
look test -c /dev/null
look test -d /var/lib
