#!/usr/bin/env -S python3 -B
"""A proxy that holds every byte for half a round trip, each way, and passes it on to the address that it was sent to.

usage: delay.py PORT TO_PORT ROUND_TRIP_MS

TCP's own handshake is not delayed: the first byte of either side is.
"""

import asyncio
import sys


async def carry(reader, writer, delay):
    loop = asyncio.get_running_loop()
    held = asyncio.Queue(maxsize=4096)

    async def release():
        while True:
            due, data = await held.get()
            wait = due - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    releasing = asyncio.create_task(release())
    try:
        while not releasing.done():
            data = await reader.read(65536)
            await held.put((loop.time() + delay, data))
            if not data:
                break
        await releasing
    finally:
        releasing.cancel()


async def main(port, to_port, delay):
    async def serve(reader, writer):
        address = writer.get_extra_info("sockname")[0]
        far = None
        try:
            far_reader, far = await asyncio.open_connection(address, to_port)
            await asyncio.gather(carry(reader, far, delay), carry(far_reader, writer, delay))
        except OSError:
            pass
        finally:
            for each in (writer, far):
                if each:
                    each.close()

    server = await asyncio.start_server(serve, "0.0.0.0", port, backlog=1024)
    async with server:
        await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 2000))
