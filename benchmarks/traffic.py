"""A little TCP between nodes: many idle connections, a few that move. Run as a script in a node's namespace.

``accept`` takes and reads whatever comes. ``connect COUNT MOVING ADDRESS…`` opens COUNT connections, shared out over
the addresses, and writes 500 bytes ten times a second on MOVING of them. ``pulse ADDRESS`` opens one and writes 3000
bytes when a line comes on standard input, telling the moment of each.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import sys
import time

PORT = 5000
WRITES_PER_S = 10
WRITE_BYTES = 500
PULSE_BYTES = 3000


def ordinary(sock: socket.socket) -> socket.socket:
    """With cubic, as most machines have it: bbr makes ss print more. A namespace takes after the machine."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    return sock


async def open_to(address: str) -> asyncio.StreamWriter:
    sock = ordinary(socket.socket())
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (address, PORT))
    _, writer = await asyncio.open_connection(sock=sock)
    return writer


async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(65536):
            pass
    writer.close()


async def accept() -> None:
    sock = ordinary(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("0.0.0.0", PORT))  # noqa: S104  # a namespace of its own
    server = await asyncio.start_server(swallow, sock=sock, backlog=4096)
    print("ready", flush=True)
    await server.serve_forever()


async def connect(count: int, moving: int, addresses: list[str]) -> None:
    writers = []
    for index in range(count):
        writer = await open_to(addresses[index % len(addresses)])
        writers.append(writer)
        if index < moving:
            writer.write(bytes(WRITE_BYTES))
    print("ready", flush=True)
    while True:
        await asyncio.sleep(1 / WRITES_PER_S)
        for writer in writers[:moving]:
            writer.write(bytes(WRITE_BYTES))


async def pulse(address: str) -> None:
    writer = await open_to(address)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        at = time.monotonic()
        writer.write(bytes(PULSE_BYTES))
        print(at, flush=True)


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    what, *rest = sys.argv[1:]
    if what == "accept":
        asyncio.run(accept())
    elif what == "connect":
        asyncio.run(connect(int(rest[0]), int(rest[1]), rest[2:]))
    else:
        asyncio.run(pulse(rest[0]))


if __name__ == "__main__":
    main()
