"""How a server begins a cluster of its member alone, after the loss of the majority.

As k3s 1.28 does it (pkg/cluster/managed.go and pkg/etcd/etcd.go there): the member gets a new name, from its own data it keeps its id;
the flag is written before etcd begins, so that it says of a reset that was cut off only that it was begun; a restore does not look at
the flag, moves the old data aside, and begins with a member and a cluster of new ids; nothing but etcd runs, on loopback alone.
"""

import os
import subprocess
import time

from certificates import certificates
from children import Children
from etcd import etcd_configuration, new_name, wait_for_etcd
from host import DB, PROGRAMS, SERVER, fatal, listed, log, read, write


def reset(options, address):
    """`k3s server --cluster-reset`, from its own data or from a snapshot (`--cluster-reset-restore-path`)."""
    if options.get("server"):
        fatal("cannot perform cluster-reset while server URL is set - remove server from configuration before resetting")
    snapshot = options.get("cluster-reset-restore-path")
    if snapshot and not options.get("token") and not os.path.exists(f"{SERVER}/token"):
        fatal(f"{SERVER}/token does not exist, please pass --token to complete the restoration")
    if not snapshot and os.path.exists(f"{DB}/reset-flag"):
        fatal("Managed etcd cluster membership was previously reset, please remove the cluster-reset flag and start k3s normally. "
              f"If you need to perform another cluster reset, you must first manually delete the {DB}/reset-flag file")
    # The real one finds etcd's ports taken.
    if subprocess.run(["systemctl", "is-active", "--quiet", "k3s"]).returncode == 0:
        fatal("starting kubernetes: preparing server: start managed database: listen tcp 127.0.0.1:2379: bind: address already in use")
    certificates(address, listed(options.get("tls-san")))
    peer = f"https://{address}:2380"
    if snapshot:
        if not os.path.exists(snapshot):
            fatal(f"etcd: snapshot path does not exist: {snapshot}")
        name = read(f"{DB}/etcd/name") if os.path.exists(f"{DB}/etcd/name") else new_name()
        old = f"{DB}/etcd-old-{int(time.time())}"
        os.rename(f"{DB}/etcd", old)
        log("info", f"Pre-restore etcd database moved to {old}")
        subprocess.run([f"{PROGRAMS}/etcdutl", "snapshot", "restore", snapshot, "--name", name, "--initial-cluster", f"{name}={peer}",
                        "--initial-advertise-peer-urls", peer, "--initial-cluster-token", "", "--data-dir", f"{DB}/etcd"], check=True)
    elif not os.path.exists(f"{DB}/etcd/member/wal"):
        fatal("cluster-reset: no etcd data on this host")
    name = new_name()
    write(f"{DB}/reset-flag", "")
    etcd_configuration(name, address, {"initial-advertise-peer-urls": peer, "initial-cluster": f"{name}={peer}", "force-new-cluster": True}, is_alone=True)
    children = Children()
    wait_for_etcd(children.start("part-etcd", f"{PROGRAMS}/etcd", "--config-file", f"{DB}/etcd/config", output=open("/var/log/k3s-etcd.log", "w")))
    failed = children.ended()
    children.stop()
    if failed:
        fatal("cluster-reset: etcd ended; see /var/log/k3s-etcd.log")
    log("info", "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. Backup and delete "
        "${datadir}/server/db on each peer etcd server and rejoin the nodes")
