"""One command on many hosts by asyncssh. usage: with_asyncssh.py HOSTS PORT USER KEY KNOWN_HOSTS FORKS TIMEOUT COMMAND"""

import asyncio
import sys

import asyncssh

hosts, port, user, key, known_hosts, forks, timeout, command = sys.argv[1:]


async def main():
    key_read = asyncssh.read_private_key(key)
    known_read = asyncssh.read_known_hosts(known_hosts)
    gate = asyncio.Semaphore(int(forks))

    async def one(host):
        async with gate:
            try:
                async with asyncssh.connect(
                    host, int(port), username=user, client_keys=[key_read], known_hosts=known_read, config=None,
                    agent_path=None, connect_timeout=float(timeout), login_timeout=float(timeout),
                ) as connection:
                    result = await connection.run(command, encoding=None)
            except (OSError, asyncssh.Error, asyncio.TimeoutError) as error:
                print(f"{host}: {error!r}", file=sys.stderr)
                return 1
        sys.stdout.write(f"{host}: {result.exit_status}\n")
        sys.stdout.flush()
        sys.stdout.buffer.write(result.stdout)
        sys.stdout.flush()
        return result.exit_status

    with open(hosts) as file:
        names = file.read().split()
    return any(await asyncio.gather(*map(one, names)))


sys.exit(asyncio.run(main()))
