"""Flows that crawl: data waits all the time and hardly any of it moves, though the same flow was fast a while ago.

A crawl is no stall, since acknowledgements advance; but a copy at single-digit kB/s between its stalls is part of the
same story. Goodput is taken over steps of a second, so that one burst of a fast sampling does not become the measure.
Who waits for the receiver's window does not crawl: that is the receiver's pace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from meshtop.engine.stall_socket import is_pending
from meshtop.engine.stalls import GAP_PERIODS
from meshtop.readings import SocketId, SocketReading

CRAWL_SHARE = 0.05  # of the flow's recent peak
CRAWL_AFTER_S = 3.0
STEP_S = 1.0
# What a flow did longer ago than this is not what it could do now.
_PEAK_S = 60.0
# A peak of fewer segments a second says nothing: five percent of it is no segment at all.
_PEAK_SEGMENTS = 40
# Data waits "all the time" when the kernel's own clock of it ran for nearly all of the step, without what it counts as
# waiting for the receiver.
_BUSY_SHARE = 0.9


class Crawl(NamedTuple):
    since_s: float  # uptime
    goodput_bps: float
    peak_bps: float


class _Pace:
    __slots__ = ("acked", "at", "bps", "kept_ms", "last", "last_at", "peak_at", "peak_bps", "slow_since", "waits")

    def __init__(self, reading: SocketReading, at: float) -> None:
        self.peak_bps = self.bps = 0.0
        self.peak_at = at
        self.slow_since: float | None = None
        self.begin(reading, at)

    def begin(self, reading: SocketReading, at: float) -> None:
        self.at = self.last_at = at
        self.acked = reading.bytes_acked or 0
        self.kept_ms = _kept_waiting_ms(reading)
        self.waits = _waits(reading)
        self.last = reading


def _waits(reading: SocketReading) -> bool:
    """Data waits, and not because the application writes little: ``app_limited`` is set while it does."""
    return is_pending(reading) and not reading.app_limited


def _kept_waiting_ms(reading: SocketReading) -> int | None:
    """For how long in all data has waited for the way, and not for the receiver; None where the kernel does not say."""
    return None if reading.busy_ms is None else reading.busy_ms - (reading.rwnd_limited_ms or 0)


class Crawls:
    """Follows the flows of one node that have data waiting."""

    def __init__(self) -> None:
        self._paces: dict[SocketId, _Pace] = {}

    def see(self, reading: SocketReading, at: float, period_s: float) -> None:
        pace = self._paces.get(reading.id)
        if pace is None:
            if is_pending(reading):
                self._paces[reading.id] = _Pace(reading, at)
            return
        if (reading.bytes_acked or 0) < pace.acked or at - pace.last_at > max(GAP_PERIODS * period_s, STEP_S):
            pace.slow_since = None
            pace.begin(reading, at)
            return
        pace.waits = pace.waits and _waits(reading)
        pace.last, pace.last_at = reading, at
        if at - pace.at >= STEP_S:
            self._step(pace, reading, at)

    def unchanged(self, seen: set[SocketId], at: float, period_s: float) -> None:
        """Time passes for the flows that were not in the frame too."""
        for id_, pace in list(self._paces.items()):
            if id_ not in seen and is_pending(pace.last):
                self.see(pace.last, at, period_s)
            elif id_ not in seen and at - pace.peak_at > _PEAK_S:
                del self._paces[id_]

    def forget(self, id_: SocketId) -> None:
        self._paces.pop(id_, None)

    def _step(self, pace: _Pace, reading: SocketReading, at: float) -> None:
        seconds = at - pace.at
        acked = (reading.bytes_acked or 0) - pace.acked
        bps = 8 * acked / seconds
        pace.bps = bps
        slow = self._waited(pace, reading, seconds) and pace.peak_bps > 0 and bps < CRAWL_SHARE * pace.peak_bps
        if slow:
            pace.slow_since = pace.at if pace.slow_since is None else pace.slow_since
        else:
            pace.slow_since = None
            expired = at - pace.peak_at > _PEAK_S
            if (bps >= pace.peak_bps or expired) and acked >= _PEAK_SEGMENTS * seconds * (reading.mss or 1448):
                pace.peak_bps, pace.peak_at = bps, at
            elif expired:
                pace.peak_bps = 0.0
        pace.begin(reading, at)

    def _waited(self, pace: _Pace, reading: SocketReading, seconds: float) -> bool:
        if not pace.waits:
            return False
        kept_ms = _kept_waiting_ms(reading)
        if pace.kept_ms is None or kept_ms is None:
            return bool(reading.notsent)  # without the clock: more waits than may be sent
        return kept_ms - pace.kept_ms >= _BUSY_SHARE * 1000 * seconds

    def now(self, at: float) -> Iterator[tuple[SocketId, Crawl]]:
        """The flows that crawl, as of ``at``."""
        for id_, pace in self._paces.items():
            if pace.slow_since is not None and at - pace.slow_since >= CRAWL_AFTER_S:
                yield id_, Crawl(pace.slow_since, pace.bps, pace.peak_bps)
