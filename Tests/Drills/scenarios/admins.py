"""What happens to the machine that the tool runs on for good, and what a second operator finds."""

import hashlib
import json
import shutil
from pathlib import Path

import lab
from disturbed import CONNECT
from drill import Failed, indented, say
from scenarios.laptop import killed_everywhere

KEPT = "/var/lib/masterswap"


def another_machine(faults, name):
    """From here on the tool is run on another machine, with another name and home. Gives what the one before is set back by."""
    before = faults.state, faults.settings, faults.machine
    home = faults.folder / name / "home"
    shutil.copytree(Path(faults.lab.admin_home) / ".ssh", home / ".ssh")
    faults.state = faults.folder / name / "state"
    faults.state.mkdir(mode=0o700)
    faults.settings = [f"HOME={home}"]
    faults.machine = ["unshare", "--uts", "sh", "-c", f'hostname {name} && exec "$@"', "sh"]
    return before


def lose_machine(faults, name):
    """The tool's machine and all that it has of a run are gone."""
    shutil.rmtree(faults.state)
    another_machine(faults, name)


def snapshot(faults):
    """The checksum of the snapshot of etcd that the run has saved on this machine."""
    path = faults.run_folder() / "saved" / "etcd-snapshot.db"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def laptop_lost(faults):
    """The tool's machine is lost in the middle of ocboot, and a second one at a later step: a third comes to the end. No other run is begun."""
    faults.cut()
    process = faults.start(*faults.replace_arguments)
    faults.wait_for_step("join", process)
    lab.wait_until("ocboot to be at work", 60, lambda: faults.on(faults.primary, f"ls {KEPT}/*/join-1/pid")[0] == 0)
    faults.kill(process)
    run, saved = faults.run_folder().name, snapshot(faults)
    lose_machine(faults, "second-laptop")
    status, out, err, seconds = faults.tool(*faults.replace_arguments)
    say(f"another replacement while the run is unfinished and ocboot is at work: exit {status}, {seconds:.1f} s; masterswap said:\n{indented(err)}")
    if status != 3 or not all(words in err for words in ("no-other-run", f"masterswap resume {run}", "ocboot is at work on")):
        raise Failed(f"another replacement beside run {run} ended with {status}, expected 3, and what to do")
    process = faults.start("resume", *CONNECT)
    faults.wait_for_step("join", process, event="step-finished")
    late = faults.random.choice(["cordon", "rebuild-onecloud-minio-minio", "rebuild-onecloud-monitoring-monitor-minio",
                                 "rebuild-onecloud-default-influxdb"])
    faults.wait_for_step(late, process)
    faults.kill(process)
    say(f"the second machine is lost in step {late}")
    if faults.run_folder().name != run:
        raise Failed(f"the second machine went on with {faults.run_folder().name}, not {run}\nnext: {faults.folder}/tool.log")
    if snapshot(faults) != saved:
        raise Failed(f"the second machine has another snapshot than was taken before anything was touched\nnext: {faults.run_folder()}")
    lose_machine(faults, "third-laptop")
    faults.resume()
    joins = faults.on(faults.primary, f"cd {KEPT}/{run} && ls -d join-*; sha256sum etcd-snapshot.db; stat -c %a . run.jsonl etcd-snapshot.db")[1].split()
    if joins != ["join-1", saved, "etcd-snapshot.db", "700", "600", "600"]:
        raise Failed(f"in {KEPT}/{run} on {faults.primary} is not what was expected: {joins}")
    status, out, err, seconds = faults.tool("runs", *CONNECT)
    say(out.strip())
    if not any(line.split()[0] == run and " done " in line and line.split()[-1] == "both" for line in out.strip().splitlines()[1:]):
        raise Failed(f"the run is not listed as done, here and in the cluster: {out}{err}")
    faults.verify()


def lost_everywhere(faults, until):
    """Each time the tool is killed its machine is lost with all that it has of the run: another admin goes on from what the cluster keeps."""

    def another_admin(attempt):
        if not faults.run_folder():
            return faults.replace_arguments
        lose_machine(faults, f"laptop-{attempt}")
        # They know that the machine is lost, and do not wait for its lock to run out.
        status, out, err, seconds = faults.tool("unlock", "--yes", *CONNECT)
        if status != 0:
            raise Failed(f"laptop-{attempt} could not take the lost machine's lock away: exit {status}: {err.strip()[-400:]}")
        status, out, err, seconds = faults.tool("runs", "--output", "json", *CONNECT)
        if status != 0:
            raise Failed(f"laptop-{attempt} could not list the cluster's runs: exit {status}: {err.strip()[-400:]}")
        return ("resume", *CONNECT) if json.loads(out) else faults.replace_arguments

    killed_everywhere(faults, another_admin, until)
    faults.verify()


def is_joined(faults):
    return any(event["event"] in ("step-finished", "step-skipped") and event.get("step") == "join" for event in faults.journal())


def lost_until_joined(faults):
    """Killed before and after each step's journal lines, up to the join; each time resumed from another admin's machine and home."""
    faults.cut()
    lost_everywhere(faults, until=lambda: is_joined(faults))


def lost_once_joined(faults):
    """The same from the join on."""
    faults.cut()
    process = faults.start(*faults.replace_arguments)
    faults.wait_for_step("join", process, event="step-finished")
    faults.kill(process)
    lost_everywhere(faults, until=lambda: False)


def two_admins(faults):
    """Two admins at once, each with a machine and a home: one has the cluster at a time; each goes on where the other was killed."""
    faults.cut()
    process = faults.start(*faults.replace_arguments)
    faults.wait_for_step("drain", process)
    run = faults.run_folder().name
    first = another_machine(faults, "second-laptop")
    second = faults.state, faults.settings, faults.machine

    def be(admin):
        faults.state, faults.settings, faults.machine = admin

    for words in (faults.replace_arguments, ("resume", "--yes", *CONNECT)):
        status, out, err, seconds = faults.tool(*words)
        say(f"the second admin's {words[0]} beside the first's run: exit {status}, {seconds:.1f} s: {err.strip()[-300:]}")
        if status != 6:
            raise Failed(f"the second admin's {words[0]} ended with {status}, expected 6\nnext: {faults.folder}/tool.log")
    steps = ["join", "rebuild-onecloud-minio-minio", "rebuild-onecloud-default-influxdb"]
    for step, other in zip(steps, (second, first, second)):
        be(first if other is second else second)
        faults.wait_for_step(step, process)
        faults.kill(process)
        be(other)
        say(f"killed in step {step}; the other admin goes on")
        process = faults.start("resume", run, "--yes", *CONNECT)
    faults.finish(process)
    for admin in (first, second):
        be(admin)
        status, out, err, seconds = faults.tool("resume", *CONNECT)
        say(f"resume once it is done: exit {status}: {(out + err).strip()[-200:]}")
        if status != 0 or "nothing to resume" not in out + err:
            raise Failed(f"resume ended with {status}, expected 0 and that nothing is left\nnext: {faults.state}/runs")
    faults.verify()
