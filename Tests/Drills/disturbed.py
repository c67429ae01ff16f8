"""A replacement on the lab up to the power cut, with ways to run the tool and to disturb it."""

import json
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import drill
import lab
from drill import HERE, Drill, Failed, say

CONNECT = ("--connect-timeout", "3")
# What a fault from outside may end a run with: a step failed, a host is away, a question was not answered, the lock is another's.
RESUMABLE = (2, 4, 5, 6)
MANIFESTS = {"kubeadm": "/etc/kubernetes/manifests", "k3s": "/var/lib/rancher/k3s/agent/pod-manifests"}


def events(journal):
    """The events of a journal; what is torn at its end is left out."""
    found = []
    for line in journal.split("\n"):
        try:
            found.append(json.loads(line)["entry"])
        except ValueError:
            break
    return found


def step_under_way(journal):
    """The step that began last and has not ended."""
    step = None
    for event in journal:
        if event["event"] == "step-began":
            step = event["step"]
        elif event["event"] in ("step-finished", "step-failed"):
            step = None
    return step


class Faults(Drill):
    """A drill up to the power cut, with ways to run the tool and to disturb it."""

    def __init__(self, profile, seed):
        # What the scenario before left is whole, and not what this one begins with.
        lab.live("down")
        super().__init__(profile)
        self.profile, self.seed = profile, seed
        self.random = random.Random(seed)
        self.before, self.state_before = self.healthy_snapshot()
        holders = self.state_before.vip_holders
        if holders != [self.lab.primary]:
            raise Failed(f"the VIP is on {holders}, expected {self.lab.primary}\nnext: {lab.LAB} down, then again")

    def tidy(self):
        if not os.environ.get("MASTERSWAP_DRILL"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def again(self):
        """Another lab, and nothing kept of this one."""
        self.tidy()
        self.__init__(self.profile, self.seed)

    def cut(self):
        self.primary = self.cut_power()
        self.new = self.spare
        self.replace_arguments = (*self.replacement(), *CONNECT)

    def start(self, *arguments, environment=()):
        """Starts the tool in the background; its output goes to a file of the drill's folder."""
        command = self.command(*arguments)
        at = command.index("env") + 1
        command[at:at] = environment
        with open(self.folder / "tool.log", "ab") as log:
            self.said_before = log.tell()
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self.process

    def said(self):
        """What the tool that was started last has said."""
        return (self.folder / "tool.log").read_bytes()[self.said_before:].decode(errors="replace")

    def run_folder(self):
        """The newest run's; None where there is none."""
        journals = sorted((self.state / "runs").glob("*/journal.jsonl"))
        return journals[-1].parent if journals else None

    def journal(self):
        """The newest run's events."""
        run = self.run_folder()
        return events((run / "journal.jsonl").read_text(errors="replace")) if run else []

    def preload(self, name):
        """A library of this folder, built."""
        library = self.folder / f"{name}.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, HERE / f"{name}.c", "-ldl"], check=True)
        return library

    def wait_for_step(self, step, process=None, event="step-began", seconds=400):
        def there():
            if process is not None and process.poll() is not None:
                raise Failed(f"the tool ended with {process.returncode} before step {step}\nnext: {self.folder}/tool.log")
            return any(e["event"] == event and e.get("step") == step for e in self.journal())

        lab.wait_until(f"the step {step}", seconds, there)

    def end(self, process, seconds):
        """Its exit status."""
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"the tool did not end within {seconds} s\nnext: {self.folder}/tool.log")

    def finish(self, process, expected=0, seconds=900):
        status = self.end(process, seconds)
        if status != expected:
            raise Failed(f"the tool ended with {status}, expected {expected}\nnext: {self.folder}/tool.log")

    def finish_resumed(self, process, resumes, seconds=900):
        """To the end, resumed where a fault from outside ended it; a fault of the program itself fails at once."""
        for _ in range(resumes):
            status = self.end(process, seconds)
            if status == 0:
                return
            if status not in RESUMABLE:
                raise Failed(f"the tool ended with {status}: no fault from outside may do that\nnext: {self.folder}/tool.log")
            say(f"the run stopped with {status}; resuming")
            process = self.start("resume", "--yes", *CONNECT)
        raise Failed(f"no end after {resumes} resumes\nnext: {self.folder}/tool.log")

    def family(self, process):
        """What was started and what that started, the tool at its end; the lab's command lies between."""
        family = [process.pid]
        for pid in family:
            try:
                family += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            except OSError:
                pass
        return family

    def signal(self, number):
        """Sends the tool that was started last a signal, and nothing between; gives whether it is there."""
        sent = False
        for pid in self.family(self.process) if self.process.poll() is None else []:
            try:
                if os.path.samefile(f"/proc/{pid}/exe", self.program):
                    os.kill(pid, number)
                    sent = True
            except OSError:
                pass    # it has ended
        return sent

    def let_go(self):
        """After a SIGSTOP: nsenter(1) stops itself where what it runs is stopped, and is woken as well."""
        for pid in self.family(self.process) if self.process.poll() is None else []:
            try:
                os.kill(pid, signal.SIGCONT)
            except OSError:
                pass

    def kill(self, process):
        """kill -9 of what was started, the tool first."""
        for pid in reversed(self.family(process)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()

    def limit_learners(self, act):
        for host in self.lab.masters:
            self.on(host, f"{act}/run/lab/k3s-learners")

    def resume(self, *options):
        self.finish(self.start("resume", *options, *CONNECT))

    def verify(self, *more):
        after, _ = self.snapshot("after")
        options = ["--dead", self.dead, "--new", self.new, "--primary", self.primary]
        options += ["--promoted"] if self.dead == self.lab.primary else []
        options += more
        if drill.verify(self.before, after, *options) != 0:
            raise Failed(f"not all is as it should be\nnext: Tests/Drills/verify {self.before} {after} {' '.join(options)}")
