"""Runs one release's real run.py, Ansible and roles against the drill's hosts: inside.py FOLDER

To be started by `world.py` in a mount, network and process namespace of its own. FOLDER has ocboot unpacked, the plan in plan.json;
result.json and the hosts' records are put there. Everything ends with the namespace.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
import content
from hosts import LAUNCHER, Host
from snapshot import changes, snapshot

OCBOOT, CONFIGURATION = "/root/ocboot", "masterswap-x.yml"
SSH = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
       "-o", "ConnectTimeout=5"]
# Modules of Ansible that install, download, or look into the kernel's list of modules: recorded in place of the real ones.
MODULES = ("yum", "dnf", "apt", "get_url", "apt_key", "apt_repository", "yum_repository", "modprobe")


def prepare(folder):
    """The hosts' trees are of memory: nothing of them is ever on the machine's disk."""
    world = folder / "world"
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    world.mkdir()
    for place in (world, "/run"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    (world / "cluster").mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f", world / "key"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "link", "add", "lan", "type", "bridge"], check=True)
    subprocess.run(["ip", "link", "set", "lan", "up"], check=True)
    return world


def make_hosts(world, plan):
    vip = plan["vip"]
    names = {host["name"]: host["address"] for host in plan["hosts"]}
    facts = {"vip": vip, "release": plan["onecloud_version"], "distribution": plan["distribution"],
             "survivors": [host["name"] for host in plan["hosts"] if not host["is_new"]]}
    hosts = []
    network = vip.rsplit(".", 1)[0]
    subprocess.run(["ip", "addr", "add", f"{network}.1/24", "dev", "lan"], check=True)
    for number, given in enumerate(plan["hosts"]):
        host = Host(world, given["name"], given["address"], given["ports"], given["is_new"], facts)
        host.build({**names, "iso.yunion.cn": f"{network}.1"}, world / "key", world / "cluster")
        content.fill(host, plan["distribution"], LAUNCHER)
        host.connect(number, vip if number == 0 else None)
        hosts.append(host)
    return hosts


def show_ansible(primary, folder, plan):
    """The virtual environment, and the Python that it was made of, under their own paths; some modules are recorders."""
    environment, base = pathlib.Path(plan["ansible"]["folder"]), pathlib.Path(plan["ansible"]["base"])
    if not base.is_relative_to("/usr") or base.is_relative_to("/usr/local"):
        primary.show(base, str(base))
    primary.show(environment, str(environment))
    text = (HERE / "module.py").read_text()
    for name in MODULES:
        packages = next(environment.glob("lib/python3*/site-packages"))
        for path in [*packages.glob(f"ansible/modules/**/{name}.py"), *packages.glob(f"ansible_collections/community/general/plugins/modules/**/{name}.py")]:
            recorder = folder / f"module-{name}.py"
            recorder.write_text(text.replace("@NAME@", name))
            primary.show(recorder, str(path))
    for name in ("ansible", "ansible-playbook", "ansible-galaxy"):
        primary.write(f"/usr/local/bin/{name}", f'#!/bin/sh\nexec {environment}/bin/{name} "$@"\n', 0o755)
    subprocess.run(["cp", "-a", folder / "ocboot", primary.root / OCBOOT[1:]], check=True)
    subprocess.run(["chown", "-R", "0:0", primary.root / OCBOOT[1:]], check=True)


def wait_for_ssh(world, host):
    for attempt in range(100):
        done = subprocess.run([*SSH, "-i", world / "key", "-p", str(host.ports[0]), f"root@{host.address}", "true"], capture_output=True, text=True)
        if done.returncode == 0:
            return
        if host.process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"{host.name} does not start: {(host.folder / 'start.log').read_text()} {done.stderr} {(host.drill / 'sshd.log').read_text()}")


def run(world, folder, plan, primary):
    command = " ".join(["cd", OCBOOT, "&&", "env", *plan["environment"], *plan["command"]])
    with open(folder / "output", "w") as output:
        process = subprocess.Popen([*SSH, "-i", world / "key", "-p", str(primary.ports[0]), f"root@{primary.address}", command],
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            return process.wait(plan["limit"])
        except subprocess.TimeoutExpired:
            process.kill()
            return None


def password_left_in(hosts, password):
    """Files of any host with the database's password in them, but for masterswap's own configuration."""
    found = set()
    for host in hosts:
        for top in (host.root, host.folder / "usr"):
            for folder, _, files in os.walk(top):
                for name in files:
                    path = pathlib.Path(folder) / name
                    if path.is_file() and not path.is_symlink() and path.stat().st_size < 2**20 and password in path.read_bytes():
                        found.add("/" + str(path.relative_to(host.root if top == host.root else host.folder)))
    return sorted(found - {f"{OCBOOT}/{CONFIGURATION}"})


def logins(hosts, vip):
    """Who logged in where, but for the drill itself: user, address and port."""
    found = set()
    for host in hosts:
        ports = {}
        for line in (host.drill / "sshd.log").read_text().splitlines():
            if begun := re.match(r"Connection from (\S+) port (\d+) on (\S+) port (\d+)", line):
                ports[begun[1], begun[2]] = (begun[3], begun[4])
            elif given := re.match(r"Accepted publickey for (\S+) from (\S+) port (\d+)", line):
                address, port = ports.get((given[2], given[3]), ("?", "?"))
                if not given[2].endswith(".1"):
                    found.add(f"{given[1]}@{'VIP' if address == vip else host.name}:{port}")
    return sorted(found)


def main(folder):
    folder = pathlib.Path(folder)
    plan = json.loads((folder / "plan.json").read_text())
    world = prepare(folder)
    hosts = make_hosts(world, plan)
    show_ansible(hosts[0], folder, plan)
    before = {}
    try:
        for host in hosts:
            host.start()
        for host in hosts:
            wait_for_ssh(world, host)
            before[host.name] = snapshot(host)
        begun = time.time()
        status = run(world, folder, plan, hosts[0])
        cluster = world / "cluster"
        result = {
            "status": status, "seconds": round(time.time() - begun), "logins": logins(hosts, plan["vip"]),
            "password_left_in": password_left_in(hosts, plan["password"].encode()),
            "join": (cluster / "join").read_text() if (cluster / "join").exists() else None,
            "hosts": {host.name: {
                "is_new": host.is_new, "changes": changes(before[host.name], snapshot(host)),
                "calls": [json.loads(line) for line in (host.drill / "calls").read_text().splitlines()],
                "rebooted": (host.drill / "rebooted").exists(),
            } for host in hosts},
        }
    finally:
        for host in hosts:
            if hasattr(host, "process"):
                host.stop()
    (folder / "result.json").write_text(json.dumps(result, indent=1))


main(sys.argv[1])
