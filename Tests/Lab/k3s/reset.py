"""How a server begins a cluster of its member alone, after the loss of the majority."""

import os
import secrets
import subprocess
import time

from certificates import certificates
from children import Children
from etcd import etcd_configuration, wait_for_etcd
from host import DB, NODE, PROGRAMS, fatal, listed, log, read, write


def reset(options, address):
    """`k3s server --cluster-reset`: a cluster of this member alone, from its own data or from a snapshot."""
    if os.path.exists(f"{DB}/reset-flag"):
        fatal("Managed etcd cluster membership was previously reset, please remove the cluster-reset flag and start k3s normally. "
              f"If you need to perform another cluster reset, you must first manually delete the {DB}/reset-flag file")
    if subprocess.run(["systemctl", "is-active", "--quiet", "k3s"]).returncode == 0:
        fatal("starting kubernetes: preparing server: start managed database: cluster-reset: the server is running")
    certificates(address, listed(options.get("tls-san")))
    snapshot = options.get("cluster-reset-restore-path")
    peer = f"https://{address}:2380"
    if snapshot:
        if not os.path.exists(snapshot):
            fatal(f"etcd: snapshot path does not exist: {snapshot}")
        if os.path.exists(f"{DB}/etcd"):
            os.rename(f"{DB}/etcd", f"{DB}/etcd-old-{int(time.time())}")
        name = f"{NODE}-{secrets.token_hex(4)}"
        subprocess.run([f"{PROGRAMS}/etcdutl", "snapshot", "restore", snapshot, "--name", name, "--initial-cluster", f"{name}={peer}",
                        "--initial-advertise-peer-urls", peer, "--data-dir", f"{DB}/etcd"], check=True)
        write(f"{DB}/etcd/name", name)
    elif not os.path.exists(f"{DB}/etcd/member"):
        fatal("cluster-reset: no etcd data on this host")
    etcd_configuration(read(f"{DB}/etcd/name"), address, {"initial-advertise-peer-urls": peer, "force-new-cluster": True}, is_alone=True)
    children = Children()
    wait_for_etcd(children.start("part-etcd", f"{PROGRAMS}/etcd", "--config-file", f"{DB}/etcd/config", output=open("/var/log/k3s-etcd.log", "w")))
    failed = children.ended()
    children.stop()
    if failed:
        fatal("cluster-reset: etcd ended; see /var/log/k3s-etcd.log")
    write(f"{DB}/reset-flag", "")
    log("info", "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. Backup and delete "
        f"{DB} on each peer etcd server and rejoin the nodes")
