#!/usr/bin/env -S python3 -B
"""Proves that each of verify's checks can fail: a small made-up replacement, of `a` by `d`, and a mutation for every check that
makes just this one fail. Needs no lab: Tests/Drills/test_verify.py
"""

import copy
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from checks import KEPT, Verification
from snapshots import trim, without_password
from lab import Failed
from state import State, differences

MANIFEST = """env:
- name: KEEPALIVED_PRIORITY
  value: "{priority}"
- name: KEEPALIVED_STATE
  value: {state}
- name: KEEPALIVED_INTERFACE
  value: eth0
"""


def made(kind, name, uid, namespace=None, **more):
    return {"kind": kind, "namespace": namespace, "name": name, "uid": uid, **more}


def snapshot(nodes, dead, holder, promoted, places, suffix, audit):
    """A cluster in which what lay on `a` first has UIDs with a suffix, where it was recreated."""
    def uid(name, is_lost):
        return f"{name}{suffix if is_lost else ''}"

    objects = [made("Node", n, f"node-{n}", ready=True, cordoned=False, version="v1.20.2") for n in nodes]
    objects += [made("Namespace", n, f"ns-{n}") for n in ("onecloud", "onecloud-minio", "onecloud-monitoring")]
    objects += [made("Service", "minio", "svc", "onecloud-minio"), made("ConfigMap", "settings", "cm", "onecloud"),
                made("Secret", "password", "secret", "onecloud", type="Opaque"), made("DaemonSet", "default-host", "ds", "onecloud"),
                made("Deployment", "default-glance", "glance", "onecloud"),
                made("ReplicaSet", "default-glance-1", "glance-rs", "onecloud", owner={"kind": "Deployment", "name": "default-glance", "uid": "glance"})]
    objects += [made("Secret", f"bootstrap-token-x{suffix}", f"token{suffix}", "kube-system", type="bootstrap.kubernetes.io/token")]

    def pod(namespace, name, pod_uid, node, claims=(), mirror=False):
        objects.append(made("Pod", name, pod_uid, namespace, node=node, phase="Running", ready=True, claims=list(claims), mirror=mirror))

    def claim(namespace, name, node, is_lost):
        volume = uid(f"pv-{name}", is_lost)
        objects.append(made("PersistentVolumeClaim", name, uid(f"claim-{name}", is_lost), namespace, phase="Bound", volume=volume, **{"class": "local-path"}))
        objects.append(made("PersistentVolume", volume, f"uid-{volume}", phase="Bound", nodes=[node], claim=f"{namespace}/{name}"))

    for namespace, name in (("onecloud-minio", "minio"), ("onecloud-monitoring", "monitor-minio")):
        objects.append(made("StatefulSet", name, f"set-{name}", namespace, replicas=4, templates=["export"]))
        for i, place in enumerate(places):
            claim(namespace, f"export-{name}-{i}", place, i in (0, 3))
            pod(namespace, f"{name}-{i}", uid(f"pod-{name}-{i}", i in (0, 3)), place, [f"export-{name}-{i}"])
    influxdb = uid("influxdb", True)
    objects += [made("Deployment", "default-influxdb", influxdb, "onecloud"),
                made("ReplicaSet", f"default-influxdb-{suffix or 0}", f"rs-{influxdb}", "onecloud", owner={"kind": "Deployment", "name": "default-influxdb", "uid": influxdb})]
    claim("onecloud", "default-influxdb", places[0], True)
    pod("onecloud", f"default-influxdb-x{suffix}", f"pod-{influxdb}", places[0], ["default-influxdb"])
    objects.append(made("PersistentVolumeClaim", "default-baremetal-agent", "unbound", "onecloud", phase="Pending", volume=None, **{"class": "local-path"}))
    pod("onecloud", "default-glance-1-x", "glance-pod", "b")
    for n in nodes:
        pod("kube-system", f"keepalived-{n}", f"keepalived-{n}" + ("-edited" if promoted and n == holder else ""), n, mirror=True)

    hosts = {}
    for n in "abcd":
        is_master = n in nodes
        manifest = MANIFEST.format(**({"priority": 100, "state": "MASTER"} if n == holder else {"priority": 90, "state": "BACKUP"}))
        hosts[n] = {"address": n, "power": n != dead, "is_master": is_master, "holds_vip": n == holder,
                    "keepalived": {"mode": "600 root:root", "text": manifest} if is_master and n != dead else None}
    return {
        "taken": "", "cluster": "test", "vip": "10.0.0.100", "hosts": hosts, "objects": objects, "cluster_status": list(nodes), "audit": audit,
        "etcd": [{"id": f"id-{n}", "name": n, "started": True, "learner": False, "peer": [], "healthy": True, "data": "1"} for n in nodes],
    }


def entry(number, verb, resource, name, namespace="onecloud-minio", agent="kubectl/v1.20.2", user="kubernetes-admin", code=200, **more):
    return {"id": f"audit-{number}", "host": "b", "time": f"T{number:03}", "verb": verb, "user": user, "agent": agent, "resource": resource,
            "subresource": None, "namespace": namespace, "name": name, "code": code, "dry_run": False} | more


AUDIT = [
    entry(1, "delete", "nodes", "a", None),
    entry(2, "delete", "pods", "minio-0"),
    entry(3, "create", "pods", "minio-0", agent="kube-controller-manager", user="system:serviceaccount:kube-system:statefulset-controller", code=201),
    entry(4, "delete", "persistentvolumeclaims", "export-minio-0"),
    entry(5, "delete", "pods", "minio-0"),
    entry(6, "delete", "deployments", "default-influxdb", "onecloud"),
    entry(7, "delete", "persistentvolumeclaims", "export-minio-3", code=409),
    entry(8, "delete", "persistentvolumeclaims", "export-minio-3"),
    entry(9, "delete", "pods", "default-glance-1-x", "onecloud", dry_run=True),
    entry(10, "delete", "secrets", "bootstrap-token-x", "kube-system", agent="kubeadm/v1.20.2"),
]


def promoted():
    """The dead one was the primary: b holds the VIP now."""
    return (snapshot("abc", None, "a", False, "abca", "", [entry(0, "delete", "configmaps", "of-before", "onecloud")]),
            snapshot("bcd", "a", "b", True, "dbcd", "-2", [entry(0, "delete", "configmaps", "of-before", "onecloud"), *copy.deepcopy(AUDIT)]))


def enlarged(state):
    """The same with two more masters, e and f, and a worker w."""
    for n in "efw":
        is_master = n != "w"
        state["objects"].append(made("Node", n, f"node-{n}", ready=True, cordoned=False))
        manifest = {"mode": "600 root:root", "text": MANIFEST.format(priority=90, state="BACKUP")} if is_master else None
        state["hosts"][n] = {"address": n, "power": True, "is_master": is_master, "holds_vip": False, "keepalived": manifest}
        if is_master:
            state["etcd"].append({**state["etcd"][0], "id": f"id-{n}", "name": n})
            state["cluster_status"].append(n)
    return state


def verify(before, after, dead="a", primary="b", is_promoted=True):
    return Verification(State(before), State(after), dead, "d", primary, is_promoted).run()


def get(state, kind, name):
    return next(o for o in state["objects"] if (o["kind"], o["name"]) == (kind, name))


def remove(state, kind, name):
    state["objects"].remove(get(state, kind, name))


def text(state, host, old, new):
    manifest = state["hosts"][host]["keepalived"]
    assert old in manifest["text"]
    manifest["text"] = manifest["text"].replace(old, new)


def of_kind(kind):
    """A kept object of the kind, recreated."""
    return {"Node": "b", "PersistentVolumeClaim": "export-minio-1", "PersistentVolume": "pv-export-minio-1", "StatefulSet": "minio",
            "Deployment": "default-glance", "ReplicaSet": "default-glance-1", "DaemonSet": "default-host", "ConfigMap": "settings",
            "Secret": "password", "Namespace": "onecloud", "Service": "minio", "Pod": "default-glance-1-x"}[kind]


# What is done to the state after the replacement, and the one check that must see it.
MUTATIONS = [
    ("a node is not Ready", "nodes", lambda s: get(s, "Node", "d").update(ready=False)),
    ("the new node is not there", "nodes", lambda s: remove(s, "Node", "d")),
    ("the dead node is still there", "nodes", lambda s: s["objects"].append(made("Node", "a", "node-a", ready=True, cordoned=False))),
    ("a survivor is cordoned", "no node cordoned", lambda s: get(s, "Node", "c").update(cordoned=True)),
    ("a member has not started", "etcd members", lambda s: s["etcd"][2].update(started=False)),
    ("a member is a learner", "etcd members", lambda s: s["etcd"][2].update(learner=True)),
    ("a member is not healthy", "etcd members", lambda s: s["etcd"][0].update(healthy=False)),
    ("a member has other data", "etcd members", lambda s: s["etcd"][1].update(data="2")),
    ("a member tells nothing of its data", "etcd members", lambda s: s["etcd"][1].update(data=None)),
    ("the old member is there", "etcd members", lambda s: s["etcd"].append({**s["etcd"][0], "id": "id-a", "name": "a"})),
    ("the old member's id under a new name", "etcd members", lambda s: s["etcd"][2].update(id="id-a")),
    ("a member is missing", "etcd members", lambda s: s["etcd"].pop()),
    ("ClusterStatus lists the dead one", "ClusterStatus", lambda s: s["cluster_status"].append("a")),
    ("ClusterStatus misses the new one", "ClusterStatus", lambda s: s["cluster_status"].remove("d")),
    ("ClusterStatus is gone", "ClusterStatus", lambda s: s.update(cluster_status=None)),
    ("two hold the VIP", "VIP", lambda s: s["hosts"]["c"].update(holds_vip=True)),
    ("nobody holds the VIP", "VIP", lambda s: s["hosts"]["b"].update(holds_vip=False)),
    ("a third changed line", "keepalived: primary's manifest", lambda s: text(s, "b", "eth0", "br0")),
    ("one line more", "keepalived: primary's manifest", lambda s: text(s, "b", "env:", "env:\n# edited")),
    ("only one changed line", "keepalived: primary's manifest", lambda s: text(s, "b", '"100"', '"90"')),
    ("another priority", "keepalived: primary's manifest", lambda s: text(s, "b", '"100"', '"101"')),
    ("another mode", "keepalived: primary's manifest", lambda s: s["hosts"]["b"]["keepalived"].update(mode="644 root:root")),
    ("no end of line at the end", "keepalived: primary's manifest", lambda s: text(s, "b", "eth0\n", "eth0")),
    ("another survivor's manifest changed", "keepalived: others' manifests", lambda s: text(s, "c", '"90"', '"91"')),
    ("the new node says MASTER too", "keepalived: others' manifests", lambda s: text(s, "d", "BACKUP", "MASTER")),
    ("a pod is Pending", "pods", lambda s: get(s, "Pod", "minio-1").update(phase="Pending", ready=False)),
    ("a pod is not Ready", "pods", lambda s: get(s, "Pod", "keepalived-d").update(ready=False)),
    ("a pod is ending", "pods", lambda s: get(s, "Pod", "minio-1").update(terminating=True)),
    ("a claim is Pending", "claims of onecloud-minio/minio", lambda s: get(s, "PersistentVolumeClaim", "export-minio-0").update(phase="Pending")),
    ("a claim is not there", "claims of onecloud-minio/minio", lambda s: remove(s, "PersistentVolumeClaim", "export-minio-3")),
    ("a claim was not recreated", "claims of onecloud-minio/minio",
     lambda s: get(s, "PersistentVolumeClaim", "export-minio-0").update(uid="claim-export-minio-0")),
    ("a claim is on the dead node", "claims of onecloud-monitoring/monitor-minio",
     lambda s: get(s, "PersistentVolume", "pv-export-monitor-minio-0-2").update(nodes=["a"])),
    ("a claim is on a survivor now", "claims of onecloud-monitoring/monitor-minio",
     lambda s: get(s, "PersistentVolume", "pv-export-monitor-minio-3-2").update(nodes=["c"])),
    ("three replicas", "claims of onecloud-minio/minio", lambda s: get(s, "StatefulSet", "minio").update(replicas=3)),
    ("the old influxdb", "influxdb recreated", lambda s: get(s, "Deployment", "default-influxdb").update(uid="influxdb")),
    ("influxdb's volume elsewhere", "influxdb recreated", lambda s: get(s, "PersistentVolume", "pv-default-influxdb-2").update(nodes=["c"])),
    ("influxdb's pod elsewhere", "influxdb recreated", lambda s: get(s, "Pod", "default-influxdb-x-2").update(node="c")),
    ("influxdb is not there", "influxdb recreated", lambda s: remove(s, "Deployment", "default-influxdb")),
    ("a volume is Released", "no volume left behind",
     lambda s: s["objects"].append(made("PersistentVolume", "old", "old", phase="Released", nodes=["a"], claim="onecloud-minio/export-minio-0"))),
    ("a volume has Failed", "no volume left behind", lambda s: get(s, "PersistentVolume", "pv-export-minio-1").update(phase="Failed")),
    *[(f"{kind} recreated", f"kept: {kind}", lambda s, kind=kind: get(s, kind, of_kind(kind)).update(uid="another")) for kind in KEPT],
    *[(f"{kind} is gone", f"kept: {kind}", lambda s, kind=kind: remove(s, kind, of_kind(kind)))
      for kind in ("Deployment", "ReplicaSet", "DaemonSet", "ConfigMap", "Secret", "Namespace", "Service", "Pod")],
    ("another survivor's keepalived pod", "kept: Pod", lambda s: get(s, "Pod", "keepalived-c").update(uid="another")),
    ("deleted twice", "audit log: once each", lambda s: s["audit"].append(entry(20, "delete", "persistentvolumeclaims", "export-minio-0"))),
    ("a pod deleted twice", "audit log: once each", lambda s: s["audit"].append(entry(21, "delete", "pods", "minio-0"))),
    ("a claim that was not lost", "audit log: as planned", lambda s: s["audit"].append(entry(22, "delete", "persistentvolumeclaims", "export-minio-1"))),
    ("a survivor's pod", "audit log: as planned", lambda s: s["audit"].append(entry(23, "delete", "pods", "default-glance-1-x", "onecloud"))),
    ("all pods of a namespace", "audit log: as planned", lambda s: s["audit"].append(entry(24, "deletecollection", "pods", None))),
    ("a secret", "audit log: as planned", lambda s: s["audit"].append(entry(25, "delete", "secrets", "password", "onecloud"))),
]


class EachCheckCanFail(unittest.TestCase):
    def failed(self, results):
        return [name for name, passed, _ in results if not passed]

    def test_a_good_replacement_passes(self):
        before, after = promoted()
        self.assertEqual([r for r in verify(before, after) if not r[1]], [])

    def test_each_mutation_fails_just_its_check(self):
        for what, check, mutate in MUTATIONS:
            with self.subTest(what):
                before, after = promoted()
                mutate(after)
                self.assertEqual(self.failed(verify(before, after)), [check])

    def test_every_check_has_a_mutation(self):
        names = [name for name, _, _ in verify(*promoted())]
        self.assertEqual(sorted(names), sorted({check for _, check, _ in MUTATIONS}))

    def test_before_as_after_fails(self):
        before, _ = promoted()
        failed = self.failed(verify(before, before))
        for name in ("nodes", "etcd members", "ClusterStatus", "VIP", "keepalived: primary's manifest", "claims of onecloud-minio/minio",
                     "claims of onecloud-monitoring/monitor-minio", "influxdb recreated"):
            self.assertIn(name, failed)

    def test_a_dead_master_that_was_not_the_primary(self):
        before = snapshot("abc", None, "b", False, "abca", "", [])
        after = snapshot("bcd", "a", "b", False, "dbcd", "-2", [])
        self.assertEqual([r for r in verify(before, after, is_promoted=False) if not r[1]], [])
        text(after, "b", '"100"', '"101"')
        self.assertEqual(self.failed(verify(before, after, is_promoted=False)), ["keepalived: primary's manifest"])
        get(after, "Pod", "keepalived-b")["uid"] = "another"
        self.assertIn("kept: Pod", self.failed(verify(before, after, is_promoted=False)))

    def test_five_masters_and_a_worker(self):
        for failing, mutate in [
            ([], lambda s: None),
            (["nodes", "kept: Node"], lambda s: remove(s, "Node", "w")),
            (["nodes"], lambda s: s["hosts"]["w"].update(is_master=True)),
            (["nodes"], lambda s: s["hosts"]["f"].update(is_master=False)),
            (["etcd members"], lambda s: s["etcd"].append({**s["etcd"][0], "id": "id-w", "name": "w"})),
            (["claims of onecloud-minio/minio"], lambda s: get(s, "PersistentVolume", "pv-export-minio-0-2").update(nodes=["w"])),
        ]:
            before, after = map(enlarged, promoted())
            mutate(after)
            self.assertEqual(self.failed(verify(before, after)), failing)
        before, after = map(enlarged, promoted())
        self.assertIn("nodes", self.failed(verify(before, after, dead="w")))

    def test_no_other_changed_lines_than_priority_and_state(self):
        before, after = promoted()
        for state in (before, after):
            text(state, "b", "eth0\n", "eth0\n- name: KEEPALIVED_ROUTER_ID\n  value: 12\n")
        text(before, "b", '"90"', '"100"')
        text(after, "b", "value: 12", "value: 13")
        self.assertEqual(self.failed(verify(before, after)), ["keepalived: primary's manifest"])

    def test_influxdb_is_kept_where_its_volume_was_not_lost(self):
        before, after = promoted()
        for state, volume in ((before, "pv-default-influxdb"), (after, "pv-default-influxdb-2")):
            get(state, "PersistentVolume", volume)["nodes"] = ["c"]
            next(o for o in state["objects"] if o["kind"] == "Pod" and "default-influxdb" in o["claims"])["node"] = "c"
        failed = self.failed(verify(before, after))
        self.assertEqual(failed, ["kept: PersistentVolumeClaim", "kept: PersistentVolume", "kept: Deployment", "kept: ReplicaSet", "kept: Pod", "audit log: as planned"])

    def test_the_command_tells_it_and_ends_with_1(self):
        before, after = promoted()
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for name, state in (("before", before), ("after", after)):
                paths.append(f"{folder}/{name}.json")
                Path(paths[-1]).write_text(json.dumps(state))
            command = [sys.executable, "-B", str(Path(__file__).with_name("verify"))]
            options = ["--dead", "a", "--new", "d", "--primary", "b", "--promoted"]
            good = subprocess.run(command + paths + options, capture_output=True, text=True)
            self.assertEqual((good.returncode, good.stdout.splitlines()[-1]), (0, f"{len(verify(before, after))} passed, 0 failed"), good)
            bad = subprocess.run(command + [paths[0], paths[0]] + options, capture_output=True, text=True)
            self.assertEqual(bad.returncode, 1)
            self.assertRegex(bad.stdout, r"(?m)^FAIL  nodes: .*\n(.*\n)*\d+ passed, [1-9]\d* failed\n\Z")
            none = subprocess.run(command + [paths[0], folder + "/none"] + options, capture_output=True, text=True)
            self.assertNotEqual(none.returncode, 0)
            self.assertIn("next: ", none.stderr)


class WhatIsWrittenDown(unittest.TestCase):
    def test_a_password_never(self):
        hidden = without_password("- name: KEEPALIVED_PASSWORD\n  value: 'hunter2'\n- name: KEEPALIVED_STATE\n", "b")
        self.assertNotIn("hunter2", hidden)
        self.assertIn("value: sha256:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7\n", hidden)

    def test_a_password_in_an_unknown_form_is_refused(self):
        with self.assertRaises(Failed):
            without_password("- {name: KEEPALIVED_PASSWORD, value: hunter2}\n", "b")

    def test_a_pod_without_its_environment(self):
        pod = {"kind": "Pod", "metadata": {"name": "p", "namespace": "n", "uid": "u"}, "status": {"phase": "Pending"},
               "spec": {"containers": [{"env": [{"name": "PASSWORD", "value": "hunter2"}]}]}}
        self.assertNotIn("hunter2", json.dumps(trim(pod)))

    def test_a_volume_is_where_its_affinity_says(self):
        terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}]}]
        volume = {"kind": "PersistentVolume", "metadata": {"name": "v", "uid": "u"}, "status": {"phase": "Bound"},
                  "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}, "claimRef": {"namespace": "n", "name": "c"}}}
        self.assertEqual((trim(volume)["nodes"], trim(volume)["claim"]), (["b"], "n/c"))


class WhatARefusalMayNotChange(unittest.TestCase):
    def differences(self, mutate, dead=None):
        before, _ = promoted()
        after = copy.deepcopy(before)
        mutate(after)
        return differences(State(before), State(after), dead)

    def test_nothing_changed(self):
        self.assertEqual(self.differences(lambda s: None), [])

    def test_what_changed_is_named(self):
        for what, mutate in [
            ("Secret onecloud/password is gone", lambda s: remove(s, "Secret", "password")),
            ("Pod onecloud/default-glance-1-x is another one", lambda s: get(s, "Pod", "default-glance-1-x").update(uid="x")),
            ("Node b: cordoned was False, is True", lambda s: get(s, "Node", "b").update(cordoned=True)),
            ("ConfigMap onecloud/more is new", lambda s: s["objects"].append(made("ConfigMap", "more", "more", "onecloud"))),
            ("the etcd members are others", lambda s: s["etcd"].pop()),
            ("b: the keepalived manifest is another one", lambda s: text(s, "b", '"90"', '"91"')),
            ("kubectl deleted pods onecloud-minio/x", lambda s: s["audit"].append(entry(1, "delete", "pods", "x"))),
        ]:
            with self.subTest(what):
                self.assertEqual(self.differences(mutate), [what])

    def test_of_the_dead_nodes_pods_the_controllers_decide(self):
        self.assertEqual(self.differences(lambda s: remove(s, "Pod", "minio-0"), dead="a"), [])
        self.assertEqual(self.differences(lambda s: remove(s, "Pod", "minio-0")), ["Pod onecloud-minio/minio-0 is gone"])


if __name__ == "__main__":
    unittest.main()
