"""What single sockets moved lately: the load of a line before a burst, and what flows beside it got while it ran.

Source: ``ss`` as in :mod:`meshtop.engine.flows`. A socket that is not told of in a frame has not moved since the last.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import NamedTuple

from meshtop.burst import Load, NodeLoad
from meshtop.engine.attribution import Attribution, Services
from meshtop.engine.flows import WITHOUT_INFO
from meshtop.engine.stall_socket import is_pending
from meshtop.model import LinkKey, NodeName
from meshtop.readings import SocketChanges, SocketId, SocketReading

KEPT_S = 15.0  # so that the ten seconds before a burst are there when it begins
LOAD_S = 5.0  # what a line carries "now": long enough for a sample a second, short enough to be now
# A flow that moves less does not compete for a line of some Mbit/s.
COMPETES_BPS = 50_000.0
_MOST_SOCKETS = 4096
_MOST_READINGS = 256  # of one socket; fifteen seconds at ten a second


class Point(NamedTuple):
    """Where a socket stood; cumulative but for the round trip and the congestion window."""

    at: float
    acked: int = 0
    received: int = 0
    retrans: int = 0
    srtt_ms: float | None = None
    cwnd_bytes: int | None = None
    pending: bool = False  # data waits, or is on its way


def point(reading: SocketReading, at: float) -> Point:
    window = reading.cwnd * reading.mss if reading.cwnd is not None and reading.mss is not None else None
    return Point(
        at,
        reading.bytes_acked or 0,
        reading.bytes_received or 0,
        reading.retrans_total or 0,
        reading.srtt_ms,
        window,
        is_pending(reading),
    )


_when = attrgetter("at")


class Metered:
    """One socket. ``born``: the frames before had been without it. ``gone_at``: when it was no longer there."""

    __slots__ = ("born", "gone_at", "inode", "link", "points")

    def __init__(self, link: LinkKey | None, born: bool, inode: int | None) -> None:
        self.link = link
        self.born = born
        self.gone_at: float | None = None
        self.inode = inode
        self.points: list[Point] = []

    def stood(self, at: float) -> Point | None:
        """Where it stood then; None: it was not known yet."""
        where = bisect_right(self.points, at, key=_when)
        return self.points[where - 1] if where else None

    def is_gone(self, at: float) -> bool:
        return self.gone_at is not None and self.gone_at <= at

    def first_above(self, acked: int) -> float | None:
        """When it was first seen to have sent more than that."""
        return next((each.at for each in self.points if each.acked > acked), None)

    def moved(self, after: float, upto: float) -> tuple[int, int] | None:
        """Bytes sent and acknowledged, bytes received; None: it was not there yet, or not seen."""
        last = self.stood(upto)
        if last is None:
            return None
        first = self.stood(after)
        if first is None:
            first = self.points[0]
            if self.born:
                return max(0, last.acked), max(0, last.received)
        return max(0, last.acked - first.acked), max(0, last.received - first.received)


class Meter:
    """The sockets of one node. Times are the operator's UTC."""

    def __init__(self, attribution: Attribution, services: Services) -> None:
        self._attribution = attribution
        self._services = services
        self._sockets: dict[SocketId, Metered] = {}
        self._own_version = attribution.own.version
        self._frames: deque[float] = deque(maxlen=_MOST_READINGS)
        self._pruned_at = 0.0
        self.first_at: float | None = None
        self.newest_at: float | None = None

    def take(self, changes: SocketChanges, at: float) -> None:
        """One frame's sockets. Late ones are put where they belong."""
        if self._own_version != self._attribution.own.version:
            self._own_version = self._attribution.own.version
            self._sockets = {id_: each for id_, each in self._sockets.items() if not self._is_apart(id_)}
        gone = set(changes.gone)
        listed = {reading.id for reading in changes.changed if reading.state not in WITHOUT_INFO}
        for reading in changes.changed:
            if reading.state in WITHOUT_INFO:
                gone.add(reading.id)
            else:
                self._add(reading, at)
        if changes.full:
            gone.update(self._sockets)
        for socket in gone - listed:
            metered = self._sockets.get(socket)
            if metered is not None and metered.gone_at is None:
                metered.gone_at = at
        self._frames.append(at)
        if self.first_at is None:
            self.first_at = at
        self.newest_at = at if self.newest_at is None else max(self.newest_at, at)
        if at - self._pruned_at > KEPT_S / 3:
            self._prune(at)

    def _add(self, reading: SocketReading, at: float) -> None:
        metered = self._sockets.get(reading.id)
        if metered is None:
            if len(self._sockets) >= _MOST_SOCKETS or self._is_apart(reading.id):
                return
            metered = Metered(self._attribution.place(reading.id).link, self.first_at is not None, reading.inode)
            self._sockets[reading.id] = metered
        metered.gone_at = None
        points = metered.points
        if not points or at >= points[-1].at:
            points.append(point(reading, at))
        else:
            insort(points, point(reading, at), key=_when)
        if len(points) > 2 * _MOST_READINGS:
            del points[:-_MOST_READINGS]

    def _is_apart(self, socket: SocketId) -> bool:
        """meshtop's own connections, and a tunnel's own sockets: what they carry is counted within."""
        return socket[:4] in self._attribution.own or self._services.of(socket).tunnel is not None

    def _prune(self, now: float) -> None:
        """The last reading before the time that is kept stays: it says where the socket stood. So does a socket that is
        only at rest, or stalls for a minute: as a new one it would have moved all that it ever did."""
        self._pruned_at = now
        for socket, metered in list(self._sockets.items()):
            points = metered.points
            old = bisect_right(points, now - KEPT_S, key=_when)
            if old > 1:
                del points[: old - 1]
                metered.born = False
            if metered.gone_at is not None and metered.gone_at < now - KEPT_S:
                del self._sockets[socket]

    def frame_before(self, at: float) -> float | None:
        """When the last frame before that one was made."""
        return max((each for each in self._frames if each < at), default=None)

    def frames_after(self, at: float) -> list[float]:
        """When each frame since was made, in that order."""
        return sorted(each for each in self._frames if each > at)

    def sockets(self) -> Iterator[tuple[SocketId, Metered]]:
        yield from self._sockets.items()

    def load(self, now: float) -> NodeLoad:
        """What that node's sockets move now, both ways."""
        if self.first_at is None or self.newest_at is None:
            return NodeLoad()
        after = max(now - LOAD_S, self.first_at)
        seconds = min(now, self.newest_at) - after
        if seconds <= 0:
            return NodeLoad()
        moved = [m.moved(after, now) for m in self._sockets.values() if m.link is not None and m.gone_at is None]
        both = [each for each in moved if each is not None]
        return NodeLoad(up=_load((each[0] for each in both), seconds), down=_load((each[1] for each in both), seconds))


def _load(moved: Iterable[int], seconds: float) -> Load:
    rates = [8 * each / seconds for each in moved]
    return Load(bps=sum(rates), flows=sum(rate >= COMPETES_BPS for rate in rates))


def loads(meters: Mapping[NodeName, Meter], now: float) -> dict[NodeName, NodeLoad]:
    return {name: meter.load(now) for name, meter in meters.items()}
