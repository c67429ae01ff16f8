#!/usr/bin/python3 -B
"""`k3s server` of the stand-in for k3s: certificates, token, etcd, the API server and the rest as children, with k3s' paths and names;
what k3s' controllers do with nodes, members and learners; the supervisor that hands a joining server its authorities (on port 9345
here, on 6443 in k3s, where the API server is real).
"""
import base64
import ctypes
import glob
import hashlib
import http.client
import http.server
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

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


# Certificates

DAYS = os.environ.get("CATTLE_NEW_SIGNED_CERT_EXPIRATION_DAYS", "365")


def openssl(*words, stdin=""):
    return subprocess.run(["openssl", *words], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=True).stdout


def authority(name):
    crt, key = f"{TLS}/{name}-ca.crt", f"{TLS}/{name}-ca.key"
    if not os.path.exists(crt):
        os.makedirs(os.path.dirname(crt), mode=0o700, exist_ok=True)
        write("/run/k3s/ca.cnf", "[req]\ndistinguished_name=d\nx509_extensions=e\n[d]\n[e]\nbasicConstraints=critical,CA:TRUE\n"
              "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign\nsubjectKeyIdentifier=hash\n")
        openssl("req", "-config", "/run/k3s/ca.cnf", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", key, "-out", crt, "-days", "3650", "-subj", f"/CN=k3s-{name.replace('/', '-')}-ca@{int(time.time())}")
        os.chmod(key, 0o600)


def certificate(path, ca, subject, addresses=(), usage="clientAuth"):
    """Made where it is missing, or ends within 90 days, as k3s does at each start."""
    crt, key = f"{path}.crt", f"{path}.key"
    if os.path.exists(crt) and subprocess.run(["openssl", "x509", "-noout", "-checkend", "7776000", "-in", crt], stdout=subprocess.DEVNULL).returncode == 0:
        return
    os.makedirs(os.path.dirname(crt), mode=0o700, exist_ok=True)
    request = openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-subj", subject)
    os.chmod(key, 0o600)
    names = ",".join(("IP:" if re.fullmatch(r"[\d.]+", a) else "DNS:") + a for a in dict.fromkeys(addresses))
    extensions = f"keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage={usage}\n" + (f"subjectAltName={names}\n" if names else "")
    write("/run/k3s/leaf.cnf", extensions)
    text = openssl("x509", "-req", "-CA", f"{TLS}/{ca}-ca.crt", "-CAkey", f"{TLS}/{ca}-ca.key", "-set_serial", str(secrets.randbits(63)),
                   "-days", DAYS, "-extfile", "/run/k3s/leaf.cnf", stdin=request)
    write(crt, text + read(f"{TLS}/{ca}-ca.crt"), 0o644)


AUTHORITIES = ("client", "server", "request-header", "etcd/server", "etcd/peer")


def certificates(address, more):
    for name in AUTHORITIES:
        authority(name)
    for key in ("service.key", "service.current.key"):
        if not os.path.exists(f"{TLS}/{key}"):
            openssl("genrsa", "-out", f"{TLS}/service.current.key", "2048")
            shutil.copy(f"{TLS}/service.current.key", f"{TLS}/service.key")
    here = ["127.0.0.1", "localhost", address, NODE]
    serving = [*here, *more, "10.96.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    for name, subject in (("admin", "/O=system:masters/CN=system:admin"), ("supervisor", "/O=system:masters/CN=system:k3s-supervisor"),
                          ("controller", "/CN=system:kube-controller-manager"), ("scheduler", "/CN=system:kube-scheduler"),
                          ("kube-apiserver", "/O=system:masters/CN=system:apiserver"), ("kube-proxy", "/CN=system:kube-proxy"),
                          ("k3s-controller", "/CN=system:k3s-controller"), ("k3s-cloud-controller", "/CN=k3s-cloud-controller-manager")):
        certificate(f"{TLS}/client-{name}", "client", subject)
    certificate(f"{TLS}/client-auth-proxy", "request-header", "/CN=system:auth-proxy")
    certificate(f"{TLS}/serving-kube-apiserver", "server", "/CN=kube-apiserver", serving, "serverAuth")
    certificate(f"{TLS}/etcd/client", "etcd/server", "/CN=etcd-client")
    certificate(f"{TLS}/etcd/server-client", "etcd/server", "/CN=etcd-server", here, "serverAuth,clientAuth")
    certificate(f"{TLS}/etcd/peer-server-client", "etcd/peer", "/CN=etcd-peer", here, "serverAuth,clientAuth")
    certificate(f"{AGENT}/client-kubelet", "client", f"/O=system:nodes/CN=system:node:{NODE}")
    certificate(f"{AGENT}/serving-kubelet", "server", f"/CN={NODE}", here, "serverAuth")
    for name in ("client-ca.crt", "server-ca.crt"):
        shutil.copy(f"{TLS}/{name}", f"{AGENT}/{name}")


def kubeconfig(path, crt, embed=False):
    def part(name, file):
        return {name + "-data": base64.b64encode(read(file).encode()).decode()} if embed else {name: file}
    cluster = {"server": "https://127.0.0.1:6443", **part("certificate-authority", f"{TLS}/server-ca.crt")}
    user = {**part("client-certificate", crt + ".crt"), **part("client-key", crt + ".key")}
    write(path, yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "default", "clusters": [{"name": "default", "cluster": cluster}],
        "users": [{"name": "default", "user": user}], "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}]}))


# The supervisor

BOOTSTRAP = [f"{name}-ca.{end}" for name in AUTHORITIES for end in ("crt", "key")] + ["service.key", "service.current.key"]


def password_of(token):
    return token.split("::server:")[-1]


def serve(token):
    expected = "Basic " + base64.b64encode(f"server:{password_of(token)}".encode()).decode()

    class Supervisor(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/cacerts":
                return self.answer(200, read(f"{TLS}/server-ca.crt"))
            if self.headers.get("Authorization") != expected:
                return self.answer(401, "not authorized")
            if self.path == "/v1-k3s/server-bootstrap":
                return self.answer(200, json.dumps({name: read(f"{TLS}/{name}") for name in BOOTSTRAP}))
            if self.path == "/db/info":
                return self.answer(200, json.dumps({"members": members(ADDRESS)}))
            self.answer(404, "404 page not found")

        def answer(self, status, text):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("", SUPERVISOR), Supervisor)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{TLS}/serving-kube-apiserver.crt", f"{TLS}/serving-kube-apiserver.key")
    # The handshake is made by the thread of the connection.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def ask_server(url, path, token):
    host = url.split("//")[-1].split(":")[0]
    request = urllib.request.Request(f"https://{host}:{SUPERVISOR}{path}", headers={
        "Authorization": "Basic " + base64.b64encode(f"server:{password_of(token)}".encode()).decode()})
    context = ssl._create_unverified_context()
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return json.load(answer)


# etcd

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


# The Kubernetes API

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


# The children

class Children:
    """All end with this process; the end of one ends all, as the parts of k3s are one process."""

    def __init__(self):
        self.all = {}

    def start(self, name, program, *words, output=None):
        # A name that pidof does not take for the program's own: in k3s these are no processes.
        part = f"{BIN}/{name}"
        if not os.path.lexists(part):
            os.symlink(program, part)
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
        self.all[name] = subprocess.Popen([part, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=die_with_parent, env=environment)
        return self.all[name]

    def ended(self):
        return next((name for name, process in self.all.items() if process.poll() is not None), None)

    def stop(self):
        for process in self.all.values():
            process.terminate()
        for process in self.all.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def was_removed():
    """etcd's own words, at its end, where the others have removed its member."""
    return re.search(r"permanently removed|removed from the cluster|member is removed", read("/var/log/k3s-etcd.log")) is not None


def start_containerd(children, options):
    # The snapshots of containers cannot lie on the host's own root here: it is an overlay itself.
    root, disk = f"{AGENT}/containerd", "/media/disk/containerd"
    if not os.path.lexists(root):
        for name in os.listdir(disk):
            path = f"{disk}/{name}"
            shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.remove(path)
        os.symlink(disk, root)
    sandbox = options.get("pause-image", "pause:3.1")
    write(f"{AGENT}/etc/containerd/config.toml", f"""version = 2
root = "{root}"
state = "/run/k3s/containerd"
[grpc]
  address = "{CONTAINERD}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{BIN}/runc"
      SystemdCgroup = false
""")
    output = open(f"{AGENT}/containerd/containerd.log", "a")
    children.start("containerd", f"{PROGRAMS}/containerd", "--config", f"{AGENT}/etc/containerd/config.toml", output=output)
    ctr = [f"{PROGRAMS}/ctr", "--address", CONTAINERD, "--namespace", "k8s.io"]
    while subprocess.run([*ctr, "version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        if children.ended():
            fatal("containerd exited")
        time.sleep(0.2)
    for archive in glob.glob(f"{AGENT}/images/*.tar"):
        mark = f"{disk}/imported-{os.path.basename(archive)}"
        if not os.path.exists(mark) and subprocess.run([*ctr, "images", "import", archive], stdout=subprocess.DEVNULL).returncode == 0:
            open(mark, "w").close()


def start_kubernetes(children, options, address):
    def given(part):
        return [f"--{word}" for word in listed(options.get(f"{part}-arg"))]
    children.start(
        "part-apiserver", f"{KUBERNETES}/kube-apiserver", "--advertise-address", address, "--secure-port", "6443",
        "--etcd-servers", "https://127.0.0.1:2379", "--etcd-cafile", f"{TLS}/etcd/server-ca.crt", "--etcd-certfile", f"{TLS}/etcd/client.crt",
        "--etcd-keyfile", f"{TLS}/etcd/client.key", "--client-ca-file", f"{TLS}/client-ca.crt", "--tls-cert-file", f"{TLS}/serving-kube-apiserver.crt",
        "--tls-private-key-file", f"{TLS}/serving-kube-apiserver.key", "--kubelet-client-certificate", f"{TLS}/client-kube-apiserver.crt",
        "--kubelet-client-key", f"{TLS}/client-kube-apiserver.key", "--kubelet-certificate-authority", f"{TLS}/server-ca.crt",
        "--kubelet-preferred-address-types", "InternalIP,Hostname", "--service-account-key-file", f"{TLS}/service.key",
        "--service-account-signing-key-file", f"{TLS}/service.current.key", "--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
        "--api-audiences", "https://kubernetes.default.svc.cluster.local,k3s", "--requestheader-client-ca-file", f"{TLS}/request-header-ca.crt",
        "--requestheader-allowed-names", "system:auth-proxy", "--requestheader-extra-headers-prefix", "X-Remote-Extra-",
        "--requestheader-group-headers", "X-Remote-Group", "--requestheader-username-headers", "X-Remote-User",
        "--proxy-client-cert-file", f"{TLS}/client-auth-proxy.crt", "--proxy-client-key-file", f"{TLS}/client-auth-proxy.key",
        "--authorization-mode", "Node,RBAC", "--allow-privileged=true", "--anonymous-auth=false", "--profiling=false",
        "--service-cluster-ip-range", options.get("service-cidr", "10.43.0.0/16"), "--audit-log-path", "/var/log/kubernetes/audit.log",
        "--audit-policy-file", "/opt/lab/host/audit-policy.yaml", *given("kube-apiserver"))


def start_agents(children, options, address):
    def given(part):
        return [f"--{word}" for word in listed(options.get(f"{part}-arg"))]
    children.start(
        "part-controllers", f"{KUBERNETES}/kube-controller-manager", "--kubeconfig", f"{SERVER}/cred/controller.kubeconfig",
        "--authentication-kubeconfig", f"{SERVER}/cred/controller.kubeconfig", "--authorization-kubeconfig", f"{SERVER}/cred/controller.kubeconfig",
        "--service-account-private-key-file", f"{TLS}/service.current.key", "--root-ca-file", f"{TLS}/server-ca.crt",
        "--use-service-account-credentials", "--bind-address", "127.0.0.1", "--profiling=false", *given("kube-controller-manager"))
    children.start(
        "part-scheduler", f"{KUBERNETES}/kube-scheduler", "--kubeconfig", f"{SERVER}/cred/scheduler.kubeconfig",
        "--authentication-kubeconfig", f"{SERVER}/cred/scheduler.kubeconfig", "--authorization-kubeconfig", f"{SERVER}/cred/scheduler.kubeconfig",
        "--bind-address", "127.0.0.1", "--profiling=false")
    # The last words win: the lab's own settings, as on its kubeadm hosts.
    children.start(
        "part-node", f"{KUBERNETES}/kubelet", "--kubeconfig", f"{AGENT}/kubelet.kubeconfig", "--hostname-override", NODE, "--node-ip", address,
        "--container-runtime", "remote", "--container-runtime-endpoint", f"unix://{CONTAINERD}", "--client-ca-file", f"{AGENT}/client-ca.crt",
        "--anonymous-auth=false", "--authentication-token-webhook", "--authorization-mode", "Webhook", "--read-only-port", "0",
        "--tls-cert-file", f"{AGENT}/serving-kubelet.crt", "--tls-private-key-file", f"{AGENT}/serving-kubelet.key", "--cgroup-driver", "cgroupfs",
        "--node-labels", ",".join(listed(options.get("node-label"))), *given("kubelet"), "--fail-swap-on=false", "--resolv-conf=",
        "--feature-gates", "LocalStorageCapacityIsolation=false", "--eviction-hard", "memory.available<50Mi", "--image-gc-high-threshold", "100")


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


def main():
    global ADDRESS
    die_with_parent()
    ctypes.CDLL(None).prctl(15, b"k3s-part")
    os.umask(0o077)
    os.makedirs("/run/k3s", exist_ok=True)
    options = configuration(sys.argv[1:])
    ADDRESS = options.get("node-ip") or socket.gethostbyname(NODE)
    if options.get("cluster-reset"):
        return reset(options, ADDRESS)
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
    certificates(ADDRESS, listed(options.get("tls-san")))
    write(f"{SERVER}/token", f"K10{hashlib.sha256(read(f'{TLS}/server-ca.crt').encode()).hexdigest()}::server:{password_of(token)}\n")
    if not os.path.lexists(f"{SERVER}/node-token"):
        os.symlink(f"{SERVER}/token", f"{SERVER}/node-token")
    for name in ("admin", "controller", "scheduler"):
        kubeconfig(f"{SERVER}/cred/{name}.kubeconfig", f"{TLS}/client-{name}")
    kubeconfig(f"{AGENT}/kubelet.kubeconfig", f"{AGENT}/client-kubelet")
    kubeconfig("/etc/rancher/k3s/k3s.yaml", f"{TLS}/client-admin", embed=True)

    children = Children()
    signal.signal(signal.SIGTERM, lambda *_: (children.stop(), os._exit(0)))
    prepare_etcd(options, ADDRESS, token)
    log("info", "Starting k3s v1.28.5+k3s1 (stand-in)")
    start_containerd(children, options)
    wait_for_etcd(children.start("part-etcd", f"{PROGRAMS}/etcd", "--config-file", f"{DB}/etcd/config", output=open("/var/log/k3s-etcd.log", "w")))
    if os.path.exists(f"{DB}/reset-flag"):
        os.remove(f"{DB}/reset-flag")
    if not children.ended():
        start_kubernetes(children, options, ADDRESS)
    api, controllers = API(), None
    while not children.ended():
        try:
            if controllers is None and api("GET", "/readyz")[0] == 200:
                serve(token)
                ensure_password(api)
                start_agents(children, options, ADDRESS)
                controllers = Controllers(api, options, ADDRESS)
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
