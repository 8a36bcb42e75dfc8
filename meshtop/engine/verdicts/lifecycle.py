"""Findings open, change and close. A cause must be likely for a moment before it is said, and gone for a while before
it is taken back, so that nothing flickers; how sure one is moves in steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator
from typing import Literal, NamedTuple

import msgspec

from meshtop.engine.events import FindingEvent
from meshtop.engine.snapshot import Evidence, FindingView
from meshtop.engine.timeseries import rfc3339
from meshtop.engine.verdicts.weigh import Severity
from meshtop.model import ExperimentKind, LinkKey, NodeName, PathName

OPENS_AT = 0.5  # as likely as not
STAYS_AT = 0.4
SURE = 0.7
OPENS_AFTER_S = 2.0
# Longer than a window: what a window has once held does not come and go with its edge.
CLOSES_AFTER_S = 12.0
_STEP = 0.1
_CHANGES_EVERY_S = 5.0
# How sure one is follows what is known at half, or at a fifth, of the difference a second: sooner surer than less sure.
_RISES, _FALLS = 0.5, 0.2
_FADES = 0.93  # a second, of what is not likely any more and not closed yet
_EASES_AFTER_S = 15.0  # until something is called less severe
KEPT = 100

_RANK = {"critical": 0, "warning": 1, "info": 2}
# Of equal severity first what is of a whole node, then which path it is, then by what mechanism.
_SCOPE = ("unreachable", "node-wide", "host-drops", "overlay-only")


class Subject(NamedTuple):
    """What a finding is about: a link, or a node."""

    code: str
    src: NodeName | None = None
    dst: NodeName | None = None
    path: PathName | None = None
    node: NodeName | None = None


class Candidate(NamedTuple):
    """A finding as this moment alone would have it. ``at_once``: what it rests on has been held already.
    ``both_ways``: the opposite direction shows it alike."""

    subject: Subject
    severity: Severity
    confidence: float
    summary: str
    evidence: tuple[Evidence, ...] = ()
    against: tuple[Evidence, ...] = ()
    next: tuple[str, ...] = ()
    experiments: tuple[ExperimentKind, ...] = ()
    at_once: bool = False
    both_ways: bool = False


class OfNode(NamedTuple):
    """A finding of a node, and those of links that are part of it."""

    candidate: Candidate
    told: frozenset[Subject] = frozenset()


class _Held:
    __slots__ = (
        "candidate",
        "changed_at",
        "confidence",
        "faded",
        "id",
        "likely_since",
        "seen_at",
        "severe_at",
        "since",
        "told",
    )

    def __init__(self, candidate: Candidate, now: float) -> None:
        self.candidate = candidate
        self.likely_since = now
        self.seen_at = now  # when it was last likely
        self.id: str | None = None  # once it is open
        self.since = now
        self.changed_at = now
        self.confidence = candidate.confidence
        self.faded = 1.0  # of that, what is left of one that is not likely any more
        self.told = (candidate.severity, candidate.confidence)  # with the last event
        self.severe_at = now  # when it was last as severe as it is called


class Findings:
    """Of one mesh, over a session."""

    def __init__(self) -> None:
        self._held: dict[Subject, _Held] = {}
        self._closed: deque[FindingView] = deque(maxlen=KEPT)
        self._open: tuple[FindingView, ...] | None = None  # None: to be put together anew
        self._number = 0

    def update(self, candidates: Iterable[Candidate], now: float) -> list[FindingEvent]:
        """What has become of them, with all that is likely now."""
        self._open = None
        events: list[FindingEvent] = []
        seen: set[Subject] = set()
        for candidate in candidates:
            held = self._held.get(candidate.subject)
            limit = OPENS_AT if held is None or held.id is None else STAYS_AT
            if candidate.confidence < limit:
                # Until it is closed, with what speaks against it. Another rule with the same code, which has next steps
                # of its own and is not likely either, does not take it over.
                if held is not None and held.id is not None and candidate.next == held.candidate.next:
                    held.candidate = candidate._replace(severity=held.candidate.severity)
                continue
            seen.add(candidate.subject)
            if held is None:
                held = self._held[candidate.subject] = _Held(candidate, now)
            events.extend(self._likely(held, candidate, now))
        for subject, held in list(self._held.items()):
            if subject not in seen:
                events.extend(self._unlikely(subject, held, now))
        return events

    def _likely(self, held: _Held, candidate: Candidate, now: float) -> Iterator[FindingEvent]:
        held.seen_at = now
        held.faded = 1.0
        called = held.candidate.severity
        held.candidate = candidate
        held.confidence += (candidate.confidence - held.confidence) * (
            _RISES if candidate.confidence > held.confidence else _FALLS
        )
        if _RANK[candidate.severity] <= _RANK[called]:
            held.severe_at = now
        elif now - held.severe_at < _EASES_AFTER_S:
            held.candidate = candidate._replace(severity=called)
        if held.id is None:
            if now - held.likely_since < OPENS_AFTER_S and not candidate.at_once:
                return
            self._number += 1
            held.id = f"f{self._number}"
            held.since = held.likely_since
            yield _told(held, now, "open")
        elif now - held.changed_at >= _CHANGES_EVERY_S:
            severity, confidence = held.told
            if severity != held.candidate.severity or abs(confidence - held.confidence) >= _STEP:
                yield _told(held, now, "changed")

    def _unlikely(self, subject: Subject, held: _Held, now: float) -> Iterator[FindingEvent]:
        if held.id is None:
            if now - held.seen_at > OPENS_AFTER_S:
                del self._held[subject]
            return
        held.faded *= _FADES
        if now - held.seen_at >= CLOSES_AFTER_S:
            del self._held[subject]
            yield self._close(held, now)

    def drop(self, subjects: Container[Subject], now: float) -> list[FindingEvent]:
        """These are told as part of another finding from now on. In the order in which they were likely first."""
        self._open = None
        gone = [(subject, held) for subject, held in self._held.items() if subject in subjects]
        for subject, _ in gone:
            del self._held[subject]
        return [self._close(held, now) for _, held in gone if held.id is not None]

    def _close(self, held: _Held, now: float) -> FindingEvent:
        held.faded = 1.0  # of a closed one one asks how sure it was
        view = msgspec.structs.replace(_view(held), until=rfc3339(now))
        self._closed.appendleft(view)
        return _event(view, now, "closed")

    @property
    def subjects(self) -> tuple[Subject, ...]:
        return tuple(self._held)

    def is_open(self, subject: Subject) -> bool:
        held = self._held.get(subject)
        return held is not None and held.id is not None

    def sure_of(self, link: LinkKey) -> frozenset[str]:
        """The codes of what is open of that link, and sure."""
        return frozenset(
            subject.code
            for subject, held in self._held.items()
            if held.id is not None and held.confidence >= SURE and subject[1:4] == link
        )

    @property
    def open(self) -> tuple[FindingView, ...]:
        """By importance: how bad, how sure, how long."""
        if self._open is None:
            views = [(held, _view(held)) for held in self._held.values() if held.id is not None]
            views.sort(key=lambda each: (*_importance(each[1]), each[0].since, each[0].id or ""))
            self._open = tuple(view for _, view in views)
        return self._open

    @property
    def closed(self) -> tuple[FindingView, ...]:
        """Newest first."""
        return tuple(self._closed)


def _importance(view: FindingView) -> tuple[int, int, float]:
    scope = _SCOPE.index(view.code) if view.code in _SCOPE else len(_SCOPE)
    return _RANK[view.severity], scope, -view.confidence


def _view(held: _Held) -> FindingView:
    candidate, subject = held.candidate, held.candidate.subject
    return FindingView(
        id=held.id or "",
        code=subject.code,
        severity=candidate.severity,
        confidence=round(held.confidence * held.faded, 2),
        src=subject.src,
        dst=subject.dst,
        path=subject.path,
        node=subject.node,
        since=rfc3339(held.since),
        summary=candidate.summary,
        evidence=candidate.evidence,
        against=candidate.against,
        next=candidate.next,
        experiments=candidate.experiments,
    )


def _told(held: _Held, now: float, phase: Literal["open", "changed"]) -> FindingEvent:
    held.changed_at = now
    held.told = (held.candidate.severity, held.confidence)
    return _event(_view(held), now, phase)


def _event(view: FindingView, now: float, phase: Literal["open", "changed", "closed"]) -> FindingEvent:
    return FindingEvent(at=rfc3339(now), phase=phase, **msgspec.structs.asdict(view))
