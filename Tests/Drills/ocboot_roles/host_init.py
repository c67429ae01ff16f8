"""The first process of a host of the drill: it stands for systemd, starts sshd, and answers on the API server's port.

It ends with the host's namespace. Started as: host_init.py SSHD PORT...
"""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

API_PORT = 6443


def answer_on_the_api_port():
    """Roles wait until this port can be connected to; nobody speaks TLS with it."""
    server = socket.create_server(("0.0.0.0", API_PORT))
    while True:
        server.accept()[0].close()


def main(sshd, *ports):
    # Ansible takes the first process's name for the service manager's.
    pathlib.Path("/proc/self/comm").write_text("systemd")
    words = [word for port in ports for word in ("-o", f"Port={port}")]
    subprocess.Popen([sshd, "-D", "-E", "/drill/sshd.log", "-f", "/drill/sshd_config", *words])
    threading.Thread(target=answer_on_the_api_port, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.pause()


main(*sys.argv[1:])
