"""Where k3s keeps what, as far as the stand-in keeps it; its configuration, and how it logs."""

import ctypes
import os
import signal
import socket
import sys
import time

import yaml

DATA = "/var/lib/rancher/k3s"
SERVER, AGENT, TLS, DB = f"{DATA}/server", f"{DATA}/agent", f"{DATA}/server/tls", f"{DATA}/server/db"
BIN = f"{DATA}/data/stand-in/bin"
CONTAINERD = "/run/k3s/containerd/containerd.sock"
READY, HOLD, LEARNERS = "/run/k3s/ready", "/run/lab/k3s-finalizers", "/run/lab/k3s-learners"
SUPERVISOR = 9345
KUBERNETES, PROGRAMS = "/opt/lab/kubernetes", "/opt/lab/programs"
NODE = socket.gethostname().lower()
CONTROL = ("control-plane", "etcd", "master")
LEARNER_LIMIT = 300    # seconds without progress after which k3s removes a learner; or what the file LEARNERS says


def log(level, text):
    print(f'time="{time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}" level={level} msg="{text}"', flush=True)


def fatal(text):
    log("fatal", text)
    sys.exit(1)


def write(path, text, mode=0o600):
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def read(path):
    with open(path) as file:
        return file.read()


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


# The configuration: /etc/rancher/k3s/config.yaml, and over it the command line.

def configuration(words):
    options = {}
    if os.path.exists("/etc/rancher/k3s/config.yaml"):
        options = yaml.safe_load(read("/etc/rancher/k3s/config.yaml")) or {}
    words = list(words)
    while words:
        name, has_value, value = words.pop(0).partition("=")
        name = name.lstrip("-")
        if name in ("cluster-init", "cluster-reset", "disable-network-policy"):
            value = value != "false"
        elif not has_value:
            value = words.pop(0) if words else fatal(f"flag needs an argument: {name}")
        options[name] = value
    if options.get("data-dir", DATA) != DATA:
        fatal(f"the stand-in keeps its data in {DATA} only")
    return options


def listed(value):
    return value if isinstance(value, list) else [] if value is None else [value]
