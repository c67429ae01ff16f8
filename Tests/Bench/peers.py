"""The ways to run a command on many hosts, as each is called."""

import shlex
import subprocess

from loopback import BATCH, HERE, NAMES, VENV


class Tools:
    def __init__(self, options):
        self.options = options
        self.skipped = {}
        self.versions = {}
        self.found = [name for name in options.tools if self.look(name)]

    def look(self, name):
        venv = str(VENV / "bin")
        version = {
            "masterswap": [self.options.masterswap, "--version"],
            "asyncssh": [f"{venv}/python", "-c", "import asyncssh; print(asyncssh.__version__)"],
            "parallel-ssh": [f"{venv}/python", "-c", "from importlib.metadata import version; print(version('parallel-ssh'))"],
            "clush": [f"{venv}/clush", "--version"],
            "pssh": ["parallel-ssh", "--version"],
            "ansible": ["ansible", "--version"],
            "xargs+ssh": ["ssh", "-V"],
        }.get(name)
        if not version:
            raise SystemExit(f"bench: no such tool: {name}; these are: {', '.join(NAMES)}")
        try:
            done = subprocess.run(version, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
            first = (done.stdout.strip().splitlines() or [""])[0]
            if done.returncode == 0:
                self.versions[name] = first
                return True
            self.skipped[name] = f"does not start: {first}"
        except (OSError, subprocess.TimeoutExpired) as error:
            self.skipped[name] = f"not installed: {error}"
        return False

    def command(self, name, site, port, argv, streams):
        """The command line. `streams`: a line a host as it is done, where the tool can."""
        o = self.options
        text = shlex.join(argv)
        forks, timeout = str(o.forks), str(o.connect_timeout)
        ssh = [*BATCH, "-o", f"UserKnownHostsFile={site.known_hosts}", "-o", f"ConnectTimeout={timeout}", "-o",
               "IdentitiesOnly=yes", "-i", str(site.key), "-p", str(port)]
        python = str(VENV / "bin/python")
        hosts, key = str(site.hosts_file), str(site.key)
        if name == "masterswap":
            return [o.masterswap, "exec", "-i", str(site.inventory), "--concurrency", forks, "--connect-timeout", timeout,
                    *(["--output", "json"] if streams else []), "--", *argv]
        if name == "asyncssh":
            return [python, str(HERE / "with_asyncssh.py"), hosts, str(port), site.user, key, str(site.known_hosts), forks,
                    timeout, text]
        if name == "parallel-ssh":
            return [python, str(HERE / "with_parallel_ssh.py"), hosts, str(port), site.user, key, forks, timeout, text]
        if name == "clush":
            return [str(VENV / "bin/clush"), "-q", "-b", "-S", "-f", forks, "-l", site.user, "-t", timeout,
                    "-o", shlex.join(ssh), "--hostfile", hosts, text]
        if name == "pssh":
            # Its -x splits like a shell.
            return ["parallel-ssh", "-i", "-h", hosts, "-l", site.user, "-p", forks, "-t", "0", "-x", shlex.join(ssh), text]
        if name == "ansible":
            return ["ansible", "all", "-i", str(site.ansible_inventory), "-u", site.user, "-f", forks, "-T", timeout,
                    "--private-key", key, "-m", "raw", "-a", text, "-e", f"ansible_port={port}", *(["-o"] if streams else [])]
        if name == "xargs+ssh":
            # At the first ssh that ends with 255 xargs would end, too, and leave the rest undone.
            run = ["sh", "-c", 'ssh "$@" || exit 1', "ssh"] if site.has_dead else ["ssh"]
            return ["xargs", "-a", hosts, "-P", forks, "-I", "{}", *run, *ssh, "-l", site.user, "{}", text]

    @staticmethod
    def is_done_line(name, line):
        """Does that line say that one host is done? None where the tool says it of none, or only at the end."""
        return {
            "masterswap": lambda: line.startswith(b'{"') and b'"event":"host"' in line,
            "asyncssh": lambda: line.startswith(b"127."),
            "pssh": lambda: line.startswith(b"[") and (b"[SUCCESS]" in line or b"[FAILURE]" in line),
            "ansible": lambda: line.startswith(b"127.") and b" | " in line,
        }.get(name, lambda: None)()
