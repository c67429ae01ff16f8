"""What is asked while all is well, `ready` and `snapshot`, and whether it holds once a master is dead."""

import hashlib
import json
import os
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

from drill import KNOWN_DEAD, changed_rule, say
from lab import Failed

# What a master cannot be restored without.
NEEDED = {
    "kubeadm": ("etc/kubernetes/pki/ca.key", "etc/kubernetes/manifests/etcd.yaml"),
    "k3s": ("var/lib/rancher/k3s/server/token", "var/lib/rancher/k3s/server/tls/server-ca.key", "etc/rancher/k3s/config.yaml"),
}


def document(act, *arguments):
    status, out, err, seconds = act.tool(*arguments, "--output", "json")
    if status != 0:
        raise Failed(f"masterswap {arguments[0]} on the healthy lab ended with {status}:\n{out}{err}\nnext: try it by hand")
    return json.loads(out), seconds


def ready(act):
    """Each master could be replaced; gives what is said of the one that is to die."""
    said, seconds = document(act, "ready")
    hosts = {master["host"]: master for master in said["masters"]}
    if not said["ready"] or len(hosts) != len(act.lab.masters):
        raise Failed(f"ready names {sorted(hosts)}, ready: {said['ready']}\nnext: masterswap ready on the healthy lab")
    say(f"ok: ready: each of {', '.join(hosts)} could be replaced, {seconds:.1f} s")
    return next(master for master in said["masters"] if act.dead in (master["host"], master.get("node")))


def compare(act, predicted):
    """What was said of a master's death is what is planned now that it has died."""
    path = act.folder / "plan-after-death.json"
    status, out, err, _ = act.tool("plan", act.dead, "--with", act.spare, "--out", str(path), *KNOWN_DEAD)
    if status != 0:
        raise Failed(f"the plan for {act.dead} ended with {status}, and ready said that it would be accepted:\n{out}{err}\nnext: masterswap plan {act.dead} --with {act.spare}")
    plan = json.loads(path.read_text())
    primary = plan["primary"]["host"]
    trials = [trial for trial in predicted["trials"] if trial.get("vip_to", primary) == primary and trial["spare"] == plan["replacement"]["host"]]
    lost = sorted(f"{claim['claim']['namespace']}/{claim['claim']['name']}" for rebuild in plan["rebuilds"] for claim in rebuild["claims"])
    for trial in trials:
        said = (trial["primary"], sorted(claim["claim"] for claim in trial["lost"]))
        if said != (primary, lost):
            raise Failed(f"ready said {said}, and the plan says {(primary, lost)}\nnext: compare them: {path}")
    if not trials:
        raise Failed(f"ready did not suppose that {primary} would be primary\nnext: compare its JSON with {path}")
    say(f"ok: as ready said: {primary} is primary, claims made again: {', '.join(lost) or 'none'}")


def snapshot(act):
    """A snapshot that etcd restores, with each master's authority beside it, and nothing of it left there."""
    said, seconds = document(act, "snapshot")
    folder = Path(said["directory"])
    database = folder / "etcd-snapshot.db"
    if hashlib.sha256(database.read_bytes()).hexdigest() != said["sha256"] or folder.stat().st_mode & 0o777 != 0o700:
        raise Failed(f"{database} is not what snapshot.json says, or can be read by others\nnext: look at {folder}")
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(["etcdctl", "snapshot", "restore", str(database), "--data-dir", place + "/data"],
                              env={**os.environ, "ETCDCTL_API": "3"}, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"etcdctl does not restore {database}:\n{done.stderr}\nnext: try it by hand")
    for master in said["masters"]:
        names = tarfile.open(folder / f"{master}.tar").getnames()
        for name in NEEDED[act.lab.distribution]:
            if name not in names:
                raise Failed(f"{name} is not in {master}.tar\nnext: look at {folder}")
    left = [master for master in act.lab.masters if act.on(master, "ls /var/lib/etcd /var/lib/rancher/k3s/server/db/* 2>/dev/null | grep masterswap")[0] == 0]
    if left or len(said["masters"]) != len(act.lab.masters):
        raise Failed(f"left on {left}; the masters are {said['masters']}\nnext: look there at etcd's folder")
    say(f"ok: snapshot: {said.get('keys', 'unknown')} keys, {said['bytes'] >> 10} KiB, restored by etcdctl; {seconds:.1f} s")


def faults(act):
    """What would stop a replacement at night, each made and undone by day: `ready` tells it, and nothing once it is gone."""
    primary, spare = act.lab.primary, act.spare
    other = next(master for master in act.lab.masters if master != primary)
    ocboot = re.search(r"^ocboot:.*?^\s+directory:\s*(\S+)", act.inventory.read_text(), re.M | re.S).group(1)
    drive = minio_drive(act, other)
    trace = {"kubeadm": "/etc/kubernetes/kubelet.conf", "k3s": "/etc/rancher/node/password"}[act.lab.distribution]
    without_rule = act.folder / "inventory-without-rule.yaml"
    without_rule.write_text(changed_rule(act.inventory.read_text(), "monitor-minio", lambda rule: []))
    for what, host, make, undo, rules, inventory in [
        ("no ocboot on the primary", primary, f"mv {ocboot} {ocboot}.away", f"mv {ocboot}.away {ocboot}", {"ocboot-matches"}, None),
        ("the primary has no key for other hosts", primary, "mv /root/.ssh/id_rsa /root/id_rsa.away", "mv /root/id_rsa.away /root/.ssh/id_rsa",
         {"replacement-fits"}, None),
        ("the spare has been in a cluster", spare, f"mkdir -p $(dirname {trace}) && : >{trace}", f"rm {trace}", {"replacement-is-bare"}, None),
        ("a drive of MinIO is being healed", other, f": >{drive}/.minio.sys/healing.bin", f"rm {drive}/.minio.sys/healing.bin",
         {"critical-data-survives", "other-replicas-healthy"}, None),
        ("a claim without a rule", primary, "true", "true", {"claims-have-rules"}, without_rule),
    ]:
        told = set()
        for script, expected in ((make, 2), (undo, 0)):
            status, _, err = act.on(host, script)
            if status != 0:
                raise Failed(f"{what}: '{script}' on {host} failed: {err}\nnext: look there")
            status, out, err, _ = act.tool("ready", "--output", "json", inventory=inventory if expected else None)
            said = json.loads(out) if out.startswith("{") else {"masters": []}
            refusing = {refusal["rule"] for master in said["masters"] for trial in master["trials"] for refusal in trial["refusals"]}
            told |= refusing
            if status != expected or bool(refusing & rules) != bool(expected):
                raise Failed(f"{what}{'' if expected else ', undone'}: ready ended with {status} and refuses by {refusing or 'nothing'}, expected {expected} and {' or '.join(rules) if expected else 'nothing'}\n{err}\nnext: masterswap ready")
        say(f"ok: ready tells by day: {what} ({', '.join(sorted(told))})")


def minio_drive(act, host):
    """The folder of one of MinIO's drives on a master's disk."""
    script = "kubectl get pv -o jsonpath='{range .items[*]}{.spec.claimRef.namespace} {.spec.hostPath.path}{.spec.local.path} {.spec.nodeAffinity}{\"\\n\"}{end}'"
    for line in act.on(act.lab.primary, script)[1].splitlines():
        namespace, path, affinity = line.split(" ", 2)
        if namespace == "onecloud-minio" and f'"{host}"' in affinity:
            return path
    raise Failed(f"no volume of onecloud-minio is on {host}\nnext: see where the profile puts its volumes")
