"""What ``meshtop diagnose`` does: the mesh watched, experiments chosen, told and run, findings before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Literal

import click
import msgspec

from meshtop import compose, units
from meshtop.commands import asking, finding_text
from meshtop.commands.output import answer, stdout
from meshtop.commands.running import FINE, FOUND_FAILURE, NO_NODE, beside
from meshtop.config import MeshConfig
from meshtop.engine.events import FindingEvent, StreamEvent
from meshtop.engine.experiments import CHEAP, ExperimentPlan
from meshtop.engine.snapshot import FindingView
from meshtop.model import ExperimentKind, ExperimentRecord, NodeName, PathName, Value
from meshtop.monitor import Monitor
from meshtop.requests import RunExperiment

SCHEMA = "meshtop.diagnosis/1"
WRONG = 2
SURE = 0.7  # below it another cause may look alike
# From the last experiment until its last frames have come and what it settles has been weighed.
SETTLE_S = 4.0
# Pings first: they disturb nobody, and what they tell may spare a burst its puzzle.
_ORDER: tuple[ExperimentKind, ...] = (
    "probe-sizes",
    "pmtu-sweep",
    "mss",
    "paths",
    "tcp-udp",
    "streams",
    "loaded-ping",
)


Wanted = tuple[ExperimentKind, PathName]


class Wishes(Value, frozen=True, kw_only=True):
    as_json: bool = False
    yes: bool = False
    dry_run: bool = False
    watch_s: float = 15.0


class Pair(Value, frozen=True, kw_only=True):
    """``path`` None: findings of any path; experiments of their paths, or on the first."""

    src: NodeName
    dst: NodeName
    path: PathName | None
    first: PathName

    def concerns(self, finding: FindingView) -> bool:
        """Of this direction, or of one of both nodes as a whole."""
        if finding.node is not None:
            return finding.node in (self.src, self.dst)
        here = (finding.src, finding.dst) == (self.src, self.dst)
        return here and self.path in (None, finding.path)


class Skipped(Value, frozen=True, kw_only=True):
    kind: ExperimentKind
    path: PathName
    reason: str


class Diagnosis(Value, frozen=True, kw_only=True):
    """`meshtop diagnose --json`. ``before`` and ``after`` are findings as in the snapshot; ``experiments`` what was
    run, ``planned`` what would be (``--dry-run``)."""

    schema: str = SCHEMA
    src: NodeName
    dst: NodeName
    path: PathName | None
    at: str
    before: tuple[FindingView, ...]
    planned: tuple[ExperimentPlan, ...] = ()
    experiments: tuple[ExperimentRecord, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    after: tuple[FindingView, ...]
    outcome: Literal["fine", "wrong"]


def checked(config: MeshConfig, src: NodeName, dst: NodeName, path: PathName | None) -> Pair:
    """Raises a usage error for nodes and paths that are not there."""
    nodes = {node.name: node for node in config.mesh.nodes}
    paths = [each.name for each in config.mesh.paths]
    for name in (src, dst):
        if name not in nodes:
            raise click.UsageError(f"there is no node {name!r}; there are {', '.join(nodes)}")
    if src == dst:
        raise click.UsageError(f"{src} is one node; name two")
    if path is not None and path not in paths:
        raise click.UsageError(f"there is no path {path!r}; there are {', '.join(paths)}")
    common = [name for name in paths if name in nodes[src].address and name in nodes[dst].address]
    if not common or (path is not None and path not in common):
        raise click.UsageError(f"{src} and {dst} have no addresses on {path or 'the same path'}")
    return Pair(src=src, dst=dst, path=path, first=path or common[0])


async def diagnose(config: MeshConfig, pair: Pair, wishes: Wishes) -> int:
    """The exit code."""
    fd = stdout()
    monitor = compose.watch(config)
    front = _Front(monitor, pair, wishes)
    made = await beside(monitor, front.work())
    if isinstance(made, int):
        return made
    text = msgspec.json.encode(made) if wishes.as_json else finding_text.conclusion(made.after).encode()
    written = answer(fd, text + b"\n")
    code = FINE if made.outcome == "fine" else FOUND_FAILURE
    return code if written is None else written


class _Front:
    def __init__(self, monitor: Monitor, pair: Pair, wishes: Wishes) -> None:
        self._monitor = monitor
        self._pair = pair
        self._wishes = wishes
        self._met: dict[str, FindingEvent] = {}  # by id, what was told since the experiments of this round began

    def _hear(self, event: StreamEvent) -> None:
        if isinstance(event, FindingEvent):
            self._met[event.id] = event

    async def work(self) -> Diagnosis | int:
        """What was found, or an exit code."""
        pair = self._pair
        self._monitor.listen(self._hear)
        self._note(f"connecting to {pair.src}, {pair.dst} and the others …")
        await self._monitor.settled()
        if not self._reached():
            return NO_NODE
        self._note(f"looking on for {units.format_duration(self._wishes.watch_s)} …")
        await asyncio.sleep(self._wishes.watch_s)
        before = self._findings()
        self._note(finding_text.listing(before, f"{pair.src} → {pair.dst}, by looking on"))
        after = before
        records: list[ExperimentRecord] = []
        planned: list[ExperimentPlan] = []
        skipped: list[Skipped] = []
        for wanted in (chosen(before, pair), None):
            # What the first ones have brought to light may want others.
            kinds = wanted if wanted is not None else self._more(after, [*planned, *skipped])
            plans, cannot = self._plans(kinds)
            planned += plans
            skipped += cannot
            self._announce(plans, cannot)
            if not plans or self._wishes.dry_run:
                break
            if not await self._confirmed(plans):
                if records:
                    break
                return WRONG
            self._met.clear()
            records += await self._run(plans)
            after = self._found_by_trying()
        return Diagnosis(
            src=pair.src,
            dst=pair.dst,
            path=pair.path,
            at=self._monitor.snapshot().at,
            before=before,
            planned=tuple(planned) if self._wishes.dry_run else (),
            experiments=tuple(records),
            skipped=tuple(skipped),
            after=after,
            outcome="wrong" if any(each.severity != "info" for each in after) else "fine",
        )

    def _note(self, text: str) -> None:
        click.echo(text, err=True)

    def _findings(self) -> tuple[FindingView, ...]:
        """Gravest and surest first."""
        return self._sorted(self._monitor.snapshot().findings)

    def _found_by_trying(self) -> tuple[FindingView, ...]:
        """With what was open meanwhile: where nothing else flows, trouble ends with the load that met it."""
        open_now = self._monitor.snapshot().findings
        there = {each.id for each in open_now}
        fields = FindingView.__struct_fields__
        met = [
            FindingView(**{name: getattr(event, name) for name in fields})
            for event in self._met.values()
            if event.id not in there
        ]
        return self._sorted([*open_now, *not_taken_back(met, open_now)])

    def _sorted(self, findings: Iterable[FindingView]) -> tuple[FindingView, ...]:
        found = [each for each in findings if self._pair.concerns(each)]
        rank = {"critical": 0, "warning": 1, "info": 2}
        return tuple(sorted(found, key=lambda each: (rank[each.severity], -each.confidence)))

    def _reached(self) -> bool:
        """Whether SRC is; that DST is not is said."""
        reached = True
        for node in self._monitor.snapshot().nodes:
            if node.name in (self._pair.src, self._pair.dst) and node.state in ("down", "connecting"):
                cure = f"; {node.cure}" if node.cure else ""
                self._note(f"meshtop: {node.name} is {node.state}: {node.reason or 'no session'}{cure}")
                reached = reached and node.name != self._pair.src
        return reached

    # ── Experiments ──

    def _more(self, found: Sequence[FindingView], known: Iterable[ExperimentPlan | Skipped]) -> list[Wanted]:
        """What the findings ask for that was neither tried nor cannot be."""
        before = {(each.kind, each.path) for each in known}
        compared = any(kind == "paths" for kind, _ in before)
        return [
            each
            for each in asked_for(found, self._pair)
            if each not in before and not (compared and each[0] == "paths")
        ]

    def _announce(self, plans: Iterable[ExperimentPlan], cannot: Iterable[Skipped]) -> None:
        for plan in plans:
            self._note(f"will send: {plan.kind} on {plan.path}: {plan.sends}")
        for each in cannot:
            self._note(f"cannot: {each.kind} on {each.path}: {each.reason}")

    def _plans(self, wanted: Iterable[Wanted]) -> tuple[list[ExperimentPlan], list[Skipped]]:
        plans: list[ExperimentPlan] = []
        skipped: list[Skipped] = []
        for kind, path in wanted:
            command = RunExperiment(kind=kind, src=self._pair.src, dst=self._pair.dst, path=path)
            try:
                plans.append(self._monitor.plan_experiment(command))
            except ValueError as error:
                skipped.append(Skipped(kind=kind, path=path, reason=str(error)))
        return plans, skipped

    async def _confirmed(self, plans: Iterable[ExperimentPlan]) -> bool:
        """Where nobody is there to be asked, what keeps within [burst] limits is started, as a burst is."""
        if self._wishes.yes:
            return True
        asks = [ask for plan in plans for step in plan.bursts for ask in self._monitor.plan_burst(step.request).asks]
        if asking.somebody_there():
            return await asking.ask("run them? [y/N] ")
        for each in dict.fromkeys(asks):
            self._note(f"meshtop: {each}")
        if asks:
            self._note("meshtop: nobody is there to confirm it; start it with -y")
        return not asks

    async def _run(self, plans: Iterable[ExperimentPlan]) -> tuple[ExperimentRecord, ...]:
        records = []
        for plan in plans:
            self._note(f"{plan.kind} on {plan.path} …")
            command = RunExperiment(kind=plan.kind, src=plan.src, dst=plan.dst, path=plan.path)
            try:
                record = await self._monitor.experiments.run(command)
            except ValueError as error:  # the session went meanwhile
                self._note(f"  {error}")
                continue
            records.append(record)
            self._note(finding_text.experiment(record))
        await asyncio.sleep(SETTLE_S)
        return tuple(records)


def not_taken_back(closed: Iterable[FindingView], open_now: Iterable[FindingView]) -> list[FindingView]:
    """Without what is open again, and without the less likely of two causes that looked alike."""
    closed, open_now = list(closed), list(open_now)
    known = {(each.code, _way(each)) for each in open_now}
    sure = {_way(each) for each in (*closed, *open_now) if each.confidence >= SURE and each.code != "overlay-only"}
    return [
        each
        for each in closed
        if (each.code, _way(each)) not in known and (each.confidence >= SURE or _way(each) not in sure)
    ]


def _way(found: FindingView) -> tuple[NodeName | None, NodeName | None, PathName | None]:
    return found.src, found.dst, found.path


def chosen(found: Sequence[FindingView], pair: Pair) -> list[Wanted]:
    """What the findings above info ask for; the cheap ones where that is nothing."""
    return asked_for(found, pair) or [(kind, pair.first) for kind in _ORDER if kind in CHEAP]


def asked_for(found: Iterable[FindingView], pair: Pair) -> list[Wanted]:
    """Each once, pings first."""
    wanted: dict[Wanted, None] = {}
    for finding in found:
        if finding.severity != "info":
            kinds = finding.experiments
            if finding.code == "overlay-only":
                kinds = (*kinds, "tcp-udp")  # that it is the overlay does not say what about it
            for kind in kinds:
                wanted[kind, finding.path or pair.first] = None
    once: list[Wanted] = []
    for kind, path in sorted(wanted, key=lambda each: _ORDER.index(each[0])):
        if kind == "paths" and any(other == "paths" for other, _ in once):
            continue  # of either path it is the same
        once.append((kind, path))
    return once
