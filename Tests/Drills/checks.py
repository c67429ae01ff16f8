"""The checks after a replacement, on two snapshots. Each gives what it found well, or raises Wrong."""

from state import by_a_person, changed_lines, is_fleeting, is_well, key, reference, setting, since

MINIO = [("onecloud-minio", "minio"), ("onecloud-monitoring", "monitor-minio")]
SERIES = [("onecloud", "default-influxdb"), ("onecloud", "default-victoria-metrics")]     # claim and deployment have one name
KEPT = ["Node", "PersistentVolumeClaim", "PersistentVolume", "StatefulSet", "Deployment", "ReplicaSet", "DaemonSet", "ConfigMap", "Secret",
        "Namespace", "Service", "Pod"]
PROMOTION = ("KEEPALIVED_PRIORITY", "KEEPALIVED_STATE")
RESOURCES = {kind.lower() + "s": kind for kind in KEPT}


class Wrong(Exception):
    pass


def demand(wrong, well):
    """Fails with all that is wrong, else tells what is well."""
    if wrong:
        raise Wrong("; ".join(wrong))
    return well


class Verification:
    def __init__(self, before, after, dead, new, primary, promoted, evictions=False, remade=()):
        self.before, self.after = before, after
        # Pods that the node controller took off a node that was NotReady for a while, and nobody else.
        self.evicted = {(e["namespace"], e["name"]) for e in since(before, after) if evictions and e["verb"] == "delete"
                        and e["resource"] == "pods" and (e["user"] or "").endswith(":node-controller")}
        # Those that the drill itself had recreated: NAMESPACE/NAME.
        self.evicted |= {tuple(pod.split("/")) for pod in remade}
        self.dead, self.new, self.primary, self.promoted = dead, new, primary, promoted
        self.survivors = sorted(set(before.masters()) - {dead})
        self.masters = sorted({*self.survivors, new})
        self.all_nodes = sorted(new if name == dead else name for name in before.nodes)
        self.lost_claims = {key(claim): claim for claim in before.claims_on(dead)}
        self.series = next((name for name in SERIES if before.find("Deployment", *name)), SERIES[0])
        self.is_series_lost = ("PersistentVolumeClaim", *self.series) in self.lost_claims

    def run(self):
        """[(name, passed, detail)]"""
        results = []
        for name, check in self.checks():
            try:
                results.append((name, True, check()))
            except Wrong as wrong:
                results.append((name, False, str(wrong)))
        return results

    def checks(self):
        yield "nodes", self.nodes
        yield "no node cordoned", self.cordons
        yield "etcd members", self.members
        yield "ClusterStatus", self.cluster_status
        yield "VIP", self.vip
        yield "keepalived: primary's manifest", self.primary_manifest
        yield "keepalived: others' manifests", self.other_manifests
        yield "pods", self.pods
        for namespace, name in MINIO:
            yield f"claims of {namespace}/{name}", lambda namespace=namespace, name=name: self.minio(namespace, name)
        if self.is_series_lost:
            yield "influxdb recreated", self.influxdb
        yield "no volume left behind", self.volumes
        for kind in KEPT:
            yield f"kept: {kind}", lambda kind=kind: self.kept(kind)
        yield "audit log: once each", self.deleted_once
        yield "audit log: as planned", self.deleted_as_planned

    # The cluster

    def nodes(self):
        found = sorted(self.after.nodes)
        wrong = [] if found == self.all_nodes else [f"there are {found}, expected {self.all_nodes}"]
        wrong += [] if self.dead in self.before.masters() else [f"before, {self.dead} was none of the masters {self.before.masters()}"]
        wrong += [] if self.after.masters() == self.masters else [f"the masters are {self.after.masters()}, expected {self.masters}"]
        wrong += [f"{n} is not Ready" for n, node in self.after.nodes.items() if not node["ready"]]
        return demand(wrong, f"{len(found)} Ready: {', '.join(found)}")

    def cordons(self):
        return demand([f"{n} is cordoned" for n, node in self.after.nodes.items() if node["cordoned"]], "none")

    def members(self):
        old = [m["id"] for m in self.before.members if m["name"] == self.dead]
        names = sorted(m["name"] for m in self.after.members)
        wrong = [] if names == self.masters else [f"there are {names}, expected {self.masters}"]
        wrong += [] if old else [f"before there was no member {self.dead}"]
        for m in self.after.members:
            told = f'{m["id"]} ({m["name"] or "not started"})'
            wrong += [f"{told} is the dead one's"] if m["id"] in old else []
            wrong += [] if m["started"] and not m["learner"] else [f"{told} has not started as a voter"]
            wrong += [] if m["healthy"] else [f"{told} is not healthy"]
        return demand(wrong + self.different_data(), f"{len(names)} started and healthy, of the same data, {', '.join(old)} is gone")

    def different_data(self):
        """etcd itself does not notice it, where one member has other data than another."""
        data = {m["name"]: m["data"] for m in self.after.members}
        return [] if len(set(data.values())) == 1 and None not in data.values() else [f"the members' data are not the same: {data}"]

    def cluster_status(self):
        listed = self.after.snapshot["cluster_status"]
        if listed is None and self.before.snapshot["cluster_status"] is None:
            return "kubeadm keeps none in this version"
        wrong = [] if sorted(listed or []) == self.masters else [f"lists {listed}, expected {self.masters}"]
        return demand(wrong, ", ".join(self.masters))

    def vip(self):
        holders = self.after.vip_holders
        wrong = [] if holders == [self.primary] else [f"{self.after.vip} is on {holders}, expected {self.primary} alone"]
        return demand(wrong, f"{self.after.vip} on {self.primary} alone")

    def primary_manifest(self):
        old, new = (s.hosts.get(self.primary, {}).get("keepalived") for s in (self.before, self.after))
        if not old or not new:
            raise Wrong(f"{self.primary} has no manifest {'before' if not old else 'after'}")
        lines = changed_lines(old["text"], new["text"])
        wrong = [] if old["mode"] == new["mode"] else [f"mode and owner were {old['mode']}, are {new['mode']}"]
        if lines is None:
            wrong.append("it has more or fewer lines than before")
        elif len(lines) != (2 if self.promoted else 0):
            wrong.append(f"{len(lines)} changed lines, expected {2 if self.promoted else 0}: lines {[number for number, _ in lines]}")
        elif self.promoted and any(setting(old["text"], n) == setting(new["text"], n) for n in PROMOTION):
            wrong.append(f"the changed lines are not priority and state: lines {[number for number, _ in lines]}")
        if self.after.keepalived(self.primary) != ("MASTER", "100"):
            wrong.append(f"it says {self.after.keepalived(self.primary)}, expected MASTER and 100")
        return demand(wrong, f"{self.primary}: " + ("just two changed lines, priority 100 and MASTER" if self.promoted else "untouched"))

    def other_manifests(self):
        others = [n for n in self.survivors if n != self.primary]
        wrong = [f"{n}: it was changed" for n in others if self.before.hosts[n]["keepalived"] != self.after.hosts[n]["keepalived"]]
        masters = [n for n in self.masters if n != self.primary and (self.after.keepalived(n) or ("",))[0] == "MASTER"]
        return demand(wrong + [f"{n} says MASTER beside {self.primary}" for n in masters], f"{', '.join(others)}: untouched")

    # The workloads

    def pods(self):
        pods = self.after.of("Pod")
        wrong = [f'{reference(p)} is {p["phase"]}{"" if p["ready"] else ", not Ready"}{", ending" if p.get("terminating") else ""}'
                 for p in pods if not is_well(p)]
        return demand(wrong + ([] if pods else ["there are none"]), f"{len(pods)}, each Running and Ready")

    def minio(self, namespace, name):
        before, after = (s.claims_of_set(namespace, name) for s in (self.before, self.after))
        if len(after) != 4:
            raise Wrong(f"the set asks for {len(after)} claims, expected 4")
        wrong = [f"{claim} is {found['phase'] if found else 'not there'}" for claim, found in after.items() if not found or found["phase"] != "Bound"]
        places = {claim: self.after.node_of(found) for claim, found in after.items() if found}
        moved = [claim for claim, old in before.items() if old and key(old) in self.lost_claims]
        for claim, node in places.items():
            if node == self.dead != self.new:
                wrong.append(f"{claim} is on the dead node")
            elif claim in moved and node != self.new:
                wrong.append(f"{claim} was on the dead node, is on {node}, expected {self.new}")
        wrong += [f"{claim} is the old one still" for claim in moved if after.get(claim) and after[claim]["uid"] == before[claim]["uid"]]
        return demand(wrong, f"4 Bound; now on {self.new}: {', '.join(moved) or 'none of them'}")

    def influxdb(self):
        old, new = (s.find("Deployment", *self.series) for s in (self.before, self.after))
        claim = self.after.find("PersistentVolumeClaim", *self.series)
        wrong = [] if new and (not old or new["uid"] != old["uid"]) else [f"the deployment is {'the old one' if new else 'not there'}"]
        node = self.after.node_of(claim) if claim else None
        wrong += [] if node == self.new else [f"its claim is on {node}, expected {self.new}"]
        nodes = [p["node"] for p in self.after.of("Pod") if p["namespace"] == self.series[0] and self.series[1] in p["claims"] and is_well(p)]
        wrong += [] if nodes == [self.new] else [f"its pods are on {nodes}, expected {self.new}"]
        return demand(wrong, f"a new deployment, claim and pod on {self.new}")

    def volumes(self):
        volumes = self.after.of("PersistentVolume")
        wrong = [f'{v["name"]} ({v["claim"]}) is {v["phase"]}' for v in volumes if v["phase"] in ("Released", "Failed")]
        return demand(wrong, f"{len(volumes)}, none Released or Failed")

    # Nothing but the planned objects was deleted

    def is_planned(self, o):
        if o["kind"] == "Node":
            return o["name"] == self.dead
        if o["kind"] == "Secret":
            # k3s deletes a node's password with the node.
            return o["namespace"] == "kube-system" and o["name"] == f"{self.dead}.node-password.k3s"
        if o["kind"] == "PersistentVolumeClaim":
            return key(o) in self.lost_claims
        if o["kind"] == "PersistentVolume":
            return o["nodes"] == [self.dead]
        if o["kind"] in ("Deployment", "ReplicaSet") and self.is_series_lost:
            owner = o.get("owner", {})
            return (o["namespace"], o["name"] if o["kind"] == "Deployment" else owner.get("name")) == self.series
        if o["kind"] == "Pod":
            # A pod without node is one that waits for a lost volume, and is on no surviving node.
            is_influxdb = o["namespace"] == self.series[0] and self.series[1] in o["claims"]
            is_edited = self.promoted and o["mirror"] and reference(o) == f"kube-system/keepalived-{self.primary}"
            return o["node"] in (self.dead, None) or is_edited or (self.is_series_lost and is_influxdb)
        return False

    def kept(self, kind):
        wrong, count = [], 0
        for old in self.before.of(kind):
            if is_fleeting(old) or self.is_planned(old) or (kind == "Pod" and (old["namespace"], old["name"]) in self.evicted):
                continue
            count += 1
            new = self.after.objects.get(key(old))
            if not new or new["uid"] != old["uid"]:
                wrong.append(f"{reference(old)} {'is another one' if new else 'is gone'}")
        return demand(wrong, f"{count}, each with its UID")

    def deleted_once(self):
        """A name that was recreated in between stands for another object."""
        deleted, wrong, count = set(), [], 0
        for entry in since(self.before, self.after):
            place = (entry["resource"], entry["namespace"], entry["name"])
            if entry["verb"] == "create" and (entry["code"] or 0) < 300:
                deleted.discard(place)
            elif by_a_person(entry):
                count += 1
                if place in deleted:
                    wrong.append(f'{entry["resource"]} {entry["namespace"] or ""}/{entry["name"]} was deleted again at {entry["time"]}')
                deleted.add(place)
        return demand(wrong, f"{count} deletions by kubectl")

    def deleted_as_planned(self):
        wrong, count = [], 0
        for entry in since(self.before, self.after):
            if not by_a_person(entry):
                continue
            count += 1
            old = self.before.find(RESOURCES.get(entry["resource"]), entry["namespace"], entry["name"])
            # A pod that was not there before was made in the place of a lost one; the new one's node, by a join that failed.
            half_made = entry["resource"] == "nodes" and entry["name"] == self.new
            planned = self.is_planned(old) if old else entry["resource"] == "pods" or half_made
            if entry["verb"] == "deletecollection" or entry["subresource"] or not planned:
                wrong.append(f'{entry["verb"]} of {entry["resource"]} {entry["namespace"] or ""}/{entry["name"] or "*"} by {entry["user"]}')
        return demand(wrong, f"{count}, of planned objects alone")
