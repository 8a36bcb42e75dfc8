"""The moment that the operator looks at, where that is not now.

One cursor for all screens: whatever is opened while it is set shows the same moment. What may be jumped to are
beginnings: of stalls, marks, bursts and findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from meshtop.engine.snapshot import StallView
from meshtop.engine.view import View
from meshtop.model import LinkKey, NodeName
from meshtop.ui.source import Source

# A stall is looked at when it has become one that is worth a state; a shorter one at its end.
_INTO_STALL_S = 2.0
# Moments closer than this are one: a step to the next must move.
_SAME_S = 0.05


class TimeCursor:
    """``at`` None: now."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.at: float | None = None
        self._view: View | None = None

    def view(self) -> View | None:
        """What was then; None while the cursor is at now."""
        return self._view if self.at is not None else None

    def move(self, at: float) -> bool:
        """Whether something is kept of then; if not, the cursor stays where it is."""
        view = self._source.past(at)
        if view is None:
            return False
        self.at, self._view = at, view
        return True

    def leave(self) -> None:
        self.at = self._view = None


class Moment(NamedTuple):
    """Something that began at ``at``, and what."""

    at: float
    words: str


def moments(view: View, keys: frozenset[LinkKey] | None) -> list[Moment]:
    """What can be jumped to, in the order of time: of these links, or of all."""

    def wanted(src: NodeName | None, dst: NodeName | None, path: str | None) -> bool:
        return keys is None or any((src, dst, path) == key for key in keys)

    found = [
        Moment(moment_of(stall), f"stall {stall.src or stall.node}→{stall.dst or '*'}, {stall.cause}")
        for stall in view.stalls
        if wanted(stall.src, stall.dst, stall.path)
    ]
    found += [Moment(mark.at, f"mark: {mark.text}") for mark in view.marks]
    for burst in view.bursts:
        if burst.started and wanted(burst.src, burst.dst, burst.path):
            found.append(Moment(utc(burst.started), f"burst {burst.id} {burst.src}→{burst.dst} {burst.path}"))
    nodes = None if keys is None else {node for key in keys for node in key[:2]}
    for finding in view.findings:
        of_node = finding.node is not None and (nodes is None or finding.node in nodes)
        if of_node or wanted(finding.src, finding.dst, finding.path):
            about = finding.node or f"{finding.src or '*'}→{finding.dst or '*'}"
            found.append(Moment(utc(finding.since), f"{finding.code} {about}"))
    return sorted(found)


def neighbour(found: Sequence[Moment], at: float, direction: int) -> Moment | None:
    """The next of them in that direction; None if there is none."""
    beyond = [one for one in found if (one.at - at) * direction > _SAME_S]
    return (min(beyond) if direction > 0 else max(beyond)) if beyond else None


def moment_of(stall: StallView) -> float:
    """When to look at a stall: at which it was seen as one."""
    return utc(stall.start) + min(stall.duration_s, _INTO_STALL_S)


def utc(time: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(time).timestamp()
