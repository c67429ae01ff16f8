"""What is asked while all is well, `ready` and `snapshot`, and whether it holds once a master is dead."""

import hashlib
import json
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from drill import KNOWN_DEAD, say
from lab import Failed


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
        for name in ("etc/kubernetes/pki/ca.key", "etc/kubernetes/manifests/etcd.yaml"):
            if name not in names:
                raise Failed(f"{name} is not in {master}.tar\nnext: look at {folder}")
    left = [master for master in act.lab.masters if act.on(master, "ls /var/lib/etcd | grep masterswap")[0] == 0]
    if left or len(said["masters"]) != len(act.lab.masters):
        raise Failed(f"left on {left}; the masters are {said['masters']}\nnext: look there at /var/lib/etcd")
    say(f"ok: snapshot: {said['keys']} keys, {said['bytes'] >> 10} KiB, restored by etcdctl; {seconds:.1f} s")
