"""Looks at the lab's cluster by kubectl, etcdctl, `ip addr` and the audit log, never by masterswap.

Holds no secret: of Secrets only name, UID and type; the VRRP password only as its SHA-256.
"""

import datetime
import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor

import lab

MANIFESTS = {"kubeadm": "/etc/kubernetes/manifests/keepalived.yaml", "k3s": "/var/lib/rancher/k3s/agent/pod-manifests/keepalived.yaml"}
ADMINS = {"kubeadm": "/etc/kubernetes/admin.conf", "k3s": "/etc/rancher/k3s/k3s.yaml"}
KINDS = "nodes,pods,persistentvolumes,persistentvolumeclaims,statefulsets,deployments,daemonsets,replicasets,services,namespaces"
# Their data never leaves the host.
METADATA = (
    '{{range .items}}{{.kind}}{{"\\t"}}{{.metadata.namespace}}{{"\\t"}}{{.metadata.name}}{{"\\t"}}{{.metadata.uid}}{{"\\t"}}{{.type}}{{"\\t"}}'
    '{{if .metadata.annotations}}{{if index .metadata.annotations "control-plane.alpha.kubernetes.io/leader"}}leader{{end}}{{end}}{{"\\n"}}{{end}}'
)
CREDENTIALS = {"kubeadm": ("/etc/kubernetes/pki/etcd", "ca.crt", "server"), "k3s": ("/var/lib/rancher/k3s/server/tls/etcd", "server-ca.crt", "client")}


def take(seconds=120):
    """The state of the lab that is up, as a dictionary; waits for an API that answers, as right after a power cut."""
    environment = lab.Environment()
    with ThreadPoolExecutor(8) as pool:
        hosts = dict(zip(environment.names, pool.map(lambda host: look_at_host(host, environment), environment.names)))
        masters = [name for name, host in hosts.items() if host["is_master"]]
        if not masters:
            raise lab.Failed(f"no host with power is a master\nnext: {lab.LAB} status")
        asked, listed = lab.wait_until(
            "an API that answers on the VIP", seconds,
            lambda: next(((host, found) for host in masters if (found := lab.kubectl_json(host, "get", KINDS, "-A"))), None))
        objects = [trim(item) for item in listed["items"]]
        metadata = pool.submit(read_metadata, asked)
        members = pool.submit(read_members, masters, seconds, environment.distribution)
        status = pool.submit(read_cluster_status, asked)
        audit = [entry for entries in pool.map(read_audit, masters) for entry in entries]
        objects += metadata.result()
        return {
            "taken": datetime.datetime.now(datetime.timezone.utc).isoformat(),
            "cluster": environment.cluster,
            "vip": environment.vip,
            "hosts": hosts,
            "etcd": members.result(),
            "objects": sorted(objects, key=lambda o: (o["kind"], o["namespace"] or "", o["name"])),
            "cluster_status": status.result(),
            "audit": sorted(audit, key=lambda entry: entry["time"]),
        }


def look_at_host(name, environment):
    host = {"address": environment.addresses[name], "power": environment.has_power(name)}
    host |= {"is_master": False, "holds_vip": False, "keepalived": None}
    if not host["power"]:
        return host
    addresses = lab.must("host", name, "--", "ip", "-o", "-4", "addr", "show")
    host["holds_vip"] = f" {environment.vip}/" in addresses
    manifest = MANIFESTS[environment.distribution]
    host["is_master"] = lab.run("host", name, "--", "test", "-r", ADMINS[environment.distribution])[0] == 0
    status, mode, _ = lab.run("host", name, "--", "stat", "-c", "%a %U:%G", manifest)
    if status == 0:
        text = lab.must("host", name, "--", "cat", manifest)
        host["keepalived"] = {"mode": mode.strip(), "text": without_password(text, name)}
    return host


def without_password(text, host):
    """The manifest with the SHA-256 of the VRRP password in its place."""
    pattern = re.compile(r"(name: *KEEPALIVED_PASSWORD[ \t]*\n[ \t]*value:[ \t]*)(\S.*)")
    def hide(match):
        return match[1] + "sha256:" + hashlib.sha256(match[2].strip().strip("'\"").encode()).hexdigest()

    hidden, count = pattern.subn(hide, text)
    if count != text.count("KEEPALIVED_PASSWORD"):
        raise lab.Failed(
            f"{host}: keepalived's manifest has its password in a form that is not known here, and is not written down\n"
            f"next: teach without_password() in {__file__}")
    return hidden


def trim(item):
    """Of an object, what the drills compare."""
    meta, spec, status = item["metadata"], item.get("spec", {}), item.get("status", {})
    owner = next((o for o in meta.get("ownerReferences", []) if o.get("controller")), None)
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or [] if "type" in c}
    kept = {"kind": item["kind"], "namespace": meta.get("namespace"), "name": meta["name"], "uid": meta["uid"]}
    if owner:
        kept["owner"] = {"kind": owner["kind"], "name": owner["name"], "uid": owner["uid"]}
    if meta.get("deletionTimestamp"):
        kept["terminating"] = True
    if item["kind"] == "Node":
        kept |= {"ready": conditions.get("Ready") == "True", "cordoned": bool(spec.get("unschedulable"))}
    elif item["kind"] == "Pod":
        claims = [v["persistentVolumeClaim"]["claimName"] for v in spec.get("volumes") or [] if "persistentVolumeClaim" in v]
        kept |= {"node": spec.get("nodeName"), "phase": status.get("phase"), "ready": conditions.get("Ready") == "True",
                 "claims": claims, "mirror": "kubernetes.io/config.mirror" in meta.get("annotations", {})}
    elif item["kind"] == "PersistentVolume":
        claim = spec.get("claimRef")
        kept |= {"phase": status.get("phase"), "nodes": affinity(spec), "claim": claim and f'{claim["namespace"]}/{claim["name"]}'}
    elif item["kind"] == "PersistentVolumeClaim":
        kept |= {"phase": status.get("phase"), "volume": spec.get("volumeName"), "class": spec.get("storageClassName")}
    elif item["kind"] == "StatefulSet":
        kept |= {"replicas": spec.get("replicas"), "templates": [t["metadata"]["name"] for t in spec.get("volumeClaimTemplates") or []]}
    return kept


def affinity(spec):
    terms = ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or []
    expressions = [e for term in terms for e in term.get("matchExpressions") or [] if e["key"] == "kubernetes.io/hostname"]
    return sorted({value for e in expressions for value in e.get("values") or []})


def read_metadata(host):
    out = lab.must("host", host, "--", "kubectl", "get", "configmaps,secrets", "-A", "-o", f"go-template={METADATA}")
    objects = []
    for line in filter(None, out.split("\n")):
        kind, namespace, name, uid, type_, leader = line.split("\t")
        kept = {"kind": kind, "namespace": namespace, "name": name, "uid": uid}
        if kind == "Secret":
            kept["type"] = type_
        if leader:
            kept["leader"] = True
        objects.append(kept)
    return objects


def read_cluster_status(host):
    """kubeadm's own list of API endpoints, name by name; None where kubeadm keeps none (from 1.22 on)."""
    config = ["configmap", "kubeadm-config", "-n", "kube-system", "--ignore-not-found"]
    out = lab.must("host", host, "--", "kubectl", "get", *config, "-o", "jsonpath={.data.ClusterStatus}")
    if not out.strip():
        return None
    section = re.search(r"^apiEndpoints:[ \t]*\n((?:[ \t]+.*\n?)*)", out, re.M)
    return sorted(re.findall(r"^  (\S+):[ \t]*$", section[1], re.M)) if section else []


def etcdctl(host, distribution):
    """In a master's etcd pod; on k3s the lab's own, beside the member."""
    pki, authority, name = CREDENTIALS[distribution]
    place = ["kubectl", "exec", "-n", "kube-system", f"etcd-{host}", "--"] if distribution == "kubeadm" else []
    return [*place, "etcdctl", "--endpoints", "https://127.0.0.1:2379", "--cacert", f"{pki}/{authority}", "--cert", f"{pki}/{name}.crt", "--key", f"{pki}/{name}.key"]


def node_of_member(name, distribution):
    """k3s names a member after its node, with eight hex digits behind it."""
    return re.sub(r"-[0-9a-f]{8}$", "", name) if distribution == "k3s" else name


def read_members(masters, seconds, distribution):
    """The members as one of the masters lists them. A new etcd pod takes half a minute before exec works in it."""
    def ask():
        for host in masters:
            etcd = ["host", host, "--", *etcdctl(host, distribution)]
            status, out, _ = lab.run(*etcd, "member", "list", "-w", "json")
            if status != 0:
                continue
            # Ends with 1 where one is not healthy, and prints all of them nevertheless.
            _, health, _ = lab.run(*etcd, "endpoint", "health", "--cluster", "-w", "json")
            try:
                members = json.loads(out)["members"]
                healthy = {entry["endpoint"] for entry in json.loads(health or "[]") if entry["health"]}
            except (ValueError, KeyError):
                continue
            data = read_data(etcd, healthy)
            return [
                {"id": f'{m["ID"]:x}', "name": node_of_member(m.get("name", ""), distribution), "started": bool(m.get("name")), "learner": m.get("isLearner", False),
                 "peer": m.get("peerURLs", []), "healthy": any(url in healthy for url in m.get("clientURLs", [])),
                 "data": next((data[url] for url in m.get("clientURLs", []) if url in data), None)}
                for m in members
            ]
        return None

    return lab.wait_until("a master that lists etcd's members", seconds, ask)


def read_data(etcd, healthy):
    """What stands for the data of each member that answers, by its URL: a hash of all keys at one revision, and up to where old ones are dropped."""
    data = {}
    for _ in range(5):
        try:
            revision = json.loads(lab.run(*etcd, "endpoint", "status", "-w", "json")[1])[0]["Status"]["header"]["revision"]
            hashed = json.loads(lab.run(*etcd, "endpoint", "hashkv", "--cluster", "--rev", str(revision), "-w", "json")[1] or "[]") or []
        except (ValueError, LookupError):
            continue
        data = {entry["Endpoint"]: (entry["HashKV"]["hash"], entry["HashKV"].get("compact_revision", 0)) for entry in hashed}
        # One may not be there yet, and between two of them the cluster may have dropped some.
        if healthy <= set(data) and len({dropped for _, dropped in data.values()}) == 1:
            break
    return {url: f"{number:x} from {dropped} on" for url, (number, dropped) in data.items()}


def read_audit(host):
    """Who deleted what, and what was made (a name that is recreated stands for another object)."""
    script = "for f in /var/log/kubernetes/audit*.log; do [ -r \"$f\" ] && grep -E '\"verb\":\"(delete|deletecollection|create)\"' \"$f\"; done; true"
    entries = []
    for line in lab.must("host", host, "--", "sh", "-c", script).splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue    # the last line, half written
        ref = event.get("objectRef") or {}
        is_create = event["verb"] == "create"
        if event.get("stage") != "ResponseComplete" or (is_create and (ref.get("subresource") or not ref.get("name"))):
            continue
        entries.append({
            "id": event["auditID"], "host": host, "time": event["requestReceivedTimestamp"], "verb": event["verb"],
            "user": event["user"].get("username"),
            "agent": event.get("userAgent", ""), "resource": ref.get("resource"), "subresource": ref.get("subresource"),
            "namespace": ref.get("namespace"), "name": ref.get("name"), "code": (event.get("responseStatus") or {}).get("code"),
            "dry_run": "dryRun=" in event.get("requestURI", ""),
        })
    return entries


def write(path, state):
    with open(path, "w") as file:
        json.dump(state, file, indent=1, ensure_ascii=False)
        file.write("\n")


def read(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise lab.Failed(f"no snapshot in {path}: {error}\nnext: Tests/Drills/snapshot {path}")
