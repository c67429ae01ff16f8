"""What a host's tree has, and what changed between two looks at it."""
import difflib
import hashlib
import os
import pathlib

# Not the host's: what Ansible and SSH leave for themselves, ocboot's own folder, and what is mounted there.
LEFT_OUT = ("/root/.ansible", "/root/.ssh", "/root/ocboot", "/run", "/dev", "/proc", "/sys", "/drill", "/cluster", "/usr", "/var/tmp")


def snapshot(host):
    """Path to kind, mode and content; of /usr only what the host has of its own."""
    found = {}
    for top, prefix, left_out in ((host.root, "", LEFT_OUT), (host.folder / "usr", "/usr", ())):
        for folder, folders, files in os.walk(top):
            place = prefix + folder[len(str(top)):]
            folders[:] = [name for name in folders if f"{place}/{name}" not in left_out and not (f"{place}/{name}").startswith("/tmp/ansible")
                          and name != "__pycache__"]
            for name in files + folders:
                path = pathlib.Path(folder) / name
                found[f"{place}/{name}"] = look(path)
    return found


def look(path):
    status = path.lstat()
    if path.is_symlink():
        return "link", os.readlink(path)
    if path.is_dir():
        return "folder", oct(status.st_mode & 0o7777)
    if not path.is_file():
        return "gone", ""
    data = path.read_bytes()
    text = data.decode(errors="replace") if len(data) < 100_000 else hashlib.sha256(data).hexdigest()
    return "file", text


def changes(before, after):
    """Path to what happened to it; for texts with the difference."""
    found = {}
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        kind = "created" if old is None else "deleted" if new is None or new[0] == "gone" else "changed"
        if kind == "created" and new[0] == "folder":
            continue
        texts = [(side[1].splitlines() if side and side[0] == "file" else []) for side in (old, new)]
        found[path] = {"what": kind, "difference": list(difflib.unified_diff(*texts, lineterm="", n=0))[2:60]}
    return found
