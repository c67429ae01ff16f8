"""What happens to the tool, and on the machine that it runs on."""

import json
import re
import signal
import time

import lab
from disturbed import CONNECT, events, step_under_way
from drill import Failed, say
from state import reference


def killed_everywhere(faults, next_words, until=lambda: False):
    """kill -9 of the tool before and after each kind of journal line that a step writes, to the end of the run. `next_words` gives the
    arguments of each next start; once `until` holds nothing is struck any more."""
    library, seen = faults.preload("kill_at_journal"), faults.folder / "points"
    for attempt in range(1500):
        environment = () if until() else (f"LD_PRELOAD={library}", f"FAULT_SEEN={seen}")
        status = faults.start(*next_words(attempt), environment=environment).wait(timeout=900)
        if status == 0:
            break
        if status not in (-9, 137):
            raise Failed(f"after {attempt} kills the tool ended with {status}\nnext: {faults.folder}/tool.log")
    else:
        raise Failed(f"no end after 1500 kills\nnext: {seen}")
    points = seen.read_text().splitlines()
    kinds = [point.split()[1] for point in points]
    say(f"{len(points)} points struck, before and after a line: " + ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))))
    say("each kind of line once a step, for waits, notes and commands repeat without bound; each announced deletion, and each line that"
        " ocboot printed, by itself")


def kill_everywhere(faults):
    """kill -9 of the tool before and after each step's journal lines; resume each time; the same end, each act once."""
    faults.cut()
    killed_everywhere(faults, lambda attempt: (
        ("resume", *CONNECT) if any("plan" in event for event in faults.journal()) else faults.replace_arguments))
    faults.verify()


def interrupted(faults):
    """Ctrl-C in an early step, twice in the join, and in a late step: 130, says how to go on, no cordon stays; resumed, the same end."""
    faults.cut()
    early = faults.random.choice(["save", "drain", "delete-node", "remove-member"])
    late = faults.random.choice(["cordon", "rebuild-onecloud-minio-minio", "rebuild-onecloud-monitoring-monitor-minio",
                                 "rebuild-onecloud-default-influxdb"])
    arguments = faults.replace_arguments
    for step, twice in ((early, False), ("join", True), (late, False)):
        process = faults.start(*arguments)
        arguments = ("resume", *CONNECT)
        faults.wait_for_step(step, process)
        if not faults.signal(signal.SIGINT):
            raise Failed(f"no tool is there to be interrupted\nnext: {faults.folder}/tool.log")
        if twice:
            # Two at once would be one.
            lab.wait_until("the first Ctrl-C to be heard", 5, lambda: "once more ends at once" in faults.said(), every=0.01)
            faults.signal(signal.SIGINT)
        faults.finish(process, expected=130, seconds=5 if twice else 300)
        said = faults.said()
        if "masterswap resume" not in said:
            raise Failed(f"interrupted in step {step}, it does not say how to go on\nnext: {faults.folder}/tool.log")
        if twice:
            say(f"Ctrl-C twice in step {step}: " + ("ended at once" if "ended at once" in said else "it was at its end before the second"))
            continue
        nodes = lab.wait_until("the nodes", 60, lambda: lab.kubectl_json(faults.primary, "get", "nodes"))["items"]
        cordoned = [n["metadata"]["name"] for n in nodes if n["spec"].get("unschedulable") and n["metadata"]["name"] != faults.dead]
        say(f"Ctrl-C in step {step}: {said.count('uncordoned ')} nodes uncordoned")
        if cordoned:
            raise Failed(f"still cordoned: {', '.join(cordoned)}\nnext: {faults.folder}/tool.log")
    faults.resume()
    faults.verify()


def second_run(faults, delay=None):
    """A second run, begun at a random moment of the first: exit 6, and it says who; the first goes on to its end."""
    faults.cut()
    delay = delay or faults.random.uniform(2, 90)
    first, moment = faults.start(*faults.replace_arguments), time.monotonic() + delay
    lab.wait_until("the moment of the second run", delay + 10, lambda: first.poll() is not None or time.monotonic() >= moment)
    status, step = None, step_under_way(faults.journal())
    if first.poll() is None:
        status, out, err, seconds = faults.tool(*faults.replace_arguments)
        say(f"a second run, {delay:.1f} s after the first, in its step {step}: exit {status}: {err.strip()[-400:]}")
    if status != 6 and first.poll() is not None and delay != 20:
        faults.finish(first)
        say(f"the first run had ended {delay:.1f} s after its start, or soon thereafter: all of it again, with 20 s")
        faults.again()
        return second_run(faults, 20)
    if status != 6:
        raise Failed(f"the second run ended with {status}, expected 6\nnext: {faults.folder}/tool.log is the first's")
    if not re.search(r"holds the lock of this cluster: \S+ on \S+, process \d+, since \S+", err):
        raise Failed(f"the second run does not say who, where and since when: {err.strip()[-400:]}\nnext: {lab.LAB} status")
    faults.finish(first)
    faults.verify()


def lock_lost(faults):
    """Another operator takes the lock away during the join: the run stops with 6 before its next act; resumed, the same end."""
    faults.cut()
    destroying = lambda: [e.get("text", "") for e in faults.journal() if e["event"] == "destroying"]
    process = faults.start(*faults.replace_arguments)
    faults.wait_for_step("join", process)
    status, out, err, seconds = faults.tool("unlock", "--yes", *CONNECT)
    if status != 0 or "The lock is released." not in out:
        raise Failed(f"the lock was not removed: exit {status}: {(err or out).strip()[-400:]}\nnext: {lab.LAB} status")
    before, step = destroying(), step_under_way(faults.journal())
    faults.finish(process, expected=6)
    after = destroying()
    say(f"removed in step {step}: {' '.join(out.split())}")
    say("the run ended with 6: " + faults.said().strip().splitlines()[-1])
    if after != before:
        raise Failed(f"announced after the lock was lost: {', '.join(after[len(before):])}\nnext: {faults.folder}/tool.log")
    faults.resume()
    faults.verify()


def things(state):
    """The nodes, claims and members of a snapshot, by what stands for each in the journal."""
    return {o["uid"]: f"{o['kind']} {reference(o)}" for kind in ("Node", "PersistentVolumeClaim") for o in state.of(kind)} | {
        m["id"]: f"etcd member {m['id']} of {m['name']}" for m in state.members}


def laptop_full(faults):
    """The laptop's disk is full in the middle: the tool stops before the act; with room again it goes on."""
    faults.cut()
    state = faults.folder / "state"
    admin = lambda script: lab.run("admin", "--", "sh", "-c", script)
    if admin(f"mount -t tmpfs -o size=64m,mode=0700 tmpfs {state}")[0] != 0:
        raise Failed(f"no file system of its own could be put at {state}")
    faults.journal = lambda: events(admin(f"cat {state}/runs/*/journal.jsonl 2>/dev/null")[1])
    process = faults.start(*faults.replace_arguments)
    step = faults.random.choice(["save", "drain", "remove-member", "join", "cordon"])
    faults.wait_for_step(step, process)
    admin(f"dd if=/dev/zero of={state}/filler bs=64k 2>/dev/null; dd if=/dev/zero of={state}/filler2 bs=1 count=65536 2>/dev/null")
    faults.finish(process, expected=2)
    last = faults.journal()
    say(f"full since step {step}; the journal ends with: {json.dumps(last[-1])[:160]}")
    say("stopped: " + " / ".join((faults.folder / "tool.log").read_text(errors="replace").strip().splitlines()[-3:]))
    announced = " ".join(e.get("text", "") for e in last if e["event"] in ("destroying", "destroyed"))
    _, now = faults.snapshot("full")
    there = things(now)
    gone = {identity: name for identity, name in things(faults.state_before).items() if identity not in there}
    say(f"gone: {', '.join(gone.values()) or 'nothing'}")
    unannounced = [name for identity, name in gone.items() if identity not in announced]
    if unannounced:
        raise Failed(f"gone, and no line of the journal announced it: {', '.join(unannounced)}\nnext: {state}/runs")
    admin(f"rm -f {state}/filler {state}/filler2")
    faults.resume()
    faults.verify()


def clocks(faults):
    """Two operators whose clocks are two hours apart, killed and resumed: the lock holds, and the end is the same."""
    faults.cut()
    library = faults.preload("clock_offset")
    fake = lambda offset: [f"LD_PRELOAD={library}", f"CLOCK_OFFSET={offset}"]
    first = faults.start(*faults.replace_arguments, environment=fake("-3600"))
    faults.wait_for_step("drain", first)
    for offset in ("3600", "-3600", "0"):
        second = faults.start(*faults.replace_arguments, environment=fake(offset))
        faults.finish(second, expected=6, seconds=120)
    say("a second operator, an hour ahead, an hour behind and in time: refused with 6 each time")
    faults.kill(first)
    faults.finish(faults.start("resume", *CONNECT, environment=fake("3600")))
    faults.verify()
