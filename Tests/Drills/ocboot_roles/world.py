"""Makes the namespace in which one release is run, and reads what came of it."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

HERE = pathlib.Path(__file__).resolve().parent
# For one release; the namespace is ended then, and all in it.
LIMIT = 1500


class Ansible:
    """A virtual environment with Ansible in it."""

    def __init__(self, text):
        series, _, folder = text.partition("=")
        self.series, self.folder = series, os.path.realpath(folder)
        python = f"{self.folder}/bin/python"
        self.base = subprocess.run([python, "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True, check=True).stdout.strip()
        line = subprocess.run([f"{self.folder}/bin/ansible-playbook", "--version"], capture_output=True, text=True, check=True).stdout
        self.version = re.search(r"\d+\.\d+\.\d+", line)[0]
        if not self.version.startswith(series + "."):
            raise SystemExit(f"ocboot: {folder} has Ansible {self.version}, not {series}")
        script = "import importlib.metadata as m\ntry: print(m.version('ansible'))\nexcept Exception: print('')"
        self.package = subprocess.run([python, "-c", script], capture_output=True, text=True).stdout.strip()


def hosts_of(configuration):
    """The hosts that the configuration names, the primary first; the new one has host_networks."""
    primary, masters = configuration["primary_master_node"], configuration["master_nodes"]["hosts"]
    hosts = []
    for number, section in enumerate([primary, *masters]):
        is_new = "host_networks" in section
        ports = sorted({section.get("port", 22)} | ({22} if number == 0 else set()), reverse=True)
        role = "new" if is_new else "primary" if number == 0 else f"companion{number}"
        hosts.append({"name": role, "address": section["hostname"], "ports": ports, "is_new": is_new})
    return hosts


def perform(planned, unpack, ansible, password, keep=None):
    """One release of ocboot-runs.json, with its roles.

    - unpack: puts ocboot's files into a folder.
    - keep: a folder for the output and the whole result.
    """
    invocation, text = planned["run"]["invocation"], planned["run"]["configuration"].replace("••••", password)
    # As it is written where the primary and the dead master run the host service: then ocboot does the most.
    text = text.replace("as_host: false", "as_host: true").replace("as_host_on_vm: false", "as_host_on_vm: true")
    configuration, name = yaml.safe_load(text), "masterswap-x.yml"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ocboot-roles-"))
    try:
        (folder / "ocboot").mkdir()
        unpack(folder / "ocboot")
        (folder / "ocboot" / name).write_text(text)
        (folder / "ocboot" / name).chmod(0o600)
        (folder / "plan.json").write_text(json.dumps({
            "hosts": hosts_of(configuration), "vip": configuration["primary_master_node"]["controlplane_host"],
            "onecloud_version": configuration["primary_master_node"]["onecloud_version"], "distribution": planned["distribution"],
            "command": [word.replace("{config}", name) for word in invocation["command"]], "environment": invocation["environment"],
            "ansible": {"folder": ansible.folder, "base": ansible.base}, "limit": LIMIT, "password": password,
        }))
        done = subprocess.run(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc", sys.executable, HERE / "inside.py", folder],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT + 120)
        if keep:
            place = pathlib.Path(keep) / f"{planned['reference'].replace('/', '-')}-{planned['distribution']}"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            for name in ("output", "result.json"):
                if (folder / name).exists():
                    shutil.copy(folder / name, place)
        if not (folder / "result.json").exists():
            raise RuntimeError(done.stderr[-2000:] or done.stdout[-2000:])
        result = json.loads((folder / "result.json").read_text())
        result["output"] = (folder / "output").read_text(errors="replace")
        return result
    finally:
        shutil.rmtree(folder, ignore_errors=True)
