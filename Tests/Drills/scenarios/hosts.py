"""What happens to the survivors, and to the connections to them."""

import signal
import threading
import time

import drill
import lab
from disturbed import MANIFESTS, step_under_way
from drill import Failed, say
from state import is_well


def connections_dropped(faults):
    """Every SSH connection from the admin's machine dropped at random moments; resumed where that ended the run."""
    faults.cut()
    stop = threading.Event()
    hosts = [name for name in faults.lab.names if name != faults.dead]

    admin = lab.must("admin", "--", "hostname", "-I").split()[0]
    # ocboot's own connections, from the primary to the new host, are not the tool's.
    kill = (f"for pid in $(ss -Htnp state established '( sport = :22 and dst {admin} )' | grep -o 'pid=[0-9]*' | cut -d= -f2 | sort -u); "
            "do kill -9 $pid && echo $pid; done")
    dropped = []

    def drop():
        while not stop.wait(faults.random.uniform(3, 8)):
            for host in hosts:
                dropped.extend(faults.on(host, kill)[1].split())

    thread = threading.Thread(target=drop)
    process = faults.start(*faults.replace_arguments)
    faults.wait_for_step("save", process)
    thread.start()
    try:
        faults.finish_resumed(process, 60)
    finally:
        stop.set()
        thread.join()
    say(f"connections dropped: {len(dropped)}")
    if len(dropped) < 10:
        raise Failed(f"so few connections were dropped that nothing is proven\nnext: {faults.folder}/tool.log")
    faults.verify()


def api_server_away(faults):
    """The API server of the new primary killed for 20 s in the middle of each step, one step at a time."""
    faults.cut()
    done, struck = threading.Event(), []
    manifest, away = "/etc/kubernetes/manifests/kube-apiserver.yaml", "/etc/kubernetes/kube-apiserver.yaml.away"
    server = f"https://{faults.lab.addresses[faults.primary]}:6443"
    answers = lambda: faults.on(faults.primary, f"kubectl --server {server} --request-timeout=5s get --raw /healthz")[0] == 0

    def unstruck():
        step = step_under_way(faults.journal())
        return step if step not in struck else None

    def pass_time(seconds, condition=lambda: False):
        """The tool goes on by way of another API server: a further step that begins now is held, to have an outage of its own."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not done.wait(0.05):
            if unstruck():
                faults.signal(signal.SIGSTOP)
            if condition():
                return

    def strike():
        while not done.wait(0.05):
            step = unstruck()
            if not step:
                continue
            struck.append(step)
            # Without its manifest the kubelet does not start it again, and later does so at once: killed over and over it would be
            # held back for minutes.
            faults.on(faults.primary, f"mv {manifest} {away}; for pid in $(pgrep -x kube-apiserver); do kill -9 $pid; done")
            faults.let_go()
            pass_time(20)
            faults.on(faults.primary, f"mv {away} {manifest}")
            pass_time(90, answers)
            # The kubelets, which ask this API server by way of the VIP, tell of themselves every ten seconds; after forty without a
            # word a node is not Ready, which would be another fault.
            pass_time(12)
        faults.let_go()

    process = faults.start(*faults.replace_arguments)
    thread = threading.Thread(target=strike)
    thread.start()
    try:
        faults.finish_resumed(process, 20, seconds=3000)
    finally:
        done.set()
        thread.join()
    began = list(dict.fromkeys(e["step"] for e in faults.journal() if e["event"] == "step-began"))
    missed = [step for step in began if step not in struck]
    say(f"the API server was away in {len(struck)} of {len(began)} steps that began: {', '.join(struck)}")
    say(f"steps that ended before the fault was injected: {', '.join(missed) or 'none'}")
    if len(struck) < 6 or not {"drain", "join"} <= set(struck):
        raise Failed(f"struck were too few, of which drain and join must be\nnext: {faults.folder}/tool.log")
    lab.wait_until("the API server to be well again", 120, answers)
    # What the outages did beside the replacement: the API server's own mirror pod is another one, a node that was NotReady for a
    # while lost pods, and some pods are not told Ready before the next report.
    lab.wait_until("every pod to be Ready again", 180, lambda: all(is_well(p) for p in faults.snapshot("after")[1].of("Pod")))
    faults.verify("--evictions", "--remade", f"kube-system/kube-apiserver-{faults.primary}")


def sshd_restarted(faults):
    """sshd of the new primary restarted, its connections with it, while run.py joins the new master: it goes on, and is started once."""
    faults.cut()
    process = faults.start(*faults.replace_arguments)
    faults.wait_for_step("join", process)
    # Before and after kubeadm's join run.py comes to this sshd itself: a connection of its own that is cut would end it.
    joins = lambda: faults.on(faults.spare, "pgrep -x kubeadm")[0] == 0
    lab.wait_until("kubeadm on the new master", 120, joins)
    restarts = 0
    while restarts < 3 and joins():
        # The new listener is younger than the connections; the lab's systemctl knows it.
        faults.on(faults.primary, "systemctl restart sshd; listener=$(cat /run/lab/sshd.pid); "
                  "for pid in $(pgrep -x sshd); do [ $pid = $listener ] || kill -9 $pid; done")
        restarts += 1
        lab.wait_until("the next moment", 10, lambda at=time.monotonic() + 3: time.monotonic() > at)
    say(f"sshd restarted {restarts} times during run.py")
    if restarts == 0:
        raise Failed(f"run.py was quicker than the drill\nnext: Tests/Drills/faults --seed {faults.seed} sshd-restarted")
    faults.finish_resumed(process, 5)
    starts = sum(e["event"] == "output" and "PLAY [all]" in e.get("text", "") for e in faults.journal())
    jobs = faults.on(faults.primary, f"ls -d /var/lib/masterswap/{faults.run_folder().name}/join-*")[1].split()
    say(f"run.py began {starts} time(s) by its own output; its folders: {' '.join(jobs)}")
    if len(jobs) != 1:
        raise Failed(f"run.py was started {len(jobs)} times, expected once\nnext: {lab.LAB} shell {faults.primary}")
    faults.verify()


def disk_full(faults):
    """The new primary's disk is full while keepalived's manifest is edited: byte-identical, never a half; with room it goes on."""
    faults.cut()
    manifests = MANIFESTS[faults.lab.distribution]
    # A small file system in the place of the folder, so that nothing else of the host runs out.
    copy = (f"cp -a {manifests} /run/manifests && mount -t tmpfs -o size=128k tmpfs {manifests} && cp -a /run/manifests/. {manifests}/"
            f" && dd if=/dev/zero of={manifests}/.filler bs=4k 2>/dev/null; [ -s {manifests}/.filler ]")
    if faults.on(faults.primary, copy)[0] != 0:
        raise Failed(f"no small file system could be put at {manifests}\nnext: {lab.LAB} shell {faults.primary}")
    before = faults.on(faults.primary, f"sha256sum {manifests}/keepalived.yaml")[1]
    # What a reader finds at any moment, the kubelet for one.
    watch = (f"while [ -e /run/watch ]; do sha256sum {manifests}/*.yaml; sleep 0.02; done | sort -u >/run/seen")
    faults.on(faults.primary, f"touch /run/watch; setsid sh -c '{watch}' >/dev/null 2>&1 </dev/null &")
    faults.finish(faults.start(*faults.replace_arguments), expected=2)
    say("stopped: " + " / ".join((faults.folder / "tool.log").read_text(errors="replace").strip().splitlines()[-3:]))
    after = faults.on(faults.primary, f"sha256sum {manifests}/keepalived.yaml")[1]
    if not before or after != before:
        raise Failed(f"keepalived's manifest changed while the disk was full: {before.strip()} and {after.strip()}")
    faults.on(faults.primary, f"rm -f /run/watch; rm -f {manifests}/.filler")
    lab.wait_until("what was seen of the manifests", 20, lambda: faults.on(faults.primary, "[ -s /run/seen ]")[0] == 0)
    seen = faults.on(faults.primary, "grep -c keepalived /run/seen; ls -A " + manifests)[1].split()
    say(f"contents of keepalived's manifest seen meanwhile: {seen[0]}; in the folder: {' '.join(seen[1:])}")
    if seen[0] != "1":
        raise Failed("a reader saw more than one state of keepalived's manifest")
    faults.resume()
    faults.verify()


def two_dead(faults):
    """Two masters dead: refused, with the numbers."""
    faults.cut()
    other = next(m for m in faults.lab.masters if m not in (faults.dead, faults.primary))
    lab.live("power-cut", other)
    status, out, err, seconds = faults.tool(*faults.replace_arguments)
    say(drill.indented(err))
    if status not in (3, 4):
        raise Failed(f"exit {status}, expected 3 or 4")
    if "1 of 3 masters answer, and etcd needs 2 of 3 members" not in err:
        raise Failed("the refusal does not tell the quorum's numbers")
