"""One directed link on one path: what was measured on it, its figures and its state.

Times are on the axis of the source node (see clockmap). Definitions of the figures: docs/manual.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, TypedDict

from meshtop.engine.baseline import Baseline
from meshtop.engine.flows import Activity, Gauges
from meshtop.engine.history import History
from meshtop.engine.probes import Outcome, Outcomes, Series, Size, lost_after_s
from meshtop.engine.snapshot import LinkState
from meshtop.engine.stallbook import StallList, StallRecord, share_pct
from meshtop.engine.states import LinkFacts, SizeCount, Verdict, hold, judge
from meshtop.engine.strips import StripRecord
from meshtop.engine.timeseries import Ring, delay_variation, median
from meshtop.engine.view import TrailPoint
from meshtop.model import LinkKey, Thresholds

TRAIL_POINTS = 120
# A link that was cut tells of minutes late, and each of these is judged by those before it. What is older is in the
# history, at a tenth of the memory.
_CELLS_S = 300.0
# How far back the run of inflated intervals is looked for: three pings at 1 Hz are thirty frames at ten a second.
_RUN_CELLS = 64
# A flow that stands still for longer while others move is stuck for reasons of its own: the link is not.
STUCK_S = 60.0
_PING_GAPS = 2.5  # a path is answered "now" if it was within this many ping intervals


class Moved(NamedTuple):
    """The TCP activity of one interval, which ended at ``end``. Intervals without any are not stored."""

    end: float
    activity: Activity


class Cell:
    """One interval as it is drawn: ``start`` < time ≤ ``end``."""

    __slots__ = ("_point", "at", "end", "lost", "moved", "raw", "rtt_ms", "shown", "start")

    def __init__(self, start: float, end: float, at: float, rtt_ms: float | None, moved: Activity | None) -> None:
        self.start = start
        self.end = end
        self.at = at
        self.rtt_ms = rtt_ms
        self.moved = moved  # None: the sockets could not be read
        self.lost = 0  # probes sent within it and lost
        self.raw = self.shown = Verdict("no-data", None)
        self._point: TrailPoint | None = None

    def mark_lost(self, count: int) -> None:
        self.lost += count
        self._point = None

    @property
    def point(self) -> TrailPoint:
        if self._point is None:
            self._point = TrailPoint(
                at=self.at,
                rtt_ms=self.rtt_ms,
                lost=self.lost,
                tx_bps=8 * self.moved.acked_bytes / (self.end - self.start) if self.moved is not None else None,
                retrans=self.moved.retrans if self.moved is not None else None,
                state=self.shown.state,
            )
        return self._point


class Figures(TypedDict):
    """The figures that a link has in the snapshot and in the stream alike; None: not known."""

    rtt_ms: float | None
    rtt_baseline_ms: float | None
    rtt_full_ms: float | None
    pdv_ms: float | None
    loss_pct: float | None
    loss_full_pct: float | None
    tx_bps: float | None
    srtt_ms: float | None
    minrtt_ms: float | None
    retrans_per_s: float | None
    retrans_pct: float | None
    dsack_pct: float | None
    flows: int | None
    pmtu: int | None


class SocketSight(NamedTuple):
    """What can be told of a node's sockets at a moment: how long they were followed, what its ss cannot give, and the
    link's open flows (None: not known)."""

    seconds: float
    missing: Collection[str]
    gauges: Gauges | None


STILL = Activity()  # followed, and nothing moved
_UNSEEN = SocketSight(0.0, (), None)


class Known(NamedTuple):
    """What the source of a link knows beside what it measures: the link's open flows (None: not known), what ping said
    instead of answers, why the sockets cannot be read."""

    flows: int | None
    ping_problem: str | None
    socket_problem: str | None
    crawl: str | None = None  # in words


class Standstill(TypedDict):
    """A link's or a node's stalls over a window; None: they cannot be followed."""

    stalls: int | None
    stalled_now: bool | None
    longest_stall_s: float | None
    stalled_pct: float | None


def is_inflated(rtt_ms: float, baseline_ms: float, limits: Thresholds) -> bool:
    """Longer by the factor that matters, and by an amount that does: a link of 0.05 ms doubles when a core is busy."""
    return rtt_ms > limits.degraded_inflation * baseline_ms and rtt_ms - baseline_ms >= limits.degraded_added_ms


def standstill(records: Sequence[StallRecord], after: float, upto: float) -> Standstill:
    """``records`` are those that overlap that time."""
    return Standstill(
        stalls=len(records),
        stalled_now=any(record.open for record in records),
        longest_stall_s=_rounded(max((record.stall.duration_s for record in records), default=None)),
        stalled_pct=_rounded(share_pct(records, after, upto)),
    )


class LinkRecord:
    def __init__(self, key: LinkKey, obstacle: str | None, limits: Thresholds, *, attributable: bool = True) -> None:
        """``attributable``: the source's sockets tell what flows on it."""
        self.key = key
        self.obstacle = obstacle
        self.attributable = attributable
        self._limits = limits
        self.baseline = Baseline()
        self.small = Outcomes()
        self.full = Outcomes()
        self._moved: Ring[Moved] = Ring()
        self._trail: Ring[Cell] = Ring(retention_s=_CELLS_S, at_least=TRAIL_POINTS + 8)
        self._last_progress: float | None = None
        self.stalls = StallList()
        self.strip = StripRecord()
        self.history = History()
        self.decided: list[tuple[Size, Outcome]] = []  # in the interval that is about to be closed

    # ── Taking in ──

    def outcomes(self, size: Size) -> Outcomes:
        return self.small if size == "small" else self.full

    @property
    def deadline_s(self) -> float:
        return lost_after_s(self.baseline.rtt_ms)

    @property
    def ever_answered(self) -> bool:
        return self.small.ever_answered or self.full.ever_answered

    def answered(self, size: Size, outcome: Outcome) -> None:
        if size == "small" and outcome.rtt_ms is not None:
            self.baseline.add(outcome.decided_at, outcome.rtt_ms)
        self.decided.append((size, outcome))

    def lost(self, size: Size, losses: Sequence[Outcome]) -> None:
        for outcome in losses:
            self.decided.append((size, outcome))
            self.history.lose(size, outcome.sent_at)
            cell = self._trail.after(outcome.sent_at)
            if cell is not None and size == "small":
                cell.mark_lost(1)

    def interval(
        self,
        start: float,
        end: float,
        at: float,
        moved: Activity | None,
        running: Sequence[Series],
        known: Known,
        *,
        late: bool = False,
    ) -> Cell:
        """Close one interval of the source, of which ``decided`` holds the pings, and judge it."""
        if not self.attributable:
            moved = None
        rtts = [o.rtt_ms for size, o in self.decided if size == "small" and o.rtt_ms is not None]
        cell = Cell(start, end, at, median(rtts), moved)
        if moved is not None and moved is not STILL:
            self._moved.add(end, Moved(end, moved))
        self.strip.add(start, end, moved)
        cell.raw = judge(self._facts(cell, running, known), self._limits)
        before = self._trail.last(self._limits.clear_intervals - 1, end)
        cell.shown = hold([*(old.raw for old in before), cell.raw], self._limits)
        self._trail.add(end, cell)
        fulls = [o.rtt_ms for size, o in self.decided if size == "full" and o.rtt_ms is not None]
        self.history.add(start, end, at, (cell.rtt_ms, median(fulls)), moved, cell.shown.state, late=late)
        return cell

    def _facts(self, cell: Cell, running: Sequence[Series], known: Known) -> LinkFacts:
        now = cell.end
        after = now - self._limits.lossy_window_s
        small_rtts, small_lost = self.small.tally(after, now)
        full_rtts, full_lost = self.full.tally(after, now)
        unanswered_s, ping_interval_s = self._silence(now, running)
        moved = self._moved.between(after, now)
        progress = [m.end for m in moved if m.activity.acked_bytes or m.activity.received_bytes]
        rtt_ms, run = self._inflated(cell)
        stalled_s, stuck_s, by = self._standing(now, moved)
        recently = max(self._limits.lossy_window_s, _PING_GAPS * ping_interval_s)
        return LinkFacts(
            obstacle=self.obstacle,
            ever_answered=self.ever_answered,
            unanswered_s=unanswered_s,
            unanswered_limit_s=ping_interval_s + 4 * (self.baseline.rtt_ms or 0.0) / 1000,
            tcp_idle_s=now - progress[-1] if progress else None,
            stalled_s=stalled_s,
            stalled_by=by,
            stuck_s=stuck_s,
            crawl=known.crawl,
            small=SizeCount(small_lost, len(small_rtts) + small_lost),
            full=SizeCount(full_lost, len(full_rtts) + full_lost),
            retrans=sum(m.activity.retrans for m in moved),
            data_segs=sum(m.activity.data_segs for m in moved),
            inflated_intervals=run,
            rtt_ms=rtt_ms,
            baseline_ms=self.baseline.rtt_ms,
            answered=bool(small_rtts or full_rtts) or (self._last_answer(now) or float("-inf")) > now - recently,
            flows=known.flows,
            ping_problem=known.ping_problem,
            socket_problem=known.socket_problem,
        )

    def _standing(self, now: float, moved: Sequence[Moved]) -> tuple[float | None, float | None, str | None]:
        """Ages of the oldest stall that is open now: as one that makes the link stalled, as one that is stuck while
        others move; and its cause."""
        standing = self.stalls.standing(now) if self.stalls else ()
        if not standing:
            return None, None, None
        others_move = any(m.activity.acked_bytes for m in moved)
        stuck = [r for r in standing if others_move and now - r.start > STUCK_S]
        stalled = [r for r in standing if r not in stuck]
        oldest = min(stalled or stuck, key=lambda record: record.start)
        age_s = now - oldest.start
        return (age_s, None, oldest.stall.cause) if stalled else (None, age_s, oldest.stall.cause)

    def _last_answer(self, now: float) -> float | None:
        answers = [self.small.last_answer(now), self.full.last_answer(now)]
        return max((at for at in answers if at is not None), default=None)

    def _silence(self, now: float, running: Sequence[Series]) -> tuple[float | None, float]:
        """For how long pings were sent and none was answered, and the interval of the most frequent of them."""
        if not running:
            return None, 0.0
        since = min(series.started_at for series in running)
        last = self._last_answer(now)
        interval_s = min(series.interval_s or 0.0 for series in running)
        return max(0.0, now - (since if last is None else max(since, last))), interval_s

    def _inflated(self, cell: Cell) -> tuple[float | None, int]:
        """The newest round trip, and over how many intervals in a row it was too long. Intervals in which no ping was
        answered neither add to the run nor end it."""
        baseline_ms = self.baseline.rtt_ms
        newest: float | None = None
        run = 0
        for rtt_ms in (cell.rtt_ms, *(old.rtt_ms for old in reversed(self._trail.last(_RUN_CELLS, cell.end)))):
            if rtt_ms is None:
                continue
            newest = rtt_ms if newest is None else newest
            if not baseline_ms or not is_inflated(rtt_ms, baseline_ms, self._limits):
                break
            run += 1
            if run >= self._limits.degraded_intervals:
                break
        return newest, run

    # ── Reading ──

    @property
    def newest(self) -> Cell | None:
        return self._trail.newest

    def figures(self, after: float, upto: float, sight: SocketSight) -> Figures:
        """Over a window: pings by when they were decided, TCP over the intervals that ended in it."""
        small_rtts, small_lost = self.small.tally(after, upto)
        full_rtts, full_lost = self.full.tally(after, upto)
        moved = [m.activity for m in self._moved.between(after, upto)]
        return self._figures(small_rtts, small_lost, full_rtts, full_lost, moved, sight)

    def interval_figures(self, cell: Cell, sight: SocketSight) -> Figures:
        """Over the one interval that was closed just now: what its frame told."""
        small = [outcome.rtt_ms for size, outcome in self.decided if size == "small"]
        full = [outcome.rtt_ms for size, outcome in self.decided if size == "full"]
        small_rtts = [rtt for rtt in small if rtt is not None]
        full_rtts = [rtt for rtt in full if rtt is not None]
        moved = [cell.moved] if cell.moved is not None else []
        return self._figures(
            small_rtts, len(small) - len(small_rtts), full_rtts, len(full) - len(full_rtts), moved, sight
        )

    def _figures(
        self,
        small_rtts: list[float],
        small_lost: int,
        full_rtts: list[float],
        full_lost: int,
        moved: list[Activity],
        sight: SocketSight,
    ) -> Figures:
        acked = sum(activity.acked_bytes for activity in moved)
        segs = sum(activity.data_segs for activity in moved)
        retrans = sum(activity.retrans for activity in moved)
        dsack = sum(activity.dsack for activity in moved)
        seconds, missing, gauges = sight if self.attributable else _UNSEEN
        know_retrans = seconds > 0 and "retrans_total" not in missing
        pingable = self.obstacle is None
        return Figures(
            rtt_ms=_rounded(median(small_rtts)) if pingable else None,
            rtt_baseline_ms=_rounded(self.baseline.rtt_ms),
            rtt_full_ms=_rounded(median(full_rtts)) if pingable else None,
            pdv_ms=_rounded(delay_variation(small_rtts)) if pingable else None,
            loss_pct=self._loss(small_lost, len(small_rtts)),
            loss_full_pct=self._loss(full_lost, len(full_rtts)),
            tx_bps=_rounded(8 * acked / seconds) if seconds > 0 and "bytes_acked" not in missing else None,
            srtt_ms=_rounded(median([a.srtt_ms for a in moved if a.srtt_ms is not None])),
            minrtt_ms=_rounded(gauges.minrtt_ms) if gauges is not None else None,
            retrans_per_s=_rounded(retrans / seconds) if know_retrans else None,
            retrans_pct=_rounded(100 * retrans / segs)
            if know_retrans and segs and "data_segs_out" not in missing
            else None,
            dsack_pct=_rounded(100 * dsack / retrans)
            if know_retrans and retrans and "dsack_dups" not in missing
            else None,
            flows=gauges.flows if gauges is not None else None,
            pmtu=gauges.pmtu if gauges is not None else None,
        )

    def _loss(self, lost: int, answered: int) -> float | None:
        """Of a peer that never answered a ping, at either size, loss is not known."""
        if self.obstacle is not None or not self.ever_answered or not lost + answered:
            return None
        return _rounded(100 * lost / (lost + answered))

    def trail(self, now: float, at: float, interval_s: float, fresh_s: float) -> tuple[TrailPoint, ...]:
        """The recent past, oldest first, with points of no data where nothing was measured. ``now`` on the axis is the
        operator's ``at``."""
        points: list[TrailPoint] = []
        previous: Cell | None = None
        for cell in self._trail.last(TRAIL_POINTS):
            if previous is not None and cell.start > previous.end + interval_s / 2:
                points.extend(_nothing(previous.at, cell.at - (cell.end - cell.start), interval_s))
            points.append(cell.point)
            previous = cell
        if previous is not None and now - previous.end > fresh_s:
            points.extend(_nothing(previous.at, at, interval_s))
        return tuple(points[-TRAIL_POINTS:])


def _nothing(after: float, upto: float, interval_s: float) -> list[TrailPoint]:
    count = min(TRAIL_POINTS, int((upto - after) / interval_s + 0.5))
    return [TrailPoint(at=upto - (count - 1 - k) * interval_s, state=_NOT_MEASURED) for k in range(count)]


_NOT_MEASURED: LinkState = "no-data"


def _rounded(value: float | None) -> float | None:
    """A microsecond, a thousandth of a percent or of a bit per second: finer digits are noise."""
    return round(value, 3) if value is not None else None
