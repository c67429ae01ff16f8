"""Stands in a host of the drill for every program that would change a system: writes down what it was asked, and answers what a
healthy host of a healthy cluster would answer, as far as ocboot's roles need an answer.

Started by a launcher as: recorder.py PROGRAM ARGUMENT...; the calls go to /drill/calls, a JSON object each.
"""
import json
import os
import pathlib
import re
import sys
import time
import uuid

HOST = json.loads(pathlib.Path("/drill/host.json").read_text())
# One folder for all hosts: what the cluster would know.
CLUSTER = pathlib.Path("/cluster")
BOOT = pathlib.Path("/proc/sys/kernel/random/boot_id")
KERNEL = "3.10.0-1160.6.1.el7.yn20201125.x86_64"
OPERATOR = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: onecloud-operator
  namespace: onecloud
spec:
  template:
    spec:
      containers:
      - name: onecloud-operator
        command:
        - /bin/onecloud-controller-manager
"""
STARTED = pathlib.Path("/drill/started")
# Units that a host of the one kind does not have.
MISSING_UNITS = {"kubeadm": {"k3s", "k3s-agent", "telegraf"}, "k3s": {"docker", "kubelet", "k3s-agent", "telegraf"}}


def record(program, words):
    call = {"program": program, "words": words, "time": time.time()}
    files = [words[number + 1] for number, word in enumerate(words[:-1]) if word in ("-f", "--filename")]
    if program in ("kubectl", "k3s") and files:
        try:
            call["file"] = (sys.stdin.read() if files[0] == "-" else pathlib.Path(files[0]).read_text())[:20000]
        except OSError:
            pass
    with open("/drill/calls", "a") as calls:
        calls.write(json.dumps(call) + "\n")


def nodes():
    joined = CLUSTER / "joined"
    return HOST["survivors"] + ([joined.read_text()] if joined.exists() else [])


def join(arguments):
    (CLUSTER / "join").write_text(arguments)
    (CLUSTER / "joined").write_text(HOST["name"])
    if HOST["distribution"] == "k3s":
        pathlib.Path("/etc/rancher/k3s/k3s.yaml").write_text("apiVersion: v1\nkind: Config\n")


def restart():
    """A new boot, as Ansible's module reboot looks for it; from then on with the cloud's kernel."""
    BOOT.write_text(f"{uuid.uuid4()}\n")
    pathlib.Path("/drill/rebooted").touch()


def kubectl(words):
    text = " ".join(words)
    if re.search(r"\bversion\b", text):
        return 'Client Version: version.Info{Major:"1", Minor:"15", GitVersion:"v1.15.12"}'
    if "onecloudcluster" in text and "jsonpath" in text:
        return HOST["release"]
    if re.search(r"\bget (crd|onecloudclusters?)\b", text):
        return "onecloudclusters.onecloud.yunion.io\ndefault"
    if re.search(r"\bget nodes?\b", text):
        separator = " " if "jsonpath" in text else "\n"
        return separator.join(nodes() if "jsonpath" in text else [f"{name} Ready master 1y v1.15.12" for name in nodes()])
    if re.search(r"\bget deploy\S* .*onecloud-operator", text) and "yaml" in text:
        return OPERATOR
    if re.search(r"\bget pods?\b", text):
        return "\n".join(f"default-{name}-0 1/1 Running 0 1y" for name in (
            "keystone", "region", "scheduler", "glance", "apigateway", "kubeserver", "web", "webconsole", "climc", "operator"))
    return ""


def ocadm(words):
    text = " ".join(words)
    if text.startswith("join "):
        join(f"ocadm {text}")
    if "upload-certs" in text:
        return "[upload-certs] Using certificate key:\n" + "c0ffee11" * 8
    if "rcadmin" in text:
        return "export OS_AUTH_URL=https://cloud:30500/v3"
    # Without a living bootstrap token, as a day after the installation.
    return "TOKEN  TTL  EXPIRES" if text.startswith("token list") else ""


def kubeadm(words):
    if words[:2] == ["token", "create"]:
        return f"kubeadm join {HOST['vip']}:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:{'ab' * 32}"
    return 'kubeadm version: &version.Info{Major:"1", Minor:"15", GitVersion:"v1.15.12"}' if words[:1] == ["version"] else ""


def is_there(unit):
    return unit not in MISSING_UNITS[HOST["distribution"]] or pathlib.Path(f"/etc/systemd/system/{unit}.service").exists()


def is_active(unit):
    """A new host has nothing running that was not started on it."""
    started = STARTED.read_text().split() if STARTED.exists() else []
    return is_there(unit) and (not HOST["is_new"] or unit in started)


def systemctl(words):
    names = [word.removesuffix(".service") for word in words if not word.startswith("-")]
    verb, units = (names + [""])[0], names[1:]
    unit = units[0] if units else ""
    if verb in ("start", "restart") or verb == "enable" and "--now" in words:
        with STARTED.open("a") as started:
            started.write(f"{unit}\n")
        service = pathlib.Path("/etc/systemd/system/k3s.service")
        if unit == "k3s" and HOST["is_new"] and service.exists():
            join(next((line.strip() for line in service.read_text().splitlines() if "--server" in line), "k3s server"))
    if verb in ("reboot", "kexec"):
        restart()
    if verb == "show":
        state = "loaded" if is_there(unit) else "not-found"
        return f"Id={unit}.service\nLoadState={state}\nActiveState={'active' if is_active(unit) else 'inactive'}\nSubState=running"
    if verb == "is-active":
        return ("active", 0) if is_active(unit) else ("inactive", 3)
    if verb == "is-enabled":
        return ("disabled", 1) if HOST["is_new"] else ("enabled", 0)
    if verb == "list-units":
        return "firewalld.service loaded active running firewalld\nsshd.service loaded active running sshd"
    if verb == "list-unit-files":
        return "firewalld.service enabled\nsshd.service enabled"
    return "running" if verb == "is-system-running" else ""


def curl(words):
    """A download of k3s is another program than the host's; all else is text."""
    address = next((word for word in words if "://" in word), "")
    text = f"# downloaded from {address}\n"
    return "#!/bin/sh\n" + text + pathlib.Path("/drill/launcher").read_text() if address.endswith(("/k3s", ".sh")) else text


def answer(program, words):
    """The output, or that and the exit status."""
    simple = {
        "kubelet": "Kubernetes v1.15.12", "getenforce": "Permissive", "sestatus": "SELinux status:                 enabled",
        "ovs-vsctl": "eth0", "docker": "", "uname": "", "rpm": "kernel-3.10.0-1160.el7.x86_64", "iptables-save": "*filter\nCOMMIT",
    }
    if program == "k3s":
        return kubectl(words[1:]) if words[:1] == ["kubectl"] else "k3s version v1.28.5+k3s1" if "--version" in words else ""
    if program in ("shutdown", "reboot"):
        restart()
    return {"kubectl": kubectl, "ocadm": ocadm, "kubeadm": kubeadm, "systemctl": systemctl, "curl": curl}.get(
        program, lambda words: simple.get(program, ""))(words)


def become(words):
    """sudo, without its options."""
    while words and (words[0].startswith("-") or "=" in words[0]):
        words = words[2:] if words[0] in ("-u", "-g", "-p") else words[1:]
    if words:
        os.execvp(words[0], words)


def main(path, *words):
    program, words = os.path.basename(path), list(words)
    if program == "uname":
        # Only the kernel's release is another one than the machine's.
        is_release = words == ["-r"] and pathlib.Path("/drill/rebooted").exists()
        return print(KERNEL if is_release else " ".join(os.uname()) if words == ["-a"] else {
            "-r": os.uname().release, "-m": os.uname().machine, "-n": os.uname().nodename, "-v": os.uname().version}.get(
                "".join(words), "Linux"))
    record(program, words)
    if program == "sudo":
        return become(words)
    given = answer(program, words)
    text, status = given if isinstance(given, tuple) else (given, 0)
    if text:
        print(text)
    sys.exit(status)


main(*sys.argv[1:])
