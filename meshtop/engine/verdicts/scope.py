"""What is of a whole node is said once: a node that is not reached, one whose links are all in the same trouble, one
that drops packets itself, one whose clock is off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from meshtop.engine.nodes import NodeRecord
from meshtop.engine.snapshot import Evidence, NodeState
from meshtop.engine.verdicts.clock import skew
from meshtop.engine.verdicts.cpu import FullCpu
from meshtop.engine.verdicts.drops import HostDrops
from meshtop.engine.verdicts.gathering import Gathered
from meshtop.engine.verdicts.lifecycle import OPENS_AT, STAYS_AT, SURE, Candidate, Subject
from meshtop.engine.verdicts.signals import LinkSignals
from meshtop.engine.verdicts.weigh import Severity
from meshtop.model import LinkKey, Mesh, NodeName, PathName

# Fewer links than this say nothing of what they share.
_FEWEST_LINKS = 3
# While most links of a node have just fallen silent, the others may only not have been asked yet.
_NEARLY_SILENT_SHARE = 0.5
# Of the other links of a node: lost pings on most of them, and at about the rate of the one that is plainly lossy.
_MOST_LINKS, _AS_LOSSY = 0.6, 0.4
_ENOUGH_PINGS, _WELL_PCT = 8, 1.0
_FEWEST_ALIKE = 3  # so many nodes with lossy ways have something in common
_DOWN_AFTER_S = 3.0
# A busy node, or a busy machine here, holds samples up for some seconds; one whose peers get answers is not gone.
_STUCK_AFTER_S = 8.0

# What the silence of a link may be called besides.
_OF_SILENCE = ("blackout", "overlay-only", "pmtu-blackhole", "loss")

_FEWEST_COMPARED, _FEWEST_FLOWS = 2, 2
# Trouble that a row or a column of links can share; that of applications is theirs.
_SHARED = ("blackout", "loss", "reordering", "policer", "pmtu-blackhole", "bufferbloat", "tcp-over-tcp")


class NodesAsWhole:
    def __init__(self, mesh: Mesh, records: Mapping[NodeName, NodeRecord]) -> None:
        self._mesh = mesh
        self._records = records
        self._covered: set[tuple[NodeName, str | None]] = set()  # (node, code or None for all)
        self._told: set[Subject] = set()  # findings of links that are part of one of a node
        self._answering: set[PathName] = set()
        self._lossiest: NodeName | None = None
        self._lost_at: dict[NodeName, float] = {}
        self._silent_links: frozenset[LinkKey] = frozenset()
        self._flows_lose = False
        self._drops = HostDrops()
        self._full_cpu = FullCpu()

    def judge(self, now: float, signals: Gathered, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The findings of nodes. What they cover of links is told by :meth:`covers` from then on."""
        self._covered.clear()
        self._told.clear()
        found: list[Candidate] = []
        for node in self._mesh.nodes:
            found.extend(self._unreachable(node.name, now, signals))
        found.extend(self._silent(signals))
        for name, record in self._records.items():
            of_node = (
                *self._drops.judge(name, record, candidates, signals),
                *self._full_cpu.judge(name, record, candidates),
            )
            for each in of_node:
                found.append(each.candidate)
                self._told |= each.told
            found.extend(skew(name, record, now))
        if self._drops.of_tunnels:
            self._told |= _lost_in_the_overlay(candidates)
        found.extend(self._lossy(candidates, signals))
        found.extend(self._together(candidates, signals))
        return found

    def covers(self, subject: Subject) -> bool:
        """Whether a finding of a link is part of one of a node."""
        if subject.node is not None:
            return False
        ends = {subject.src, subject.dst}
        if subject in self._told:
            return True
        return any(node in ends and code in (None, subject.code) for node, code in self._covered)

    # ── Not reached ──

    def _unreachable(self, name: NodeName, now: float, signals: Gathered) -> Iterator[Candidate]:
        state, reason = self._records[name].state(now)
        if state not in ("down", "silent"):
            self._lost_at.pop(name, None)
            return
        since = self._lost_at.setdefault(name, now)
        into = [signals[key] for key in signals if key.dst == name]
        into = [link for link in into if link.measurable and link.small_decided]
        silent = [link for link in into if link.silent_for_s is not None]
        gone = bool(into) and len(silent) == len(into)
        reached = len(into) - len(silent)
        evidence = [Evidence(what="session", value=state, expected="up")]
        against: list[Evidence] = []
        if into:
            peers = Evidence(
                what="links of others to it without an answer", value=f"{len(silent)} of {len(into)}", expected="all"
            )
            (evidence if gone else against).append(peers)
        if state == "silent" and now - since < _DOWN_AFTER_S:
            return
        self._covered.add((name, "blackout"))
        if gone:
            self._covered.add((name, None))
        elif state == "silent" and now - since < _STUCK_AFTER_S:
            return
        yield Candidate(
            subject=Subject("unreachable", node=name),
            severity="critical" if gone or not into else "warning",
            confidence=0.95 if gone else 0.85,
            summary=_unreachable_words(name, state, reason, gone, reached),
            evidence=tuple(evidence),
            against=tuple(against),
            next=_UNREACHABLE_NEXT,
        )

    # ── Silent on every link ──

    def _silent(self, signals: Gathered) -> Iterator[Candidate]:
        """A node that is reached for management while no peer hears of it. Links on which no ping was ever answered
        count where pings are answered between others: there, ICMP is not what is missing."""
        dark = {key for key in signals.active if _dark_s(signals[key]) is not None}
        if not dark:
            return  # so that the signals of all links need not be made
        suspects = {node for key in dark for node in (key.src, key.dst)}
        self._answering = {key.path for key in signals if key not in dark and signals[key].silence_s is not None}
        for node in self._mesh.nodes:
            if (node.name, None) in self._covered or node.name not in suspects:
                continue
            mine = [signals[key] for key in signals if node.name in (key.src, key.dst)]
            mine = [
                link
                for link in mine
                if link.measurable and link.silence_s is not None and not self._is_gone(link, node.name)
            ]
            mine = [link for link in mine if link.mute_for_s is None or link.key.path in self._answering]
            yield from self._dark(node.name, mine)

    def _dark(self, name: NodeName, mine: Sequence[LinkSignals]) -> Iterator[Candidate]:
        """Path by path: a node may be cut off from one while it is well on another."""
        dark = [link for link in mine if _dark_s(link) is not None and not link.progress]
        whole: list[PathName] = []
        for path in sorted({link.key.path for link in dark}):
            links = [link for link in mine if link.key.path == path]
            silent = [link for link in dark if link.key.path == path]
            peers = {end for link in links for end in (link.key.src, link.key.dst)} - {name}
            if len(links) < _FEWEST_LINKS or len(peers) < 2:
                continue  # of a single peer it cannot be told which of the two it is
            if len(silent) == len(links):
                whole.append(path)
            elif len(silent) >= _NEARLY_SILENT_SHARE * len(links) and self._just_now(links):
                self._covered.add((name, "blackout"))  # wait until it is plain whether all are
        if not whole:
            return
        gone = [link for link in dark if link.key.path in whole]
        if len(gone) == len(dark):
            self._covered.add((name, None))
        self._told.update(Subject(code, *link.key) for link in gone for code in _OF_SILENCE)
        oldest = max(_dark_s(link) or 0.0 for link in gone)
        never = all(link.mute_for_s is not None for link in gone)
        where = " and ".join(whole)
        yield Candidate(
            subject=Subject("node-wide", node=name),
            severity="critical",
            confidence=0.75 if never else 0.95 if oldest >= 5.0 else 0.85,
            summary=f"{name}: no peer gets an answer from it on {where}, and it none from them"
            + (", since the watch began" if never else ""),
            evidence=(
                Evidence(what=f"links on {where} without an answer", value=len(gone), expected="none"),
                Evidence(what="since the last answer", value=round(oldest, 1), expected="< 3 s"),
            ),
            next=_SILENT_NEXT,
        )

    def _is_gone(self, link: LinkSignals, name: NodeName) -> bool:
        """The other end is what is not reached."""
        other = link.key.dst if link.key.src == name else link.key.src
        return (other, None) in self._covered

    @staticmethod
    def _just_now(links: Iterable[LinkSignals]) -> bool:
        """Those that still count as heard have not answered for a while either."""
        return all((link.silence_s or 0.0) > 0.5 * link.silence_limit_s for link in links)

    # ── Pings lost on all its ways ──

    def _lossy(self, candidates: Sequence[Candidate], signals: Gathered) -> Iterator[Candidate]:
        """Few pings are sent, so that one link shows the loss of its node's line before another does. Where pings are
        lost between two nodes, what the others lose to each of the two tells whether it is one of them."""
        pairs = {c.subject for c in candidates if c.subject.code == "loss" and c.both_ways} - self._told
        suspects = {name for subject in pairs for name in (subject.src, subject.dst) if name is not None}
        worst: dict[NodeName, _Pool] = {}
        for name in sorted(suspects):
            mine = [s for s in pairs if name in (s.src, s.dst)]
            beside = _pool(signals, name, mine[0])
            sick = signals[LinkKey(mine[0].src or "", mine[0].dst or "", mine[0].path or "")].pair_loss_pct or 0.0
            if beside.links and beside.lossy >= _MOST_LINKS * beside.links and beside.pct >= _AS_LOSSY * sick:
                worst[name] = beside
        flows = self._lost_by_flows(candidates, pairs, worst)
        self._told.update(
            subject._replace(code=code)
            for subject in pairs
            if subject.src in worst or subject.dst in worst
            for code in ("loss", "overlay-only")
        )
        self._told.update(each.subject for each in flows)
        for name in self._named(worst):
            pair = next(subject for subject in pairs if name in (subject.src, subject.dst))
            alike = [other for other in worst if other != name] if len(worst) >= _FEWEST_ALIKE else []
            well = self._well_elsewhere(signals, name, pair)
            yield _lossy_line(name, pair.path or "", worst[name], well, alike)
            compared = [c for c in flows if c.subject.code == "overlay-only" and (alike or name in c.subject)]
            if well and compared:
                yield _compared(name, "loss", compared)

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

    # ── The same trouble on all ──

    def _together(self, candidates: Sequence[Candidate], signals: Gathered) -> Iterator[Candidate]:
        rows: dict[tuple[str, NodeName, bool, str], list[Candidate]] = {}
        for each in candidates:
            subject = each.subject
            if (
                subject.code not in _SHARED
                or each.confidence < STAYS_AT
                or subject.path is None
                or self.covers(subject)
            ):
                continue
            for name, sends in ((subject.src, True), (subject.dst, False)):
                if name is not None:
                    rows.setdefault((subject.code, name, sends, subject.path), []).append(each)
        for (code, name, sends, path), members in sorted(rows.items(), key=lambda row: -len(row[1])):
            if len(members) < _FEWEST_LINKS or all(self.covers(each.subject) for each in members):
                continue
            judged = [
                key
                for key in signals
                if key.path == path and name == (key.src if sends else key.dst) and _could_show(code, signals[key])
            ]
            if len(members) < len(judged):
                continue
            self._covered.add((name, code))
            ends = {frozenset((each.subject.src, each.subject.dst)) for each in members}
            compared = [
                each
                for each in candidates
                if _is_above(each, code)
                and each.confidence >= OPENS_AT
                and each.subject.path == path
                and frozenset((each.subject.src, each.subject.dst)) in ends
                and not self.covers(each.subject)
            ]
            well = len(compared) >= _FEWEST_COMPARED
            yield _shared(code, name, sends, path, members, well)
            if well:
                self._told.update(each.subject for each in compared)
                yield _compared(name, code, compared)


def _lost_in_the_overlay(candidates: Sequence[Candidate]) -> set[Subject]:
    """Pings that pass below it: where a tunnel's own process is known to drop what others send each other through it,
    it is that."""
    lost = {each.subject for each in candidates if each.subject.code == "loss" and each.both_ways}
    compared = {each.subject for each in candidates if each.subject.code == "overlay-only"}
    compared |= {subject._replace(src=subject.dst, dst=subject.src) for subject in compared}
    pairs = {subject for subject in lost if subject._replace(code="overlay-only") in compared}
    return {subject._replace(code=code) for subject in pairs for code in ("loss", "overlay-only")}


def _is_above(candidate: Candidate, code: str) -> bool:
    """Whether it is a comparison of paths that found this on the overlay."""
    return candidate.subject.code == "overlay-only" and candidate.evidence[0].value == code


def _is_of_loss(candidate: Candidate) -> bool:
    """What lost packets are called on a link."""
    code = candidate.subject.code
    if code == "policer":
        return candidate.confidence < SURE
    return code in ("loss", "ack-path-loss") or _is_above(candidate, "loss") or _is_above(candidate, "policer")


def _compared(name: NodeName, code: str, pairs: Sequence[Candidate]) -> Candidate:
    """One comparison instead of one for each of its pairs."""
    surest = max(pairs, key=lambda each: each.confidence)
    path = surest.subject.path
    return surest._replace(
        subject=Subject("overlay-only", node=name),
        severity="critical" if any(each.severity == "critical" for each in pairs) else "warning",
        summary=f"{name}: it is the overlay. {path} shows {code} on its links; the same pairs are well below it",
        evidence=(
            Evidence(what=f"pairs with {code} on {path} alone", value=len(pairs), expected="none"),
            *surest.evidence,
        ),
        at_once=False,
        both_ways=False,
    )


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


def _dark_s(link: LinkSignals) -> float | None:
    """For how long no ping has been answered, though they are sent."""
    return link.silent_for_s if link.silent_for_s is not None else link.mute_for_s


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


def _could_show(code: str, link: LinkSignals) -> bool:
    """Whether that trouble would be seen on that link, were it there."""
    if code in ("blackout", "loss"):
        return link.measurable and link.small_decided >= 8
    return link.data_segs >= 100


def _shared(code: str, name: NodeName, sends: bool, path: str, members: Sequence[Candidate], well: bool) -> Candidate:
    """``well``: below the overlay, the same pairs are."""
    severity: Severity = "critical" if any(each.severity == "critical" for each in members) else "warning"
    surest = max(members, key=lambda each: each.confidence)
    way = "out of" if sends else "into"
    return Candidate(
        subject=Subject("node-wide", node=name),
        severity=severity,
        confidence=max(OPENS_AT, min(0.95, surest.confidence + 0.1)),
        summary=f"{name}: {code} on all {len(members)} links {way} it on {path}: look at its "
        f"{'tunnel' if well else 'line'}, not at its peers",
        evidence=(
            Evidence(what=f"links {way} it with {code}", value=len(members), expected=f"all {len(members)} of {path}"),
            Evidence(
                what="the surest of them",
                value=f"{surest.subject.src} → {surest.subject.dst}",
                expected="the others alike",
            ),
            *surest.evidence,
        ),
        against=surest.against,
        next=surest.next,
        experiments=surest.experiments,
    )


def _unreachable_words(name: NodeName, state: NodeState, reason: str | None, gone: bool, reached: int) -> str:
    why = f": {reason}" if reason else ""
    if gone:
        return f"{name} is gone: no session, and no peer gets an answer from it{why}"
    if reached:
        return f"{name} is not reached from here ({state}), while its peers reach it{why}"
    return f"{name} is not reached from here ({state}){why}"


_UNREACHABLE_NEXT = (
    "log in by another way (a console, another node) and look whether it runs and what its address is",
    "where its peers still reach it, only the way from here is out: SSH, a firewall, the management network",
)
_SILENT_NEXT = (
    "its own line or interface, its firewall, the tunnel's client on it: peers have nothing to do with it",
    "it still answers on SSH: look at its routes and interfaces there",
)
