"""How well detected stalls fit the true ones. Pure: times in, figures out.

A detected stall and a true one belong together when they are of the same flow and overlap; each has at most one
partner, the one that it shares most time with. A wait that the flow's own round trips explain is not asked for, and is
not held against who tells of it. Where a least length is asked for, a stall at the border of it may be
told a little shorter or longer: a partner counts when it is at least that long less the accuracy that is promised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

# The promise: a duration is right within one sampling period and this much.
DURATION_SLACK_S = 0.1
# The capture's round trips and the kernel's differ (it also takes samples from timestamps and SACKs).
EXPLAINED_SLACK = 1.25


class Flow(NamedTuple):
    """One direction of a connection, as its sender names it."""

    node: str
    local: str
    local_port: int
    peer: str
    peer_port: int


class TrueOne(NamedTuple):
    flow: Flow
    start: float
    end: float
    ended: bool = True  # False: cut off by the end of the run
    explained_s: float = 0.0  # so long a wait its own round trips explain


class FoundOne(NamedTuple):
    flow: Flow
    start: float
    end: float
    cause: str
    ended: bool = True
    settled: bool = True


class Pair(NamedTuple):
    true: TrueOne
    found: FoundOne

    @property
    def onset_error_s(self) -> float:
        return self.found.start - self.true.start

    @property
    def duration_error_s(self) -> float | None:
        """None where either was cut off."""
        if not (self.true.ended and self.found.ended):
            return None
        return length(self.found) - length(self.true)


class Score(NamedTuple):
    """Of stalls of at least ``least_s``. ``pairs`` are those whose true one is; ``missed`` and ``invented`` have no
    partner that is about as long."""

    least_s: float
    true: int
    found: int
    pairs: tuple[Pair, ...]
    missed: tuple[TrueOne, ...]
    invented: tuple[FoundOne, ...]

    @property
    def recall(self) -> float | None:
        return 1 - len(self.missed) / self.true if self.true else None

    @property
    def precision(self) -> float | None:
        return 1 - len(self.invented) / self.found if self.found else None

    @property
    def onset_errors_s(self) -> list[float]:
        return [abs(pair.onset_error_s) for pair in self.pairs]

    @property
    def duration_errors_s(self) -> list[float]:
        return [abs(error) for pair in self.pairs if (error := pair.duration_error_s) is not None]

    @property
    def causes(self) -> Counter[str]:
        return Counter(pair.found.cause for pair in self.pairs)


def length(one: TrueOne | FoundOne) -> float:
    return one.end - one.start


def clip_true(ones: Iterable[TrueOne], until: float) -> list[TrueOne]:
    """What of them was before ``until``, when a run is over."""
    return [one if one.end <= until else one._replace(end=until, ended=False) for one in ones if one.start < until]


def clip_found(ones: Iterable[FoundOne], until: float) -> list[FoundOne]:
    return [one if one.end <= until else one._replace(end=until, ended=False) for one in ones if one.start < until]


def match(true: Sequence[TrueOne], found: Sequence[FoundOne]) -> list[Pair]:
    """Partners, the largest overlaps first."""
    by_flow: dict[Flow, list[FoundOne]] = {}
    for each in found:
        by_flow.setdefault(each.flow, []).append(each)
    overlaps = [
        (min(one.end, other.end) - max(one.start, other.start), n, one, other)
        for n, one in enumerate(true)
        for other in by_flow.get(one.flow, ())
    ]
    pairs: list[Pair] = []
    taken: set[TrueOne | FoundOne] = set()
    for overlap, _, one, other in sorted(overlaps, key=lambda each: (-each[0], each[1])):
        if overlap <= 0:
            break
        if one not in taken and other not in taken:
            taken |= {one, other}
            pairs.append(Pair(one, other))
    return pairs


def score(true: Sequence[TrueOne], found: Sequence[FoundOne], least_s: float, period_s: float) -> Score:
    pairs = match(true, found)
    about = least_s - period_s - DURATION_SLACK_S
    right_true = {pair.true for pair in pairs if length(pair.found) >= about}
    right_found = {pair.found for pair in pairs if length(pair.true) >= about}
    long_true = [one for one in true if length(one) >= max(least_s, EXPLAINED_SLACK * one.explained_s)]
    long_found = [one for one in found if length(one) >= least_s]
    return Score(
        least_s=least_s,
        true=len(long_true),
        found=len(long_found),
        pairs=tuple(pair for pair in pairs if length(pair.true) >= least_s and pair.true in right_true),
        missed=tuple(one for one in long_true if one not in right_true),
        invented=tuple(one for one in long_found if one not in right_found),
    )


def together(scores: Sequence[Score]) -> Score:
    """Several runs as one. All are of the same least length."""
    return Score(
        least_s=scores[0].least_s,
        true=sum(each.true for each in scores),
        found=sum(each.found for each in scores),
        pairs=tuple(pair for each in scores for pair in each.pairs),
        missed=tuple(one for each in scores for one in each.missed),
        invented=tuple(one for each in scores for one in each.invented),
    )


def agreement(causes: Mapping[str, int], expected: frozenset[str]) -> float | None:
    """The share of stalls whose cause is one that the trouble explains; None without stalls."""
    total = sum(causes.values())
    return sum(count for cause, count in causes.items() if cause in expected) / total if total else None
