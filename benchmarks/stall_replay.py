"""A recording as a slower probe would have sent it, and the stalls that are found in it.

``Decimator`` keeps every so manieth frame of a node: what changed in between adds up, what came and went in between was
never seen, and the ages of a socket at rest (``lastsnd``, ``lastrcv``, ``lastack``) are what they had become by then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from benchmarks.stall_score import Flow, FoundOne
from meshtop.collect.replay import events
from meshtop.engine.causes import Surroundings, judge
from meshtop.engine.engine import Engine
from meshtop.engine.events import StallEvent
from meshtop.engine.stall import Stall
from meshtop.engine.stalls import StallDetector
from meshtop.model import EngineEvent, FrameReceived, Mesh
from meshtop.parse.ss_fields import supported_fields
from meshtop.readings import Frame, NodeInfo, SocketChanges, SocketId, SocketReading
from meshtop.recording import RecordingReader, TickRecord

Recorded = EngineEvent | TickRecord


def read(file: Path) -> tuple[Mesh, list[Recorded]]:
    """All events of a recording, in their order."""
    with RecordingReader(file) as reader:
        return reader.header.mesh, list(events(reader.records()))


class Decimator:
    """One node's frames at another interval, a multiple of theirs."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._due: float | None = None
        self._seq = 0
        self._now: dict[SocketId, tuple[SocketReading, float]] = {}  # with the uptime of the reading
        self._told: set[SocketId] = set()
        self._changed: set[SocketId] = set()
        self._full = False
        self._seen_sockets = False
        self._since: list[Frame] = []

    def take(self, event: FrameReceived) -> FrameReceived | None:
        """The frame that a slower probe would have sent then; None between two of its ticks."""
        frame = event.frame
        if frame.interval_s >= self._interval_s:
            return event
        self._since.append(frame)
        if frame.sockets is not None:
            self._fold(frame.sockets, frame.uptime_s)
        if self._due is None:
            self._due = frame.uptime_s
        if frame.uptime_s < self._due - 0.4 * frame.interval_s:
            return None
        while self._due <= frame.uptime_s + 0.4 * frame.interval_s:
            self._due += self._interval_s
        return msgspec.structs.replace(event, frame=self._frame(frame))

    def _fold(self, sockets: SocketChanges, uptime_s: float) -> None:
        self._seen_sockets = True
        if sockets.full:
            self._full = True
            self._now.clear()
        for id_ in sockets.gone:
            self._now.pop(id_, None)
        for reading in sockets.changed:
            self._now[reading.id] = (reading, uptime_s)
            self._changed.add(reading.id)

    def _frame(self, last: Frame) -> Frame:
        self._seq += 1
        frame = msgspec.structs.replace(
            last,
            seq=self._seq,
            interval_s=self._interval_s,
            sockets=self._sockets(last) if self._seen_sockets else None,
            pings=tuple(ping for frame in self._since for ping in frame.pings),
            info=_merged([frame.info for frame in self._since if frame.info is not None]),
            problems=tuple(problem for frame in self._since for problem in frame.problems),
            unparsed=sum(frame.unparsed for frame in self._since),
            raw_bytes=sum(frame.raw_bytes for frame in self._since),
        )
        self._since.clear()
        self._changed.clear()
        self._full = self._seen_sockets = False
        self._told = set(self._now)
        return frame

    def _sockets(self, last: Frame) -> SocketChanges:
        changed = [
            _aged(reading, last.uptime_s - at)
            for id_, (reading, at) in self._now.items()
            if self._full or id_ in self._changed
        ]
        gone = () if self._full else tuple(self._told - self._now.keys())
        return SocketChanges(full=self._full, changed=tuple(changed), gone=gone, total=len(self._now))


def _aged(reading: SocketReading, seconds: float) -> SocketReading:
    """A socket that has been at rest since it was read."""
    if seconds <= 0:
        return reading
    passed_ms = round(1000 * seconds)
    return msgspec.structs.replace(
        reading,
        lastsnd_ms=(reading.lastsnd_ms or 0) + passed_ms,
        lastrcv_ms=(reading.lastrcv_ms or 0) + passed_ms,
        lastack_ms=(reading.lastack_ms or 0) + passed_ms,
    )


def _merged(infos: list[NodeInfo]) -> NodeInfo | None:
    if not infos:
        return None
    parts = dict.fromkeys(NodeInfo.__struct_fields__)
    for info in infos:
        parts |= {name: part for name in parts if (part := getattr(info, name)) is not None}
    return NodeInfo(**parts)


def slower(recorded: Iterable[Recorded], interval_s: float) -> Iterator[Recorded]:
    """The same recording, had every node been sampled at ``interval_s``."""
    decimators: dict[tuple[str, int], Decimator] = {}
    for event in recorded:
        if not isinstance(event, FrameReceived):
            yield event
            continue
        kept = decimators.setdefault((event.node, event.connection), Decimator(interval_s)).take(event)
        if kept is not None:
            yield kept


# ── As the user is told ──────────────────────────────────────────────────────────────────────────────────────────────


def find(recorded: Iterable[Recorded], mesh: Mesh, until: float = math.inf) -> list[FoundOne]:
    """The stall events of the engine, each stall as its last one until then has it."""
    engine = Engine(mesh)
    last: dict[str, StallEvent] = {}
    for event in recorded:
        if event.at > until:
            break
        told = engine.tick(event.at) if isinstance(event, TickRecord) else engine.receive(event)
        last |= {each.id: each for each in told if isinstance(each, StallEvent)}
    return [_found(each) for each in last.values()]


def _found(event: StallEvent) -> FoundOne:
    flow = Flow(event.node, *_end_of(event.flow.local), *_end_of(event.flow.peer))
    start = datetime.fromisoformat(event.start).timestamp()
    end = math.inf if event.end is None else start + event.duration_s
    return FoundOne(flow, start, end, event.cause, event.end is not None, event.settled)


def _end_of(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)


# ── What was to be seen ──────────────────────────────────────────────────────────────────────────────────────────────

_TOLD_FIELDS = (
    *(
        "bytes_acked",
        "unacked",
        "notsent",
        "sacked",
        "lost",
        "retrans",
        "retrans_total",
        "backoff",
        "rto_ms",
        "srtt_ms",
    ),
    *("snd_wnd", "cwnd", "delivered", "dsack_dups", "lastack_ms", "lastsnd_ms", "busy_ms", "rwnd_limited_ms"),
)


def readings(
    recorded: Iterable[Recorded], flow: Flow, start: float, end: float, wall_s: float
) -> list[tuple[float, str]]:
    """(UTC, words) of each reading of that socket in that time. ``wall_s`` is UTC minus uptime."""
    told = []
    for event in recorded:
        if not isinstance(event, FrameReceived) or event.node != flow.node or event.frame.sockets is None:
            continue
        at = event.frame.uptime_s + wall_s
        if start <= at <= end:
            told += [(at, _words(each)) for each in event.frame.sockets.changed if each.id[:4] == flow[1:]]
    return told


def _words(reading: SocketReading) -> str:
    told = [f"{name}={value:g}" for name in _TOLD_FIELDS if (value := getattr(reading, name)) is not None]
    timer = f"timer={reading.timer.kind},{reading.timer.retransmits}" if reading.timer is not None else ""
    return " ".join([reading.state, *told, timer])


# ── The detector alone, without the engine's surroundings ────────────────────────────────────────────────────────────


class Direct:
    """A ``StallDetector`` for each node, fed with the frames' sockets. ``wall_s`` is UTC minus uptime."""

    def __init__(self, wall_s: float) -> None:
        self._wall_s = wall_s
        self._detectors: dict[str, StallDetector] = {}
        self._sockets: dict[str, set[SocketId]] = {}
        self.found: list[FoundOne] = []

    def take(self, event: Recorded) -> None:
        if not isinstance(event, FrameReceived) or event.frame.sockets is None:
            return
        frame, sockets = event.frame, event.frame.sockets
        detector = self._detectors.setdefault(event.node, StallDetector(lambda w: judge(w, Surroundings())))
        if frame.info is not None and frame.info.ss is not None:
            detector.supported = supported_fields(frame.info.ss, frame.info.kernel)
        known = self._sockets.setdefault(event.node, set())
        ids = {reading.id for reading in sockets.changed}
        gone = tuple(known - ids) if sockets.full else sockets.gone
        known -= set(gone)
        known |= ids
        for stall in detector.observe(frame.uptime_s, sockets.changed, gone, period_s=frame.interval_s):
            if stall.outcome != "open":
                self.found.append(self._told(event.node, stall))

    def finish(self) -> list[FoundOne]:
        for node, detector in self._detectors.items():
            self.found += [self._told(node, stall) for stall in detector.open_stalls]
        return self.found

    def _told(self, node: str, stall: Stall) -> FoundOne:
        start, end = (self._wall_s + at for at in (stall.start_uptime_s, stall.end_uptime_s))
        return FoundOne(Flow(node, *stall.id[:4]), start, end, stall.cause, stall.outcome != "open", stall.settled)


def find_directly(recorded: Iterable[Recorded], wall_s: float, until: float = math.inf) -> list[FoundOne]:
    direct = Direct(wall_s)
    for event in recorded:
        if event.at > until:
            break
        direct.take(event)
    return direct.finish()
