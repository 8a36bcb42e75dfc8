"""The parser against this machine's own ss and kernel."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest

from meshtop.parse.ss import parse_processes, parse_ss

SO_COOKIE = 57  # include/uapi/asm-generic/socket.h; Python has no name for it
SENT = 5000

pytestmark = pytest.mark.node


@pytest.fixture(params=["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def connection(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP connection over loopback through which SENT bytes went and were read."""
    address: str = request.param
    dual = ":" in address
    family = socket.AF_INET6 if dual else socket.AF_INET
    with (
        socket.create_server((address, 0), family=family, dualstack_ipv6=dual) as server,
        socket.socket(family) as client,
    ):
        client.connect(server.getsockname()[:2])
        accepted, _ = server.accept()
        with accepted:
            client.sendall(b"x" * SENT)
            received = 0
            while received < SENT:
                received += len(accepted.recv(SENT))
            yield client, accepted


def shown(*options: str, port: int) -> str:
    command = ["ss", *options, "state", "established", f"( sport = :{port} or dport = :{port} )"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout


@pytest.mark.parametrize("options", ["-tinmoeHO", "-tinmoeH", "-tinmoe"])
def test_what_the_kernel_knows_is_what_is_read(connection: tuple[socket.socket, socket.socket], options: str) -> None:
    client, accepted = connection
    port = client.getsockname()[1]
    readings, failed = parse_ss(shown(options, port=port))
    assert failed == 0
    mine = {reading.id.local_port: reading for reading in readings}
    sender, receiver = mine[port], mine[accepted.getsockname()[1]]
    cookie = struct.unpack("Q", client.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]
    assert sender.id.cookie == f"{cookie:x}"
    assert sender.inode == os.fstat(client.fileno()).st_ino
    assert sender.mss == client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    assert sender.bytes_acked == SENT + 1  # and the SYN
    assert receiver.bytes_received == SENT
    assert sender.id.local in ("127.0.0.1", "::1")
    assert (sender.id.peer, sender.id.peer_port) == (receiver.id.local, receiver.id.local_port)
    assert {reading.unknown for reading in readings} == {()}


def test_the_owner_is_found(connection: tuple[socket.socket, socket.socket]) -> None:
    client, _ = connection
    processes, failed = parse_processes(shown("-tnpeHO", port=client.getsockname()[1]))
    assert failed == 0
    assert (os.fstat(client.fileno()).st_ino, os.getpid()) in {(each.inode, each.pid) for each in processes}
