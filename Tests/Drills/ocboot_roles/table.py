"""The tables of docs/ocboot.md about the roles: a row for each release. A release that is not run keeps the rows that it had."""
import datetime
import re

BEGIN, END = "<!-- begin: Tests/Drills/ocboot --roles -->", "<!-- end: --roles -->"
HEADS = [
    "| Branch or tag | Revision | For | Ansible | Run on | Result | Ansible logged in to | Asked of the cloud and the cluster | Restarted |",
    "| Branch or tag | For | Files changed on survivors | Done on survivors | Announced, and not seen |",
]


def code(text):
    return "`" + text.replace("|", "\\|") + "`"


def listed(texts):
    return ", ".join(map(code, texts)) or "nothing"


def files(comparison, names):
    """Where not every survivor has it, with its name. A time in a name is left out."""
    found = {}
    for seen in comparison.kinds.values():
        for path, name in seen["files"]:
            found.setdefault(re.sub(r"\d{8}-\d{6}", "…", path), set()).add(name)
    return [path if hosts == names else f"{path} ({', '.join(sorted(hosts))})" for path, hosts in sorted(found.items())]


def acts(comparison):
    """By kind: the calls, in short."""
    shown = []
    for name, seen in comparison.kinds.items():
        calls = sorted({text for text, _ in seen["calls"]})
        if name == "iptables":
            calls = ["iptables -F, -X and -P ACCEPT in every table"] + [call for call in calls if call.startswith("service")]
        elif name == "packages":
            packages = {word for call in calls if call.startswith("package ") for word in call.split()[1:-1]}
            latest = {word for call in calls if call.startswith("package ") and call.endswith(" latest") for word in call.split()[1:-1]}
            calls = [f"{len(packages)} packages, at their latest version: {' '.join(sorted(latest)) or 'none'}"]
        elif name == "system":
            modules = [call.split()[-1] for call in calls if call.startswith("modprobe ")]
            calls = [call for call in calls if call.startswith("systemctl")] + (["sysctl -p"] if any(call.startswith("sysctl") for call in calls) else [])
            calls += [f"modprobe {' '.join(modules)}"] if modules else []
        else:
            calls = [re.sub(r" (--patch|-p) .*", "", call, flags=re.S) for call in calls]
        shown += calls
    return shown


def rows(reference, revision, ansible, comparison):
    """The two lines of a release."""
    kind = comparison.kind
    head = f"| {code(reference)} |"
    names = set(comparison.survivors)
    version = ansible.version + (f" (ansible {ansible.package})" if ansible.package and ansible.package != ansible.version else "")
    result = f"joined, exit status 0, {comparison.result['seconds']} s" if comparison.joined else f"not joined: {comparison.why}".replace("|", "\\|")
    return [
        " ".join([head, code(revision), "|", kind, "|", version, "|", datetime.date.today().isoformat(), "|", result, "|",
                  listed(comparison.result["logins"]), "|", listed(comparison.cloud), "|", ", ".join(comparison.restarted) or "nothing", "|"]),
        " ".join([head, kind, "|", listed(files(comparison, names)), "|", listed(acts(comparison)), "|",
                  "; ".join(comparison.not_seen) or "nothing", "|"]),
    ]


def key(line, column):
    cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
    return cells[0].strip("`"), cells[column]


def write(document, order, made):
    """Puts the rows of this run in, and keeps those of releases that were not run.

    - order: the releases and kinds, as ocboot-runs.json has them.
    - made: the two lines by release and kind.
    """
    text = document.read_text()
    head, rest = text.split(BEGIN)
    old, tail = rest.split(END)
    tables = []
    for number, title in enumerate(HEADS):
        column = 2 if number == 0 else 1
        kept = {}
        section = old.split(title)[1].split("\n\n")[0] if title in old else ""
        for line in section.splitlines():
            if line.startswith("| `"):
                kept[key(line, column)] = line
        kept.update({name: lines[number] for name, lines in made.items()})
        columns = title.count("|") - 1
        missing = [f"| {code(reference)} " + ("| | " if number == 0 else "| ") + f"{kind} | " + " | ".join(
            ["not run"] + [""] * (columns - column - 2)) + " |" for reference, kind in order if (reference, kind) not in kept]
        body = [kept[name] for name in order if name in kept]
        tables.append("\n".join([title, "|" + "---|" * columns, *body, *(missing if number == 0 else [])]))
    document.write_text(head + BEGIN + "\n" + "\n\n".join(tables) + "\n" + END + tail)
