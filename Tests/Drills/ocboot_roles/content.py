"""What a host of a cluster has on it before the join, as far as ocboot's roles look at it or change it."""

KEEPALIVED = """apiVersion: v1
kind: Pod
metadata:
  name: keepalived
  namespace: kube-system
spec:
  containers:
  - name: keepalived
    image: registry.example/yunionio/keepalived:v2.0.25
    env:
    - name: KEEPALIVED_PRIORITY
      value: "90"
    - name: KEEPALIVED_STATE
      value: BACKUP
"""
API_SERVER = """apiVersion: v1
kind: Pod
metadata:
  name: kube-apiserver
  namespace: kube-system
spec:
  containers:
  - command:
    - kube-apiserver
    - --tls-cert-file=/etc/kubernetes/pki/apiserver.crt
    - --tls-private-key-file=/etc/kubernetes/pki/apiserver.key
    image: registry.example/yunionio/kube-apiserver:v1.15.12
"""
EVERY = {
    "/etc/yunion/host.conf": "# written by the operator of this host\nnetworks:\n- eth0/br0/ADDRESS\nlocal_image_path:\n- /data/images\n",
    "/usr/lib/systemd/system/firewalld.service": "[Unit]\nDescription=firewalld\n",
    "/etc/sysctl.conf": "net.ipv4.ip_forward = 1\n",
    "/etc/default/grub": 'GRUB_DEFAULT=saved\nGRUB_CMDLINE_LINUX="quiet"\n',
    "/etc/grub2.cfg": "menuentry 'CentOS Linux (3.10.0-1160.el7.x86_64)'\nmenuentry 'CentOS Linux (3.10.0-1160.6.1.el7.yn20201125.x86_64)'\n",
    "/boot/vmlinuz-3.10.0-1160.6.1.el7.yn20201125.x86_64": "",
    "/etc/modprobe.d/kvm.conf": "",
}
KUBEADM = {
    "/etc/kubernetes/kubelet.conf": "apiVersion: v1\nkind: Config\n",
    "/etc/kubernetes/admin.conf": "apiVersion: v1\nkind: Config\n",
    "/etc/kubernetes/manifests/kube-apiserver.yaml": API_SERVER,
    "/etc/kubernetes/manifests/keepalived.yaml": KEEPALIVED,
    "/etc/docker/daemon.json": '{"insecure-registries": ["registry.example"], "data-root": "/data/docker"}\n',
    "/etc/sysconfig/kubelet": 'KUBELET_EXTRA_ARGS="--max-pods=200"\n',
}
K3S = {
    "/var/lib/rancher/k3s/agent/pod-manifests/keepalived.yaml": KEEPALIVED,
    "/etc/rancher/k3s/config.yaml": "cluster-cidr: 10.41.0.0/16\nkubelet-arg:\n- max-pods=200\n",
    "/etc/rancher/k3s/k3s.yaml": "apiVersion: v1\nkind: Config\n",
    "/etc/systemd/system/k3s.service": "[Service]\nExecStart=/usr/local/bin/k3s server\n",
    "/etc/systemd/system/k3s.service.env": "HTTPS_PROXY=http://proxy.example:3128\n",
    "/var/lib/rancher/k3s/server/manifests/calico.yaml": "# as it was installed\n",
    "/var/lib/rancher/k3s/server/manifests/traefik-config.yaml": "# as it was installed\n",
    "/root/.kube/config": "apiVersion: v1\nkind: Config\n",
}


def fill(host, distribution, launcher):
    """A new host has only the operating system, and on k3s not even its program."""
    if host.is_new:
        return
    for path, text in {**EVERY, **(K3S if distribution == "k3s" else KUBEADM)}.items():
        host.write(path, text.replace("ADDRESS", host.address), 0o600 if "kube" in path else 0o644)
    if distribution == "k3s":
        host.write("/usr/local/bin/k3s", "#!/bin/sh\n# of the cluster\n" + launcher, 0o755)
