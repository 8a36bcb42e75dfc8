"""What stands in each column of a chart: points of a link's past, gathered by time. Pure.

A column is a stretch of time that begins at a multiple of its width since the epoch, so that it keeps what it shows
while the chart moves on. Nothing is joined over what was not measured, or over a lost probe.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import floor

from meshtop.engine.view import StripState, TrailPoint

Range = tuple[float, float]
Spans = Sequence[tuple[float, float]]  # (from, to), operator's UTC

_DEFAULT_INTERVAL_S = 1.0
# An interval that begins this much of itself after the end of the one before begins right after it.
_ADJACENT = 0.5
_EDGE_S = 1e-3  # an interval that ends with a column has nothing in the next
_NOT_DUE_S = 2.0  # a second is told when the first sample after it has come
_LEVELS: tuple[StripState, ...] = ("no-data", "idle", "sending", "retransmitting", "stalled")


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """``columns`` stretches of ``column_s`` seconds; ``first`` numbers the leftmost since the epoch."""

    first: int
    column_s: float
    columns: int

    @classmethod
    def until(cls, at: float, window_s: float, columns: int) -> TimeAxis:
        """Ends with the column in which ``at`` is."""
        columns = max(columns, 1)
        column_s = window_s / columns
        return cls(floor(at / column_s) - columns + 1, column_s, columns)

    @property
    def start_s(self) -> float:
        return self.first * self.column_s

    @property
    def end_s(self) -> float:
        return (self.first + self.columns) * self.column_s

    def column(self, at: float) -> int:
        """May lie beyond either edge."""
        return floor(at / self.column_s) - self.first

    def finer(self, times: int) -> TimeAxis:
        """The same stretch in so many times as many columns."""
        return TimeAxis(self.first * times, self.column_s / times, self.columns * times)

    def covered(self, start_s: float, end_s: float) -> range:
        """The columns that have a part of that time."""
        first = max(self.column(start_s + _EDGE_S), 0)
        return range(first, min(max(self.column(end_s - _EDGE_S), self.column(start_s + _EDGE_S)) + 1, self.columns))


def begin(point: TrailPoint) -> float:
    return point.at - (point.interval_s or _DEFAULT_INTERVAL_S)


def since(points: Sequence[TrailPoint], start_s: float) -> Sequence[TrailPoint]:
    """Those that end after that moment."""
    return points[bisect_right(points, start_s, key=lambda point: point.at) :]


def ranges(
    points: Iterable[TrailPoint], axis: TimeAxis, read: Callable[[TrailPoint], float | None], hold_s: float
) -> list[Range | None]:
    """The least and the most in each column. Where probes go out less often than frames come, some intervals have none:
    between two answers at most ``hold_s`` apart the first one holds, if all was sampled and none was lost."""
    found: list[Range | None] = [None] * axis.columns
    held: tuple[float, float] | None = None  # value, and when it was measured
    sampled_until = float("-inf")
    for point in points:
        start_s = begin(point)
        if start_s - sampled_until > _ADJACENT * (point.at - start_s):
            held = None
        sampled_until = point.at
        value = read(point)
        if value is None:
            if point.lost or point.lost_full or point.state == "no-data":
                held = None
            continue
        if held is not None and 2 * _EDGE_S < start_s - held[1] <= hold_s:
            _widen(found, axis.covered(held[1], start_s), held[0])
        _widen(found, axis.covered(start_s, point.at), value)
        held = (value, point.at)
    return found


def _widen(found: list[Range | None], columns: range, value: float) -> None:
    for column in columns:
        known = found[column]
        found[column] = (value, value) if known is None else (min(known[0], value), max(known[1], value))


def means(
    points: Iterable[TrailPoint], axis: TimeAxis, read: Callable[[TrailPoint], tuple[float, float] | None]
) -> list[float | None]:
    """The sum of the first over the sum of the second of what ``read`` gives, in each column; None where there is
    nothing to divide by."""
    sums = [[0.0, 0.0] for _ in range(axis.columns)]
    for point in points:
        pair = read(point)
        if pair is None:
            continue
        for column in axis.covered(begin(point), point.at):
            sums[column][0] += pair[0]
            sums[column][1] += pair[1]
    return [above / below if below > 0 else None for above, below in sums]


def rate_of(point: TrailPoint) -> tuple[float, float] | None:
    """Bits over seconds."""
    seconds = point.at - begin(point)
    return None if point.tx_bps is None else (point.tx_bps * seconds, seconds)


def retransmitted(point: TrailPoint) -> tuple[float, float] | None:
    """Segments sent again over all of them, in percent."""
    return None if point.retrans is None or not point.segments else (100.0 * point.retrans, float(point.segments))


def columns_where(points: Iterable[TrailPoint], axis: TimeAxis, holds: Callable[[TrailPoint], object]) -> set[int]:
    return {column for point in points if holds(point) for column in axis.covered(begin(point), point.at)}


def due_until(trail: Sequence[TrailPoint], now_s: float) -> float:
    """Up to when something should have been told by now."""
    interval_s = trail[-1].interval_s or _DEFAULT_INTERVAL_S
    return min(max(trail[-1].at, now_s - _NOT_DUE_S - 2 * interval_s), now_s)


def activity(trail: Sequence[TrailPoint], axis: TimeAxis, stalls: Spans, now_s: float) -> list[StripState | None]:
    """What the flows did in each column, the worst of it. None where nothing was to be known: before the first
    measurement, and where it cannot have been told yet."""
    levels = [-1] * axis.columns
    if trail:
        due_s = due_until(trail, now_s)
        for column in axis.covered(begin(trail[0]), due_s) if due_s > axis.start_s else ():
            levels[column] = 0
    for point in since(trail, axis.start_s):
        if point.retrans is None and point.tx_bps is None:
            continue
        level = 3 if point.retrans else 2 if point.tx_bps or point.segments else 1
        for column in axis.covered(begin(point), point.at):
            levels[column] = max(levels[column], level)
    for start_s, end_s in stalls:
        for column in axis.covered(start_s, end_s) if end_s > axis.start_s else ():
            levels[column] = len(_LEVELS) - 1
    return [None if level < 0 else _LEVELS[level] for level in levels]


# Steps of the labels below a chart, seconds.
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900)


def ticks(axis: TimeAxis, room: int) -> list[tuple[int, float]]:
    """(column, time) of round times that are at least ``room`` columns apart."""
    step_s = next((step for step in _STEPS_S if step / axis.column_s >= room), _STEPS_S[-1])
    first = floor(axis.start_s / step_s) + 1
    times = [float(number * step_s) for number in range(first, floor(axis.end_s / step_s) + 1)]
    return [(axis.column(at), at) for at in times if 0 <= axis.column(at) < axis.columns]
