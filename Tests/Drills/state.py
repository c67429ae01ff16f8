"""Questions to a snapshot (snapshots.py), for those that compare two of them."""


class State:
    def __init__(self, snapshot):
        self.snapshot = snapshot
        self.hosts = snapshot["hosts"]
        self.members = snapshot["etcd"]
        self.objects = {key(o): o for o in snapshot["objects"]}
        self.vip = snapshot["vip"]
        self.vip_holders = sorted(name for name, host in self.hosts.items() if host["holds_vip"])

    def of(self, kind):
        return [o for o in self.objects.values() if o["kind"] == kind]

    def find(self, kind, namespace, name):
        return self.objects.get((kind, namespace, name))

    @property
    def nodes(self):
        return {o["name"]: o for o in self.of("Node")}

    def masters(self):
        """The nodes whose host has a master's files; a host without power is not known to be a master."""
        return sorted(name for name, host in self.hosts.items() if host["is_master"] and name in self.nodes)

    def volume_of(self, claim):
        """The volume that a claim is bound to."""
        volume = self.find("PersistentVolume", None, claim["volume"]) if claim.get("volume") else None
        return volume if volume and volume["claim"] == reference(claim) else None

    def node_of(self, claim):
        """The node that a claim's volume is bound to; None for a claim without volume, or one that may be anywhere."""
        volume = self.volume_of(claim)
        return volume["nodes"][0] if volume and len(volume["nodes"]) == 1 else None

    def claims_on(self, node):
        return [claim for claim in self.of("PersistentVolumeClaim") if self.node_of(claim) == node]

    def claims_of_set(self, namespace, name):
        """The claims a StatefulSet asks for, by name; None for one that is not there."""
        found = self.find("StatefulSet", namespace, name)
        names = [f"{template}-{name}-{i}" for template in (found or {}).get("templates", []) for i in range(found["replicas"])]
        return {claim: self.find("PersistentVolumeClaim", namespace, claim) for claim in names}

    def keepalived(self, host):
        """A manifest's (state, priority)."""
        manifest = self.hosts.get(host, {}).get("keepalived")
        return (setting(manifest["text"], "KEEPALIVED_STATE"), setting(manifest["text"], "KEEPALIVED_PRIORITY")) if manifest else None


def key(o):
    return o["kind"], o["namespace"], o["name"]


def reference(o):
    return f'{o["namespace"]}/{o["name"]}' if o["namespace"] else o["name"]


def is_well(pod):
    return not pod.get("terminating") and (pod["phase"] == "Succeeded" or (pod["phase"] == "Running" and pod["ready"]))


def setting(text, name):
    lines = text.splitlines()
    for line, after in zip(lines, lines[1:]):
        if line.strip().endswith(f"name: {name}") and after.strip().startswith("value:"):
            return after.split("value:", 1)[1].strip().strip("\"'")
    return None


def changed_lines(before, after):
    """[(number, what it says now)] of the lines that differ; None where there are more or fewer lines than before."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return [(i + 1, line.strip()) for i, line in enumerate(new) if line != old[i]] if len(old) == len(new) else None


def since(before, after):
    """What the audit logs have of the time between two snapshots, in order."""
    known = {entry["id"] for entry in before.snapshot["audit"]}
    return [entry for entry in after.snapshot["audit"] if entry["id"] not in known]


def by_a_person(entry):
    """A deletion by somebody's kubectl that took effect; a pod's kubectl has a service account."""
    return (entry["verb"] in ("delete", "deletecollection") and entry["agent"].startswith("kubectl") and not entry["dry_run"]
            and 200 <= (entry["code"] or 0) < 300 and not (entry["user"] or "").startswith(("system:serviceaccount:", "system:node:")))


# Objects that come and go by themselves: kubeadm's of a join, and the locks of leader elections.
def is_fleeting(o):
    return (o.get("type") == "bootstrap.kubernetes.io/token" or o["name"].startswith("bootstrap-token-")
            or key(o) == ("Secret", "kube-system", "kubeadm-certs") or bool(o.get("leader")))


def differences(before, after, dead=None):
    """What of one state another has not; of a dead node's pods, and those made in their place, the controllers decide."""
    found = []
    for k, old in before.objects.items():
        new = after.objects.get(k)
        if is_fleeting(old) or (dead and old["kind"] == "Pod" and old["node"] in (dead, None)):
            continue
        if new is None or new["uid"] != old["uid"]:
            found.append(f"{old['kind']} {reference(old)} " + ("is gone" if new is None else "is another one"))
        else:
            fields = ("cordoned",) if old["kind"] == "Node" else ("volume",) if old["kind"] == "PersistentVolumeClaim" else ("terminating",)
            found += [f"{old['kind']} {reference(old)}: {f} was {old.get(f)}, is {new.get(f)}" for f in fields if old.get(f) != new.get(f)]
    found += [f"{o['kind']} {reference(o)} is new" for k, o in after.objects.items()
              if k not in before.objects and not is_fleeting(o) and not (dead and o["kind"] == "Pod")]
    if {m["id"] for m in before.members} != {m["id"] for m in after.members}:
        found.append("the etcd members are others")
    if before.vip_holders != after.vip_holders:
        found.append(f"the VIP was on {before.vip_holders}, is on {after.vip_holders}")
    if before.snapshot["cluster_status"] != after.snapshot["cluster_status"]:
        found.append("ClusterStatus is another one")
    found += [f"{host}: the keepalived manifest is another one" for host, old in before.hosts.items()
              if old["power"] and old["keepalived"] != after.hosts[host]["keepalived"]]
    found += [f"kubectl deleted {e['resource']} {e['namespace'] or ''}/{e['name']}" for e in since(before, after) if by_a_person(e)]
    return found
