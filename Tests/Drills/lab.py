"""The lab, as the drills use it: its command, nothing of its insides."""

import json
import os
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "Tests" / "Lab" / "lab"


class Failed(Exception):
    """What stops a drill; the message says what to do next."""


def run(*arguments, timeout=120):
    """Runs the lab's command; gives (exit status, standard output, standard error)."""
    try:
        done = subprocess.run([str(LAB), *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return 124, "", f"no end after {timeout} s"
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def must(*arguments, timeout=120):
    status, out, err = run(*arguments, timeout=timeout)
    if status != 0:
        raise Failed(f"'lab {' '.join(arguments[:4])}…' ended with {status}: {err.strip()[-600:]}\nnext: {LAB} status")
    return out


def live(*arguments):
    """Runs the lab's command with its output on the terminal."""
    if subprocess.run([str(LAB), *arguments], stdin=subprocess.DEVNULL).returncode != 0:
        raise Failed(f"'lab {' '.join(arguments)}' failed\nnext: read what it said above; {LAB} status")


def wait_until(what, seconds, condition, every=0.5):
    """Polls until the condition gives something true, and gives that."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise Failed(f"waited {seconds} s in vain for: {what}\nnext: {LAB} status")
        time.sleep(every)


class Environment:
    """Names and addresses of the lab that is up."""

    def __init__(self):
        script = """
            set -e; text=$("$1" env); eval "$text"
            printf '%s\\n' "$LAB_CLUSTER" "$LAB_VIP" "$LAB_PRIMARY" "$LAB_SPARE" "$LAB_DEAD" "$LAB_ADMIN_HOME" "$LAB_DISTRIBUTION" \
                "${LAB_NAMES[*]}" "${LAB_ADDRESSES[*]}" "${LAB_MASTERS[*]}" "${LAB_WORKERS[*]}" """
        done = subprocess.run(["bash", "-c", script, "bash", str(LAB)], capture_output=True, text=True)
        lines = done.stdout.splitlines()
        if done.returncode != 0 or len(lines) != 11:
            raise Failed(f"no lab to look at: {done.stderr.strip()}\nnext: {LAB} up")
        self.cluster, self.vip, self.primary, self.spare, self.dead, self.admin_home, self.distribution = lines[:7]
        self.names, addresses, self.masters, self.workers = (line.split() for line in lines[7:])
        self.addresses = dict(zip(self.names, addresses))

    def has_power(self, host):
        return run("host", host, "--", "true")[0] == 0

    def vip_holders(self):
        holders = []
        for host in self.names:
            status, out, _ = run("host", host, "--", "ip", "-o", "-4", "addr", "show")
            if status == 0 and f" {self.vip}/" in out:
                holders.append(host)
        return holders


def kubectl_json(host, *arguments):
    """What kubectl on a host prints, read as JSON; None where it fails."""
    status, out, _ = run("host", host, "--", "kubectl", "--request-timeout=20s", *arguments, "-o", "json")
    try:
        return json.loads(out) if status == 0 else None
    except ValueError:
        return None


def program():
    """The masterswap to try: $MASTERSWAP, or what was built last in this tree, release first."""
    chosen = os.environ.get("MASTERSWAP")
    candidates = [Path(chosen).absolute()] if chosen else [ROOT / ".build" / kind / "masterswap" for kind in ("release", "debug")]
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return str(candidate)
    raise Failed(f"no masterswap at {' or '.join(map(str, candidates))}\nnext: make build, or name another one: MASTERSWAP=PATH")
