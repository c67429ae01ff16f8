#!/bin/sh
# Stand-in for k3s' own script of that name. As with the real one, /etc/rancher/node stays.
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"
/usr/local/bin/k3s-killall.sh
systemctl disable k3s
rm -f /etc/systemd/system/k3s.service /etc/systemd/system/k3s.service.env
systemctl daemon-reload
for link in kubectl crictl ctr; do
    [ ! -L "/usr/local/bin/$link" ] || rm -f "/usr/local/bin/$link"
done
# Here /var/lib/kubelet is a mount: it stays, empty.
rm -rf /etc/rancher/k3s /run/k3s /var/lib/rancher/k3s /var/lib/kubelet 2>/dev/null
rm -f /usr/local/bin/k3s /usr/local/bin/k3s-killall.sh /usr/local/bin/k3s-uninstall.sh
true
