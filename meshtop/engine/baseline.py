"""A link's own baseline: the round trip that it has when nothing is in its way.

It is the 10th percentile of the 56-byte pings of the last ten minutes: low enough that a loaded link does not hide its
own trouble, and not the minimum, which one odd value would set. It falls as soon as the percentile does. It rises by at
most 2 % a minute, so that an hour of congestion does not become the measure of health, while a link whose route really
became longer gets there in the end (``reset`` gets there at once).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

from meshtop.engine.timeseries import percentile

WINDOW_S = 600.0
SHARE = 0.10
MIN_PINGS = 5  # fewer tell nothing
_RISE_PER_S = 0.02 / 60
_MAX_PINGS = 6000


class Baseline:
    __slots__ = ("_pings", "_since", "_sorted", "_value")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all; it is known again after ``MIN_PINGS`` answers."""
        self._pings: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []
        self._value: float | None = None
        self._since: float | None = None

    def known(self, rtt_ms: float) -> None:
        """It was learnt before; from here on it moves as always."""
        self.reset()
        self._value = rtt_ms

    @property
    def rtt_ms(self) -> float | None:
        return self._value

    def add(self, time_s: float, rtt_ms: float) -> None:
        self._pings.append((time_s, rtt_ms))
        insort(self._sorted, rtt_ms)
        while self._pings[0][0] < time_s - WINDOW_S or len(self._pings) > _MAX_PINGS:
            _, old = self._pings.popleft()
            del self._sorted[bisect_left(self._sorted, old)]
        if len(self._sorted) < MIN_PINGS:
            return
        wanted = percentile(self._sorted, SHARE)
        since = time_s if self._since is None else self._since
        if self._value is not None and wanted > self._value:
            wanted = min(wanted, self._value * (1 + _RISE_PER_S * max(0.0, time_s - since)))
        self._value = wanted
        self._since = max(since, time_s)
