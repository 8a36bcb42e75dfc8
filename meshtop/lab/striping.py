"""How a tunnel of the lab travels, and which of its connections carries which packet. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

# SoftEther throws its send FIFO away at about this size (Session.c, MAX_SEND_SOCKET_QUEUE_SIZE, 2.5 MB).
FIFO_BYTES = 2_500_000
# and takes ICMP frames of up to this size, and frames with a type of service, for urgent (Connection.c).
PRIORITY_ICMP_BYTES = 128
# What one connection may hold in user space, beside what the kernel has taken. Fitted on the measured SoftEther: with
# less, frames are spread more finely and goodput under loss is half as high again; with more, hardly anything changes.
_CONNECTION_BYTES = 16 * 1514

MTU = {"udp": 1400, "tcp": 1500}


class Kind(NamedTuple):
    """How packets travel."""

    transport: Literal["udp", "tcp"]
    connections: int

    @property
    def mtu(self) -> int:
        """Of the inner interface: a datagram must fit the path, a byte stream need not care."""
        return MTU[self.transport]


def parse_kind(text: str) -> Kind:
    """``udp``, ``tcp1`` or ``striped:N`` with N from 2 to 32. Raises ValueError that lists them."""
    if text == "udp":
        return Kind("udp", 1)
    if text == "tcp1":
        return Kind("tcp", 1)
    name, _, count = text.partition(":")
    if name == "striped" and count.isdecimal() and 2 <= int(count) <= 32:
        return Kind("tcp", int(count))
    raise ValueError(f"{text!r} is no tunnel; there are udp, tcp1 and striped:N (N from 2 to 32)")


def is_urgent(packet: bytes) -> bool:
    """Whether the tunnel would send this IPv4 packet ahead of bulk: small ICMP, or any type of service."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return False
    return packet[1] != 0 or (packet[9] == 1 and len(packet) <= PRIORITY_ICMP_BYTES)


class Striper:
    """Which connection carries which packet. Pure: the owner says how much each connection holds.

    ``put`` queues; ``take`` hands out (connection, packet) pairs as far as connections have room. The urgent go to
    connection 0, which carries nothing else where there are two or more.
    """

    def __init__(self, connections: int, fifo_bytes: int = FIFO_BYTES) -> None:
        self.connections = connections
        self._fifo_bytes = fifo_bytes
        self._urgent: deque[bytes] = deque()
        self._bulk: deque[bytes] = deque()
        self._queued = 0
        self._late = [0] * connections
        self.thrown_away_packets = 0
        self.thrown_away_times = 0

    @property
    def queued_bytes(self) -> int:
        return self._queued

    def put(self, packet: bytes) -> None:
        if self._queued + len(packet) > self._fifo_bytes:
            self.thrown_away_packets += len(self._bulk) + len(self._urgent)
            self.thrown_away_times += 1
            self._bulk.clear()
            self._urgent.clear()
            self._queued = 0
        self._queued += len(packet)
        (self._urgent if is_urgent(packet) else self._bulk).append(packet)

    def take(self, waiting: Sequence[int | None]) -> tuple[int, bytes] | None:
        """The next packet and the connection for it. ``waiting`` has the bytes that each connection holds, None for
        one that is not up. None: nothing to send, or nobody to send it."""
        if self._urgent and waiting[0] is not None and waiting[0] < _CONNECTION_BYTES:
            return 0, self._pop(self._urgent)
        if not self._bulk:
            return None
        chosen = self._least_late(waiting)
        return None if chosen is None else (chosen, self._pop(self._bulk))

    def was_late(self, connection: int) -> None:
        """The kernel did not take all that this connection had for it."""
        self._late[connection] += 1

    def _least_late(self, waiting: Sequence[int | None]) -> int | None:
        first_bulk = 1 if self.connections > 1 else 0
        free = [
            number
            for number in range(first_bulk, self.connections)
            if (held := waiting[number]) is not None and held < _CONNECTION_BYTES
        ]
        return min(free, key=self._late.__getitem__, default=None)

    def _pop(self, queue: deque[bytes]) -> bytes:
        packet = queue.popleft()
        self._queued -= len(packet)
        return packet
