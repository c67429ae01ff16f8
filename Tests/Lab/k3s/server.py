#!/usr/bin/python3 -B
"""`k3s server` of the stand-in for k3s, with the paths and names of k3s.

A join hands it the authorities; etcd, the API server and the rest run as its children; the supervisor and the controllers are threads.
"""

import ctypes
import hashlib
import os
import secrets
import signal
import socket
import sys
import time

from certificates import certificates, kubeconfig
from children import Children, start_agents, start_containerd, start_kubernetes, was_removed
from controllers import API, Controllers, ensure_password, password_secret
from etcd import members, prepare_etcd, wait_for_etcd
from host import AGENT, BIN, DB, NODE, PROGRAMS, READY, SERVER, TLS, configuration, die_with_parent, fatal, listed, log, read, write
from reset import reset
from supervisor import ask_server, password_of, serve


def main():
    die_with_parent()
    ctypes.CDLL(None).prctl(15, b"k3s-part")
    os.umask(0o077)
    os.makedirs("/run/k3s", exist_ok=True)
    options = configuration(sys.argv[1:])
    address = options.get("node-ip") or socket.gethostbyname(NODE)
    if options.get("cluster-reset"):
        return reset(options, address)
    if os.path.exists(READY):
        os.remove(READY)
    for folder in (f"{SERVER}/cred", f"{SERVER}/manifests", f"{DB}/snapshots", f"{AGENT}/images", f"{AGENT}/pod-manifests", "/var/log/kubernetes"):
        os.makedirs(folder, mode=0o700, exist_ok=True)
    os.makedirs(BIN, mode=0o755, exist_ok=True)
    for name in ("containerd", "containerd-shim-runc-v2", "runc", "ctr"):
        if not os.path.lexists(f"{BIN}/{name}"):
            os.symlink(f"{PROGRAMS}/{name}", f"{BIN}/{name}")

    token = options.get("token") or (read(f"{SERVER}/token").strip() if os.path.exists(f"{SERVER}/token") else secrets.token_hex(16))
    if options.get("server") and not os.path.exists(f"{TLS}/server-ca.key"):
        try:
            files = ask_server(options["server"], "/v1-k3s/server-bootstrap", token)
        except OSError as error:
            fatal(f"starting kubernetes: preparing server: failed to get CA certs: {error}")
        for name, text in files.items():
            write(f"{TLS}/{name}", text)
    certificates(address, listed(options.get("tls-san")))
    write(f"{SERVER}/token", f"K10{hashlib.sha256(read(f'{TLS}/server-ca.crt').encode()).hexdigest()}::server:{password_of(token)}\n")
    if not os.path.lexists(f"{SERVER}/node-token"):
        os.symlink(f"{SERVER}/token", f"{SERVER}/node-token")
    for name in ("admin", "controller", "scheduler"):
        kubeconfig(f"{SERVER}/cred/{name}.kubeconfig", f"{TLS}/client-{name}")
    kubeconfig(f"{AGENT}/kubelet.kubeconfig", f"{AGENT}/client-kubelet")
    kubeconfig("/etc/rancher/k3s/k3s.yaml", f"{TLS}/client-admin", embed=True)

    children = Children()
    signal.signal(signal.SIGTERM, lambda *_: (children.stop(), os._exit(0)))
    prepare_etcd(options, address, token)
    # After a reset from a snapshot the cluster may know this node by another password.
    was_reset = os.path.exists(f"{DB}/reset-flag")
    if was_reset:
        os.remove(f"{DB}/reset-flag")
    log("info", "Starting k3s v1.28.5+k3s1 (stand-in)")
    start_containerd(children, options)
    wait_for_etcd(children.start("part-etcd", f"{PROGRAMS}/etcd", "--config-file", f"{DB}/etcd/config", output=open("/var/log/k3s-etcd.log", "w")))
    if not children.ended():
        start_kubernetes(children, options, address)
    api, controllers = API(), None
    while not children.ended():
        try:
            if controllers is None and api("GET", "/readyz")[0] == 200:
                serve(token, lambda: members(address))
                if was_reset:
                    api("DELETE", password_secret(NODE))
                ensure_password(api)
                start_agents(children, options, address)
                controllers = Controllers(api, options, address)
                controllers.start()
                write(READY, "")
                log("info", "k3s is up and running")
        except OSError:
            pass
        time.sleep(1)
    name = children.ended()
    if name == "part-etcd" and was_removed():
        write(f"{DB}/etcd/tombstone", "")
        log("error", "This server's etcd member was removed from the cluster")
    children.stop()
    fatal(f"{name} exited")


if __name__ == "__main__":
    main()
