"""What a link did over the last quarter of an hour, interval by interval, for charts.

Kept in arrays of plain numbers: forty bytes an interval, where an object each would be several hundred. Times are
kept twice: on the axis of the source node, by which late intervals find their place, and as the operator's UTC, by
which they are drawn.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from math import ceil, isnan, nan

from meshtop.engine.flows import Activity
from meshtop.engine.probes import Size
from meshtop.engine.snapshot import LinkState
from meshtop.engine.view import Strip, StripState, TrailPoint

HISTORY_S = 16 * 60.0  # fifteen minutes, and what scrolls out while one looks at them
# Points of all links together: a hundred megabytes at most, however large the mesh and however quick the sampling.
MOST_POINTS = 2_400_000
FEWEST_OF_ONE = 1000  # at 1 Hz all of them
MOST_OF_ONE = 9600  # ten a second
# Old points are dropped in lots: dropping one at every append would move the whole array each time.
_LOT = 64
_UNKNOWN = -1
_MOST_COUNT = 2**31 - 1
_STATES: tuple[LinkState, ...] = ("no-data", "down", "stalled", "lossy", "degraded", "ok", "idle")
_NUMBER_OF = {state: number for number, state in enumerate(_STATES)}
_LATE = 0x80  # beside the state
_STRIP: tuple[StripState, ...] = ("no-data", "idle", "sending", "retransmitting", "stalled")
# A probe that went out less than this before the first interval that is kept may still be told of.
_SLACK_S = 0.5


def most_of_one(links: int) -> int:
    """How many points each of so many links may keep."""
    return max(FEWEST_OF_ONE, min(MOST_OF_ONE, MOST_POINTS // max(links, 1)))


class History:
    """``limit``: beyond so many points the older half is kept at half its resolution."""

    __slots__ = (
        "_all",
        "_ats",
        "_ends",
        "_full_lost",
        "_fulls",
        "_limit",
        "_lost",
        "_rates",
        "_retrans",
        "_rtts",
        "_segments",
        "_spans",
        "_states",
    )

    def __init__(self, limit: int = MOST_OF_ONE) -> None:
        self._limit = limit
        self._all: tuple[TrailPoint, ...] | None = None  # as last asked for, while nothing was added
        self._ends = array("d")
        self._ats = array("d")
        self._spans = array("f")
        self._rtts = array("f")
        self._fulls = array("f")
        self._rates = array("f")
        self._retrans = array("i")
        self._segments = array("i")
        self._lost = array("B")
        self._full_lost = array("B")
        self._states = array("B")

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def _columns(self) -> tuple[array[float] | array[int], ...]:
        return (
            self._ends, self._ats, self._spans, self._rtts, self._fulls, self._rates, self._retrans, self._segments,
            self._lost, self._full_lost, self._states,
        )  # fmt: skip

    # ── Taking in ──

    def add(
        self, start: float, end: float, at: float, rtts: tuple[float | None, float | None], moved: Activity | None,
        state: LinkState, *, late: bool,
    ) -> None:  # fmt: skip
        """An interval was measured. ``rtts``: of small and full-size probes; ``moved`` None: the sockets could not be
        read."""
        self._all = None
        rate, retrans, segments = nan, _UNKNOWN, _UNKNOWN
        if moved is not None and end > start:
            rate = 8 * moved.acked_bytes / (end - start)
            retrans, segments = min(moved.retrans, _MOST_COUNT), min(moved.data_segs, _MOST_COUNT)
        where = len(self._ends)
        if where and end <= self._ends[-1]:
            where = bisect_right(self._ends, end)
        values = (
            end, at, end - start, *(nan if rtt is None else rtt for rtt in rtts), rate, retrans, segments, 0, 0,
            _NUMBER_OF[state] | (_LATE if late else 0),
        )  # fmt: skip
        for column, value in zip(self._columns, values, strict=True):
            column.insert(where, value)  # type: ignore[arg-type]  # each value is what its column holds
        self._trim()

    def lose(self, size: Size, sent_at: float) -> None:
        """A probe that was sent then is lost now."""
        where = bisect_right(self._ends, sent_at)
        if where < len(self._ends) and self._ends[where] - self._spans[where] - _SLACK_S < sent_at:
            column = self._lost if size == "small" else self._full_lost
            column[where] = min(column[where] + 1, 255)
            self._all = None

    def _trim(self) -> None:
        old = bisect_left(self._ends, self._ends[-1] - HISTORY_S)
        if old >= _LOT:
            for column in self._columns:
                del column[:old]
        if len(self._ends) > self._limit:
            self._thin(len(self._ends) // 2)

    def _thin(self, count: int) -> None:
        """Of the oldest ``count`` points each two become one."""
        merged = [self._merged(place, place + 1) for place in range(0, count - 1, 2)]
        for column, values in zip(self._columns, zip(*merged, strict=True), strict=True):
            column[: 2 * len(merged)] = array(column.typecode, values)

    def _merged(self, one: int, other: int) -> tuple[float | int, ...]:
        spans = self._spans[one], self._spans[other]
        return (
            self._ends[other],
            self._ats[other],
            self._ends[other] - self._ends[one] + spans[0] if _touch(self, one, other) else sum(spans),
            _mean(self._rtts[one], self._rtts[other]),
            _mean(self._fulls[one], self._fulls[other]),
            _mean(self._rates[one], self._rates[other], spans),
            _total(self._retrans[one], self._retrans[other]),
            _total(self._segments[one], self._segments[other]),
            min(self._lost[one] + self._lost[other], 255),
            min(self._full_lost[one] + self._full_lost[other], 255),
            self._states[other] | self._states[one] & _LATE,
        )

    # ── Reading; times are the operator's UTC ──

    def points(self, after: float = float("-inf"), upto: float = float("inf")) -> tuple[TrailPoint, ...]:
        """Intervals that ended within that time, oldest first."""
        return tuple(self._point(place) for place in self._places(after, upto))

    def all_points(self) -> tuple[TrailPoint, ...]:
        """Charts ask several times between two intervals."""
        if self._all is None:
            self._all = self.points()
        return self._all

    def _places(self, after: float, upto: float) -> range:
        return range(bisect_right(self._ats, after), bisect_right(self._ats, upto))

    def _point(self, place: int) -> TrailPoint:
        rtt, full, rate = self._rtts[place], self._fulls[place], self._rates[place]
        retrans, segments, state = self._retrans[place], self._segments[place], self._states[place]
        return TrailPoint(
            at=self._ats[place],
            rtt_ms=None if isnan(rtt) else round(rtt, 3),
            lost=self._lost[place],
            tx_bps=None if isnan(rate) else rate,
            retrans=None if retrans == _UNKNOWN else retrans,
            state=_STATES[state & ~_LATE],
            interval_s=self._spans[place],
            rtt_full_ms=None if isnan(full) else round(full, 3),
            lost_full=self._full_lost[place],
            segments=None if segments == _UNKNOWN else segments,
            late=bool(state & _LATE),
        )

    def strip(self, at: float, seconds: int, stalls: list[tuple[float, float]]) -> Strip:
        """By the second up to ``at``; ``stalls`` are times from when to when something stood still."""
        last = int(at)
        first = last - seconds
        levels = [0] * seconds
        for place in self._places(first, at + self._longest):
            level = self._level(place)
            end = self._ats[place]
            # an interval that ends a millisecond into a second tells nothing of that second
            for second in range(int(max(end - self._spans[place] + 1e-3, first)), ceil(min(end - 1e-3, last))):
                levels[second - first] = max(levels[second - first], level)
        for start, end in stalls:
            for second in range(max(int(start), first), min(ceil(end), last)):
                levels[second - first] = len(_STRIP) - 1
        return Strip(until=float(last), seconds=tuple(_STRIP[level] for level in levels))

    @property
    def _longest(self) -> float:
        return self._spans[-1] if self._spans else 0.0

    def _level(self, place: int) -> int:
        if self._retrans[place] == _UNKNOWN:
            return 0
        return 3 if self._retrans[place] else 2 if self._rates[place] or self._segments[place] else 1


def _touch(history: History, one: int, other: int) -> bool:
    return history._ends[other] - history._spans[other] <= history._ends[one] + _SLACK_S


def _mean(one: float, other: float, weights: tuple[float, float] = (1.0, 1.0)) -> float:
    """Of what is known."""
    if isnan(one) or isnan(other):
        return one if isnan(other) else other
    total = sum(weights)
    return (one * weights[0] + other * weights[1]) / total if total else one


def _total(one: int, other: int) -> int:
    if _UNKNOWN in (one, other):
        return max(one, other)
    return min(one + other, _MOST_COUNT)
