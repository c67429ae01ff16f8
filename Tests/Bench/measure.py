"""What a whole process costs: time, processor, memory of all that it starts."""

import os
import pathlib
import resource
import signal
import subprocess
import threading
import time

OWN = pathlib.Path("/proc/self/cmdline").read_bytes()


def tree(pid):
    pids, next_ones = [], [pid]
    while next_ones:
        pid = next_ones.pop()
        pids.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as file:
                    next_ones += map(int, file.read().split())
        except OSError:
            pass
    return pids


def memory(pid):
    """Resident bytes of the process and all below it; pages that two of them share are counted twice."""
    total = 0
    for each in tree(pid):
        try:
            # Between fork and exec it is this program still.
            if pathlib.Path(f"/proc/{each}/cmdline").read_bytes() == OWN:
                continue
            with open(f"/proc/{each}/statm") as file:
                total += int(file.read().split()[1])
        except (OSError, IndexError):
            pass
    return total * resource.getpagesize()


def run_once(command, env, folder, timeout, is_done_line=None, watch=False):
    """One run. -> wall, CPU of it and of the children it waited for, status; if watched: peak memory, time of each host."""
    result = {"peak": 0, "hosts": []}
    output = open(folder / "output", "wb")
    errors = open(folder / "errors", "wb")
    began = time.monotonic()
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if is_done_line else output, stderr=errors,
        start_new_session=True)
    ended = threading.Event()

    def guard():
        if not ended.wait(timeout):
            os.killpg(process.pid, signal.SIGKILL)

    def poll():
        while not ended.is_set():
            result["peak"] = max(result["peak"], memory(process.pid))
            ended.wait(0.01)

    def read():
        for line in process.stdout:
            output.write(line)
            if is_done_line(line):
                result["hosts"].append(time.monotonic() - began)

    threads = [threading.Thread(target=guard)]
    if watch:
        threads.append(threading.Thread(target=poll))
    if is_done_line:
        threads.append(threading.Thread(target=read))
    for thread in threads:
        thread.start()
    _, status, usage = os.wait4(process.pid, 0)
    result["wall"] = time.monotonic() - began
    ended.set()
    for thread in threads:
        thread.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    result["cpu"] = usage.ru_utime + usage.ru_stime
    result["status"] = process.returncode
    result["timed out"] = result["wall"] >= timeout
    if process.stdout:
        process.stdout.close()
    output.close()
    errors.close()
    result["bytes"] = (folder / "output").stat().st_size
    result["errors"] = (folder / "errors").read_text(errors="replace").strip().splitlines()[-1:]
    return result


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, round(share * (len(values) - 1)))] if values else None
