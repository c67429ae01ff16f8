"""What is inside of the one process of k3s: containerd, etcd, the API server and the rest, as children here."""

import glob
import os
import re
import shutil
import subprocess
import time

from host import AGENT, BIN, CONTAINERD, KUBERNETES, NODE, PROGRAMS, SERVER, TLS, die_with_parent, fatal, listed, read, write


class Children:
    """All end with this process; the end of one ends all, as the parts of k3s are one process."""

    def __init__(self):
        self.all = {}

    def start(self, name, program, *words, output=None):
        # A name that pidof does not take for the program's own: in k3s these are no processes.
        part = f"{BIN}/{name}"
        if not os.path.lexists(part):
            os.symlink(program, part)
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
        self.all[name] = subprocess.Popen([part, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=die_with_parent, env=environment)
        return self.all[name]

    def ended(self):
        return next((name for name, process in self.all.items() if process.poll() is not None), None)

    def stop(self):
        for process in self.all.values():
            process.terminate()
        for process in self.all.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def was_removed():
    """etcd's own words, at its end, where the others have removed its member."""
    return re.search(r"permanently removed|removed from the cluster|member is removed", read("/var/log/k3s-etcd.log")) is not None


def start_containerd(children, options):
    # The snapshots of containers cannot lie on the host's own root here: it is an overlay itself.
    root, disk = f"{AGENT}/containerd", "/media/disk/containerd"
    if not os.path.lexists(root):
        for name in os.listdir(disk):
            path = f"{disk}/{name}"
            shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.remove(path)
        os.symlink(disk, root)
    sandbox = options.get("pause-image", "pause:3.1")
    write(f"{AGENT}/etc/containerd/config.toml", f"""version = 2
root = "{root}"
state = "/run/k3s/containerd"
[grpc]
  address = "{CONTAINERD}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{BIN}/runc"
      SystemdCgroup = false
""")
    output = open(f"{AGENT}/containerd/containerd.log", "a")
    children.start("containerd", f"{PROGRAMS}/containerd", "--config", f"{AGENT}/etc/containerd/config.toml", output=output)
    ctr = [f"{PROGRAMS}/ctr", "--address", CONTAINERD, "--namespace", "k8s.io"]
    while subprocess.run([*ctr, "version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        if children.ended():
            fatal("containerd exited")
        time.sleep(0.2)
    for archive in glob.glob(f"{AGENT}/images/*.tar"):
        mark = f"{disk}/imported-{os.path.basename(archive)}"
        if not os.path.exists(mark) and subprocess.run([*ctr, "images", "import", archive], stdout=subprocess.DEVNULL).returncode == 0:
            open(mark, "w").close()


def start_kubernetes(children, options, address):
    def given(part):
        return [f"--{word}" for word in listed(options.get(f"{part}-arg"))]
    children.start(
        "part-apiserver", f"{KUBERNETES}/kube-apiserver", "--advertise-address", address, "--secure-port", "6443",
        "--etcd-servers", "https://127.0.0.1:2379", "--etcd-cafile", f"{TLS}/etcd/server-ca.crt", "--etcd-certfile", f"{TLS}/etcd/client.crt",
        "--etcd-keyfile", f"{TLS}/etcd/client.key", "--client-ca-file", f"{TLS}/client-ca.crt", "--tls-cert-file", f"{TLS}/serving-kube-apiserver.crt",
        "--tls-private-key-file", f"{TLS}/serving-kube-apiserver.key", "--kubelet-client-certificate", f"{TLS}/client-kube-apiserver.crt",
        "--kubelet-client-key", f"{TLS}/client-kube-apiserver.key", "--kubelet-certificate-authority", f"{TLS}/server-ca.crt",
        "--kubelet-preferred-address-types", "InternalIP,Hostname", "--service-account-key-file", f"{TLS}/service.key",
        "--service-account-signing-key-file", f"{TLS}/service.current.key", "--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
        "--api-audiences", "https://kubernetes.default.svc.cluster.local,k3s", "--requestheader-client-ca-file", f"{TLS}/request-header-ca.crt",
        "--requestheader-allowed-names", "system:auth-proxy", "--requestheader-extra-headers-prefix", "X-Remote-Extra-",
        "--requestheader-group-headers", "X-Remote-Group", "--requestheader-username-headers", "X-Remote-User",
        "--proxy-client-cert-file", f"{TLS}/client-auth-proxy.crt", "--proxy-client-key-file", f"{TLS}/client-auth-proxy.key",
        "--authorization-mode", "Node,RBAC", "--allow-privileged=true", "--anonymous-auth=false", "--profiling=false",
        "--service-cluster-ip-range", options.get("service-cidr", "10.43.0.0/16"), "--audit-log-path", "/var/log/kubernetes/audit.log",
        "--audit-policy-file", "/opt/lab/host/audit-policy.yaml", *given("kube-apiserver"))


def start_agents(children, options, address):
    def given(part):
        return [f"--{word}" for word in listed(options.get(f"{part}-arg"))]
    children.start(
        "part-controllers", f"{KUBERNETES}/kube-controller-manager", "--kubeconfig", f"{SERVER}/cred/controller.kubeconfig",
        "--authentication-kubeconfig", f"{SERVER}/cred/controller.kubeconfig", "--authorization-kubeconfig", f"{SERVER}/cred/controller.kubeconfig",
        "--service-account-private-key-file", f"{TLS}/service.current.key", "--root-ca-file", f"{TLS}/server-ca.crt",
        "--use-service-account-credentials", "--bind-address", "127.0.0.1", "--profiling=false", *given("kube-controller-manager"))
    children.start(
        "part-scheduler", f"{KUBERNETES}/kube-scheduler", "--kubeconfig", f"{SERVER}/cred/scheduler.kubeconfig",
        "--authentication-kubeconfig", f"{SERVER}/cred/scheduler.kubeconfig", "--authorization-kubeconfig", f"{SERVER}/cred/scheduler.kubeconfig",
        "--bind-address", "127.0.0.1", "--profiling=false")
    # The last words win: the lab's own settings, as on its kubeadm hosts.
    children.start(
        "part-node", f"{KUBERNETES}/kubelet", "--kubeconfig", f"{AGENT}/kubelet.kubeconfig", "--hostname-override", NODE, "--node-ip", address,
        "--container-runtime", "remote", "--container-runtime-endpoint", f"unix://{CONTAINERD}", "--client-ca-file", f"{AGENT}/client-ca.crt",
        "--anonymous-auth=false", "--authentication-token-webhook", "--authorization-mode", "Webhook", "--read-only-port", "0",
        "--tls-cert-file", f"{AGENT}/serving-kubelet.crt", "--tls-private-key-file", f"{AGENT}/serving-kubelet.key", "--cgroup-driver", "cgroupfs",
        "--node-labels", ",".join(listed(options.get("node-label"))), *given("kubelet"), "--fail-swap-on=false", "--resolv-conf=",
        "--feature-gates", "LocalStorageCapacityIsolation=false", "--eviction-hard", "memory.available<50Mi", "--image-gc-high-threshold", "100")
