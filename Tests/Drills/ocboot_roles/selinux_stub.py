"""Stands for libselinux's Python module on a host of the drill: SELinux is there, and permissive."""
import json
import time

CONTEXT = "system_u:object_r:etc_t"


def is_selinux_enabled():
    return 1


def is_selinux_mls_enabled():
    return 0


def security_getenforce():
    return 0


def security_setenforce(value):
    with open("/drill/calls", "a") as calls:
        calls.write(json.dumps({"program": "setenforce", "words": [str(value)], "time": time.time()}) + "\n")
    return 0


def selinux_getenforcemode():
    return [0, 0]


def selinux_getpolicytype():
    return [0, "targeted"]


def selinux_policy_root():
    return "/etc/selinux/targeted"


def matchpathcon(path, mode):
    return [0, CONTEXT]


def lgetfilecon_raw(path):
    return [0, CONTEXT]


def lsetfilecon(path, context):
    return 0
