"""One command on many hosts by parallel-ssh. usage: with_parallel_ssh.py HOSTS PORT USER KEY FORKS TIMEOUT COMMAND

Its client checks no host key: it has no option for a known_hosts file.
"""

import sys

from pssh.clients import ParallelSSHClient

hosts, port, user, key, forks, timeout, command = sys.argv[1:]
with open(hosts) as file:
    names = file.read().split()
client = ParallelSSHClient(
    names, user=user, port=int(port), pkey=key, pool_size=int(forks), timeout=float(timeout), num_retries=1,
    allow_agent=False)
failed = False
outputs = client.run_command(command, stop_on_errors=False)
client.join(outputs)
for output in outputs:
    if output.exception is not None or output.exit_code != 0:
        failed = True
        print(f"{output.host}: {output.exception or output.exit_code}", file=sys.stderr)
    else:
        print(f"{output.host}: 0")
        for line in output.stdout:
            print(line)
sys.exit(failed)
