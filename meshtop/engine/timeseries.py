"""Values in the order of their time, and the few statistics that are made of them.

A series holds only what was measured. What was not measured is absent, never a zero and never the value before it: an
interval is stored with both its ends, so whatever no interval covers is a gap.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import ceil
from typing import Generic, TypeVar

T = TypeVar("T")

# Ten minutes back is as far as any figure, baseline or chart of the live view reaches.
RETENTION_S = 600.0
# At least two minutes of one-second samples stay, however long the interval is …
KEEP_AT_LEAST = 130
# … and a node that sends ten frames a second (the fastest there is) is cut at five minutes.
KEEP_AT_MOST = 3000
# Old entries are dropped in lots: dropping one at every append would move the whole list each time.
_LOT = 64


class Ring(Generic[T]):
    """Entries ordered by time; entries of the same time stay in the order in which they came.

    Adding at the end, which is nearly always, costs next to nothing; a late entry is put where it belongs.
    """

    __slots__ = ("_at_least", "_at_most", "_items", "_retention_s", "_times")

    def __init__(
        self, *, retention_s: float = RETENTION_S, at_least: int = KEEP_AT_LEAST, at_most: int = KEEP_AT_MOST
    ) -> None:
        self._times: list[float] = []
        self._items: list[T] = []
        self._retention_s = retention_s
        self._at_least = at_least
        self._at_most = at_most

    def __len__(self) -> int:
        return len(self._items)

    def add(self, time_s: float, item: T) -> None:
        times = self._times
        if not times or time_s >= times[-1]:
            times.append(time_s)
            self._items.append(item)
        else:
            where = bisect_right(times, time_s)
            times.insert(where, time_s)
            self._items.insert(where, item)
        if len(times) > self._at_least + _LOT:
            self._trim()

    def _trim(self) -> None:
        expired = bisect_left(self._times, self._times[-1] - self._retention_s)
        surplus = max(min(expired, len(self._times) - self._at_least), len(self._times) - self._at_most)
        if surplus >= _LOT:
            del self._times[:surplus]
            del self._items[:surplus]

    @property
    def newest(self) -> T | None:
        return self._items[-1] if self._items else None

    @property
    def newest_time(self) -> float | None:
        return self._times[-1] if self._times else None

    @property
    def oldest_time(self) -> float | None:
        return self._times[0] if self._times else None

    def between(self, after: float, upto: float) -> Sequence[T]:
        """The entries with ``after`` < time ≤ ``upto``, oldest first."""
        times = self._times
        if not times or times[-1] <= after:
            return ()
        start = bisect_right(times, after)
        if times[-1] <= upto:
            return self._items[start:]
        return self._items[start : bisect_right(times, upto)]

    def last(self, count: int, upto: float | None = None) -> Sequence[T]:
        """The last ``count`` entries with time ≤ ``upto``, oldest first."""
        end = len(self._items) if upto is None else bisect_right(self._times, upto)
        return self._items[max(0, end - count) : end]

    def after(self, time_s: float) -> T | None:
        """The first entry after ``time_s``: with intervals stored by their ends, the one that began before or then."""
        where = bisect_right(self._times, time_s)
        return self._items[where] if where < len(self._items) else None

    def discard(self, matches: Callable[[T], bool], upto: int = 1) -> int:
        """Take out the newest entries for which ``matches`` holds, at most ``upto`` of them; how many there were."""
        found = 0
        for where in range(len(self._items) - 1, -1, -1):
            if matches(self._items[where]):
                del self._times[where]
                del self._items[where]
                found += 1
                if found == upto:
                    break
        return found


def median(values: Sequence[float]) -> float | None:
    """The middle value, of an even number the mean of the middle two; None of none."""
    count = len(values)
    if not count:
        return None
    if count == 1:
        return values[0]
    ordered = sorted(values)
    half = count // 2
    return ordered[half] if count % 2 else (ordered[half - 1] + ordered[half]) / 2


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile (0 < ``share`` ≤ 1) of values that are sorted already; there must be one."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def delay_variation(values: Sequence[float]) -> float | None:
    """95th percentile − minimum, the PDV of RFC 5481; of fewer than two values it is not known."""
    if len(values) < 2:
        return None
    ordered = sorted(values)
    return percentile(ordered, 0.95) - ordered[0]


def rfc3339(at: float) -> str:
    """``at`` (UTC seconds) as ``2024-05-01T14:32:07.123Z``."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_seconds(time: str) -> float:
    """The other way: seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(time).timestamp()
