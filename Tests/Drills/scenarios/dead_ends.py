"""What never comes to its end by itself: a way on is told, and leads to a good end."""

import lab
from disturbed import CONNECT
from drill import Failed, indented, say

FINALIZER = "example.org/never"


def said_to_skip(faults, step):
    """The run has stopped, and its last words name the way past a step."""
    said = " ".join(faults.said().strip().splitlines()[-3:])
    say(f"stopped: {said}")
    if f"--skip {step} --because" not in said:
        raise Failed(f"it does not say how step {step} is passed over\nnext: {faults.folder}/tool.log")


def pod_crashes(faults):
    """MinIO's pod on the new node crashes for ever: its heal is passed over, with a reason; mended later, all is as it should be."""
    faults.cut()
    claim = ("get", "persistentvolumeclaim", "-n", "onecloud-minio", "export-minio-0")
    old = lab.kubectl_json(faults.primary, *claim)["metadata"]["uid"]
    process = faults.start(*faults.replace_arguments, "--heal-stalled", "30")
    faults.wait_for_step("rebuild-onecloud-minio-minio", process)

    def new_volume():
        found = lab.kubectl_json(faults.primary, *claim)
        name = found and found["metadata"]["uid"] != old and found["spec"].get("volumeName")
        return name and lab.kubectl_json(faults.primary, "get", "persistentvolume", name)

    spec = lab.wait_until("the new volume of minio-0", 300, new_volume, every=0.1)["spec"]
    # A file where MinIO makes a folder, before it does; the volume's own folder the kubelet makes as it mounts it.
    broken = (spec.get("hostPath") or spec["local"])["path"]
    status, out, err = faults.on(faults.spare, f"! test -d {broken}/.minio.sys && mkdir -p {broken} && touch {broken}/.minio.sys")
    if status != 0:
        raise Failed(f"{broken} could not be broken: {out}{err}\nnext: {lab.LAB} shell {faults.spare}")
    faults.finish(process, expected=2)
    said_to_skip(faults, "heal-onecloud-minio-minio")
    nodes = lab.kubectl_json(faults.primary, "get", "nodes")["items"]
    if any(node["spec"].get("unschedulable") for node in nodes):
        raise Failed("a node is still cordoned while nothing is rebuilt")
    for arguments, words in (
            (("--skip", "join", "--because", "x"), "--skip join: it is never passed over"),
            (("--skip", "heal-minio", "--because", "x"), "the run has no such step")):
        status, out, err, seconds = faults.tool("resume", "--yes", *arguments, *CONNECT)
        if status != 64 or words not in err:
            raise Failed(f"resume {' '.join(arguments)} ended with {status}, expected 64 and '{words}'; it said: {err}")
    skip = ("--skip", "heal-onecloud-minio-minio", "--because", "its disk is on order")
    # What that leaves undone has to be agreed to.
    faults.finish(faults.start("resume", *skip, *CONNECT), expected=5)
    faults.finish(faults.start("resume", *skip, "--yes", *CONNECT))
    said = faults.said()
    if "but for what was passed over: heal-onecloud-minio-minio" not in said or "count as lost" not in said or "Keep the disk of" not in said:
        raise Failed(f"the end does not say what was passed over, and what that leaves\nnext: {faults.folder}/tool.log")
    report = faults.tool("report", faults.run_folder().name)[1]
    if "passed over" not in report or "its disk is on order" not in report:
        raise Failed(f"the report does not keep the reason: {indented(report[-2000:])}")
    faults.on(faults.spare, f"rm {broken}/.minio.sys")
    # The kubelet starts it again at the latest five minutes after it crashed last.
    healed = "kubectl logs -n onecloud-minio minio-0 | grep 'pool complete'"
    lab.wait_until("MinIO to heal the drive", 400, lambda: faults.on(faults.primary, healed)[0] == 0)
    faults.verify()


def pod_finalizer(faults):
    """Finalizers that nobody takes off keep pods of the dead node: one holds nothing up; one holds a claim, and is taken off as is told."""
    listed = lab.kubectl_json(faults.lab.primary, "get", "pods", "-A")["items"]
    free = next(pod["metadata"] for pod in listed if pod["spec"].get("nodeName") == faults.lab.dead
                and pod["metadata"]["namespace"] == "onecloud" and not any("persistentVolumeClaim" in v for v in pod["spec"].get("volumes", [])))
    pods = ((free["namespace"], free["name"]), ("onecloud-minio", "minio-0"))
    def unhold(namespace, name):
        patch = '{"metadata":{"finalizers":null}}'
        status, out, err = faults.on(faults.primary, f"kubectl patch pod -n {namespace} {name} --type=merge -p '{patch}'")
        if status != 0:
            raise Failed(f"{namespace}/{name} could not be let go: {out}{err}")

    for namespace, name in pods:
        patch = '{"metadata":{"finalizers":["%s"]}}' % FINALIZER
        status, out, err = faults.on(faults.lab.primary, f"kubectl patch pod -n {namespace} {name} --type=merge -p '{patch}'")
        if status != 0:
            raise Failed(f"the finalizer could not be put on {namespace}/{name}: {out}{err}")
    faults.cut()
    faults.finish(faults.start(*faults.replace_arguments), expected=2)
    said = faults.said()
    left = f"left behind as an object: pod {free['namespace']}/{free['name']}, kept by its finalizers {FINALIZER}"
    if left not in said:
        raise Failed(f"it does not say: {left}\nnext: {faults.folder}/tool.log")
    said_to_skip(faults, "rebuild-onecloud-minio-minio")
    if "kubectl -n onecloud-minio edit pod minio-0" not in said:
        raise Failed(f"it does not say what to do about the finalizer\nnext: {faults.folder}/tool.log")
    unhold(*pods[1])
    faults.resume()
    # The other one is there to the end; what is verified is all else.
    unhold(*pods[0])
    faults.verify()
