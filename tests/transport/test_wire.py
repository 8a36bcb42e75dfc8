"""What the operator's kernel counts on a connection."""

from __future__ import annotations

import socket

from meshtop.transport.base import WireStats
from meshtop.transport.wire import wire_stats


def test_bytes_are_counted_with_their_headers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
        with near, far:
            before = wire_stats(near)
            far.sendall(bytes(10_000))
            received = 0
            while received < 10_000:
                received += len(near.recv(65536))
            after = wire_stats(near)
    assert before.rx_wire_bytes is not None
    assert after.rx_wire_bytes is not None
    on_the_wire = after.rx_wire_bytes - before.rx_wire_bytes
    # One segment over loopback, each with 20 bytes of IP, 20 of TCP and 12 of time stamps; an ACK may come with it.
    assert 10_000 + 52 <= on_the_wire <= 10_000 + 5 * 52
    assert after.rtt_ms is not None
    assert 0 < after.rtt_ms < 1000


def test_what_is_no_tcp_socket_has_none() -> None:
    near, far = socket.socketpair()
    with near, far:
        assert wire_stats(near) == WireStats()


def test_a_closed_socket_has_none() -> None:
    sock = socket.socket()
    sock.close()
    assert wire_stats(sock) == WireStats()
