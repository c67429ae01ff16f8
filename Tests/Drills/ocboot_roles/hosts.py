"""The hosts of the drill: a file tree, a network, a first process and an SSH server for each.

A host's tree is of memory, but for the machine's /usr, over which it writes into a layer of its own. It looks like CentOS 7.9 on a
machine with four processors and 16 GiB. Every program that would change a system is a recorder. Its processes have no capability
that reaches outside of their namespaces. All this is to be made in a mount and network namespace of the caller's own.
"""
import json
import os
import pathlib
import shutil
import stat
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
RECORDED = """yum rpm visudo crontab systemctl service docker nerdctl ctr crictl containerd kubeadm kubectl kubelet
    iptables iptables-save iptables-restore ip6tables ipset modprobe rmmod insmod depmod sysctl setenforce getenforce sestatus
    grub2-mkconfig grubby dracut curl wget reboot shutdown poweroff halt swapoff hostnamectl timedatectl ntpdate chronyc
    ovs-vsctl helm mysql mysqladmin rsync parallel buildah pip pip3 uname sudo update-alternatives mount umount""".split()
# What CentOS 7 has not.
HIDDEN = "apt apt-get apt-cache apt-key aptitude dnf dpkg dpkg-query lsb_release update-grub nft".split()
FOLDERS = """root opt tmp home boot usr proc sys dev drill cluster var/log var/tmp var/lib var/spool/cron run/sshd run/systemd/system
    etc/cron.d etc/dracut.conf.d etc/logrotate.d etc/modprobe.d etc/modules-load.d etc/profile.d etc/security/limits.d etc/sudoers.d etc/sysconfig
    etc/sysctl.d etc/systemd/system etc/udev/rules.d""".split()
CAPABILITIES = "sys_admin sys_boot sys_module sys_time sys_rawio mknod sys_resource syslog sys_nice".split()
MEMORY = 16 * 1024 * 1024

LAUNCHER = 'exec /usr/bin/python3 -I /drill/recorder.py "$0" "$@"\n'

# $1: the host's folder; from $4 on: a place of the machine, and where the host has it, for each that is to be seen there.
START = r"""
set -e
folder=$1 root=$1/root
hostname "$2"
mount --make-rprivate /
mount --bind $root $root
mount -t overlay -o "lowerdir=/usr,upperdir=$folder/usr,workdir=$folder/work" overlay $root/usr
for name in drill cluster; do mount --bind $folder/$name $root/$name; done
mount -t proc proc $root/proc
mount --rbind /sys $root/sys
mount -t tmpfs tmpfs $root/dev
for name in null zero full random urandom tty; do touch $root/dev/$name; mount --bind /dev/$name $root/dev/$name; done
mkdir $root/dev/pts $root/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
ln -s /proc/self/fd $root/dev/fd
for name in cpuinfo meminfo cmdline; do mount --bind $folder/drill/$name $root/proc/$name; done
mount --bind $root/proc/sys $root/proc/sys
mount -o remount,bind,ro $root/proc/sys
mount --bind $folder/drill/boot_id $root/proc/sys/kernel/random/boot_id
ports=$3
shift 3
while [ $# -gt 1 ]; do mount --bind "$1" "$root$2"; [ -f "$1" ] || mount -o remount,bind,ro "$root$2"; shift 2; done
cd $root
mkdir -p .old
pivot_root . .old
/.old/usr/bin/umount -l /.old
rmdir /.old
exec setpriv --bounding-set=@CAPABILITIES@ --inh-caps=@CAPABILITIES@ /usr/bin/python3 /drill/host_init.py /usr/sbin/sshd $ports
"""


class Host:
    def __init__(self, folder, name, address, ports, is_new, facts):
        self.folder, self.name, self.address = pathlib.Path(folder) / name, name, address
        self.ports, self.is_new, self.facts = ports, is_new, {**facts, "name": name, "is_new": is_new}
        self.root, self.drill = self.folder / "root", self.folder / "drill"
        self.seen = []

    def write(self, path, text, mode=0o644):
        """A file of the host; of /usr into its own layer."""
        place = self.folder / path[1:] if path.startswith("/usr/") else self.root / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def show(self, source, path):
        """Has the machine's file or folder under that path, not to be written to."""
        place = self.folder / path[1:] if path.startswith("/usr/") else self.root / path[1:]
        if os.path.isdir(source):
            place.mkdir(parents=True, exist_ok=True)
        self.seen += [str(source), path]

    # Its tree

    def build(self, addresses, key, cluster):
        for name in ("root", "usr", "work", "drill"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "cluster").symlink_to(cluster)
        for name in FOLDERS:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "tmp").chmod(0o1777)
        for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
            if os.path.islink(f"/{name}"):
                (self.root / name).symlink_to(os.readlink(f"/{name}"))
        # Nothing of what the machine has in /usr/local.
        (self.folder / "usr/local/bin").mkdir(parents=True)
        os.setxattr(self.folder / "usr/local", "trusted.overlay.opaque", b"y")
        self.write_system(addresses, key)
        self.write_programs()
        self.write_drill()

    def write_system(self, addresses, key):
        centos = "CentOS Linux release 7.9.2009 (Core)\n"
        files = {
            "/etc/os-release": 'NAME="CentOS Linux"\nVERSION="7 (Core)"\nID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"\n',
            "/etc/redhat-release": centos, "/etc/centos-release": centos, "/etc/system-release": centos,
            "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\nsshd:x:74:74::/run/sshd:/usr/sbin/nologin\nnobody:x:99:99::/:/usr/sbin/nologin\n",
            "/etc/group": "root:x:0:\nsshd:x:74:\nnobody:x:99:\nwheel:x:10:\n",
            "/etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
            "/etc/hosts": "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items()),
            "/etc/hostname": self.name + "\n", "/etc/fstab": "", "/etc/sysctl.conf": "", "/etc/profile": "", "/etc/login.defs": "",
            "/etc/selinux/config": "SELINUX=permissive\nSELINUXTYPE=targeted\n", "/root/.bashrc": "", "/etc/resolv.conf": "",
            "/etc/yum.repos.d/CentOS-Base.repo": "[base]\nname=base\nbaseurl=http://mirror/base\n",
        }
        for path, text in files.items():
            self.write(path, text)
        self.write("/etc/sudoers", "root ALL=(ALL) ALL\n", 0o440)
        self.write("/etc/shadow", "root:*:19000:0:99999:7:::\n", 0o600)
        for name in ("ld.so.cache", "alternatives", "ssl", "localtime"):
            source = pathlib.Path("/etc") / name
            if source.is_dir():
                shutil.copytree(source, self.root / "etc" / name, symlinks=True)
            elif source.exists():
                shutil.copy(source, self.root / "etc" / name)
        self.write("/root/.ssh/authorized_keys", key.with_suffix(".pub").read_text(), 0o600)
        self.write("/root/.ssh/id_rsa", key.read_text(), 0o600)
        (self.root / "root/.ssh").chmod(0o700)

    def write_programs(self):
        for name in RECORDED:
            places = [f"/usr/{folder}/{name}" for folder in ("bin", "sbin") if os.path.lexists(f"/usr/{folder}/{name}")]
            for place in places or [f"/usr/bin/{name}"]:
                self.write(place, "#!/bin/sh\n" + LAUNCHER, 0o755)
        for name in HIDDEN:
            for place in (f"usr/{folder}/{name}" for folder in ("bin", "sbin") if os.path.lexists(f"/usr/{folder}/{name}")):
                os.mknod(self.folder / place, stat.S_IFCHR, 0)
        for name in ("ocadm", "climc"):
            self.write(f"/opt/yunion/bin/{name}", "#!/bin/sh\n" + LAUNCHER, 0o755)
        (self.folder / "usr/bin/python").symlink_to("python3")
        for name in ("selinux", "rpm"):
            self.write(f"/usr/lib/python3/dist-packages/{name}.py", (HERE / f"{name}_stub.py").read_text())

    def write_drill(self):
        for name in ("recorder.py", "host_init.py"):
            shutil.copy(HERE / name, self.drill)
        texts = {
            "cpuinfo": "".join(f"processor\t: {number}\nmodel name\t: drill\nphysical id\t: 0\nsiblings\t: 4\ncore id\t: {number}\n"
                               "cpu cores\t: 4\n\n" for number in range(4)),
            "meminfo": f"MemTotal: {MEMORY} kB\nMemFree: {MEMORY // 2} kB\nMemAvailable: {MEMORY // 2} kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
            "cmdline": "quiet systemd.unified_cgroup_hierarchy=0\n", "boot_id": "3f0c4f7e-5a0b-4b52-9a43-2f1f6cc0f0a1\n",
            "launcher": LAUNCHER, "calls": "", "sshd.log": "",
            "sshd_config": "UsePAM no\nLogLevel VERBOSE\nPidFile none\nUseDNS no\nMaxStartups 100\nMaxSessions 100\nStrictModes no\n"
                           "HostKey /drill/host_key\nSubsystem sftp internal-sftp\n"
                           "SetEnv PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n",
        }
        for name, text in texts.items():
            (self.drill / name).write_text(text)
        (self.drill / "host.json").write_text(json.dumps(self.facts))
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.drill / "host_key"], check=True)

    # Its network and its processes

    def connect(self, number, vip=None):
        """Joins the network `lan` by eth0. A master of the cluster has the address on br0, as its host service left it."""
        def ip(*words, host=True):
            subprocess.run(["ip", *(["-n", self.name] if host else []), *words], check=True)

        ip("netns", "add", self.name, host=False)
        ip("link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", self.name, host=False)
        ip("link", "set", f"port{number}", "master", "lan", "up", host=False)
        ip("link", "set", "lo", "up")
        ip("link", "set", "eth0", "up")
        device = "eth0"
        if not self.is_new:
            device = "br0"
            ip("link", "add", "br0", "type", "bridge")
            ip("link", "set", "eth0", "master", "br0")
            ip("link", "set", "br0", "up")
        ip("addr", "add", f"{self.address}/24", "dev", device)
        if vip:
            ip("addr", "add", f"{vip}/32", "dev", device)
        ip("route", "add", "default", "via", self.address.rsplit(".", 1)[0] + ".1")

    def start(self):
        script = START.replace("@CAPABILITIES@", ",".join(f"-{name}" for name in CAPABILITIES))
        with open(self.folder / "start.log", "w") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, "unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh",
                 self.folder, self.name, " ".join(map(str, self.ports)), *self.seen], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self):
        self.process.kill()
        self.process.wait()
