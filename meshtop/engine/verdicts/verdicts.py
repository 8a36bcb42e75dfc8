"""The verdicts of one mesh: fed with what reaches the engine, asked once a second what it comes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from meshtop.burst import BurstRecord
from meshtop.engine.attribution import Attribution, OwnConnections, Services
from meshtop.engine.events import FindingEvent
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.snapshot import FindingView
from meshtop.engine.verdicts.compare import Comparison
from meshtop.engine.verdicts.gathering import Gathered
from meshtop.engine.verdicts.lifecycle import Candidate, Findings, Subject
from meshtop.engine.verdicts.rules import RULES
from meshtop.engine.verdicts.scope import NodesAsWhole
from meshtop.engine.verdicts.settle import settled
from meshtop.engine.verdicts.signals import LinkSignals
from meshtop.engine.verdicts.tally import NodeTally
from meshtop.engine.verdicts.tried import Tried, draw
from meshtop.engine.verdicts.tunnels import Tunnels
from meshtop.engine.verdicts.weigh import Weighed, typed, weigh
from meshtop.model import ExperimentRecord, FrameReceived, LinkKey, Mesh, NodeName

EVERY_S = 1.0
_EXPLAINED_AT = 0.7
# Of a link of which nothing is sent, nothing was tried and no ping is lost there is nothing to say.
_CALM_INFLATION = 1.5


class Verdicts:
    def __init__(self, mesh: Mesh, records: Mapping[NodeName, NodeRecord], own: OwnConnections) -> None:
        self._mesh = mesh
        self._records = records
        self._own = own
        self._tallies: dict[NodeName, tuple[str, NodeTally]] = {}  # with the boot that each is of
        self._tunnels = Tunnels(mesh)
        self._tried = Tried()
        self._findings = Findings()
        self._nodes = NodesAsWhole(mesh, records)
        self._evaluated_at: float | None = None
        self._underlays = tuple(path.name for path in mesh.paths if path.kind == "underlay")
        self._unnamed = any(path.kind == "overlay" and not path.outer_ports for path in mesh.paths)

    # ── In ──

    def frame(self, event: FrameReceived) -> None:
        """After the node's record has taken it in."""
        record = self._records[event.node]
        boot = record.boot
        if boot is None or boot.name != event.frame.boot:
            return
        known = self._tallies.get(event.node)
        if known is None or known[0] != boot.name:
            underlays = {path.name for path in self._mesh.paths if path.kind == "underlay"} if self._unnamed else ()
            attribution = Attribution(self._mesh, event.node, self._own)
            known = (boot.name, NodeTally(attribution, Services(self._mesh, event.node), frozenset(underlays)))
            self._tallies[event.node] = known
        known[1].take(boot.clock.axis(event.frame.uptime_s), event.frame.sockets)

    def experiment(self, at: float, record: ExperimentRecord) -> None:
        self._tried.experiment(at, record)

    def burst(self, at: float, record: BurstRecord) -> None:
        self._tried.burst(at, record)

    # ── Judging ──

    def evaluate(self, now: float) -> list[FindingEvent]:
        """Once a second, however often it is asked."""
        if self._evaluated_at is not None and now - self._evaluated_at < EVERY_S * 0.9:
            return []
        self._evaluated_at = now
        fresh = {name for name, record in self._records.items() if record.state(now)[0] == "up"}
        tallies = {name: tally for name, (_, tally) in self._tallies.items() if name in fresh}
        self._tunnels.look(now, self._records, tallies)
        signals = Gathered(self._records, fresh, tallies, self._tried.links(now))
        comparison = Comparison(self._mesh, self._records, self._tunnels, signals)
        comparison.fill()
        weighed: dict[LinkKey, list[Weighed]] = {}
        explained: set[Subject] = set()
        for key in signals.active:
            link = signals[key]
            if told := self._tried.of(key, now, self._underlays if link.overlay else ()):
                draw(link, told, now)
            if not _calm(link):
                found = (w for rule in RULES if (w := weigh(rule, link)) is not None)
                settlement = settled(found, new_loss=link.new_loss, known=self._findings.sure_of(key))
                weighed[key] = settlement.said
                link.doubted = any(each.doubted for each in settlement.said)
                explained.update(Subject(code, *key) for code in settlement.explained)
        candidates = [_candidate(key, each, signals[key]) for key, found in weighed.items() for each in found]
        candidates += comparison.overlay_only(weighed)
        whole = self._nodes.judge(now, signals, candidates)
        kept = [c for c in candidates if self._findings.is_open(c.subject) or not self._nodes.covers(c.subject)]
        events = self._findings.update([*whole, *self._once_a_pair(kept, signals)], now)
        gone = {each for each in explained if self._is_said(each, weighed)} | self._part_of(whole)
        return events + self._findings.drop(gone, now)

    def _part_of(self, whole: Sequence[Candidate]) -> set[Subject]:
        """What a finding of a node covers: of that nothing opens any more, and what is open stays until the other is,
        so that the trouble never goes unsaid."""
        is_said = any(self._findings.is_open(each.subject) for each in whole)
        covered = (subject for subject in self._findings.subjects if self._nodes.covers(subject))
        return {subject for subject in covered if is_said or not self._findings.is_open(subject)}

    def _is_said(self, explained: Subject, weighed: Mapping[LinkKey, Sequence[Weighed]]) -> bool:
        """Whether what explains it is open by now; until then it stays what was said first."""
        link = LinkKey(explained.src or "", explained.dst or "", explained.path or "")
        surer = (each.rule.code for each in weighed[link] if each.confidence >= _EXPLAINED_AT)
        return any(self._findings.is_open(explained._replace(code=code)) for code in surer)

    def _once_a_pair(self, candidates: Sequence[Candidate], signals: Gathered) -> Iterator[Candidate]:
        """What both directions show alike is said of the one of which it was said already, or whose data waits."""
        both = {c.subject for c in candidates if c.both_ways}
        for each in candidates:
            subject = each.subject
            back = subject._replace(src=subject.dst, dst=subject.src)
            if subject in both and back in both and self._rank(back, signals) < self._rank(subject, signals):
                continue
            yield each

    def _rank(self, subject: Subject, signals: Gathered) -> tuple[bool, bool, str]:
        link = signals[LinkKey(subject.src or "", subject.dst or "", subject.path or "")]
        return not self._findings.is_open(subject), link.idle_ack_s is None, subject.src or ""

    # ── Out ──

    @property
    def open(self) -> tuple[FindingView, ...]:
        return self._findings.open

    @property
    def all(self) -> tuple[FindingView, ...]:
        """Open ones by importance, then the closed ones of the session, newest first."""
        return (*self._findings.open, *self._findings.closed)


def _calm(link: LinkSignals) -> bool:
    return not (
        link.tried
        or link.data_segs
        or link.pings_lost
        or link.silent_for_s
        or link.stalls
        or link.idle_ack_s
        or (link.rtt_inflation or 0.0) > _CALM_INFLATION
    )


def _candidate(key: LinkKey, weighed: Weighed, link: LinkSignals) -> Candidate:
    rule = weighed.rule
    return Candidate(
        subject=Subject(rule.code, key.src, key.dst, key.path),
        severity=rule.severity(link),
        confidence=weighed.confidence,
        summary=rule.summary(link),
        evidence=weighed.evidence,
        against=weighed.against,
        next=typed(rule.next, key),
        experiments=rule.experiments,
        both_ways=rule.both_ways,
    )
