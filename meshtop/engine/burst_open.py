"""A burst that is not over, or has just ended, with what its lines were like before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from meshtop.burst import BurstRecord
from meshtop.engine.attribution import canonical
from meshtop.model import NodeName
from meshtop.readings import SocketId

Flow = tuple[NodeName, SocketId]


class Quiet(NamedTuple):
    """How it was on the lines of a burst before it, or before the first of several in a row. ``rates`` None: not
    followed for long enough."""

    after: float
    upto: float
    rates: Mapping[Flow, float | None]


class OpenBurst:
    def __init__(self, record: BurstRecord) -> None:
        self.record = record
        self.began_at: float | None = None
        self.ended_at: float | None = None
        self.quiet = Quiet(0.0, 0.0, {})
        self.seen_at: float | None = None  # up to when its sockets were read
        self.told_streams = False  # iperf3 itself tells of each stream
        self.beside: dict[Flow, int] = {}  # flows that were there when it began; the bytes they had sent

    @property
    def sender(self) -> NodeName:
        """Who sends in the direction that was asked for."""
        return self.record.dst if self.record.requested.get("reverse") else self.record.src

    @property
    def receiver(self) -> NodeName:
        return self.record.src if self.sender == self.record.dst else self.record.dst

    @property
    def is_udp(self) -> bool:
        return bool(self.record.requested.get("udp"))

    def is_own(self, node: NodeName, socket: SocketId) -> bool:
        """Whether that socket of ``node`` is one of the burst's. Ours is the only iperf3 on the server's port."""
        record = self.record
        if record.port is None or record.connect_to is None:
            return False
        if node == record.server:
            return socket.local_port == record.port
        return (
            node == record.client
            and socket.peer_port == record.port
            and canonical(socket.peer) == canonical(record.connect_to)
        )
