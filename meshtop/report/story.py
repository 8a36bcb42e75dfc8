"""What happened in a window: folded out of its recording, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from meshtop.burst import BurstRecord
from meshtop.collect.fold import Fold
from meshtop.engine.engine import Engine
from meshtop.engine.events import BurstEvent, FindingEvent, MarkEvent, StallEvent, StreamEvent
from meshtop.engine.snapshot import FindingView, Snapshot, StallView
from meshtop.engine.timeseries import utc_seconds
from meshtop.engine.view import TrailPoint, View
from meshtop.model import LinkKey
from meshtop.recording import RecordingHeader, RecordingReader

# A moment for the picture is chosen out of views this far apart.
LOOK_EVERY_S = 5.0
WORST_LINKS = 3
_GRAVE = ("critical", "warning", "info")
# How much a second in each state weighs when the links to be shown are chosen.
_WEIGHT = {"stalled": 8, "down": 8, "lossy": 3, "degraded": 2, "no-data": 1}


@dataclass(frozen=True)
class Story:
    """``moment`` is the view when most was wrong, ``last`` that at the end. ``told``: events that scripts may want."""

    header: RecordingHeader
    begin: float
    end: float
    incomplete: str | None
    engine: Engine
    snapshot: Snapshot
    last: View
    moment: View
    findings: tuple[FindingView, ...]
    stalls: tuple[StallView, ...]
    bursts: tuple[BurstRecord, ...]
    told: tuple[StreamEvent, ...]

    @property
    def seconds(self) -> float:
        return self.end - self.begin

    def trail(self, key: LinkKey) -> tuple[TrailPoint, ...]:
        return tuple(point for point in self.engine.trail(key) if self.begin <= point.at <= self.end)

    @property
    def worst(self) -> tuple[tuple[str, str], ...]:
        """Pairs, worst first; such that nothing was wrong with are left out."""
        scores: dict[tuple[str, str], float] = {}
        for link in self.last.snapshot.links:
            points = self.trail(link.key)
            score = sum(_WEIGHT.get(point.state, 0) for point in points) / max(len(points), 1)
            stalls = [stall for stall in self.stalls if (stall.src, stall.dst, stall.path) == link.key]
            score += sum(stall.duration_s for stall in stalls) * _WEIGHT["stalled"] / max(self.seconds, 1.0)
            found = [each for each in self.findings if (each.src, each.dst, each.path) == link.key]
            score += sum(0.5 for each in found if each.severity != "info")
            scores[link.src, link.dst] = scores.get((link.src, link.dst), 0.0) + score
        ranked = sorted((pair for pair in scores if scores[pair] > 0.05), key=lambda pair: -scores[pair])
        return tuple(ranked[:WORST_LINKS])


def story(reader: RecordingReader) -> Story:
    """Of a recording from where it is to be shown to its end."""
    fold = Fold(reader.header.mesh)
    begin, end = reader.shown_from, reader.last_at
    told: list[StreamEvent] = []
    moment: tuple[float, View] | None = None
    look_at = begin + LOOK_EVERY_S
    for record in reader.records():
        events = fold.take(record)
        if record.at < begin:
            continue
        told += [each for each in events if isinstance(each, StallEvent | FindingEvent | BurstEvent | MarkEvent)]
        if record.at >= look_at:
            look_at = record.at + LOOK_EVERY_S
            view = fold.engine.view(record.at)
            score = _trouble(view)
            if moment is None or score > moment[0]:
                moment = (score, view)
    last = fold.engine.view(end)
    return Story(
        header=reader.header,
        begin=begin,
        end=end,
        incomplete=reader.incomplete,
        engine=fold.engine,
        snapshot=fold.engine.snapshot(end, max(end - begin, 1.0)),
        last=last,
        moment=moment[1] if moment is not None else last,
        findings=_all_findings(last, told),
        stalls=tuple(stall for stall in last.stalls if stall.end is None or utc_seconds(stall.end) >= begin),
        bursts=tuple(burst for burst in last.bursts if burst.started is not None),
        told=tuple(told),
    )


def _trouble(view: View) -> float:
    links = sum(_WEIGHT.get(link.state, 0) for link in view.snapshot.links)
    return links + 4.0 * len(view.snapshot.findings)


def _all_findings(last: View, told: list[StreamEvent]) -> tuple[FindingView, ...]:
    """The gravest first. Those that stand at the end are as they stand, others as they were when surest."""
    standing = last.findings or last.snapshot.findings
    said = [*(event for event in told if isinstance(event, FindingEvent)), *standing]
    until = {finding.id: finding.until for finding in said}
    known: dict[str, FindingView] = {finding.id: finding for finding in standing}
    for finding in said:
        if until[finding.id] is not None and finding.confidence >= known.setdefault(finding.id, finding).confidence:
            known[finding.id] = msgspec.structs.replace(finding, until=until[finding.id])
    return tuple(sorted(known.values(), key=lambda one: (_GRAVE.index(one.severity), one.until is not None, one.since)))
