"""Stands for rpm's Python module on a host of the drill: a database of one package."""
RPMTAG_NAME, RPMTAG_VERSION, RPMTAG_RELEASE, RPMTAG_EPOCH, RPMTAG_ARCH = "name", "version", "release", "epoch", "arch"


class TransactionSet:
    def dbMatch(self, *words):
        return [{"name": "iptables", "version": "1.4.21", "release": "35.el7", "epoch": None, "arch": "x86_64"}]
