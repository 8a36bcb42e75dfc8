"""What is of a whole node is said once: a node that is not reached, one whose links are all in the same trouble, one
that drops packets itself, one whose clock is off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from meshtop.engine.nodes import NodeRecord
from meshtop.engine.snapshot import Evidence, NodeState
from meshtop.engine.verdicts.clock import skew
from meshtop.engine.verdicts.cpu import FullCpu
from meshtop.engine.verdicts.drops import HostDrops
from meshtop.engine.verdicts.gathering import Gathered
from meshtop.engine.verdicts.lifecycle import Candidate, Subject
from meshtop.engine.verdicts.rows import FEWEST_LINKS, together
from meshtop.engine.verdicts.signals import LinkSignals
from meshtop.engine.verdicts.ways import LossyWays, lost_in_the_overlay
from meshtop.model import LinkKey, Mesh, NodeName, PathName

# While most links of a node have just fallen silent, the others may only not have been asked yet.
_NEARLY_SILENT_SHARE = 0.5
_DOWN_AFTER_S = 3.0
# A busy node, or a busy machine here, holds samples up for some seconds; one whose peers get answers is not gone.
_STUCK_AFTER_S = 8.0

# What the silence of a link may be called besides.
_OF_SILENCE = ("blackout", "overlay-only", "pmtu-blackhole", "loss")


class NodesAsWhole:
    def __init__(self, mesh: Mesh, records: Mapping[NodeName, NodeRecord]) -> None:
        self._mesh = mesh
        self._records = records
        self._covered: set[tuple[NodeName, str | None]] = set()  # (node, code or None for all)
        self._told: set[Subject] = set()  # findings of links that are part of one of a node
        self._answering: set[PathName] = set()
        self._lost_at: dict[NodeName, float] = {}
        self._silent_links: frozenset[LinkKey] = frozenset()
        self._ways = LossyWays(mesh)
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
            self._told |= lost_in_the_overlay(candidates)
        for each in self._ways.judge(candidates, signals, self.covers):
            found.append(each.candidate)
            self._told |= each.told
        for code, of_row in together(candidates, signals, self.covers):
            for each in of_row:
                found.append(each.candidate)
                self._told |= each.told
                self._covered.add((each.candidate.subject.node or "", code))
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
            if len(links) < FEWEST_LINKS or len(peers) < 2:
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


def _dark_s(link: LinkSignals) -> float | None:
    """For how long no ping has been answered, though they are sent."""
    return link.silent_for_s if link.silent_for_s is not None else link.mute_for_s


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
