"""Pings lost on all ways of a node: its line's trouble, its tunnel's, or, where many nodes have it, that of what they
share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from meshtop.engine.snapshot import Evidence
from meshtop.engine.verdicts.gathering import Gathered
from meshtop.engine.verdicts.lifecycle import SURE, Candidate, OfNode, Subject
from meshtop.engine.verdicts.rows import comparison, is_above
from meshtop.model import LinkKey, Mesh, NodeName, PathName

# Of the other links of a node: lost pings on most of them, and at about the rate of the one that is plainly lossy.
_MOST_LINKS, _AS_LOSSY = 0.6, 0.4
_ENOUGH_PINGS, _WELL_PCT = 8, 1.0
_FEWEST_ALIKE = 3  # so many nodes with lossy ways have something in common
_FEWEST_FLOWS = 2


class LossyWays:
    """Remembers which node it named, and that flows were part of it."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._lossiest: NodeName | None = None
        self._flows_lose = False

    def judge(
        self, candidates: Sequence[Candidate], signals: Gathered, covers: Callable[[Subject], bool]
    ) -> Iterator[OfNode]:
        """Few pings are sent, so that one link shows the loss of its node's line before another does. Where pings are
        lost between two nodes, what the others lose to each of the two tells whether it is one of them. ``covers``:
        what is part of another finding of a node already."""
        pairs = [c.subject for c in candidates if c.subject.code == "loss" and c.both_ways and not covers(c.subject)]
        suspects = {name for subject in pairs for name in (subject.src, subject.dst) if name is not None}
        worst: dict[NodeName, _Pool] = {}
        for name in sorted(suspects):
            mine = [s for s in pairs if name in (s.src, s.dst)]
            beside = _pool(signals, name, mine[0])
            sick = signals[LinkKey(mine[0].src or "", mine[0].dst or "", mine[0].path or "")].pair_loss_pct or 0.0
            if beside.links and beside.lossy >= _MOST_LINKS * beside.links and beside.pct >= _AS_LOSSY * sick:
                worst[name] = beside
        flows = self._lost_by_flows(candidates, pairs, worst)
        told = {
            subject._replace(code=code)
            for subject in pairs
            if subject.src in worst or subject.dst in worst
            for code in ("loss", "overlay-only")
        }
        told.update(each.subject for each in flows)
        for name in self._named(worst):
            pair = next(subject for subject in pairs if name in (subject.src, subject.dst))
            alike = [other for other in worst if other != name] if len(worst) >= _FEWEST_ALIKE else []
            well = self._well_elsewhere(signals, name, pair)
            yield OfNode(_lossy_line(name, pair.path or "", worst[name], well, alike), frozenset(told))
            compared = [c for c in flows if c.subject.code == "overlay-only" and (alike or name in c.subject)]
            if well and compared:
                yield OfNode(comparison(name, "loss", compared))

    def _lost_by_flows(
        self, candidates: Sequence[Candidate], pairs: Iterable[Subject], worst: Mapping[NodeName, _Pool]
    ) -> list[Candidate]:
        """What their flows lose on the paths of these pairs. That of a single link stays what it is: it has a
        direction, and its share of what is sent is better known; unless there were more a while ago."""
        paths = {subject.path for subject in pairs}
        found = [c for c in candidates if c.subject.path in paths and _is_of_loss(c) and not c.both_ways]
        found = [c for c in found if not worst.keys().isdisjoint((c.subject.src, c.subject.dst))]
        links = {c.subject for c in found if c.subject.code == "loss"}
        self._flows_lose = len(links) >= (1 if self._flows_lose else _FEWEST_FLOWS)
        return found if self._flows_lose else []

    def _named(self, worst: Mapping[NodeName, _Pool]) -> Iterable[NodeName]:
        """Each; where there are many, it is what they share: one for all, and the same as before while it is one of
        them."""
        if len(worst) < _FEWEST_ALIKE:
            self._lossiest = None
            return worst
        if self._lossiest not in worst:
            self._lossiest = max(worst, key=lambda name: worst[name].pct)
        return [name for name in worst if name == self._lossiest]

    def _well_elsewhere(self, signals: Gathered, name: NodeName, pair: Subject) -> bool:
        """Whether the node loses next to nothing on another path: then it is not its line."""
        others = [path.name for path in self._mesh.paths if path.name != pair.path]
        pools = [_pool(signals, name, pair._replace(path=path)) for path in others]
        return any(pool.links and pool.pct < _WELL_PCT for pool in pools)


def lost_in_the_overlay(candidates: Sequence[Candidate]) -> set[Subject]:
    """Pings that pass below it: where a tunnel's own process is known to drop what others send each other through it,
    it is that."""
    lost = {each.subject for each in candidates if each.subject.code == "loss" and each.both_ways}
    compared = {each.subject for each in candidates if each.subject.code == "overlay-only"}
    compared |= {subject._replace(src=subject.dst, dst=subject.src) for subject in compared}
    pairs = {subject for subject in lost if subject._replace(code="overlay-only") in compared}
    return {subject._replace(code=code) for subject in pairs for code in ("loss", "overlay-only")}


def _is_of_loss(candidate: Candidate) -> bool:
    """What lost packets are called on a link."""
    code = candidate.subject.code
    if code == "policer":
        return candidate.confidence < SURE
    return code in ("loss", "ack-path-loss") or is_above(candidate, "loss") or is_above(candidate, "policer")


class _Pool(NamedTuple):
    """Pings of a node's links beside those of one pair."""

    links: int
    lossy: int
    pct: float


def _pool(signals: Gathered, name: NodeName, pair: Subject) -> _Pool:
    other = pair.dst if pair.src == name else pair.src
    beside = [
        signals[key]
        for key in signals
        if name in (key.src, key.dst) and other not in (key.src, key.dst) and key.path == pair.path
    ]
    beside = [link for link in beside if link.small_decided >= _ENOUGH_PINGS]
    lost, sent = sum(link.pings_lost for link in beside), sum(link.small_decided + link.full_decided for link in beside)
    return _Pool(len(beside), sum(link.pings_lost > 0 for link in beside), 100 * lost / sent if sent else 0.0)


def _lossy_line(
    name: NodeName, path: PathName, beside: _Pool, well_elsewhere: bool, alike: Sequence[NodeName]
) -> Candidate:
    if alike:
        those = ", ".join(alike)
        words = f"{name}: pings are lost on all its ways over {path}, as on those of {those}: look at what they share"
    elif well_elsewhere:
        words = f"{name}: pings are lost on all its ways over {path}, and on no others: look at its tunnel and its hub"
    else:
        words = f"{name}: pings are lost on all its ways, {beside.pct:.0f} % of them: look at its line"
    return Candidate(
        subject=Subject("node-wide", node=name),
        severity="warning",
        confidence=0.8,
        summary=words,
        evidence=(
            Evidence(what="its links with lost pings", value=f"{beside.lossy} of {beside.links}", expected="1"),
            Evidence(what="pings lost on them", value=round(beside.pct, 1), expected="< 3 %"),
        ),
        next=("its line, its router, its provider; the same test from another line tells",),
    )
