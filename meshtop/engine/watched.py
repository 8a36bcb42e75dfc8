"""The sockets of watched services on one node: which there are, whom they lead to, what they moved.

One table for all chains of readings of a boot: readings that come late, on the way of an older probe, tell nothing here
that the newer ones did not, as the counters are cumulative and bytes are counted once. Times are the node's uptime.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from meshtop.engine.attribution import Remote
from meshtop.engine.flows import OPEN_STATES
from meshtop.engine.stalls import GAP_PERIODS
from meshtop.engine.timeseries import Ring
from meshtop.readings import SocketId, SocketReading

# Over a longer gap what moved cannot be told to belong to now.
_GAP_FLOOR_S = 1.0


class Moved(NamedTuple):
    """Bytes that were acknowledged by the peer, and received from it."""

    acked: int
    received: int


Key = tuple[str, Remote]  # by the watch's name


class _Flow:
    __slots__ = ("acked", "reading", "received", "remote", "watch")

    def __init__(self, watch: str, remote: Remote) -> None:
        self.watch = watch
        self.remote = remote
        self.acked: int | None = None  # None: not read yet
        self.received = 0
        self.reading: SocketReading | None = None


class WatchedFlows:
    def __init__(self) -> None:
        self._flows: dict[SocketId, _Flow] = {}
        self._at_s: float | None = None
        self._moved: Ring[tuple[float, Mapping[Key, Moved]]] = Ring()
        self._ever: set[str] = set()

    # ── Taking in ──

    def admit(self, id_: SocketId, watch: str, remote: Remote) -> None:
        """That socket is one of this watch's."""
        if id_ not in self._flows:
            self._flows[id_] = _Flow(watch, remote)

    def observe(self, at: float, readings: Iterable[SocketReading], gone: Iterable[SocketId], period_s: float) -> None:
        """One reading of the node's sockets, those that changed; others are passed over."""
        if self._at_s is not None and at <= self._at_s:
            self._drop_unread()
            return
        baseline = self._at_s is None or at - self._at_s > max(GAP_PERIODS * period_s, _GAP_FLOOR_S)
        self._at_s = at
        sums: dict[Key, Moved] = {}
        if self._flows:
            for reading in readings:
                flow = self._flows.get(reading.id)
                if flow is not None:
                    self._read(flow, reading, baseline, sums)
            for id_ in gone:
                self._flows.pop(id_, None)
        if sums:
            self._moved.add(at, (at, sums))

    def _read(self, flow: _Flow, reading: SocketReading, baseline: bool, sums: dict[Key, Moved]) -> None:
        acked, received = reading.bytes_acked or 0, reading.bytes_received or 0
        if not baseline:
            key = (flow.watch, flow.remote)
            before = sums.get(key, _NOTHING)
            new_acked = max(0, acked - (flow.acked or 0))
            new_received = max(0, received - flow.received)
            if new_acked or new_received:
                sums[key] = Moved(before.acked + new_acked, before.received + new_received)
        flow.acked, flow.received, flow.reading = acked, received, reading
        self._ever.add(flow.watch)

    def _drop_unread(self) -> None:
        """What only a late reading told of: it was gone before the newest."""
        for id_ in [id_ for id_, flow in self._flows.items() if flow.reading is None]:
            del self._flows[id_]

    def forget(self, id_: SocketId) -> None:
        self._flows.pop(id_, None)

    # ── Reading ──

    def ever(self, watch: str) -> bool:
        """Whether a flow of it was seen since the node was booted, as far as it was watched."""
        return watch in self._ever

    def flows(self, watch: str) -> Iterator[tuple[Remote, SocketReading]]:
        """Its open flows as of the newest reading."""
        for flow in self._flows.values():
            if flow.watch == watch and flow.reading is not None and flow.reading.state in OPEN_STATES:
                yield flow.remote, flow.reading

    def moved(self, watch: str, after_s: float, upto_s: float) -> dict[Remote, Moved]:
        """What its flows moved in that time, by where they lead; only those that moved anything."""
        sums: dict[Remote, Moved] = {}
        for _, moved in self._moved.between(after_s, upto_s):
            for (name, remote), step in moved.items():
                if name == watch:
                    before = sums.get(remote, _NOTHING)
                    sums[remote] = Moved(before.acked + step.acked, before.received + step.received)
        return sums


_NOTHING = Moved(0, 0)
