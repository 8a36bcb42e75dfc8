"""What happened on the wire while a command ran: folded from the stream's events and from snapshots of watches.

A hop is one direction between two nodes on a path, or between a node and an address outside of the mesh. Where the
configuration watches services, the hops are those that their flows took; else all that carried anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from meshtop.engine.events import FindingEvent, LinkEvent, StallEvent, StreamEvent
from meshtop.engine.snapshot import FindingView, Snapshot, StallView
from meshtop.engine.timeseries import rfc3339
from meshtop.model import Mesh, NodeName, PathName, Value
from meshtop.units import format_duration

SCHEMA = "meshtop.run/1"
# Less is keep-alives, chatter and the pings that a tunnel carries, not a transfer.
MOVING_BPS = 64_000
_MOST_STALLS = 200  # in the document; the figures count all
_OUTSIDE = "outside"


class Hop(NamedTuple):
    """``src`` None: the sender is no node; ``dst`` likewise. ``peer``: the address outside, where there is one."""

    src: NodeName | None
    dst: NodeName | None
    path: PathName | None
    peer: str = ""

    def __str__(self) -> str:
        ends = f"{self.src or self.peer or _OUTSIDE}→{self.dst or self.peer or _OUTSIDE}"
        return f"{ends} {self.path}" if self.path else ends


class RunHop(Value, frozen=True, kw_only=True):
    """``stalled_s``: at least one of its flows stalled; ``moving_s``: data was acknowledged, and none stalled.
    ``causes``: seconds by cause."""

    src: NodeName | None
    dst: NodeName | None
    path: PathName | None
    peer: str | None
    moving_s: float
    stalled_s: float
    crawling_s: float
    stalls: int
    longest_stall_s: float | None
    cause: str | None
    causes: Mapping[str, float]
    tx_bytes: int | None


class RunSummary(Value, frozen=True, kw_only=True):
    """``hop`` and ``cause``: of what cost the most time; where nothing stalled or crawled, of the gravest
    finding on the way; None where there is none. ``seen``: whether any
    node gave samples meanwhile; without, nothing is known."""

    schema: str = SCHEMA
    command: tuple[str, ...]
    started: str
    ended: str
    duration_s: float
    exit_code: int
    seen: bool
    watches: tuple[str, ...]
    moving_s: float
    stalled_s: float
    crawling_s: float
    hop: RunHop | None
    cause: str | None
    verdict: str
    hops: tuple[RunHop, ...]
    stalls: tuple[StallView, ...]
    findings: tuple[FindingView, ...]


class Span(NamedTuple):
    start: float
    end: float


class RunLedger:
    """``started_at``: the operator's UTC. Feed :meth:`event` all events and :meth:`sample` a snapshot a second."""

    def __init__(self, mesh: Mesh, command: Sequence[str], started_at: float) -> None:
        self._mesh = mesh
        self._command = tuple(command)
        self._started_at = started_at
        self._stalls: dict[str, StallView] = {}
        self._findings: dict[str, FindingView] = {}
        self._moving: dict[Hop, list[Span]] = defaultdict(list)
        self._crawling: dict[Hop, list[Span]] = defaultdict(list)
        self._bytes: dict[Hop, int] = defaultdict(int)
        self._watched: set[Hop] = set()
        self._sampled_at = started_at
        self._seen = False

    def event(self, event: StreamEvent) -> None:
        if isinstance(event, LinkEvent):
            self._link(event)
        elif isinstance(event, StallEvent):
            self._stalls[event.id] = event
        elif isinstance(event, FindingEvent):
            self._findings[event.id] = event

    def _link(self, event: LinkEvent) -> None:
        end = _utc(event.at)
        span = Span(end - event.interval_s, end)
        if end <= self._started_at or event.tx_bytes is None:
            return
        self._seen = True
        hop = Hop(event.src, event.dst, event.path)
        inside = min(1.0, (end - self._started_at) / event.interval_s) if event.interval_s > 0 else 1.0
        self._bytes[hop] += round(event.tx_bytes * inside)
        if 8 * event.tx_bytes >= MOVING_BPS * event.interval_s:
            self._moving[hop].append(span)
        if event.crawling:
            self._crawling[hop].append(span)

    def sample(self, at: float, snapshot: Snapshot) -> None:
        """What the nodes say of watched services: which hops are theirs, and what moves from and to the outside."""
        span = Span(self._sampled_at, at)
        self._sampled_at = at
        self._findings |= {finding.id: finding for finding in snapshot.findings}  # also those from before the start
        for node in snapshot.nodes:
            for watch in node.watches:
                for peer in watch.peers:
                    outward = (peer.tx_bps or 0) >= (peer.rx_bps or 0)
                    there = peer.address if peer.dst is None else ""
                    src, dst = (node.name, peer.dst) if outward else (peer.dst, node.name)
                    hop = Hop(src, dst, peer.path, there)
                    self._watched.add(hop)
                    if peer.dst is None and max(peer.tx_bps or 0, peer.rx_bps or 0) >= MOVING_BPS:
                        self._seen = True
                        self._moving[hop].append(span)

    def summary(self, ended_at: float, exit_code: int) -> RunSummary:
        """Of the time from the start to ``ended_at``; what was told later of that time counts."""
        window = Span(self._started_at, ended_at)
        stalls = [stall for stall in self._stalls.values() if _clipped(_span(stall, ended_at), window) is not None]
        watches = tuple(watch.name for watch in self._mesh.watches)
        ours = [stall for stall in stalls if stall.flow.watch is not None]
        watched = bool(watches) and bool(self._watched or ours)
        if watched:
            stalls = ours
        hops = self._hops(window, stalls, ended_at, watched)
        stalled = _union(span for stall in stalls if (span := _clipped(_span(stall, ended_at), window)))
        crawling = _union(span for hop in hops for each in self._crawling[hop] if (span := _clipped(each, window)))
        moving = _union(span for hop in hops for each in self._moving[hop] if (span := _clipped(each, window)))
        every = (self._hop(hop, stalls, window, ended_at) for hop in hops)
        rows = tuple(sorted((row for row in every if row.stalls or row.crawling_s or row.moving_s), key=_badness))
        worst = rows[0] if rows and (rows[0].stalls or rows[0].crawling_s) else None
        findings = _findings_of(self._findings.values(), rows if worst is None else (worst,))
        verdict = _verdict(worst, ended_at - self._started_at, self._seen)
        cause = worst.cause if worst is not None else None
        if worst is None and findings:
            worst, cause = _hop_with(findings[0], rows), findings[0].code
            verdict = f"nothing stalled, yet {hop_name(worst)} is not well: {cause}"
        return RunSummary(
            command=self._command,
            started=rfc3339(self._started_at),
            ended=rfc3339(ended_at),
            duration_s=round(ended_at - self._started_at, 3),
            exit_code=exit_code,
            seen=self._seen,
            watches=watches if watched else (),
            moving_s=round(_length(_without(moving, [*stalled, *crawling])), 1),
            stalled_s=round(_length(stalled), 1),
            crawling_s=round(_length(_without(crawling, stalled)), 1),
            hop=worst,
            cause=cause,
            verdict=verdict,
            hops=rows,
            stalls=tuple(sorted(stalls, key=lambda stall: stall.start)[:_MOST_STALLS]),
            findings=findings,
        )

    def _hops(self, window: Span, stalls: Sequence[StallView], ended_at: float, watched: bool) -> list[Hop]:
        moved = {hop for hop, spans in self._moving.items() if any(_clipped(span, window) for span in spans)}
        crawled = {hop for hop, spans in self._crawling.items() if any(_clipped(span, window) for span in spans)}
        used = {hop for hop in moved | crawled if not watched or hop in self._watched}
        return sorted(used | {_hop_of(stall) for stall in stalls}, key=str)

    def _hop(self, hop: Hop, stalls: Sequence[StallView], window: Span, ended_at: float) -> RunHop:
        own = [stall for stall in stalls if _hop_of(stall) == hop]
        spans = [span for stall in own if (span := _clipped(_span(stall, ended_at), window))]
        stalled = _union(spans)
        crawling = _union(span for each in self._crawling[hop] if (span := _clipped(each, window)))
        moving = _union(span for each in self._moving[hop] if (span := _clipped(each, window)))
        causes: dict[str, float] = defaultdict(float)
        for stall, span in zip(own, spans, strict=True):
            causes[stall.cause] += span.end - span.start
        return RunHop(
            src=hop.src,
            dst=hop.dst,
            path=hop.path,
            peer=hop.peer or None,
            moving_s=round(_length(_without(moving, [*stalled, *crawling])), 1),
            stalled_s=round(_length(stalled), 1),
            crawling_s=round(_length(_without(crawling, stalled)), 1),
            stalls=len(own),
            longest_stall_s=round(max(span.end - span.start for span in spans), 1) if spans else None,
            cause=max(causes, key=lambda name: causes[name]) if causes else None,
            causes={name: round(seconds, 1) for name, seconds in causes.items()},
            tx_bytes=self._bytes.get(hop),
        )


def hop_name(hop: RunHop) -> str:
    return str(Hop(hop.src, hop.dst, hop.path, hop.peer or ""))


def _verdict(worst: RunHop | None, duration_s: float, seen: bool) -> str:
    if worst is not None and worst.stalls:
        return (
            f"{hop_name(worst)} stalled for {format_duration(worst.stalled_s)} of {format_duration(duration_s)} "
            f"({worst.stalls} {'time' if worst.stalls == 1 else 'times'}, the longest "
            f"{format_duration(worst.longest_stall_s)}), mostly {worst.cause}"
        )
    if worst is not None:
        return f"{hop_name(worst)} crawled for {format_duration(worst.crawling_s)} of {format_duration(duration_s)}"
    if not seen:
        return "no node gave samples meanwhile: nothing is known of the way"
    return "nothing stalled and nothing crawled"


def _badness(hop: RunHop) -> tuple[float, float, str]:
    return -(hop.stalled_s + hop.crawling_s), -hop.moving_s, hop_name(hop)


def _findings_of(findings: Iterable[FindingView], hops: Sequence[RunHop]) -> tuple[FindingView, ...]:
    """Of warning or worse, of the pairs of these hops: those on the hop's own path first, then the surest."""
    found = [each for each in findings if each.severity != "info" and any(_fits(each, hop) for hop in hops)]
    paths = {(hop.src, hop.dst, hop.path) for hop in hops}

    def order(each: FindingView) -> tuple[bool, bool, float]:
        return (each.src, each.dst, each.path) not in paths, each.severity != "critical", -each.confidence

    return tuple(sorted(found, key=order))


def _fits(finding: FindingView, hop: RunHop) -> bool:
    ends = {hop.src, hop.dst} - {None}
    return (finding.src, finding.dst) == (hop.src, hop.dst) or finding.node in ends


def _hop_with(finding: FindingView, hops: Sequence[RunHop]) -> RunHop:
    """The hop that a finding is about, the path's own first."""
    fitting = [hop for hop in hops if _fits(finding, hop)]
    return next((hop for hop in fitting if hop.path == finding.path), fitting[0])


def _hop_of(stall: StallView) -> Hop:
    outside = "" if stall.src is not None and stall.dst is not None else stall.flow.peer.rpartition(":")[0].strip("[]")
    return Hop(stall.src, stall.dst, stall.path, outside)


def _span(stall: StallView, ended_at: float) -> Span:
    start = _utc(stall.start)
    return Span(start, _utc(stall.end) if stall.end is not None else max(start, ended_at))


def _utc(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


# ── Spans of time ────────────────────────────────────────────────────────────────────────────────────────────────────


def _clipped(span: Span, window: Span) -> Span | None:
    start, end = max(span.start, window.start), min(span.end, window.end)
    return Span(start, end) if end > start else None


def _union(spans: Iterable[Span]) -> list[Span]:
    """Sorted, none touching another."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def _without(spans: Sequence[Span], holes: Iterable[Span]) -> list[Span]:
    return [part for span in spans for part in _cut(span, _union(holes))]


def _cut(span: Span, holes: Sequence[Span]) -> Iterator[Span]:
    start = span.start
    for hole in holes:
        if hole.end <= start or hole.start >= span.end:
            continue
        if hole.start > start:
            yield Span(start, hole.start)
        start = max(start, hole.end)
    if start < span.end:
        yield Span(start, span.end)


def _length(spans: Iterable[Span]) -> float:
    return sum(span.end - span.start for span in spans)
