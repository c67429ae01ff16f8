#!/usr/bin/env python3
"""Stand-in for ocboot 3.8's run.py: `./run.py CONFIG`.

It reads ocboot's configuration file, prints what Ansible would print, and does to a new master what matters: it writes
keepalived's manifest first, joins by kubeadm, labels the node. A host that has /etc/kubernetes/kubelet.conf is skipped.
Like the real one it logs in without a password and without checking host keys, and prints its variables, the database's
password among them.
"""
import json
import re
import subprocess
import sys

import yaml

SSH = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
       "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10"]
MANIFEST = "/etc/kubernetes/manifests/keepalived.yaml"


class Failed(Exception):
    pass


class Host:
    def __init__(self, section):
        self.address = str(section["hostname"])
        self.user = section.get("user", "root")
        self.port = str(section.get("port", 22))
        self.networks = section.get("host_networks", "")
        self.counts = {"ok": 0, "changed": 0, "failed": 0, "skipped": 0}

    def run(self, command, stdin=""):
        done = subprocess.run([*SSH, "-p", self.port, f"{self.user}@{self.address}", command], input=stdin,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        if done.returncode == 255:
            self.counts["failed"] += 1
            line(f'fatal: [{self.address}]: UNREACHABLE! => {json.dumps({"changed": False, "msg": done.stderr.strip(), "unreachable": True})}')
            raise Failed()
        return done

    def must(self, command, stdin=""):
        done = self.run(command, stdin)
        if done.returncode != 0:
            self.counts["failed"] += 1
            result = {"changed": True, "cmd": command.split("\n")[0], "msg": "non-zero return code", "rc": done.returncode,
                      "stderr": done.stderr[-4000:], "stdout": done.stdout[-4000:]}
            line(f"fatal: [{self.address}]: FAILED! => {json.dumps(result)}")
            raise Failed()
        return done.stdout

    def ok(self, changed=False):
        self.counts["ok"] += 1
        self.counts["changed"] += changed
        line(f'{"changed" if changed else "ok"}: [{self.address}]')

    def skip(self):
        self.counts["skipped"] += 1
        line(f"skipping: [{self.address}]")


def line(text=""):
    print(text, flush=True)


def title(kind, text):
    line()
    line(f"{kind} [{text}] ".ljust(80, "*"))


def task(text):
    title("TASK", text)


def read_configuration(path):
    with open(path) as file:
        config = yaml.safe_load(file)
    primary = (config or {}).get("primary_master_node")
    if not primary:
        sys.exit(f"{path}: no primary_master_node")
    for key in ("hostname", "db_host", "db_user", "db_password", "controlplane_host", "controlplane_port", "onecloud_version"):
        if not primary.get(key):
            sys.exit(f"{path}: primary_master_node: no {key}")
    masters = config.get("master_nodes") or {}
    for key in ("controlplane_host", "controlplane_port"):
        if masters and not masters.get(key):
            sys.exit(f"{path}: master_nodes: no {key}")
    return primary, masters


def keepalived_manifest(primary, new):
    """The manifest of the new master: the cluster's, as a backup, with the new host's address."""
    interface = new.networks.split("/")[0]
    values = {"KEEPALIVED_PRIORITY": '"90"', "KEEPALIVED_STATE": "BACKUP", "KEEPALIVED_NODE_IP": new.address}
    if interface:
        values["KEEPALIVED_INTERFACE"] = interface
    text = primary.must(f"cat {MANIFEST}")
    for name, value in values.items():
        text = re.sub(rf"(- name: {name}\n\s+value: ).*", lambda match: match.group(1) + value, text)
    return text


def join_configuration(name, new, masters, token, key):
    return yaml.safe_dump({
        "apiVersion": "kubeadm.k8s.io/v1beta2",
        "kind": "JoinConfiguration",
        "discovery": {"bootstrapToken": {
            "token": token, "unsafeSkipCAVerification": True,
            "apiServerEndpoint": f'{masters["controlplane_host"]}:{masters["controlplane_port"]}'}},
        "nodeRegistration": {"name": name, "criSocket": "/run/containerd/containerd.sock", "taints": []},
        "controlPlane": {"localAPIEndpoint": {"advertiseAddress": new.address, "bindPort": 6443}, "certificateKey": key},
    })


def join(primary, new, masters):
    task("master-node : Check that kubelet is configured")
    joined = new.run("test -e /etc/kubernetes/kubelet.conf").returncode == 0
    new.ok()
    if joined:
        for name in ("Render keepalived manifest", "Use kubeadm join node", "Label the node"):
            task(f"master-node : {name}")
            new.skip()
        return
    task("master-node : Render keepalived manifest")
    new.must(f"umask 077; mkdir -p /etc/kubernetes/manifests; cat >{MANIFEST}", keepalived_manifest(primary, new))
    new.ok(changed=True)

    task("master-node : Get join token from the primary master")
    token = primary.must("KUBECONFIG=/etc/kubernetes/admin.conf kubeadm token create --ttl 1h").split()[-1]
    certificates = primary.must("KUBECONFIG=/etc/kubernetes/admin.conf kubeadm init phase upload-certs --upload-certs")
    key = certificates.split()[-1]
    primary.ok(changed=True)

    task("master-node : Use kubeadm join node")
    name = new.must("hostname").strip()
    new.must("umask 077; cat >/run/join.yaml; kubeadm join --config /run/join.yaml --ignore-preflight-errors=all; status=$?; rm -f /run/join.yaml; exit $status",
             join_configuration(name, new, masters, token, key))
    new.ok(changed=True)

    task("master-node : Label the node")
    labels = [f"onecloud.yunion.io/{what}=enable" for what, wanted in
              (("controller", masters.get("as_controller")), ("host", masters.get("as_host"))) if wanted]
    if labels:
        primary.must(f'KUBECONFIG=/etc/kubernetes/admin.conf kubectl label --overwrite node {name} {" ".join(labels)}')
    new.ok(changed=True)

    task("master-node : Allow pods on the node")
    primary.must("KUBECONFIG=/etc/kubernetes/admin.conf kubeadm token delete " + token)
    new.ok()


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: run.py CONFIG")
    primary_section, masters = read_configuration(sys.argv[1])
    primary = Host(primary_section)
    nodes = [Host(section) for section in masters.get("hosts", [])]
    line(f"primary_master_node: {primary_section}")
    line(f"master_nodes: {masters}")
    try:
        title("PLAY", "all")
        task("Gathering Facts")
        for host in (primary, *nodes):
            host.must("uname -r && cat /etc/os-release")
            host.ok()
        title("PLAY", "primary_master_node")
        task("primary-master-node : Check that the cluster answers")
        primary.must("KUBECONFIG=/etc/kubernetes/admin.conf kubectl get nodes")
        primary.ok()
        title("PLAY", "master_nodes")
        for node in nodes:
            join(primary, node, masters)
        status = 0
    except Failed:
        status = 2
    title("PLAY", "RECAP")
    for host in (primary, *nodes):
        line(f'{host.address:<26} : ' + " ".join(f"{name}={count:<4}" for name, count in host.counts.items()))
    if status == 0:
        line()
        line(f'Initialized successfully! Web page: https://{primary_section["controlplane_host"]}')
    sys.exit(status)


main()
