"""Stalls as their receiver sees them, for senders that are not seen: outside of the mesh, behind NAT, or silent.

Two signs are certain enough. A *hole*: nothing arrives in sequence any more (``lastrcv`` counts what was queued in
order), nothing is left to be read, and yet memory is taken: by segments that lie beyond the hole. A *closed window*:
data lies unread and the advertised window is zero. A flow that merely rests shows neither. Linux net/ipv4/tcp_input.c
(tcp_data_queue, tcp_event_data_recv).
"""

from __future__ import annotations

from typing import Literal

from meshtop.engine.stall import CauseAt, Stall
from meshtop.readings import SocketId, SocketReading

# The receiver does not know the sender's timer: a retransmission takes a round trip, after a time-out somewhat more.
_AFTER_S = 0.5
_AFTER_RTTS = 2.0
# Once the peer's FIN has come, it takes memory itself until the application has read it.
_RECEIVING = frozenset(("ESTAB", "FIN-WAIT-1", "FIN-WAIT-2"))


class _Standing:
    __slots__ = ("cause", "last_at", "period_s", "reading", "since", "told")

    def __init__(self, reading: SocketReading, at: float, since: float, cause: str) -> None:
        self.reading = reading
        self.last_at = at
        self.period_s = 0.0  # since the reading before
        self.since = since
        self.cause = cause
        self.told = False

    def copy(self) -> _Standing:
        twin = _Standing(self.reading, self.last_at, self.since, self.cause)
        twin.period_s, twin.told = self.period_s, self.told
        return twin


class Receivers:
    """Follows the receiving sides of one node's sockets."""

    def __init__(self) -> None:
        self._standing: dict[SocketId, _Standing] = {}

    def fork(self) -> Receivers:
        twin = Receivers()
        twin._standing = {id_: known.copy() for id_, known in self._standing.items()}
        return twin

    def see(self, reading: SocketReading, at: float) -> list[Stall]:
        """A reading; the stalls that it opens or closes."""
        known = self._standing.get(reading.id)
        cause = _sign(reading)
        if known is None and cause is None:
            return []
        found = []
        if known is not None and (cause is None or reading.bytes_received != known.reading.bytes_received):
            del self._standing[reading.id]
            if known.told:
                arrived = max(known.last_at, at - (reading.lastrcv_ms or 0) / 1000)
                found.append(_stall(known, min(at, arrived), at - known.last_at, "recovered"))
            known = None
        if cause is None:
            return found
        if known is None:
            since = max(0.0, at - (reading.lastrcv_ms or 0) / 1000)
            self._standing[reading.id] = _Standing(reading, at, since, cause)
            return found
        known.reading = reading
        return found + self._grown(known, at)

    def unchanged(self, seen: set[SocketId], at: float) -> list[Stall]:
        """Time passes for those that were not in the frame."""
        return [stall for id_, known in self._standing.items() if id_ not in seen for stall in self._grown(known, at)]

    def gone(self, id_: SocketId, at: float) -> list[Stall]:
        known = self._standing.pop(id_, None)
        return [_stall(known, at, at - known.last_at, "lost")] if known is not None and known.told else []

    @property
    def open_stalls(self) -> list[Stall]:
        return [_stall(known, known.last_at, known.period_s, "open") for known in self._standing.values() if known.told]

    def _grown(self, known: _Standing, at: float) -> list[Stall]:
        known.period_s, known.last_at = at - known.last_at, at
        rtt_s = max(known.reading.rcv_rtt_ms or 0.0, known.reading.srtt_ms or 0.0) / 1000
        if known.told or at - known.since < max(_AFTER_S, _AFTER_RTTS * rtt_s):
            return []
        known.told = True
        return [_stall(known, at, known.period_s, "open")]


def _sign(reading: SocketReading) -> str | None:
    """What a sender would call it."""
    if reading.lastrcv_ms is None or reading.skmem is None or reading.state not in _RECEIVING:
        return None
    if not reading.recv_q and (reading.skmem.rmem_alloc or 0) > 0:
        return "recovery"
    return "zero-window" if reading.recv_q > 0 and reading.rcv_wnd == 0 else None


def _stall(known: _Standing, end: float, resolution_s: float, outcome: Literal["open", "recovered", "lost"]) -> Stall:
    return Stall(
        id=known.reading.id,
        start_uptime_s=known.since,
        end_uptime_s=max(end, known.since),
        resolution_s=resolution_s,
        outcome=outcome,
        causes=(CauseAt(known.since, known.cause, False),),
        reading=known.reading,
        retransmitted_segs=None,
        sampling_gap=False,
        missing=(),
        seen_by="receiver",
    )
