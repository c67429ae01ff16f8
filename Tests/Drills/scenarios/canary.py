"""No secret is seen."""

import base64
import json
import os
import re
import threading

import lab
from disturbed import MANIFESTS
from drill import Failed, say


def forms_of(secret):
    """A secret as it may stand somewhere."""
    return {form.encode() for form in (secret, base64.b64encode(secret.encode()).decode(), json.dumps(secret)[1:-1])}


def canary(faults):
    """A whole run, watched: no secret in output, journal, reports, nor in argv or environment of any process that the tool began."""
    faults.cut()
    database = lab.must("admin", "--", "printenv", "MASTERSWAP_DB_PASSWORD").strip()
    manifest = faults.on(faults.primary, f"grep -A1 KEEPALIVED_PASSWORD {MANIFESTS['kubeadm']}/keepalived.yaml")[1]
    secrets = {"the database's password": database, "the VRRP password": manifest.split()[-1].strip("'\"")}
    if any(len(secret) < 6 for secret in secrets.values()):
        raise Failed("the lab's secrets are too short to look for")
    forms = {name: forms_of(secret) for name, secret in secrets.items()}
    done, found, seen, joined = threading.Event(), [], set(), {}

    def learn():
        """The join's token and key, made in its midst: they lie on the new host for as long as kubeadm joins."""
        while not joined and not done.wait(0.5):
            configuration = faults.on(faults.spare, "cat /run/join.yaml")[1]
            token = re.search(r"\btoken: '?([a-z0-9]{6}\.[a-z0-9]{16})\b", configuration)
            key = re.search(r"\bcertificateKey: '?([0-9a-f]{64})\b", configuration)
            if token and key:
                joined.update({"the join's token": token[1], "the certificates' key": key[1]})

    def watch():
        while not done.is_set():
            parents = {}
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    stat = open(f"/proc/{pid}/stat", "rb").read()
                    command = open(f"/proc/{pid}/cmdline", "rb").read()
                    parents[pid] = (stat[stat.rindex(b")") + 2:].split()[1].decode(), command)
                    if (pid, command) in seen:
                        continue
                    seen.add((pid, command))
                    environment = open(f"/proc/{pid}/environ", "rb").read()
                except OSError:
                    continue
                # ocboot's own processes are its own affair; keepalived has its password in its environment by its manifest;
                # the tool is given the database's password by the lab in the variable that the inventory names.
                line, at = [], pid
                while at in parents:
                    line.append(parents[at][1])
                    at = parents[at][0]
                if any(b"run.py" in c for c in line) or any(b"keepalived" in c for c in line[:3]):
                    continue
                own = line and (b"masterswap" in line[0] or b"nsenter" in line[0] or b"/lab\0" in line[0] or b"Lab/lab" in line[0])
                for name, these in forms.items():
                    if any(form in command for form in these):
                        found.append(f"{name} in the argv of {command[:60]!r}")
                    if any(form in environment for form in these) and not own and not any(given in environment for given in (b"MASTERSWAP_DB_PASSWORD=", b"KEEPALIVED_PASSWORD=")):
                        found.append(f"{name} in the environment of {command[:60]!r}")
            done.wait(0.005)

    threads = [threading.Thread(target=target) for target in (watch, learn)]
    for thread in threads:
        thread.start()
    try:
        faults.finish(faults.start(*faults.replace_arguments, "-v"))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    if not joined:
        raise Failed(f"no token was seen on {faults.spare} to be looked for\nnext: see how Tests/Lab/ocboot/standin.py joins")
    # ocboot deletes its own; those of the cluster's making and of the certificates live on.
    listed = re.findall(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", lab.must("host", faults.primary, "--", "kubeadm", "token", "list"))
    # What is before the dot is a token's name, and no secret.
    tokens = {f"the token {token.split('.')[0]}": token.split(".")[1] for token in listed if token not in joined.values()}
    tokens |= {name: secret.split(".")[-1] for name, secret in joined.items()}
    late = {name: forms_of(token) for name, token in tokens.items()}
    for pid, command in seen:
        # That one is ocboot's own.
        if b"kubeadm token delete" not in command.replace(b"\0", b" "):
            found += [f"{name} in the argv of {command[:60]!r}" for name, these in late.items() if any(form in command for form in these)]
    secrets, forms = secrets | tokens, forms | late
    run = sorted((faults.folder / "state" / "runs").iterdir())[-1].name
    for format in ("markdown", "html", "json"):
        (faults.folder / f"report.{format}").write_text(faults.tool("report", run, "--format", format)[1])
    (faults.folder / "state.txt").write_text(faults.tool("runs")[1])
    # What `save` copied from the hosts is there to restore from, readable by its owner alone; all else is looked through.
    looked = 0
    for path in faults.folder.rglob("*"):
        if not path.is_file() or "saved" in path.parts:
            continue
        text, looked = path.read_bytes(), looked + 1
        found += [f"{name} in {path}" for name, these in forms.items() if any(form in text for form in these)]
    say(f"{len(seen)} processes and {looked} files looked through, for {', '.join(secrets)}: {len(found)} finds")
    if found:
        raise Failed("\n".join(sorted(set(found))[:10]))
    faults.verify()
