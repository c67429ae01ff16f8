"""Many loopback hosts that are one sshd in a network namespace of its own."""

import os
import pathlib
import shlex
import shutil
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VENV = pathlib.Path.home() / ".cache/masterswap/bench/venv"
NAMES = ["masterswap", "asyncssh", "parallel-ssh", "clush", "pssh", "ansible", "xargs+ssh"]
BATCH = ["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR"]
DEAD_NETWORK = "127.0.200."


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def host(index):
    return f"127.0.{1 + index // 250}.{1 + index % 250}"


class Site:
    """The namespace's sshd, its keys and the delay proxies. The namespace, and all that runs in it, ends with this process."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.user = "root"
        self.key = self.folder / "id"
        self.known_hosts = self.folder / "known_hosts"
        self.processes = []
        run = lambda *command: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        run("ip", "link", "set", "lo", "up")
        run("iptables", "-A", "INPUT", "-d", f"{DEAD_NETWORK}0/24", "-j", "DROP")
        # What a shell of one's own does at its start is not to be measured.
        for name in (".bashrc", ".ssh/rc"):
            if (found := pathlib.Path("/root") / name).exists():
                run("mount", "--bind", "/dev/null", str(found))
        for name in ("id", "host"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(self.folder / name))
        shutil.copy(self.folder / "id.pub", self.folder / "authorized_keys")
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        lines = [
            "ListenAddress 0.0.0.0:22", "PidFile none", f"HostKey {self.folder}/host", "StrictModes no",
            f"AuthorizedKeysFile {self.folder}/authorized_keys", "UsePAM no", "PasswordAuthentication no",
            "KbdInteractiveAuthentication no", "PermitRootLogin yes", "MaxStartups 1000:30:2000", "MaxSessions 100",
            "PrintMotd no", "PrintLastLog no", "UseDNS no", "LogLevel ERROR", "Subsystem sftp internal-sftp",
        ]
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")
        self.start("/usr/sbin/sshd", "-D", "-f", str(self.folder / "sshd_config"), "-E", str(self.folder / "sshd.log"))
        self.wait_for(22)
        self.host_key = " ".join((self.folder / "host.pub").read_text().split()[:2])

    def start(self, *command):
        with open(self.folder / "log", "ab") as log:
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def wait_for(self, port):
        for _ in range(200):
            try:
                socket.create_connection((host(0), port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"bench: nothing listens at {host(0)}:{port}: {(self.folder / 'log').read_text()[-500:]}")

    def port(self, round_trip):
        """The port behind which the round trip takes so many milliseconds."""
        if not round_trip:
            return 22
        port = 2200 + round_trip
        if port not in self.delayed:
            self.start(sys.executable, str(HERE / "delay.py"), str(port), "22", str(round_trip))
            self.wait_for(port)
            self.delayed.add(port)
        return port

    delayed = set()

    def hosts(self, count, dead):
        """Every twentieth is dead where some are: its packets are dropped."""
        return [f"{DEAD_NETWORK}{1 + i // 20}" if dead and i % 20 == 7 else host(i) for i in range(count)]

    def write(self, hosts, port):
        """The files that the tools read."""
        self.has_dead = any(h.startswith(DEAD_NETWORK) for h in hosts)
        self.hosts_file = self.folder / "hosts"
        self.hosts_file.write_text("\n".join(hosts) + "\n")
        names = [h if port == 22 else f"[{h}]:{port}" for h in hosts]
        self.known_hosts.write_text("".join(f"{name} {self.host_key}\n" for name in names))
        self.ansible_inventory = self.folder / "ansible"
        self.ansible_inventory.write_text("[all]\n" + "\n".join(hosts) + "\n")
        self.inventory = self.folder / "hosts.yaml"
        roles = ["master" if i < 3 else "spare" for i in range(len(hosts))]
        self.inventory.write_text(
            "cluster: { name: bench, distribution: kubeadm, vip: 127.255.0.1 }\n"
            f"ssh: {{ user: {self.user}, port: {port}, identity: {self.key}, known_hosts: {self.known_hosts}, jump: none }}\n"
            "hosts:\n"
            + "".join(f"  host-{i}: {{ address: {h}, role: {roles[i]} }}\n" for i, h in enumerate(hosts)))

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


# MARK: The tools


def environment(site):
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL", "TERM")}
    folder = str(site.folder)
    return kept | {
        "HOME": folder, "TMPDIR": folder, "XDG_STATE_HOME": folder,
        "ANSIBLE_HOME": f"{folder}/ansible-home", "ANSIBLE_LOCAL_TEMP": f"{folder}/ansible-tmp", "ANSIBLE_RETRIES": "0",
        # No connection is kept for the next run: every run of every tool is a cold one.
        "ANSIBLE_SSH_ARGS": shlex.join(
            [*BATCH, "-o", f"UserKnownHostsFile={site.known_hosts}", "-o", "ControlMaster=no", "-o", "IdentitiesOnly=yes"]),
    }


# MARK: Measuring
