"""The old master comes back, or somebody has removed it already, or its machine is to be the new one."""

import os
import re
import subprocess
import threading
from pathlib import Path

import drill
import lab
from disturbed import CONNECT, MANIFESTS
from drill import Failed, say


def gone_by_hand(faults, node=False, member=False):
    faults.cut()
    if node:
        faults.delete_node_by_hand(faults.primary)
    if member:
        faults.remove_member_by_hand(faults.primary)
    faults.finish(faults.start(*faults.replace_arguments))
    faults.verify()


def member_gone(faults):
    """Somebody removed the member by hand already."""
    gone_by_hand(faults, member=True)


def node_gone(faults):
    """Somebody deleted the node by hand already."""
    gone_by_hand(faults, node=True)


def member_and_node_gone(faults):
    """Somebody deleted the node and removed the member by hand already."""
    gone_by_hand(faults, node=True, member=True)


def same_machine(faults):
    """The dead master's own machine, reinstalled: same name and address, other host keys; the known_hosts line is replaced."""
    faults.cut()
    lab.live("power-on", faults.dead)
    faults.new = faults.dead
    arguments = ("replace", faults.dead, "--with", faults.dead, "--yes", *drill.KNOWN_DEAD, *CONNECT)
    accept = faults.new_host_key(arguments)
    known_hosts = Path(faults.lab.admin_home) / ".ssh" / "known_hosts"
    address = faults.lab.addresses[faults.dead]

    def others():
        # Some names are hashed: ssh-keygen knows whose each line is.
        own = set()
        for name in (address, faults.dead):
            found = subprocess.run(["ssh-keygen", "-F", name, "-f", known_hosts], stdout=subprocess.PIPE, text=True)
            own |= set(found.stdout.splitlines())
        return [line for line in known_hosts.read_text().splitlines() if line not in own]

    before = others()
    # Cut off once after the join, and resumed: the name stands for the new node by then.
    process = faults.start(*arguments, *accept)
    faults.wait_for_step("node-ready", process, event="step-started")
    faults.kill(process)
    faults.resume()
    after = others()
    if after != before:
        changed = [line[:80] for line in before + after if (line in before) != (line in after)] or ["their order"]
        raise Failed(f"lines of other hosts were changed in {known_hosts}: {'; '.join(changed)}")
    faults.verify()


def old_master_fenced(faults):
    """The old master is powered on, with its disk, after its node and member are gone: the run stops; with --fence it resumes, to the end."""
    faults.cut()
    process = faults.start(*faults.replace_arguments)
    # k3s removes the member with the node.
    faults.wait_for_step({"kubeadm": "remove-member", "k3s": "delete-node"}[faults.lab.distribution], process, event="step-finished")
    lab.live("power-on", faults.dead, "--keep-disk")
    faults.finish(process, expected=2)
    faults.finish(faults.start("resume", "--fence", *CONNECT), expected=5)
    faults.resume("--fence", "--yes")
    manifests = MANIFESTS[faults.lab.distribution]
    status, out, err = faults.on(faults.dead, f"""
        set -e
        [ -z "$(pidof kubelet k3s-server etcd keepalived kube-apiserver)" ]
        [ -z "$(ls {manifests})" ]
        stat -c '%a %n' /var/lib/masterswap/*/fenced
        ls /var/lib/masterswap/*/fenced/manifests""")
    say(out.strip())
    if faults.lab.distribution == "k3s":
        # Nothing of it is left that would go on without k3s, or start it again.
        left = faults.on(faults.dead, "systemctl is-enabled k3s; grep -l kubepods /proc/[0-9]*/cgroup; pgrep -a containerd-shim")[1]
        if left.strip() != "disabled":
            raise Failed(f"{faults.dead} is not fenced: {left}")
    if status != 0 or "700 " not in out or "keepalived.yaml" not in out or (faults.lab.distribution == "kubeadm") != ("etcd.yaml" in out):
        raise Failed(f"{faults.dead} is not fenced: {out}{err}")
    # While it held the VIP without a cluster behind it, survivors that speak to the API by way of the VIP were NotReady.
    faults.verify("--evictions")
    lab.live("power-cut", faults.dead)


def old_master_returns(faults):
    """The old master is powered on, with its disk, in the middle: the run stops; after another power cut it resumes."""
    faults.cut()
    process = faults.start(*faults.replace_arguments)
    faults.wait_for_step("save", process)
    lab.live("power-on", faults.dead, "--keep-disk")
    faults.finish(process, expected=2)
    why = faults.said().strip().splitlines()[-1]
    say(f"stopped: {why}")
    # Over SSH, or by its etcd member that is healthy again.
    if "is back" not in why:
        raise Failed(f"not for the old master's return\nnext: {faults.folder}/tool.log")
    lab.live("power-cut", faults.dead)
    lab.wait_until("the VIP on one survivor", 60, lambda: len(faults.lab.vip_holders()) == 1)
    faults.resume()
    faults.verify()


def old_master_unseen(faults):
    """The same, after its member is gone, and SSH from here does not see it: the survivors do, and its keepalived takes the VIP. The run
    stops, and is not resumed beside it; after another power cut it resumes."""
    faults.cut()
    block = lambda verb: lab.must("admin", "--", "iptables", verb, "INPUT", "-s", faults.lab.addresses[faults.dead], "-j", "DROP")
    process = faults.start(*faults.replace_arguments)
    faults.wait_for_step("remove-member", process, event="step-finished")
    block("-I")
    lab.live("power-on", faults.dead, "--keep-disk")
    faults.finish(process, expected=2)
    say("stopped: " + faults.said().strip().splitlines()[-1])
    lab.wait_until("the VIP on the old master", 120, lambda: faults.lab.vip_holders() == [faults.dead])
    refused = faults.start("resume", "--yes", *CONNECT)
    status = faults.end(refused, 300)
    say(f"resumed beside it, {status}: {drill.indented(faults.said())}")
    # Until the join begins every rule is asked again.
    if status != 3 or "is alive, seen from" not in faults.said():
        raise Failed(f"not refused for what the survivors see of the old master\nnext: {faults.folder}/tool.log")
    lab.live("power-cut", faults.dead)
    block("-D")
    lab.wait_until("the VIP on one survivor", 60, lambda: len(faults.lab.vip_holders()) == 1)
    # Its kubelet registered its node again.
    faults.resume("--yes")
    # While the old master held the VIP without a cluster behind it, survivors that speak to the API by way of it were NotReady.
    faults.verify("--evictions")


class PowerSwitch:
    """The lab's power, for power-switch(1) on the admin's machine: what is asked for is cut, by a thread of the drill's."""

    def __init__(self, faults):
        self.folder = faults.folder / "switch"
        self.folder.mkdir(exist_ok=True)
        self.asked = []
        for name in ("asked", "answer"):
            os.mkfifo(self.folder / name)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            with open(self.folder / "asked") as asked:
                host = asked.read().strip()
            status = lab.run("power-cut", host)[0]
            self.asked.append(host)
            (self.folder / "answer").write_text("Chassis Power Control: Down/Off\n" if status == 0 else "no such machine\n")


def with_fence(faults, *command):
    """The drill's inventory from here on has this command under the dead master."""
    text = faults.inventory.read_text()
    changed, count = re.subn(
        rf"(?m)^(\s+{re.escape(faults.dead)}:\s*\{{.*?)\s*\}}", rf"\1, fence: [{', '.join(map(str, command))}] }}", text)
    if count != 1:
        raise Failed(f"{faults.dead} has no line of its own in {faults.inventory}\nnext: look at it")
    faults.inventory = faults.folder / "fence.yaml"
    faults.inventory.write_text(changed)


def fence_by_command(faults):
    """The old master comes back, lets nobody in over SSH and takes the VIP: stopped; a fence command that fails changes nothing; one that
    cuts its power is seen to, and the run goes on to its end."""
    faults.cut()
    block = lambda verb: lab.must("admin", "--", "iptables", verb, "INPUT", "-s", faults.lab.addresses[faults.dead], "-j", "DROP")
    process = faults.start(*faults.replace_arguments)
    faults.wait_for_step("remove-member", process, event="step-finished")
    block("-I")
    lab.live("power-on", faults.dead, "--keep-disk")
    faults.finish(process, expected=2)
    lab.wait_until("the VIP on the old master", 120, lambda: faults.lab.vip_holders() == [faults.dead])
    original = faults.inventory
    with_fence(faults, "sh", "-c", '"echo no session; exit 1"')
    faults.finish(faults.start("resume", "--fence", "--yes", *CONNECT), expected=2)
    if "cut the power of" not in faults.said() or "no session" not in faults.said() or faults.lab.vip_holders() != [faults.dead]:
        raise Failed(f"the fence did not fail as it should\nnext: {faults.folder}/tool.log")
    switch = PowerSwitch(faults)
    faults.inventory = original
    with_fence(faults, drill.HERE / "power-switch", switch.folder, faults.dead)
    # Its kubelet registered its node again.
    faults.resume("--fence", "--yes")
    if switch.asked != [faults.dead]:
        raise Failed(f"the power was cut of {switch.asked}, expected {faults.dead}, once\nnext: {faults.folder}/tool.log")
    block("-D")
    # While the old master held the VIP without a cluster behind it, survivors that speak to the API by way of it were NotReady.
    faults.verify("--evictions")
