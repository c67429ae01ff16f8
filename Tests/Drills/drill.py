"""The acts of a drill: a lab, a power cut, the tool on the admin's machine, and what it refuses."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lab
import snapshots
from lab import Failed
from state import State, differences, is_well, reference

HERE = Path(__file__).resolve().parent
CONNECT_TIMEOUT = 10    # seconds: masterswap's default, given to it nevertheless
# A drill knows that the power is cut: it does not wait the five minutes after which a silent node counts as dead.
KNOWN_DEAD = ("--not-ready-for", "0")


def say(text):
    print(text, flush=True)


def indented(text):
    return "\n".join(f"    {line}" for line in text.strip().splitlines())


# metrics-server, as far as the API server knows of it: nothing answers behind it, as after the death of the node that it ran on.
ABSENT_API = """
apiVersion: v1
kind: Service
metadata: { name: metrics-server, namespace: kube-system }
spec: { selector: { k8s-app: metrics-server }, ports: [{ port: 443 }] }
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: { name: v1beta1.metrics.k8s.io }
spec:
  group: metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: { name: metrics-server, namespace: kube-system }
"""


class Drill:
    """One lab, and a folder with all that was written down about it."""

    def __init__(self, profile):
        self.program = lab.program()
        self.folder = Path(os.environ.get("MASTERSWAP_DRILL") or tempfile.mkdtemp(prefix="masterswap-drill-"))
        # Of the machine that the tool is run on: what it keeps there, further settings, and words that make it another machine.
        self.state, self.settings, self.machine = self.folder / "state", [], []
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        lab.live("up", "--profile", profile)
        self.lab = lab.Environment()
        self.dead, self.spare = self.lab.dead, self.lab.spare
        self.inventory = self.folder / "inventory.yaml"
        self.inventory.write_text(lab.must("inventory"))
        if not self.inventory.read_text().strip():
            raise Failed(f"'lab inventory' gave none\nnext: {lab.LAB} inventory")
        self.last = None

    # Looking

    def snapshot(self, name):
        path = self.folder / f"{name}.json"
        snapshots.write(path, snapshots.take())
        self.last = State(snapshots.read(path))
        return path, self.last

    def healthy_snapshot(self, seconds=60):
        """What there was before; every pod Ready, so that what is not so afterwards is the replacement's."""
        def look():
            path, state = self.snapshot("before")
            unwell = [reference(p) for p in state.of("Pod") if not is_well(p)]
            unready = [n for n, node in state.nodes.items() if not node["ready"] or node["cordoned"]]
            return None if unwell or unready or sorted(state.nodes) != sorted(self.lab.masters + self.lab.workers) else path

        path = lab.wait_until("each node and every pod Ready before anything is done", seconds, look)
        return path, self.last

    # An API without a backend: every kubectl since 1.26 complains of it on standard error, and succeeds

    def register_absent_api(self):
        status, _, err = self.on(self.lab.primary, f"kubectl apply -f - <<'END'{ABSENT_API}END")
        if status != 0:
            raise Failed(f"the APIService was not registered: {err.strip()}\nnext: {lab.LAB} status")
        for host in self.lab.masters:
            # What kubectl remembers of the API groups does not have this one.
            self.on(host, "rm -rf /root/.kube/cache")

    def use_kubectl(self, version):
        """Puts another kubectl on every host; gives whether it could be had. Where not, the lab's own stays, and that is said."""
        status, _, err = lab.run("kubectl", version, timeout=400)
        say(f"kubectl on the hosts: {version}" if status == 0 else f"kubectl {version} cannot be had; the lab's own it is: {err.strip()}")
        return status == 0

    # Another release of ocboot: a stand-in writes down what the real one would do to hosts and cloud beside the join

    def use_ocboot(self, release):
        lab.live("ocboot", release)
        self.inventory.write_text(lab.must("inventory"))

    def cloud(self, host):
        """The OnecloudCluster's spec, and when that host's first process was started."""
        status, out, err = self.on(host, "kubectl get onecloudcluster default -n onecloud -o jsonpath={.spec} && echo && sed 's/.*) //' /proc/1/stat | cut -d' ' -f20")
        if status != 0:
            raise Failed(f"the OnecloudCluster could not be read on {host}: {err.strip()}\nnext: {lab.LAB} status")
        return out.splitlines()

    def effects(self, hosts, primary):
        """What ocboot would have done to these hosts; none of it may be to the cloud, nor restart the primary."""
        found = {}
        for host in hosts:
            found[host] = self.on(host, "cat /var/log/ocboot-effects 2>/dev/null")[1].splitlines()
            bad = [line for line in found[host]
                   if line.startswith(("climc", "onecloudcluster")) or line == "reboot" and host == primary]
            if bad:
                raise Failed(f"ocboot would have done this to the cloud or to {host}: {', '.join(bad)}\nnext: see SKIP_TAGS in the plan")
        if not any(found.values()):
            raise Failed("ocboot wrote down nothing that it would do, so that nothing is proven\nnext: see Tests/Lab/ocboot/standin.py")
        return found

    def complaints(self, host):
        """What kubectl on a host prints on standard error, though it succeeds."""
        status, _, err = self.on(host, "kubectl get nodes")
        if status != 0:
            raise Failed(f"kubectl get nodes on {host} ended with {status}: {err.strip()}\nnext: {lab.LAB} status")
        return [line for line in err.splitlines() if "metrics.k8s.io/v1beta1" in line]

    # The power cut

    def cut_power(self, dead=None, survivors=None):
        """Cuts the power of the profile's dead master, or of another node; gives the master that holds the VIP thereafter."""
        dead = dead or self.dead
        lab.live("power-cut", dead)
        survivors = survivors or [m for m in self.lab.masters if m != dead]

        def is_not_ready():
            for host in survivors:
                node = lab.kubectl_json(host, "get", "node", dead)
                if node:
                    return any(c["type"] == "Ready" and c["status"] != "True" for c in node["status"]["conditions"])
            return False

        started = time.monotonic()
        lab.wait_until(f"{dead} to be NotReady", 240, is_not_ready)
        say(f"{dead} is NotReady, {time.monotonic() - started:.0f} s after its power was cut")

        # For some seconds more the survivors' kernels hold its MAC address for good, and masterswap does not call that dead. Whoever
        # sends it nothing keeps a stale entry.
        def is_forgotten():
            address = self.lab.addresses[dead]
            look = f"timeout 1 bash -c 'exec 3<>/dev/tcp/{address}/22' 2>/dev/null; ip -4 neigh show {address}"
            entries = [self.on(host, look)[1].split() for host in survivors]
            return all(not entry or entry[-1] in ("FAILED", "INCOMPLETE") for entry in entries)

        lab.wait_until(f"the survivors' neighbour tables to give up {dead}", 90, is_forgotten)

        def holder():
            holders = self.lab.vip_holders()
            return holders[0] if len(holders) == 1 else None

        return lab.wait_until(f"the VIP {self.lab.vip} on one survivor", 60, holder)

    # By hand, as people do it before they think of a tool

    def on(self, host, script):
        return lab.run("host", host, "--", "sh", "-c", script)

    def delete_node_by_hand(self, survivor):
        lab.must("host", survivor, "--", "kubectl", "delete", "node", self.dead)

    def etcdctl(self, survivor):
        """Shell words. The lab's own way into a host of k3s' shape finds an etcdctl there."""
        if self.lab.distribution == "kubeadm":
            program, folder, names = f"kubectl exec -n kube-system etcd-{survivor} -- etcdctl", "/etc/kubernetes/pki/etcd", ("ca", "server", "server")
        else:
            program, folder, names = "etcdctl", "/var/lib/rancher/k3s/server/tls/etcd", ("server-ca", "client", "client")
        return f"{program} --endpoints https://127.0.0.1:2379 --cacert {folder}/{names[0]}.crt --cert {folder}/{names[1]}.crt --key {folder}/{names[2]}.key"

    def remove_member_by_hand(self, survivor):
        def dead_member():
            lines = self.on(survivor, f"{self.etcdctl(survivor)} member list")[1].splitlines()
            return next((line.split(",")[0] for line in lines if re.search(rf", {self.dead}(-[0-9a-f]{{8}})?,", line)), None)

        remove = f"{self.etcdctl(survivor)} member remove " + lab.wait_until(f"the member {self.dead} in etcd's list", 60, dead_member)
        lab.wait_until("the member to be removed by hand", 60, lambda: self.on(survivor, remove)[0] == 0)

    # A join that is killed after the new member was added and before it started

    def hold_back_new_member(self):
        """Without its peers the new member never starts, however quick kubeadm is."""
        for chain in ("INPUT", "OUTPUT"):
            status, _, err = self.on(self.spare, f"iptables -I {chain} -p tcp --dport 2380 -j DROP")
            if status != 0:
                raise Failed(f"iptables on {self.spare}: {err.strip()}")

    def let_new_member_start(self):
        for chain in ("INPUT", "OUTPUT"):
            self.on(self.spare, f"iptables -D {chain} -p tcp --dport 2380 -j DROP")

    def unstarted_member(self, survivor):
        """Its line in etcd's list; None where every member has started."""
        lines = self.on(survivor, f"{self.etcdctl(survivor)} member list")[1].splitlines()
        return next((line for line in lines if ", unstarted, " in line), None)

    def kill_join(self, primary):
        say("the member was added: " + lab.wait_until("a member that has not started", 300, lambda: self.unstarted_member(primary)))
        self.on(primary, "kill -9 $(pgrep -f '[p]ython3.* ./run.py ')")
        # k3s itself goes on, and waits for its peers.
        if self.lab.distribution == "kubeadm":
            self.on(self.spare, "kill -9 $(pgrep -x kubeadm)")

    # The tool

    def command(self, *arguments, inventory=None):
        # The lab's admin machine gives the database's password to what runs on it.
        settings = [f"MASTERSWAP_STATE={self.state}", *self.settings]
        # A report is of a run on this machine: for it there is no inventory to name.
        named = [] if arguments[0] == "report" else ["-i", str(inventory or self.inventory)]
        return [str(lab.LAB), "admin", "--", *self.machine, "env", *settings, self.program, *arguments, *named]

    def tool(self, *arguments, inventory=None, seconds=180):
        """Runs masterswap on the admin's machine; gives (exit status, standard output, standard error, seconds)."""
        started = time.monotonic()
        try:
            command = self.command(*arguments, inventory=inventory)
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"'masterswap {' '.join(arguments)}' did not end within {seconds} s\nnext: try it by hand: {' '.join(command)}")
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"), time.monotonic() - started

    def replacement(self):
        return ("replace", self.dead, "--with", self.spare, "--yes", *KNOWN_DEAD)

    def new_host_key(self, arguments):
        """What lets in a machine that was installed again under its old name: refused at first, with the option that is to be given."""
        status, out, err, seconds = self.tool(*arguments)
        accept = re.search(r"--replace-host-key \S+=SHA256:[A-Za-z0-9+/]{43}", err)
        if status != 4 or not accept:
            raise Failed(f"with a changed host key: exit {status}, expected 4, and the fingerprint: {err[-400:]}")
        return accept.group().split()

    def replace(self, *options):
        """The replacement, its output on the terminal; gives its seconds."""
        started = time.monotonic()
        sys.stdout.flush()
        status = subprocess.run(self.command(*self.replacement(), *options), stdin=subprocess.DEVNULL).returncode
        if status != 0:
            raise Failed(
                f"masterswap replace ended with {status}, expected 0\n"
                f"next: {' '.join(self.command('runs'))}; the runs' journals are in {self.folder}/state")
        return time.monotonic() - started

    # Refusals: by exit status, by what is said, and by what has not changed

    def expect(self, what, expected, arguments, named=(), inventory=None, dead=None):
        before = self.last
        status, out, err, seconds = self.tool(*arguments, inventory=inventory)
        say(f"\n{what}: exit {status}, {seconds:.1f} s; masterswap said:")
        say(indented(err or out))
        _, after = self.snapshot("after-" + re.sub(r"\W+", "-", what.lower()))
        wrong = [] if status == expected else [f"exit {status}, expected {expected}"]
        wrong += [f"standard error does not name {name}" for name in named if name not in err]
        wrong += differences(before, after, dead)
        if wrong:
            raise Failed(f"{what}: " + "; ".join(wrong))
        say(f"ok: {what}: exit {status}" + (f", {', '.join(named)} named" if named else "") + ", nothing changed")
        return seconds

    def replace_refused(self, what, named=(), inventory=None, dead=None):
        self.expect(what, 3, self.replacement(), named, inventory, dead)

    def refused_while_healthy(self):
        self.replace_refused("replace on a healthy cluster")

    def refused_with_one_dead(self):
        self.snapshot("after-power-cut")
        seconds = self.expect("check with one master dead", 4, ("check", "--connect-timeout", str(CONNECT_TIMEOUT)), dead=self.dead)
        say(f"    it took {seconds:.1f} s; the connect timeout plus 2 s is {CONNECT_TIMEOUT + 2} s")
        wait = ("replace", self.dead, "--with", self.spare, "--yes")
        self.expect("replace before five minutes have passed", 3, wait, ["--not-ready-for"], dead=self.dead)
        for what, namespace, name, change in [
            ("no rule for monitor-minio", "onecloud-monitoring", "monitor-minio", lambda rule: []),
            ("critical data without redundancy or consent", "onecloud-minio", "minio", without_heal),
        ]:
            sets = self.last.claims_of_set(namespace, name)
            lost = [f"{namespace}/{claim}" for claim, found in sets.items() if found and self.last.node_of(found) == self.dead]
            if not lost:
                raise Failed(
                    f"{what}: {self.dead} holds no claim of {namespace}/{name}, so there is nothing to refuse\n"
                    "next: see where the profile puts its volumes")
            inventory = self.folder / f"inventory-{name}.yaml"
            inventory.write_text(changed_rule(self.inventory.read_text(), name, change))
            self.replace_refused(what, lost, inventory, self.dead)


def changed_rule(inventory, statefulset, change):
    """The inventory with the lines of one StatefulSet's rule changed."""
    lines, kept, found, i = inventory.splitlines(), [], 0, 0
    while i < len(lines):
        rule, i = [lines[i]], i + 1
        indent = len(rule[0]) - len(rule[0].lstrip())
        if rule[0].lstrip().startswith("- "):
            while i < len(lines) and lines[i].strip() and len(lines[i]) - len(lines[i].lstrip()) > indent:
                rule.append(lines[i])
                i += 1
            if re.search(rf"\bstatefulset:\s*[\"']?{re.escape(statefulset)}[\"']?\s*(,|}}|$)", "\n".join(rule), re.M):
                rule, found = change(rule), found + 1
        kept += rule
    if found != 1:
        raise Failed(f"the lab's inventory has {found} rules for the StatefulSet {statefulset}, expected 1\nnext: {lab.LAB} inventory")
    return "\n".join(kept) + "\n"


def without_heal(rule):
    text = "\n".join(rule)
    changed = re.sub(r",\s*heal:\s*[\w\"']+|\bheal:\s*[\w\"']+\s*,\s*|\n\s+heal:\s*[\w\"']+(?=\n|$)", "", text)
    if changed == text:
        raise Failed(f"this rule has no 'heal' to take out: {text.strip()}\nnext: {lab.LAB} inventory")
    return changed.split("\n")


def compare(before, after):
    return subprocess.run([sys.executable, "-B", str(HERE / "compare"), str(before), str(after)]).returncode


def verify(before, after, *options):
    return subprocess.run([sys.executable, "-B", str(HERE / "verify"), str(before), str(after), *options]).returncode


def main(name, act):
    """Runs a drill; a lab of one that failed stays up."""
    try:
        return act()
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; the lab stays up; next: {lab.LAB} down", file=sys.stderr)
        return 130
    except (Failed, OSError) as error:
        print(f"\n{name}: FAILED: {error}", file=sys.stderr)
        print(f"{name}: the lab stays as it is, for you to look at: {lab.LAB} status; to end it: {lab.LAB} down", file=sys.stderr)
        return 1


def tidy(drill, down):
    if down:
        lab.live("down")
        shutil.rmtree(drill.folder, ignore_errors=True)
    else:
        say(f"The lab stays up; snapshots and runs are in {drill.folder}. To end it: {lab.LAB} down")
