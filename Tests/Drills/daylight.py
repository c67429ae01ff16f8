"""What is asked while all is well, `ready` and `snapshot`, and whether it holds once a master is dead."""

import hashlib
import json
import os
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

import lab
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
    say(f"ok: as ready said: {primary} is primary, claims recreated: {', '.join(lost) or 'none'}")


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
    """What would stop a replacement at night, each made and undone by day: `ready` tells it, what it gives to paste is about it, and it
    is content again once it is undone."""
    primary, spare = act.lab.primary, act.spare
    other = next(master for master in act.lab.masters if master != primary)
    ocboot = re.search(r"^ocboot:.*?^\s+directory:\s*(\S+)", act.inventory.read_text(), re.M | re.S).group(1)
    drive = minio_drive(act, other)
    trace = {"kubeadm": "/etc/kubernetes/kubelet.conf", "k3s": "/etc/rancher/node/password"}[act.lab.distribution]
    without_rule = act.folder / "inventory-without-rule.yaml"
    without_rule.write_text(changed_rule(act.inventory.read_text(), "monitor-minio", lambda rule: []))

    def script(host, text):
        status, _, err = act.on(host, text)
        if status != 0:
            raise Failed(f"'{text}' on {host} failed: {err}\nnext: look there")

    def on(host, make, undo):
        return lambda: script(host, make), lambda: script(host, undo)

    # A small file system over one of those that a new host needs, full to the last block.
    full = "mkdir -p /opt && mount -t tmpfs -o size=8m none /opt && { dd if=/dev/zero of=/opt/full bs=64k 2>/dev/null; [ -s /opt/full ]; }"
    for what, (make, undo), rules, inventory, pasted in [
        ("no ocboot on the primary", on(primary, f"mv {ocboot} {ocboot}.away", f"mv {ocboot}.away {ocboot}"), {"ocboot-matches"}, None,
         (primary, f"https://github.com/yunionio/ocboot.git {ocboot}")),
        ("no ocboot on one master", on(other, f"mv {ocboot} {ocboot}.away", f"mv {ocboot}.away {ocboot}"), {"ocboot-matches"}, None,
         (other, f"https://github.com/yunionio/ocboot.git {ocboot}")),
        ("the primary has no key for other hosts",
         on(primary, "mkdir /root/away && mv /root/.ssh/id_rsa* /root/away", "mv /root/away/* /root/.ssh && rmdir /root/away"),
         {"replacement-fits"}, None, (spare, ">>~/.ssh/authorized_keys")),
        ("the spare has been in a cluster", on(spare, f"mkdir -p $(dirname {trace}) && : >{trace}", f"rm {trace}"), {"replacement-is-bare"}, None, None),
        ("a full disk on the spare", on(spare, full, "umount /opt"), {"replacement-fits"}, None, None),
        ("the spare's clock is an hour ahead", (lambda: lab.must("clock", spare, "+3600"), lambda: lab.must("clock", spare, "0")),
         {"replacement-fits"}, None, None),
        ("a drive of MinIO is being healed", on(other, f": >{drive}/.minio.sys/healing.bin", f"rm {drive}/.minio.sys/healing.bin"),
         {"critical-data-survives", "other-replicas-healthy"}, None, None),
        ("a claim without a rule", on(primary, "true", "true"), {"claims-have-rules"}, without_rule, None),
    ]:
        make()
        try:
            said = expect_ready(act, what, 2, rules, inventory)
            if pasted and not any(c["host"] == pasted[0] and pasted[1] in c["command"] for c in said.get("commands", [])):
                raise Failed(f"{what}: '{pasted[1]}' is not to be pasted on {pasted[0]}, but {said.get('commands')}\nnext: masterswap ready")
            if rules == {"replacement-fits"} and pasted:
                paste(said["commands"])
                expect_ready(act, f"{what}, pasted what it gave", 0, rules)
        finally:
            undo()
        if inventory:
            # The lines that it gave are what is missing.
            lines = [f"  {line}" for line in said.get("inventory_lines", [])]
            answered = act.folder / "inventory-with-rule.yaml"
            answered.write_text(re.sub(r"^workloads:$", "\n".join(["workloads:", *lines]), inventory.read_text(), flags=re.M))
            expect_ready(act, f"{what}, with what it gave added: {lines}", 0, rules, answered)
        expect_ready(act, f"{what}, undone", 0, rules)
        say(f"ok: ready tells by day: {what} ({', '.join(sorted(refusing(said)))})")


def paste(commands):
    """Runs each command on its host; one that waits for a line gets what was printed last, as from a person's hand."""
    printed = b""
    for command in commands:
        done = subprocess.run([str(lab.LAB), "host", command["host"], "--", "sh", "-c", "export HOME=/root; " + command["command"]],
                              input=printed, capture_output=True)
        if done.returncode != 0:
            raise Failed(f"'{command['command']}' on {command['host']} ended with {done.returncode}: {done.stderr.decode(errors='replace')}\nnext: try it there")
        printed = done.stdout or printed


def refusing(said):
    return {refusal["rule"] for master in said["masters"] for trial in master["trials"] for refusal in trial["refusals"]}


def expect_ready(act, what, expected, rules, inventory=None):
    """`ready` ends so, and refuses by one of these rules where it is to refuse; gives what it said."""
    status, out, err, _ = act.tool("ready", "--output", "json", inventory=inventory)
    said = json.loads(out) if out.startswith("{") else {"masters": []}
    if status != expected or bool(refusing(said) & rules) != bool(expected):
        raise Failed(f"{what}: ready ended with {status} and refuses by {refusing(said) or 'nothing'}, expected {expected} and {' or '.join(rules) if expected else 'nothing'}\n{err}\nnext: masterswap ready")
    return said


def snapshot_ages(act):
    """A snapshot of a master's own is seen, old or new; `check` warns of an old one, and its exit status stays."""
    master, path = act.lab.masters[-1], "/var/backups/etcd-by-hand.db"
    taken = sorted((act.folder / "state" / "snapshots").glob("*/*/etcd-snapshot.db"))
    if not taken:
        raise Failed("no snapshot was taken here yet\nnext: masterswap snapshot")
    act.on(master, "mkdir -p /var/backups")
    subprocess.run([str(lab.LAB), "host", master, "--", "sh", "-c", f"cat >{path}"], stdin=taken[-1].open("rb"), check=True)
    try:
        said, _ = document(act, "check")
        places = [snapshot.get("host") for snapshot in said["snapshots"]]
        # k3s takes snapshots of its own on every master.
        own = act.lab.masters if act.lab.distribution == "k3s" else ()
        if places[:2] != [master, None] or not set(places[2:]) <= set(own) or any(f["code"] == "snapshot-old" for f in said["findings"]):
            raise Failed(f"check knows snapshots on {places}, expected {[master, None]} first; {said['findings']}\nnext: masterswap check")
        hidden = act.folder / "state" / "snapshots"
        hidden.rename(act.folder / "snapshots-away")
        try:
            act.on(master, f"touch -d '3 days ago' {path}")
            for host in own:
                act.on(host, "find /var/lib/rancher/k3s/server/db/snapshots -type f -exec touch -d '4 days ago' {} +")
            said, _ = document(act, "check")
            told = [f for f in said["findings"] if f["code"] == "snapshot-old"]
            if len(told) != 1 or "3 days old" not in told[0]["text"] or master not in told[0]["text"]:
                raise Failed(f"check does not tell that the newest snapshot is three days old: {told}\nnext: masterswap check")
        finally:
            (act.folder / "snapshots-away").rename(hidden)
        say(f"ok: check sees a snapshot on {master}, and warns of an old one with exit status 0")
    finally:
        act.on(master, f"rm -f {path}")


def minio_drive(act, host):
    """The folder of one of MinIO's drives on a master's disk."""
    script = "kubectl get pv -o jsonpath='{range .items[*]}{.spec.claimRef.namespace} {.spec.hostPath.path}{.spec.local.path} {.spec.nodeAffinity}{\"\\n\"}{end}'"
    for line in act.on(act.lab.primary, script)[1].splitlines():
        namespace, path, affinity = line.split(" ", 2)
        if namespace == "onecloud-minio" and f'"{host}"' in affinity:
            return path
    raise Failed(f"no volume of onecloud-minio is on {host}\nnext: see where the profile puts its volumes")
