#!/usr/bin/python3
"""Stands for those modules of Ansible that install packages, download, or load modules of the kernel: WANT_JSON, so that Ansible gives it its arguments in a file.

Writes down what it was asked, as the recorded programs do. A download is a file that says where it came from.
"""
import json
import os
import sys
import time

NAME = "@NAME@"

with open(sys.argv[1]) as file:
    arguments = {key: value for key, value in json.load(file).items() if not key.startswith("_ansible") and value is not None}
with open("/drill/calls", "a") as calls:
    calls.write(json.dumps({"program": f"module {NAME}", "arguments": arguments, "time": time.time()}) + "\n")
if NAME == "get_url":
    path = arguments["dest"]
    with open(os.path.join(path, "download") if os.path.isdir(path) else path, "w") as file:
        file.write(f"# downloaded from {arguments['url']}\n")
print(json.dumps({"changed": True, "rc": 0, "results": [], "msg": "", "dest": arguments.get("dest", "")}))
