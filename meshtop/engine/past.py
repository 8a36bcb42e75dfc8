"""The mesh as it was at a moment of the last quarter of an hour.

About once a second a snapshot is put aside, packed; what has a time of its own (trails, stalls, the log) is cut to that
moment when it is asked for. So a screen shows the past by the same view as the present.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from meshtop.burst import BurstRecord
from meshtop.engine.history import HISTORY_S, History
from meshtop.engine.snapshot import Snapshot, StallView
from meshtop.engine.view import View
from meshtop.model import ExperimentRecord, LinkKey, Mesh, NodeName, Value

TRAIL_S = 120.0  # as in a view of now
STRIP_S = 120
# Snapshots of larger meshes are put aside less often: with 760 links each is 23 kB and takes tens of ms to make.
MANY_LINKS = 200
PERIOD_S = 1.0
PERIOD_OF_MANY_S = 2.0
# zlib's quickest level packs names and repeated figures as well as is needed, at a third of the default's time.
_LEVEL = 1
# A moment of 760 links is some 200 kB; what a file says to be one must not fill the memory.
_MOST_BYTES = 16 << 20


class Kept(Value, frozen=True, kw_only=True):
    """What of a view cannot be made again later."""

    at: float
    mesh: Mesh
    snapshot: Snapshot
    looking: tuple[NodeName, ...] = ()
    operator_cpu_pct: float | None = None
    operator_rss_bytes: int | None = None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Kept)


def packed(kept: Kept) -> bytes:
    return zlib.compress(_ENCODER.encode(kept), _LEVEL)


def unpacked(data: bytes) -> Kept | None:
    """None if another version packed it in a way that is not known here."""
    try:
        return _DECODER.decode(zlib.decompressobj().decompress(data, _MOST_BYTES))
    except (zlib.error, msgspec.DecodeError):
        return None


def glance_of(data: bytes) -> View | None:
    """What was packed, with nothing known but itself: no trails, and of the stalls those of its moment."""
    kept = unpacked(data)
    if kept is None:
        return None
    alone = View(at=kept.at, mesh=kept.mesh, snapshot=kept.snapshot, stalls=kept.snapshot.stalls)
    try:
        return view_of(kept, {}, alone)
    except ValueError:  # a time that is none, in a file that somebody made
        return None


class Archive:
    """Moments in the order of their time."""

    def __init__(self, links: int) -> None:
        self.period_s = PERIOD_OF_MANY_S if links > MANY_LINKS else PERIOD_S
        self._times: deque[float] = deque()
        self._packed: deque[bytes] = deque()

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self._packed))

    def due(self, at: float) -> bool:
        """Whether it is time to put the next moment aside. Time that went back (a replay was rewound) forgets what came
        after it."""
        while self._times and self._times[-1] > at:
            self._times.pop()
            self._packed.pop()
        return not self._times or at - self._times[-1] >= self.period_s

    def take(self, view: View) -> bytes:
        """Put it aside; as it was packed."""
        kept = Kept(
            at=view.at,
            mesh=view.mesh,
            snapshot=msgspec.structs.replace(view.snapshot, bursts=()),  # they have their own times
            looking=view.looking,
            operator_cpu_pct=view.operator_cpu_pct,
            operator_rss_bytes=view.operator_rss_bytes,
        )
        data = packed(kept)
        self._times.append(view.at)
        self._packed.append(data)
        while view.at - self._times[0] > HISTORY_S:
            self._times.popleft()
            self._packed.popleft()
        return data

    def at(self, at: float) -> Kept | None:
        """The newest moment up to ``at``; None if that is before the first, or longer before than a moment lasts."""
        place = bisect_right(self._times, at) - 1
        if place < 0 or at - self._times[place] > 3 * self.period_s:
            return None
        return _DECODER.decode(zlib.decompress(self._packed[place]))


def view_of(kept: Kept, histories: Mapping[LinkKey, History], now: View) -> View:
    """The view of then; ``now`` gives what has happened since, too, and is cut."""
    at = kept.at
    stalls = tuple(stall for stall in (as_of(stall, at) for stall in now.stalls) if stall is not None)
    spans: dict[LinkKey, list[tuple[float, float]]] = {}
    for stall in stalls:
        if stall.src is not None and stall.dst is not None and stall.path is not None:
            end = at if stall.end is None else _utc(stall.end)
            if end > at - STRIP_S:
                spans.setdefault(LinkKey(stall.src, stall.dst, stall.path), []).append((_utc(stall.start), end))
    return View(
        at=at,
        mesh=kept.mesh,
        snapshot=kept.snapshot,
        trails={key: history.points(at - TRAIL_S, at) for key, history in histories.items()},
        strips={key: history.strip(at, STRIP_S, spans.get(key, [])) for key, history in histories.items()},
        stalls=stalls,
        looking=kept.looking,
        log=tuple(line for line in now.log if line.at <= at),
        marks=tuple(mark for mark in now.marks if mark.at <= at),
        findings=kept.snapshot.findings,
        experiments=tuple(_experiments(now.experiments, at)),
        bursts=tuple(_bursts(now.bursts, at)),
        past=True,
        replay=now.replay,
        notice=now.notice,
        operator_cpu_pct=kept.operator_cpu_pct,
        operator_rss_bytes=kept.operator_rss_bytes,
    )


def as_of(stall: StallView, at: float) -> StallView | None:
    """What was known of a stall: open if it ended later; None if it began later."""
    start = _utc(stall.start)
    if start > at:
        return None
    if stall.end is not None and _utc(stall.end) <= at:
        return stall
    known = tuple(cause for cause in stall.causes if _utc(cause.at) <= at) or stall.causes[:1]
    return msgspec.structs.replace(
        stall,
        end=None,
        outcome="open",
        duration_s=round(min(at - start, stall.duration_s), 3),
        causes=known,
        cause=known[-1].cause if known else stall.cause,
    )


def _bursts(bursts: Iterable[BurstRecord], at: float) -> Iterable[BurstRecord]:
    """Those that had begun; one that ended later was running."""
    for burst in bursts:
        if burst.started is None or _utc(burst.started) > at:
            continue
        if burst.ended is not None and _utc(burst.ended) <= at:
            yield burst
        else:
            since_s = at - _utc(burst.started)
            intervals = tuple(interval for interval in burst.intervals if interval.t <= since_s)
            yield msgspec.structs.replace(burst, state="running", ended=None, intervals=intervals)


def _experiments(experiments: Iterable[ExperimentRecord], at: float) -> Iterable[ExperimentRecord]:
    for experiment in experiments:
        if experiment.started > at:
            continue
        if experiment.ended is not None and experiment.ended <= at:
            yield experiment
        else:
            yield msgspec.structs.replace(experiment, state="running", ended=None, figures={}, summary=None)


def _utc(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
