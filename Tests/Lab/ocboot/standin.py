"""Stand-in for ocboot: reads its configuration, prints what it and Ansible would print, logs in where they would, and does to a new
master what matters: keepalived's manifest, the join by kubeadm, the labels; for k3s what its roles put on every host that they name, and
k3s itself on the new one. What the real one does to survivors and to the cloud beside that is written down, a line each, in EFFECTS on the
host that it would be done to, and not done.

A file `slow` in ocboot's folder has the seconds that each task takes.
"""
import json
import os
import re
import shlex
import subprocess
import sys
import time

import yaml

from . import cmd
from .releases import PRODUCTS, RELEASES

SSH = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
       "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10"]
MANIFEST = "/etc/kubernetes/manifests/keepalived.yaml"
EFFECTS = "/var/log/ocboot-effects"
CONFIG, K3S_CONFIG = "KUBECONFIG=/etc/kubernetes/admin.conf ", "KUBECONFIG=/etc/rancher/k3s/k3s.yaml k3s "
RED, GREEN, YELLOW, CYAN, END = "\033[0;31m", "\033[0;32m", "\033[0;33m", "\033[0;36m", "\033[0m"


class Failed(Exception):
    pass


class ConfigNotFoundException(Exception):
    """Prints the whole section, as the real one does."""

    def __init__(self, config, what):
        super().__init__("not found '%s' in config %s" % (what, config))


def line(text=""):
    print(text, flush=True)


def need(section, key):
    if not section.get(key):
        raise ConfigNotFoundException(section, key)
    return section[key]


class Host:
    def __init__(self, section, port=None):
        self.address = str(section["hostname"])
        self.user = section.get("user", "root")
        self.port = str(port or section.get("port", 22))
        self.networks = section.get("host_networks", "")
        self.counts = {"ok": 0, "changed": 0, "unreachable": 0, "failed": 0, "skipped": 0, "rescued": 0, "ignored": 0}
        self.is_out = False

    def ssh(self, command, stdin=""):
        return subprocess.run([*SSH, "-p", self.port, f"{self.user}@{self.address}", command], input=stdin,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)

    def out(self, kind, result):
        self.is_out = True
        self.counts["unreachable" if kind == "UNREACHABLE" else "failed"] += 1
        line(f"{RED}fatal: [{self.address}]: {kind}! => {json.dumps(result)}{END}")
        raise Failed()

    def run(self, command, stdin=""):
        done = self.ssh(command, stdin)
        if done.returncode == 255:
            self.out("UNREACHABLE", {"changed": False, "msg": "Failed to connect to the host via ssh: " + done.stderr.strip(),
                                     "unreachable": True})
        return done

    def must(self, command, stdin=""):
        done = self.run(command, stdin)
        if done.returncode != 0:
            self.out("FAILED", {"changed": True, "cmd": command.split("\n")[0], "msg": "non-zero return code",
                                "rc": done.returncode, "stderr": done.stderr[-4000:], "stdout": done.stdout[-4000:]})
        return done.stdout

    def effect(self, text):
        self.must(f"umask 077; cat >>{EFFECTS}", text + "\n")
        self.ok(changed=True)

    def ok(self, changed=False):
        self.counts["ok"] += 1
        self.counts["changed"] += changed
        line(f'{YELLOW}changed{END}: [{self.address}]' if changed else f"{GREEN}ok: [{self.address}]{END}")

    def skip(self):
        self.counts["skipped"] += 1
        line(f"{CYAN}skipping: [{self.address}]{END}")


class Playbook:
    def __init__(self, name, config, product, is_k3s):
        self.release = RELEASES[name]
        self.section, self.masters = config["primary_master_node"], config.get("master_nodes") or {}
        self.primary = Host(self.section)
        self.nodes = [Host(section) for section in self.masters.get("hosts", [])]
        self.product, self.is_k3s = product, is_k3s
        self.slow = float(open("slow").read()) if os.path.exists("slow") else 0

    @property
    def hosts(self):
        return [self.primary, *self.nodes]

    def title(self, kind, text):
        line()
        line(f"{kind} [{text}] ".ljust(80, "*"))

    def task(self, text):
        time.sleep(self.slow)
        self.title("TASK", text)

    def each(self, hosts, text, act):
        """One task on several hosts; a host that is out does no more."""
        self.task(text)
        for host in hosts:
            if not host.is_out:
                try:
                    act(host)
                except Failed:
                    pass
        if self.release.any_fatal and any(host.is_out for host in self.hosts) or all(host.is_out for host in hosts):
            raise Failed()

    def run(self):
        try:
            self.play()
        except Failed:
            pass
        line()
        line("PLAY RECAP ".ljust(80, "*"))
        for host in self.hosts:
            line(f'{host.address:<26} : ' + " ".join(f"{name}={count:<4}" for name, count in host.counts.items()))
        if any(host.counts["unreachable"] for host in self.hosts) and not self.release.any_fatal:
            return 4
        return 2 if any(host.is_out for host in self.hosts) else 0

    def play(self):
        release, skipped = self.release, cmd.skipped()
        self.title("PLAY", "all")
        self.each(self.hosts, "Gathering Facts", self.gather)
        self.each(self.hosts, "utils/misc-check : Check Minimum Hardware Requirements", self.check)
        for effect in self.effects():
            self.each(self.hosts, f"common : {effect}", lambda host, effect=effect: host.effect(effect))
        self.title("PLAY", "primary_master_node")
        if self.is_k3s:
            self.each([self.primary], "k3s/config : Copy keepalived to static pod manifests",
                      lambda host: self.install_k3s(host, "MASTER", "--cluster-init", starts=False))
        else:
            self.each([self.primary], "primary-master-node/setup_k8s : Check node is init", self.initialised)
        if release.shows_init and not self.is_k3s:
            self.task("primary-master-node/setup_k8s : show init args")
            line(f'ok: [{self.primary.address}] => ' + json.dumps({
                "msg": f'/opt/yunion/bin/ocadm init --mysql-host {self.section["db_host"]} --mysql-password {self.section["db_password"]}'}))
        self.title("PLAY", "master_nodes")
        if self.is_k3s:
            self.join_k3s()
        for node in [] if self.is_k3s else self.nodes:
            if node.is_out:
                continue
            try:
                self.join(node)
            except Failed:
                if release.any_fatal:
                    raise
        if release.addons and not self.is_k3s and not self.primary.is_out:
            self.each([self.primary], "primary-master-node/setup_k8s : Patch coredns and calico-kube-controllers",
                      lambda host: host.effect("deployments coredns, calico-kube-controllers"))
        if not release.has_tags:
            for effect in self.effects():
                self.each(self.nodes, f"common : {effect}", lambda host, effect=effect: host.effect(effect))
        if release.reboots_new == "as_host" and self.masters.get("as_host") or release.reboots_new == "tag" and "kernel" not in skipped:
            self.title("PLAY", "master_nodes:worker_nodes")
            self.each(self.nodes, "utils/kernel-check : Reboot system if not cloud kernel, it should take a few minutes...",
                      lambda host: host.effect("reboot"))
        if "cloud" not in skipped and not self.primary.is_out:
            self.cloud()
        if release.cipher_suites and not self.is_k3s:
            self.title("PLAY", "primary_master_node:master_nodes")
            self.each(self.hosts, "utils/k8s/apiserver/args : Set tls-cipher-suites",
                      lambda host: host.effect("kube-apiserver.yaml: --tls-cipher-suites"))

    def gather(self, host):
        facts = host.must("nproc; awk '/^MemTotal/ { print $2 }' /proc/meminfo; hostname; id -u").split()
        host.processors, host.memory, host.name, host.uid = int(facts[0]), int(facts[1]), facts[2], facts[3]
        host.processors = len(re.findall("^processor", host.must("cat /proc/cpuinfo"), re.M)) or host.processors
        host.ok()

    def check(self, host):
        release = self.release
        if host.uid != "0" and not release.becomes_root:
            host.out("FAILED", {"msg": "Permission denied"})
        if re.match(r"localhost" if release.digit_first else r"localhost|\d", host.name, re.I):
            host.out("FAILED", {"msg": "Host name can not contain 'localhost'!"})
        if host.processors < release.processors or int(host.memory / 1024 / 1024 + 0.5) < release.memory_gib:
            host.out("FAILED", {"assertion": f"ansible_processor_vcpus >= {release.processors}", "evaluated_to": False,
                                "msg": f"cpu: got {host.processors} (req: {release.processors} cores)"})
        host.ok()

    def effects(self):
        effects = ["iptables flushed", "packages installed; SELINUX=disabled; sysctl, kernel modules, cron jobs, /etc/profile"]
        if self.is_k3s:
            return effects + ["on the primary server/manifests: calico, traefik"]
        if not self.release.has_tags:
            effects[0] += "; boot loader: kernel arguments, the cloud's kernel"
        registries = {key: self.section.get(key) or [] for key in ("registry_mirrors", "insecure_registries")}
        return effects + ["/etc/docker/daemon.json " + json.dumps(registries), "/etc/sysconfig/kubelet"]

    def initialised(self, host):
        # Without it ocadm init would make a new cluster.
        host.must("test -f /etc/kubernetes/kubelet.conf")
        host.ok()

    def cloud(self):
        self.title("PLAY", "primary_master_node")
        section, primary = self.section, self.primary
        if section.get("enable_minio"):
            self.each([primary], "primary-master-node/setup_cloud : Enable minio S3 object storage for services",
                      lambda host: host.effect("onecloudcluster: minio.enable, glance.switchToS3"))
        if self.is_k3s or self.product:
            self.each([primary], "primary-master-node/setup_cloud : Apply onecloudcluster",
                      lambda host: host.effect(f"onecloudcluster: productVersion {self.product}"))
        if not section.get("use_ee"):
            user, password = section.get("onecloud_user", "admin"), section.get("onecloud_user_password", "admin@123")
            self.each([primary], f"primary-master-node/setup_cloud : Update onecloud user {user} password to {password}",
                      lambda host: host.effect(f"climc user-update --password {password} {user}"))
        if self.release.waits:
            self.each([primary], "primary-master-node/setup_cloud : Wait onecloud services", self.wait)

    def wait(self, host):
        while True:
            pods = host.must((K3S_CONFIG if self.is_k3s else CONFIG) + "kubectl get pods -n onecloud --no-headers")
            if not re.search(r"glance.*(Pending|Error|Evicted)", pods):
                return host.ok()
            time.sleep(5)

    # The join

    def join(self, new):
        self.task("master-node : Check node is join")
        joined = new.run("test -f /etc/kubernetes/kubelet.conf").returncode == 0
        new.ok()
        if joined:
            for name in ("Render keepalived manifest", "Use ocadm join master node", "Label the node"):
                self.task(f"master-node : {name}")
                new.skip()
            return
        # Whoever holds the VIP makes the token: 3.8 goes there as root, on port 22.
        vip = Host({"hostname": self.masters["controlplane_host"], "user": new.user if self.release.stacks else "root"},
                   self.primary.port if self.release.stacks else 22)
        vip.counts = new.counts
        self.task("master-node : Get join token")
        try:
            token = vip.must(CONFIG + "kubeadm token create --ttl 1h").split()[-1]
            key = vip.must(CONFIG + "kubeadm init phase upload-certs --upload-certs").split()[-1]
        except Failed:
            new.is_out = True
            raise
        new.ok(changed=True)
        if self.release.has_k3s:
            # It also goes there without the port of its inventory.
            self.task("utils/detect-os : stat k3s bin")
            Host({"hostname": self.masters["controlplane_host"], "user": new.user}).must("true")
            new.ok()
        if self.release.shows_init:
            self.task("master-node : show ocadm join args")
            line(f"ok: [{new.address}] => " + json.dumps({"msg": f"ocadm join --token {token} --certificate-key {key}"}))
        self.task("master-node : Render keepalived manifest")
        new.must(f"umask 077; mkdir -p /etc/kubernetes/manifests; cat >{MANIFEST}", self.keepalived(new))
        new.ok(changed=True)
        self.task("master-node : Use ocadm join master node")
        name = new.must("hostname").strip()
        new.must("umask 077; cat >/run/join.yaml; kubeadm join --config /run/join.yaml --ignore-preflight-errors=all; status=$?; rm -f /run/join.yaml; exit $status",
                 self.join_configuration(name, new, token, key))
        new.ok(changed=True)
        self.task("master-node : Label the node")
        wanted = (("controller", self.masters.get("as_controller", True)), ("host", self.masters.get("as_host")))
        labels = " ".join(f"onecloud.yunion.io/{what}=enable" for what, is_wanted in wanted if is_wanted)
        if labels:
            vip.must(f"{CONFIG}kubectl label --overwrite node {name} {labels}")
        vip.must(f"{CONFIG}kubeadm token delete {token}")
        new.ok(changed=True)

    # k3s

    def install_k3s(self, host, state, role, starts):
        """Its program, configuration, unit and keepalived's manifest; on a survivor nothing is started again."""
        section, vip = self.section, self.masters["controlplane_host"]
        values = {
            "NODE_ADDRESS": host.address, "VIP": vip, "STATE": state, "ROLE": role, "START": "yes" if starts else "no",
            "REPOSITORY": section.get("image_repository", "registry.cn-beijing.aliyuncs.com/yunionio"), "TOKEN": "mytoken@yunionio",
            "CLUSTER_CIDR": section.get("pod_network_cidr", "10.40.0.0/16"), "SERVICE_CIDR": section.get("service_cidr", "10.96.0.0/12")}
        host.must("/opt/lab/k3s/install " + " ".join(shlex.quote(f"{name}={value}") for name, value in values.items()))
        host.ok(changed=True)

    def join_k3s(self):
        # Its role asks for more than one: with a single host the play goes by, and nothing is joined.
        vip = self.masters["controlplane_host"]
        if len(self.nodes) <= 1:
            return self.each(self.nodes, "k3s/k3s_server : Copy K3s service file [HA]", lambda host: host.skip())

        def is_joined(host):
            return host.run("systemctl is-active --quiet k3s").returncode == 0
        self.each(self.nodes, "k3s/config : Copy keepalived to static pod manifests",
                  lambda host: self.install_k3s(host, "BACKUP", f"--server https://{vip}:6443", starts=False))
        self.each(self.nodes, "k3s/k3s_server : Enable and check K3s service",
                  lambda host: host.skip() if is_joined(host) else self.start_k3s(host))
        self.each(self.nodes, "k3s/k3s_server : Verify that all server nodes joined", self.all_joined)

    def start_k3s(self, host):
        host.must("systemctl daemon-reload; systemctl enable k3s && systemctl start k3s")
        host.ok(changed=True)

    def all_joined(self, host):
        for _ in range(20):
            nodes = host.run("KUBECONFIG=/etc/rancher/k3s/k3s.yaml k3s kubectl get nodes -l node-role.kubernetes.io/control-plane=true "
                             "-o=jsonpath='{.items[*].metadata.name}'").stdout.split()
            if len(nodes) == len(self.nodes) + 1:
                return host.ok()
            time.sleep(10)
        host.out("FAILED", {"attempts": 20, "changed": False, "stdout": " ".join(nodes)})

    def keepalived(self, new):
        """The manifest of the new master: the cluster's, as a backup, with the new host's address."""
        values = {"KEEPALIVED_PRIORITY": '"90"', "KEEPALIVED_STATE": "BACKUP", "KEEPALIVED_NODE_IP": new.address}
        if new.networks:
            values["KEEPALIVED_INTERFACE"] = new.networks.split("/")[0]
        text = self.primary.must(f"cat {MANIFEST}")
        for name, value in values.items():
            text = re.sub(rf"(- name: {name}\n\s+value: ).*", lambda match: match.group(1) + value, text)
        return text

    def join_configuration(self, name, new, token, key):
        return yaml.safe_dump({
            "apiVersion": "kubeadm.k8s.io/v1beta2",
            "kind": "JoinConfiguration",
            "discovery": {"bootstrapToken": {
                "token": token, "unsafeSkipCAVerification": True,
                "apiServerEndpoint": f'{self.masters["controlplane_host"]}:{self.masters.get("controlplane_port", "6443")}'}},
            "nodeRegistration": {"name": name, "criSocket": "/run/containerd/containerd.sock", "taints": []},
            "controlPlane": {"localAPIEndpoint": {"advertiseAddress": new.address, "bindPort": 6443}, "certificateKey": key},
        })


def start(name, path, stack=None, is_kubeadm=False):
    release = RELEASES[name]
    if release.missing_is_0 and not (path and os.path.isfile(path) and os.path.getsize(path) > 0):
        line(f"\033[91mThe configuration file <{path}> does not exist or is not valid!\033[0m")
        return 0
    with open(path) as file:
        config = yaml.safe_load(file)
    primary, product = config["primary_master_node"], PRODUCTS.get(stack)
    if product and primary.get("product_version") != product:
        primary.update(product_version=product, as_host=product != "CMP", as_host_on_vm=product != "CMP")
        with open(path, "w") as file:
            yaml.dump(config, file)
    for key in ("hostname", "controlplane_host", "db_host", "db_password", "onecloud_version"):
        need(primary, key)
    need(config.get("master_nodes") or {}, "hosts")
    need(config["master_nodes"], "controlplane_host")
    os.environ["PATH"] = "/usr/local/bin:" + os.environ["PATH"]
    version = subprocess.run(["ansible-playbook", "--version"], stdout=subprocess.PIPE).stdout
    is_k3s = release.has_k3s and not is_kubeadm
    folder = "." if is_k3s else os.environ.get("STANDIN_TMP", "/tmp")
    left = [f"{folder}/host_inventory.yml"] + ([f"{folder}/oc_vars.yml"] if release.has_tags else [])
    for file_name in left:
        with open(file_name, "w") as file:
            yaml.dump({"all": {"children": {"primary_master_node": {"vars": primary}}}}, file)
    line(f"{version.decode().strip()}\nvars:  {config if is_k3s else {}}")
    skipped = ["--skip-tags", f"'{os.environ['SKIP_TAGS']}'"] if release.has_tags and os.environ.get("SKIP_TAGS") else []
    line(" ".join(["ansible-playbook", *skipped, "-i", left[0], "./onecloud/install-cluster.yml"]))
    status = Playbook(name, config, product, is_k3s).run()
    if status != 0:
        return status
    line(f'Initialized successfully!\nWeb page: https://{primary["controlplane_host"]}')
    if not primary.get("use_ee"):
        line(f'User: {primary.get("onecloud_user", "admin")}\nPassword: {primary.get("onecloud_user_password", "admin@123")}')
    if os.environ.get("NO_REBOOT"):
        line("NO_REBOOT flag passed, ignore rebooting")
    else:
        line("The system is about to reboot in 30 secs to use new kernel.")
    return 0
