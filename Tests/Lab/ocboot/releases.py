"""How the real ocboot's releases differ, as far as the stand-in plays them: one row for each (docs/ocboot.md has what was measured)."""
from collections import namedtuple

Release = namedtuple("Release", [
    "version",        # the content of VERSION
    "runs",           # the release of the cloud that it is used with
    "stacks",         # of the command line `run.py STACK CONFIG`; none: `run.py CONFIG`
    "ansible",        # the version that its people have
    "has_k3s",        # has roles for k3s, and takes them without --k8s-v115
    "has_tags",       # SKIP_TAGS reaches Ansible
    "any_fatal",      # a failure on one host ends the play for all; an unreachable host gives 2 in place of 4
    "missing_is_0",   # a configuration that is not there ends with 0
    "processors",     # wanted of every host
    "memory_gib",
    "digit_first",    # a host name may begin with a digit
    "becomes_root",   # a user that is not root gets `become`
    "cipher_suites",  # adds --tls-cipher-suites to kube-apiserver.yaml
    "shows_init",     # prints the arguments of ocadm init, the database's password among them
    "waits",          # waits for onecloud's services, without a limit (tag cloud)
    "reboots_new",    # restarts the new host for its kernel: "as_host" (where it is one), "tag" (kernel), "never"
    "addons",         # patches coredns and calico-kube-controllers on kubeadm
])

RELEASES = {
    "3.8": Release("v3.8.17", "v3.8.8", [], "2.9.27", False, False, False, False, 0, 0, False, False, False, False, False, "as_host", False),
    "3.10": Release("v3.10.15", "v3.10.15", ["full", "cmp", "virt"], "2.11.12", False, True, True, True, 4, 6, True, False, True,
                    True, False, "tag", True),
    "3.11.14": Release("v3.11.13", "v3.11.14", ["full", "cmp", "virt", "light-virt"], "2.15.13", False, True, True, True, 4, 6, True,
                       True, True, True, True, "never", True),
    "k3s": Release("v3.11.9", "v3.11.9", ["full", "cmp", "virt", "light-virt"], "2.15.13", True, True, True, True, 4, 6, True, True,
                   True, True, True, "never", False),
}
PRODUCTS = {"full": "FullStack", "cmp": "CMP", "virt": "Edge", "light-virt": "LightEdge"}
