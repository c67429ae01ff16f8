"""The authorities and certificates of k3s, by openssl, and the kubeconfigs made of them."""

import base64
import os
import re
import secrets
import shutil
import subprocess
import time

import yaml

from host import AGENT, NODE, TLS, read, write

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
