"""etcd as k3s configures it, by its own data, as a member of another server's cluster, or anew; and what is asked of it."""

import http.client
import json
import os
import secrets
import ssl
import subprocess
import time

import yaml

from host import DB, NODE, PROGRAMS, TLS, fatal, log, read, write
from supervisor import ask_server


def members(address):
    """As the peer port of a member tells them."""
    context = ssl.create_default_context(cafile=f"{TLS}/etcd/peer-ca.crt")
    context.load_cert_chain(f"{TLS}/etcd/peer-server-client.crt", f"{TLS}/etcd/peer-server-client.key")
    connection = http.client.HTTPSConnection(address, 2380, timeout=5, context=context)
    connection.request("GET", "/members")
    return json.load(connection.getresponse())


def etcdctl(*words, endpoints="https://127.0.0.1:2379"):
    return subprocess.run([f"{PROGRAMS}/etcdctl", "--endpoints", endpoints, "--cacert", f"{TLS}/etcd/server-ca.crt",
                           "--cert", f"{TLS}/etcd/client.crt", "--key", f"{TLS}/etcd/client.key", *words],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def etcd_configuration(name, address, initial, is_alone=False):
    here = ["127.0.0.1"] if is_alone else ["127.0.0.1", address]

    def trust(certificate, ca):
        return {"cert-file": f"{TLS}/etcd/{certificate}.crt", "key-file": f"{TLS}/etcd/{certificate}.key", "client-cert-auth": True,
                "trusted-ca-file": f"{TLS}/etcd/{ca}-ca.crt"}
    write(f"{DB}/etcd/config", yaml.safe_dump({
        "name": name, "data-dir": f"{DB}/etcd", "advertise-client-urls": f"https://{address}:2379",
        "listen-client-urls": ",".join(f"https://{a}:2379" for a in here), "listen-peer-urls": ",".join(f"https://{a}:2380" for a in here),
        # From 1.28.3 on k3s' client port speaks gRPC alone; whether its JSON gateway is on is not known: off.
        "listen-client-http-urls": "https://127.0.0.1:2382", "enable-grpc-gateway": False,
        "listen-metrics-urls": "http://127.0.0.1:2381", "heartbeat-interval": 500, "election-timeout": 5000,
        "client-transport-security": trust("server-client", "server"), "peer-transport-security": trust("peer-server-client", "peer"),
        "logger": "zap", "log-outputs": ["stderr"], "snapshot-count": 10000,
        "experimental-initial-corrupt-check": True, **initial}))


def new_name():
    name = f"{NODE}-{secrets.token_hex(4)}"
    write(f"{DB}/etcd/name", name)
    return name


def prepare_etcd(options, address, token):
    """Writes etcd's configuration: with the data that is there, as a member of the server's cluster, or as a new cluster."""
    if os.path.exists(f"{DB}/etcd/tombstone"):
        log("warning", "This node has been removed from the etcd cluster; its data is put aside, and it joins again")
        os.rename(f"{DB}/etcd", f"{DB}/etcd-old-{int(time.time())}")
    os.makedirs(f"{DB}/etcd", mode=0o700, exist_ok=True)
    peer = {"initial-advertise-peer-urls": f"https://{address}:2380"}
    if os.path.exists(f"{DB}/etcd/member"):
        return etcd_configuration(read(f"{DB}/etcd/name"), address, peer)
    name = new_name()
    if not options.get("server"):
        return etcd_configuration(name, address, {**peer, "initial-cluster": f"{name}=https://{address}:2380", "initial-cluster-state": "new"})
    found = ask_server(options["server"], "/db/info", token)["members"]
    urls = [f"https://{address}:2380"]
    endpoints = ",".join(url for member in found if not member.get("isLearner") for url in member["clientURLs"])
    if any(member["name"].rpartition("-")[0] == NODE for member in found):
        os.remove(f"{DB}/etcd/name")
        fatal("failed to validate server configuration: duplicate node name found, please use a unique name for this node")
    if not any(member["peerURLs"] == urls and not member["name"] for member in found):
        added = etcdctl("member", "add", name, f"--peer-urls={urls[0]}", "--learner", endpoints=endpoints)
        if added.returncode != 0:
            fatal(f"etcd cluster join failed: {added.stderr.strip()}")
        log("info", f"Adding member {name}={urls[0]} to etcd cluster")
    cluster = [f"{member['name']}={url}" for member in found if member["name"] for url in member["peerURLs"]] + [f"{name}={urls[0]}"]
    etcd_configuration(name, address, {**peer, "initial-cluster": ",".join(cluster), "initial-cluster-state": "existing"})


def wait_for_etcd(process):
    """Until it is healthy: a learner is not, before it is promoted."""
    while etcdctl("endpoint", "health").returncode != 0:
        if process.poll() is not None:
            return
        time.sleep(1)
