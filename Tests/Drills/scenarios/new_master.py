"""The join of the new master fails, or its machine is not bare."""

import drill
import lab
from disturbed import CONNECT
from drill import Failed, say


def failed_join(faults):
    """ocboot and kubeadm killed after the member was added and before it started; the rest is cleaned by resume, and joined."""
    faults.cut()
    process = faults.start(*faults.replace_arguments)
    faults.wait_for_step("join", process)
    faults.hold_back_new_member()
    faults.kill_join(faults.primary)
    faults.finish(process, expected=2)
    trace = {"kubeadm": "/etc/kubernetes/kubelet.conf", "k3s": "/var/lib/rancher/k3s/server/tls"}[faults.lab.distribution]
    unstarted = lambda: faults.unstarted_member(faults.primary)
    if not unstarted():
        raise Failed("the member has started, so that nothing failed half-way")
    # Not asked and not told: nothing is cleaned.
    faults.finish(faults.start("resume", *CONNECT), expected=5)
    if faults.lab.distribution == "kubeadm" and not unstarted() or faults.on(faults.spare, f"test -e {trace}")[0] != 0:
        raise Failed("something was cleaned without consent")
    process = faults.start("resume", "--yes", *CONNECT)
    if faults.lab.distribution == "k3s":
        stopped = lambda: process.poll() is not None or faults.on(faults.spare, "systemctl is-active k3s")[0] != 0
        lab.wait_until("k3s to be stopped on the new host", 120, stopped)
        # k3s removes the learner that never started; not after five minutes here.
        faults.limit_learners("echo 20 >")
    faults.wait_for_step("clean-failed-join", process, event="step-finished")
    faults.limit_learners("rm -f ")
    faults.let_new_member_start()
    faults.finish(process)
    faults.verify()


def old_k3s(faults):
    """The spare runs a k3s of its own: refused; so is what k3s-uninstall.sh leaves of it; once it is removed, it is joined."""
    faults.cut()
    install = (f"/opt/lab/k3s/install NODE_ADDRESS={faults.lab.addresses[faults.spare]} VIP=192.0.2.66 REPOSITORY=x CLUSTER_CIDR=10.90.0.0/16"
               " SERVICE_CIDR=10.96.0.0/12 TOKEN=another STATE=BACKUP ROLE=--cluster-init START=yes")
    status, out, err = faults.on(faults.spare, install)
    if status != 0:
        raise Failed(f"no k3s could be put on {faults.spare}: {out[-400:]}{err[-400:]}\nnext: {lab.LAB} shell {faults.spare}")
    for trace, script in (("/var/lib/rancher/k3s/server/tls", "k3s-uninstall.sh"), ("/etc/rancher/node/password", "rm -r /etc/rancher/node")):
        status, out, err, seconds = faults.tool(*faults.replace_arguments)
        say(f"with {trace} on the spare: exit {status}; masterswap said:\n{drill.indented(err)}")
        if status != 3 or "replacement-is-bare" not in err or trace not in err or faults.run_folder():
            raise Failed(f"exit {status}, expected 3, and no run\nnext: {lab.LAB} shell {faults.spare}")
        faults.on(faults.spare, script)
    faults.finish(faults.start(*faults.replace_arguments))
    faults.verify()


def stuck_finalizer(faults):
    """k3s' finalizers stay on the deleted node: waited for and told, never taken off; freed, it goes on."""
    lab.must("finalizers", "hold")
    faults.cut()
    faults.finish(faults.start(*faults.replace_arguments, "--wait-timeout", "20"), expected=2)
    why = " ".join(faults.said().strip().splitlines()[-3:])
    say(f"stopped: {why}")
    node = lab.kubectl_json(faults.primary, "get", "node", faults.dead)
    kept = (node or {}).get("metadata", {}).get("finalizers", [])
    if "wrangler.cattle.io/managed-etcd-controller" not in kept or "its finalizers stay" not in why or "leave the finalizers" not in why:
        raise Failed(f"the node has the finalizers {kept}, and this was said: {why}\nnext: {faults.folder}/tool.log")
    lab.must("finalizers", "free")
    faults.resume()
    faults.verify()


def spare_dies(faults):
    """The spare's power is cut while ocboot joins it: another one takes its place, here the first dead one's machine, installed again."""
    faults.cut()
    process = faults.start(*faults.replace_arguments)
    faults.wait_for_step("join", process)
    lab.wait_until("ocboot to be at work", 60, lambda: faults.on(faults.primary, "ls /var/lib/masterswap/*/join-1/pid")[0] == 0)
    lab.live("power-cut", faults.spare)
    # Its ssh would wait for the dead host for a quarter of an hour.
    faults.on(faults.primary, "kill -9 $(pgrep -f '[p]ython3.* ./run.py ')")
    faults.finish(process, expected=2)
    status, out, err, seconds = faults.tool("resume", "--yes", *CONNECT)
    say(f"resume without another spare: exit {status}; masterswap said:\n{drill.indented(err[-600:])}")
    if status != 4 or faults.spare not in err:
        raise Failed(f"exit {status}, expected 4, and {faults.spare} named")
    lab.live("power-on", faults.dead)
    faults.new = faults.dead
    arguments = ("resume", "--with", faults.dead, "--yes", *CONNECT)
    accept = faults.new_host_key(arguments)
    faults.finish(faults.start(*arguments, *accept))
    faults.verify()
