"""Finding events held against what a scenario says is right. Pure: events and times in, an outcome out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from benchmarks.verdict_record import Run
from meshtop.engine.events import FindingEvent

SURE = 0.7
WITHIN_S = 30.0

Key = tuple[str, str | None, str | None, str | None, str | None]  # code, src, dst, path, node


class Seen(NamedTuple):
    """One finding over a run. Times are seconds since the trouble; ``sure_s`` None: its confidence never reached
    ``SURE``. ``opens``: how often it was opened, more than once being a flicker."""

    key: Key
    opened_s: float
    sure_s: float | None
    confidence: float  # the highest
    severity: str  # the gravest
    opens: int

    @property
    def code(self) -> str:
        return self.key[0]

    def touches(self, nodes: Sequence[str]) -> bool:
        _, src, dst, _, node = self.key
        return not nodes or bool({src, dst, node} & set(nodes[:1]))

    def is_between(self, nodes: Sequence[str]) -> bool:
        """Of the sick pair, or of its node as a whole."""
        _, src, dst, _, node = self.key
        if len(nodes) < 2:
            return self.touches(nodes)
        return {src, dst} == set(nodes) or node == nodes[0]

    def __str__(self) -> str:
        code, src, dst, path, node = self.key
        where = f"{src}→{dst} {path}" if src else f"{node or ''} {path or ''}".strip()
        return f"{code} {where} {self.confidence:.2f} at {self.opened_s:.0f} s"


class Wanted(NamedTuple):
    """One group of codes of which one has to be found. ``best``: the surest of them, found or not."""

    group: tuple[str, ...]
    found_s: float | None
    best: Seen | None

    def __str__(self) -> str:
        near = f"; best: {self.best}" if self.best else ""
        return f"{' or '.join(self.group)}{near}"


class Outcome(NamedTuple):
    """``forbidden``: findings that must not be there, at any confidence. ``elsewhere``: findings above info that do not
    touch the node in trouble. ``also``: the other findings above info that one can be sure of, after the trouble."""

    run: Run
    wanted: tuple[Wanted, ...]
    forbidden: tuple[Seen, ...]
    elsewhere: tuple[Seen, ...]
    also: tuple[Seen, ...]
    early: tuple[Seen, ...]
    said: tuple[Seen, ...]  # all
    together: int  # of the wanted codes, most at a time

    @property
    def found(self) -> bool:
        return all(each.found_s is not None for each in self.wanted)

    @property
    def many(self) -> bool:
        """One finding for each pair where one was to be told."""
        return self.run.once and self.together > 1

    @property
    def right(self) -> bool:
        return self.found and not self.forbidden and not self.many

    @property
    def verdict_s(self) -> float | None:
        """From the trouble to the last of the codes; None if one is missing or none is wanted."""
        times = [each.found_s for each in self.wanted]
        return max((each for each in times if each is not None), default=None) if self.found else None

    @property
    def reopened(self) -> int:
        return sum(each.opens - 1 for each in self.said)


def score(run: Run, events: Iterable[FindingEvent]) -> Outcome:
    told = list(events)
    said = seen(told, run.trouble, run.end)
    codes = run.scenario.codes
    above_info = [each for each in said if each.severity != "info"]
    wanted = tuple(_wanted(group, said, run) for group in codes.must)
    wanted_codes = {code.partition("@")[0] for group in codes.must for code in group}
    if codes.silent:
        forbidden = tuple(above_info)
    else:
        forbidden = tuple(each for each in said if any(_fits(each, code) for code in codes.must_not))
    rest = [each for each in above_info if each not in forbidden and each.code not in wanted_codes]
    return Outcome(
        run=run,
        wanted=wanted,
        forbidden=forbidden,
        elsewhere=tuple(each for each in above_info if run.sick and not each.touches(run.sick)),
        also=tuple(each for each in rest if each.confidence >= SURE and each.touches(run.sick)),
        early=tuple(each for each in above_info if each.opened_s < 0),
        said=tuple(said),
        together=_most_at_a_time(told, wanted_codes | {"blackout", "unreachable", "node-wide"}, run),
    )


def seen(events: Iterable[FindingEvent], trouble: float, until: float) -> list[Seen]:
    """Each finding once, in the order in which they were opened; what came after ``until`` is left out."""
    found: dict[Key, Seen] = {}
    for event in events:
        at = _time(event)
        if at > until or event.phase == "closed":
            continue
        since_s = at - trouble
        key = _key(event)
        sure_s = since_s if event.confidence >= SURE else None
        before = found.get(key)
        if before is None:
            found[key] = Seen(key, since_s, sure_s, event.confidence, event.severity, 1)
            continue
        found[key] = before._replace(
            sure_s=sure_s if before.sure_s is None else before.sure_s,
            confidence=max(before.confidence, event.confidence),
            severity=max(before.severity, event.severity, key=("info", "warning", "critical").index),
            opens=before.opens + (event.phase == "open"),
        )
    return list(found.values())


def _key(event: FindingEvent) -> Key:
    return event.code, event.src, event.dst, event.path, event.node


def _time(event: FindingEvent) -> float:
    return datetime.fromisoformat(event.at).timestamp()


def _fits(one: Seen, code: str) -> bool:
    """``CODE`` or ``CODE@PATH``."""
    name, _, path = code.partition("@")
    return one.code == name and (not path or one.key[3] == path)


def _wanted(group: Sequence[str], said: Sequence[Seen], run: Run) -> Wanted:
    fitting = [each for each in said if any(_fits(each, code) for code in group) and each.is_between(run.sick)]
    sure = [each.sure_s for each in fitting if each.sure_s is not None and each.sure_s <= WITHIN_S]
    best = max(fitting, key=lambda each: each.confidence, default=None)
    return Wanted(tuple(group), max(0.0, min(sure)) if sure else None, best)


def _most_at_a_time(events: Iterable[FindingEvent], codes: set[str], run: Run) -> int:
    open_now: set[str] = set()
    most = 0
    for event in events:
        if event.code not in codes or event.severity == "info" or _time(event) > run.end:
            continue
        if event.phase == "closed":
            open_now.discard(event.id)
        else:
            open_now.add(event.id)
        most = max(most, len(open_now))
    return most
