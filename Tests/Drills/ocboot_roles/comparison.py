"""What the roles did to hosts of the cluster and to the cloud, and whether the plan's text announces it."""
import re
from collections import namedtuple

# One kind of change: its name in the table, the words by which an effect of OcbootRelease.swift announces it, and by which files and
# calls it is known.
Kind = namedtuple("Kind", "name announced files calls")

KINDS = [
    Kind("iptables", "flushes iptables", r"/etc/iptables\.backup\..*", r"iptables .*|service iptables .*"),
    Kind("firewalld", "firewalld", r"", r"systemctl .*firewalld.*"),
    Kind("SELinux", "SELinux", r"/etc/selinux/config", r"setenforce .*"),
    Kind("docker", "/etc/docker/daemon.json", r"/etc/docker/.*", r"systemctl (restart|enable) docker"),
    Kind("kubelet", "/etc/sysconfig/kubelet", r"/etc/sysconfig/kubelet", r"systemctl (restart|enable) kubelet"),
    Kind("packages", "installs packages", r"/etc/yum\.repos\.d/.*", r"apt search .*|dnf install .*|package .*|module .*|yum .*|pip3? .*"),
    Kind("cipher suites", "--tls-cipher-suites", r"/etc/kubernetes/manifests/kube-apiserver\.yaml", r""),
    Kind("keepalived", "keepalived.yaml", r".*/keepalived\.yaml", r""),
    Kind("k3s", "/etc/rancher/k3s/config.yaml",
         r"/etc/rancher/k3s/config\.yaml|/etc/systemd/system/k3s\.service(\.env)?|/usr/local/bin/k3s.*|/usr/local/bin/kubectl|"
         r"/root/\.kube.*|/var/lib/rancher/k3s/agent/.*", r"systemctl (enable|disable|restart) (.*/)?k3s(\.service)?"),
    Kind("k3s agent", "k3s-agent.service", r"/etc/systemd/system/k3s-agent\.service(\.env)?", r"systemctl (enable|disable) .*k3s-agent(\.service)?"),
    Kind("k3s manifests", "server/manifests", r"/var/lib/rancher/k3s/server/manifests/.*", r""),
    Kind("host.conf", "/etc/yunion/host.conf", r"/etc/yunion/host\.conf", r""),
    Kind("addons", "patches coredns", r"", r"(k3s )?kubectl (patch|replace|apply|create|delete|annotate|label|scale|rollout|set|edit) .*"),
    Kind("boot", "boot loader", r"/etc/default/grub.*|/boot/.*|/etc/modprobe\.d/.*|/etc/modules-load\.d/vfio.*|/etc/dracut.*|"
         r"/usr/local/gpu-init.*|/usr/share/hwdata.*|/usr/bin/vfio.*", r"grub2-mkconfig.*|grubby .*|dracut .*|modprobe vfio.*"),
    Kind("images", "pulls", r"/opt/yunion/share/image-cache.*", r"ocadm config images pull.*|k3s (ctr|crictl) .*|ctr .*|nerdctl .*|docker (pull|save|run|load) .*"),
    Kind("commands", "wrappers", r"/opt/yunion/bin/(ceph|ovs)\.sh|/usr/local/bin/(ceph|rbd|ovs).*", r""),
    Kind("users", "a user yunion", r"/etc/sudoers|/etc/(passwd|group|shadow|gshadow)-?|/etc/\.pwd\.lock|/home/yunion.*|/etc/sub[ug]id.*|/var/(spool/)?mail.*", r"useradd .*"),
    Kind("cloud's credentials", "rcadmin", r"/root/\.onecloud_rcadmin", r""),
    Kind("system", "kernel parameters",
         r"/etc/sysctl.*|/etc/modules-load\.d/(br_netfilter|kubernetes).*|/etc/sysconfig/modules.*|/etc/systemd/system/yunion-.*|"
         r"/usr/bin/yunion-.*|/etc/NetworkManager.*|/etc/cron\.d/.*|/etc/profile|/root/\.bashrc|/etc/fstab.*",
         r"sysctl .*|modprobe .*|swapoff .*|systemctl (enable|start|restart|reload|disable|stop) (--now )?(yunion-\S+|NetworkManager|ntpd\S*|chronyd\S*|nm-cloud-setup\S*).*"),
]
# Of ocboot's own files on the primary; the first half of the drill and the plan's list of leftovers know them.
OWN = r"/tmp/(host_inventory|oc_vars)\.yml|/tmp/tmp.*"
# Asks only, or is the join's own.
READING = (r"kubectl( (get|version|completion|config|rename-context|describe|cluster-info)\b.*)?|k3s( (kubectl (get|version|config|completion)|completion|--version).*)?|"
           r"systemctl (-\S+ )*(show|is-\S+|list-\S+|daemon-reload|status|cat|--type).*|"
           r"ovs-vsctl .*|rpm .*|getenforce ?|sestatus ?|ocadm (token list|init phase upload-certs|cluster rcadmin).*|kubeadm (token|version).*|visudo .*|"
           r"service --status-all|mount ?|curl .*|iptables-save ?|iptables (-V|--version).*|kubelet .*|sysctl (-e )?-n .*|"
           r"crontab -l|sysctl [a-z0-9_.]+|docker (info|version|ps|image ls|images|--version).*|hostnamectl ?|lsb_release .*|sudo .*|helm version.*|climc .*")
FORBIDDEN = r"climc .*(user-(update|create)|project-add-user).*"


def call_text(call):
    """A call as a line; of modules what they install."""
    if not call["program"].startswith("module "):
        return " ".join([call["program"], *call["words"]]).strip()
    arguments, name = call["arguments"], call["program"].split(" ")[1]
    if name in ("yum", "dnf", "apt"):
        packages = arguments.get("name") or arguments.get("pkg") or []
        return f"package {' '.join(packages) if isinstance(packages, list) else packages} {arguments.get('state') or 'present'}"
    return f"modprobe {arguments.get('name')}" if name == "modprobe" else f"module {name} {arguments.get('url', '')}"


def matches(pattern, text):
    return bool(pattern) and re.fullmatch(pattern, text, re.DOTALL) is not None


class Comparison:
    """One release: what was seen on survivors, by kind; what is not announced; what is announced and was not seen."""

    def __init__(self, result, planned):
        self.kind = planned["distribution"]
        self.result, self.effects = result, planned["run"]["invocation"]["effects"]
        self.survivors = {name: host for name, host in result["hosts"].items() if not host["is_new"]}
        self.kinds, self.wrong = {}, []
        leftovers = planned["run"]["invocation"]["leftovers"]
        for name, host in self.survivors.items():
            for path in host["changes"]:
                if not matches(OWN, path):
                    self.note(path, next((kind for kind in KINDS if matches(kind.files, path)), None), name, is_file=True)
            for call in host["calls"]:
                text = call_text(call)
                if not matches(READING, text):
                    self.note(text, next((kind for kind in KINDS if matches(kind.calls, text)), None), name, is_file=False)
            if host["rebooted"]:
                self.wrong.append(f"{name} was restarted")
        for kind in KINDS:
            if kind.name in self.kinds and not any(kind.announced in effect for effect in self.effects):
                seen = sorted({text for text, _ in self.kinds[kind.name]["files"] | self.kinds[kind.name]["calls"]})
                self.wrong.append(f"{kind.name}: no effect announces it: {', '.join(seen)[:300]}")
        for name, host in result["hosts"].items():
            self.wrong += [f"{name}: {call_text(call)}" for call in host["calls"] if matches(FORBIDDEN, call_text(call))]
        for path in result["password_left_in"]:
            if path.removeprefix("/root/ocboot/") not in leftovers:
                self.wrong.append(f"the password was left in {path}, which the table does not have")
        if not self.joined:
            self.wrong.append(f"not joined: {self.why}")

    def note(self, text, kind, name, is_file):
        if kind is None:
            self.wrong.append(f"{name}: nobody knows this change: {text}")
        else:
            seen = self.kinds.setdefault(kind.name, {"files": set(), "calls": set()})
            seen["files" if is_file else "calls"].add((text, name))

    @property
    def joined(self):
        return self.result["status"] == 0 and self.result["join"] is not None

    @property
    def why(self):
        """The failed task and its message."""
        if self.result["status"] is None:
            return "it did not end in time"
        output = re.sub(r"\x1b\[[0-9;]*m", "", self.result["output"])
        task = found = ""
        for line in output.splitlines():
            if title := re.match(r"TASK \[(.*)\] \**", line):
                task = title[1]
            if line.startswith(("fatal:", "failed:")):
                found = f"{task}: {line}"
            # A failure that the task ignores is none.
            if line.startswith("...ignoring"):
                found = ""
        message = re.search(r'"msg": "(.*?)(?<!\\)"', found)
        return f"exit status {self.result['status']}, {found.split(': ')[0]}: {message[1] if message else output[-200:]}"[:400]

    @property
    def not_seen(self):
        """Effects of which no kind was seen."""
        words = [kind.announced for kind in KINDS if kind.name in self.kinds]
        return [effect for effect in self.effects if not any(word in effect for word in words)]

    @property
    def cloud(self):
        """What the cloud and the cluster were asked to change or to tell, from anywhere."""
        calls = [call_text(call) for host in self.result["hosts"].values() for call in host["calls"]]
        asked = {text for text in calls if re.match(r"climc |ocadm cluster (?!rcadmin)|(k3s )?kubectl (patch|replace|apply|create|delete|scale|rollout)", text)}
        return sorted({re.sub(r" (--patch|-p) .*", "", text, flags=re.S) for text in asked})

    @property
    def restarted(self):
        return [name for name, host in self.result["hosts"].items() if host["rebooted"]]
