"""What k3s' controllers do with nodes, members and learners, and with the nodes' passwords."""

import base64
import hashlib
import http.client
import json
import os
import secrets
import ssl
import subprocess
import threading
import time

from etcd import etcdctl, members
from host import CONTROL, DB, HOLD, LEARNER_LIMIT, LEARNERS, NODE, TLS, log, read, write


class API:
    """The server beside it, as its administrator."""

    def __init__(self):
        self.context = ssl.create_default_context(cafile=f"{TLS}/server-ca.crt")
        self.context.load_cert_chain(f"{TLS}/client-admin.crt", f"{TLS}/client-admin.key")

    def __call__(self, method, path, body=None, kind="application/json"):
        connection = http.client.HTTPSConnection("127.0.0.1", 6443, timeout=10, context=self.context)
        connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}") if path != "/readyz" else None

    def patch(self, path, metadata):
        return self("PATCH", path, {"metadata": metadata}, "application/merge-patch+json")


def password_secret(node):
    return f"/api/v1/namespaces/kube-system/secrets/{node}.node-password.k3s"


def ensure_password(api):
    """The node's password is kept by the cluster at its first join; a node of the same name with another one is refused."""
    path = "/etc/rancher/node/password"
    if not os.path.exists(path):
        write(path, secrets.token_hex(16) + "\n")
    hashed = hashlib.sha256(read(path).strip().encode()).hexdigest()
    while True:
        status, secret = api("GET", password_secret(NODE))
        if status == 404:
            body = {"metadata": {"name": f"{NODE}.node-password.k3s"}, "immutable": True, "stringData": {"hash": hashed}}
            api("POST", "/api/v1/namespaces/kube-system/secrets", body)
        elif status == 200 and base64.b64decode(secret["data"]["hash"]).decode() == hashed:
            return
        elif status == 200:
            log("info", "Waiting to retrieve agent configuration; server is not ready: Node password rejected, duplicate hostname or contents "
                "of '/etc/rancher/node/password' may not match server node-passwd entry, try enabling a unique node name with the --with-node-id flag")
        time.sleep(2)


class Controllers(threading.Thread):
    """What k3s' controllers do with nodes, members and learners; its own snapshots at midnight and at noon."""

    ETCD, NODE_FINALIZER = "wrangler.cattle.io/managed-etcd-controller", "wrangler.cattle.io/node"

    def __init__(self, api, options, address):
        super().__init__(daemon=True)
        self.api, self.options, self.address = api, options, address
        self.learners, self.half_day = {}, int(time.time() // 43200)

    def run(self):
        while True:
            time.sleep(2)
            try:
                self.look()
            except Exception as error:    # the API or etcd does not answer for a while
                log("error", f"error syncing: {error}")

    def look(self):
        status, nodes = self.api("GET", "/api/v1/nodes")
        for node in nodes["items"] if status == 200 else []:
            meta = node["metadata"]
            if meta.get("deletionTimestamp"):
                self.removed(meta)
            elif meta["name"] == NODE:
                self.own(meta)
            if meta.get("annotations", {}).get("etcd.k3s.cattle.io/remove", "").lower() == "true":
                self.remove_by_annotation(meta)
        self.promote()
        if int(time.time() // 43200) != self.half_day:
            self.half_day = int(time.time() // 43200)
            for words in (["save"], ["prune"]):
                subprocess.run(["/usr/local/bin/k3s", "etcd-snapshot", *words, "--name", "etcd-snapshot"])

    def own(self, meta):
        labels = {f"node-role.kubernetes.io/{role}": "true" for role in CONTROL}
        labels |= {"node.kubernetes.io/instance-type": "k3s"}
        annotations = {
            "etcd.k3s.cattle.io/node-name": read(f"{DB}/etcd/name"), "etcd.k3s.cattle.io/node-address": self.address,
            "k3s.io/hostname": NODE, "k3s.io/internal-ip": self.address, "k3s.io/node-env": "{}",
            "k3s.io/node-args": json.dumps(["server"] + [word for key, value in sorted(self.options.items()) for word in (
                f"--{key}", "********" if key == "token" else str(value))])}
        if "etcd.k3s.cattle.io/removed-node-name" in meta.get("annotations", {}):
            annotations = {key: value for key, value in annotations.items() if not key.startswith("etcd.")}
        have = {**meta.get("labels", {}), **meta.get("annotations", {})}
        finalizers = meta.get("finalizers", [])
        missing = [name for name in (self.ETCD, self.NODE_FINALIZER) if name not in finalizers]
        if missing or any(have.get(key) != value for key, value in {**labels, **annotations}.items()):
            self.api.patch(f"/api/v1/nodes/{NODE}", {"labels": labels, "annotations": annotations, "finalizers": finalizers + missing})

    def is_held(self, meta):
        """The lab's switch: seconds for which a finalizer stays, or `hold`."""
        if not os.path.exists(HOLD):
            return False
        held = read(HOLD).strip()
        if held == "hold":
            return True
        deleted = time.mktime(time.strptime(meta["deletionTimestamp"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        return time.time() - deleted < float(held)

    def removed(self, meta):
        if self.is_held(meta):
            return
        finalizers = meta.get("finalizers", [])
        if self.ETCD in finalizers:
            log("info", f"Removing etcd member {meta['name']} from cluster")
            notes = meta.get("annotations", {})
            if "etcd.k3s.cattle.io/removed-node-name" not in notes and not self.remove(notes):
                return
            finalizers = [name for name in finalizers if name != self.ETCD]
        elif self.NODE_FINALIZER in finalizers:
            self.api("DELETE", password_secret(meta["name"]))
            finalizers = [name for name in finalizers if name != self.NODE_FINALIZER]
        else:
            return
        self.api.patch(f"/api/v1/nodes/{meta['name']}", {"finalizers": finalizers, "resourceVersion": meta["resourceVersion"]})

    def remove(self, notes):
        """Removes the member of that name and address; both must be the same, as k3s wants it."""
        name, address = notes.get("etcd.k3s.cattle.io/node-name"), notes.get("etcd.k3s.cattle.io/node-address")
        if not name or not address:
            log("error", "error syncing: node name or address annotation not found")
            return False
        for member in members(self.address):
            if member["name"] == name and f"https://{address}:2380" in member["peerURLs"]:
                done = etcdctl("member", "remove", f"{member['id']:x}")
                log("info" if done.returncode == 0 else "error", f"Removing name={name} address={address} from etcd: {(done.stdout or done.stderr).strip()}")
                return done.returncode == 0
        return True

    def remove_by_annotation(self, meta):
        notes = meta["annotations"]
        if "etcd.k3s.cattle.io/removed-node-name" not in notes and self.remove(notes):
            self.api.patch(f"/api/v1/nodes/{meta['name']}", {"annotations": {
                "etcd.k3s.cattle.io/removed-node-name": notes["etcd.k3s.cattle.io/node-name"],
                "etcd.k3s.cattle.io/node-name": None, "etcd.k3s.cattle.io/node-address": None}})

    def promote(self):
        """Promotes a learner that has caught up, and removes one that makes no progress."""
        learners = {member["id"] for member in members(self.address) if member.get("isLearner")}
        self.learners = {number: self.learners.get(number, time.time()) for number in learners}
        limit = int(read(LEARNERS)) if os.path.exists(LEARNERS) else LEARNER_LIMIT
        for number, since in self.learners.items():
            if etcdctl("member", "promote", f"{number:x}").returncode == 0:
                log("info", f"Promoted learner {number:x}")
            elif time.time() - since > limit:
                etcdctl("member", "remove", f"{number:x}")
                log("warning", f"Removed learner {number:x} from etcd cluster")
