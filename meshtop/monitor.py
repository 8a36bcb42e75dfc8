"""One mesh under watch: the engine, and the tasks that feed it. What every front end sees of both.

Part of the composition root. It holds no rule of its own: bytes are collected elsewhere, judged in the engine, drawn in
a front end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec
import psutil

from meshtop import units
from meshtop.burst import BurstLimits, BurstPlan, BurstRequest
from meshtop.collect.burst_queue import BurstQueue, BurstTerms
from meshtop.collect.clock import Clock
from meshtop.collect.experiments import Experiments
from meshtop.commands.reporting import Reporting
from meshtop.config import MAX_INTERVAL_S, MIN_INTERVAL_S, BurstSettings
from meshtop.engine.engine import Engine
from meshtop.engine.events import StreamEvent
from meshtop.engine.experiments import ExperimentPlan
from meshtop.engine.snapshot import Snapshot
from meshtop.engine.view import FlowView, TrailPoint, View
from meshtop.model import (
    BaselinesForgotten,
    BurstTold,
    EngineEvent,
    IntervalAsked,
    LinkKey,
    LogLine,
    LookTaken,
    Mark,
    Mesh,
    NodeName,
)
from meshtop.recording.tape import Tape
from meshtop.requests import (
    AbortBurst,
    AbortExperiment,
    AddMark,
    ClearBursts,
    Command,
    MakeReport,
    ResetBaselines,
    RunExperiment,
    SetInterval,
    StartBurst,
    StartRecording,
    StopRecording,
)
from meshtop.transport.base import Session

_log = logging.getLogger(__name__)

# Time passes for the engine at least this often: a node is called silent after 3 s, and within 4 s.
TICK_S = 0.5
# Below a second psutil's CPU figure is mostly the granularity of the kernel's own accounting.
OWN_COST_S = 2.0

RawTap = Callable[[NodeName, int, float, bytes], None]


class Collecting(Protocol):
    """The part of ``collect.collector.Collector`` that is needed here."""

    async def run(self) -> None: ...

    async def set_interval(self, interval_s: float) -> None: ...

    async def set_node_interval(self, node: NodeName, interval_s: float) -> None: ...

    async def all_settled(self) -> None: ...

    def session(self, node: NodeName) -> Session | None: ...


class Probing(Protocol):
    async def run(self) -> None: ...


Sink = Callable[[EngineEvent], None]
Connect = Callable[[Sink, Clock, RawTap], Awaitable[tuple[Collecting, Probing | None]]]


class Monitor:
    """Implements the screens' Source. Everything but :meth:`run` is for callers in the same event loop."""

    def __init__(
        self,
        mesh: Mesh,
        connect: Connect,
        clock: Clock | None = None,
        *,
        replay: bool = False,
        burst: BurstTerms | None = None,
    ) -> None:
        """``connect`` makes the collector and the prober once the loop runs, so that what they import may come late.
        ``replay``: what comes was recorded, with the closer looks that were taken then; none are taken now."""
        self._mesh = mesh
        self._connect = connect
        self._clock = clock or Clock()
        self._engine = Engine(mesh)
        self._collector: asyncio.Future[Collecting] | None = None
        self._interval_s = mesh.interval_s
        self._replay = replay
        self._looks: dict[NodeName, float] = {}  # nodes that are sampled at an interval of their own
        self._changed: list[Callable[[], None]] = []
        self._listeners: list[Callable[[StreamEvent], None]] = []
        self._errands: set[asyncio.Task[None]] = set()
        self._cpu_pct: float | None = None
        self._rss_bytes: int | None = None
        self.reports = Reporting(self._clock.now, self.say)
        self.tape = Tape(mesh, self._clock.now, self._engine.baselines, partial(self.say, level="error"))
        self.bursts = BurstQueue(
            mesh, burst or burst_terms(), self._session, self._engine, self._clock, self._burst_told, replay=replay
        )
        self.experiments = Experiments(
            mesh, self._session, self.bursts, self._clock, self.feed, self.say, replay=replay
        )
        self.notice: str | None = None  # shown by the screens

    async def run(self) -> None:
        """Watch until cancelled. Whatever was started is gone when this returns."""
        try:
            await self._run()
        finally:
            self.tape.close()
            await self.reports.close()

    async def _run(self) -> None:
        ready = self._ready()
        collector, prober = await self._connect(self.feed, self._clock, self.raw_frame)
        ready.set_result(collector)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(collector.run(), name="collector")
            tasks.create_task(self._let_time_pass(), name="ticks")
            tasks.create_task(self._watch_own_cost(), name="own cost")
            tasks.create_task(self.bursts.serve(), name="bursts")
            tasks.create_task(self.experiments.serve(), name="experiments")
            if prober is not None:
                tasks.create_task(self._ping(prober), name="operator's pings")

    async def settled(self) -> None:
        """Until every node is up or has failed once."""
        collector = await asyncio.shield(self._ready())
        await collector.all_settled()

    def snapshot(self, window_s: float = 10.0) -> Snapshot:
        now = self._clock.now()
        self._tick(now)
        return self._engine.snapshot(now, window_s)

    def record(self, path: Path) -> None:
        """Write all that comes from here on into a new file. Raises OSError if it cannot be made."""
        self.tape.start(path)

    def listen(self, callback: Callable[[StreamEvent], None]) -> None:
        """Every event of `meshtop stream`, as it happens."""
        self._listeners.append(callback)

    def feed(self, event: EngineEvent) -> None:
        """The one way into the engine, for what nodes send and for what the operator does."""
        self.tape.event(event)
        self._publish(self._engine.receive(event))

    def raw_frame(self, node: NodeName, connection: int, at: float, raw: bytes) -> None:
        """A raw frame came; what it says is fed right after."""
        self.tape.raw_frame(node, connection, at, raw)

    # ── what the screens' Source asks for ────────────────────────────────────────────────────────────────────────────

    def view(self) -> View:
        view = self._engine.view(self._clock.now())
        mesh = view.mesh
        if mesh.interval_s != self._interval_s:
            mesh = msgspec.structs.replace(mesh, interval_s=self._interval_s)
        view = msgspec.structs.replace(
            view,
            mesh=mesh,
            recording=self.tape.view,
            report=self.reports.view,
            replay=self._replay,
            notice=self.notice,
            operator_cpu_pct=self._cpu_pct,
            operator_rss_bytes=self._rss_bytes,
        )
        if self._engine.archive.due(view.at):
            self.tape.glance(view.at, self._engine.archive.take(view))
        return view

    def trail(self, key: LinkKey) -> tuple[TrailPoint, ...]:
        return self._engine.trail(key)

    def past(self, at: float) -> View | None:
        return self._engine.past(at, self.view())

    def flows(self, node: NodeName, link: LinkKey | None = None) -> tuple[FlowView, ...]:
        return self._engine.flows(node, link)

    def subscribe(self, callback: Callable[[], None]) -> None:
        self._changed.append(callback)

    def send(self, command: Command) -> None:
        """Raises ValueError for an interval that is out of range."""
        match command:
            case SetInterval(interval_s=interval_s):
                if not MIN_INTERVAL_S <= interval_s <= MAX_INTERVAL_S:
                    raise ValueError(f"the interval is {MIN_INTERVAL_S:g}s to {MAX_INTERVAL_S:g}s")
                self._interval_s = interval_s
                self._looks.clear()
                self.feed(IntervalAsked(at=self._clock.now(), interval_s=interval_s))
                self._errand(self._set_interval(interval_s))
                self.say(f"sampling every {units.spell_duration(interval_s)}")
            case AddMark(text=text):
                self.feed(Mark(at=self._clock.now(), text=text))
            case ResetBaselines():
                self.feed(BaselinesForgotten(at=self._clock.now()))
                self.say("baselines forgotten; they are learnt anew")
            case MakeReport():
                self.reports.start(command, self.tape.recent(command.last_s))
            case StartRecording() | StopRecording():
                self.say(self.tape.obey(command))
            case StartBurst() | AbortBurst() | ClearBursts():
                self.bursts.obey(command)
            case RunExperiment() | AbortExperiment():
                self.experiments.obey(command)

    def plan_burst(self, request: BurstRequest) -> BurstPlan:
        """What a burst would cost now. Raises ValueError with the reason and the cure."""
        return self.bursts.plan(request)

    def plan_experiment(self, command: RunExperiment) -> ExperimentPlan:
        """What an experiment would send. Raises ValueError for what cannot be done."""
        return self.experiments.plan(command)

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _ready(self) -> asyncio.Future[Collecting]:
        if self._collector is None:
            self._collector = asyncio.get_running_loop().create_future()
        return self._collector

    async def _let_time_pass(self) -> None:
        while True:
            now = self._clock.now()
            self._tick(now)
            if (self._changed and self._engine.archive.due(now)) or self.tape.wants_glance(now):
                self.view()  # a screen that is frozen asks for none, and may be asked for this moment later
            if not self._replay:
                self._look_closely(now)
            await asyncio.sleep(TICK_S)

    def _look_closely(self, now: float) -> None:
        """Sample the ends of what stalls faster for a while, and then as before."""
        wanted = self._engine.closer_looks(now, self._interval_s)
        for node in self._looks.keys() | wanted.keys():
            interval_s = wanted.get(node, self._interval_s)
            if self._looks.get(node, self._interval_s) != interval_s:
                self.feed(LookTaken(at=now, node=node, interval_s=interval_s))
                self._errand(self._set_node_interval(node, interval_s))
        self._looks = dict(wanted)

    def _tick(self, now: float) -> None:
        self.tape.tick(now)
        self._publish(self._engine.tick(now))

    async def _watch_own_cost(self) -> None:
        own = psutil.Process()
        own.cpu_percent()
        while True:
            await asyncio.sleep(OWN_COST_S)
            self._cpu_pct = own.cpu_percent()
            self._rss_bytes = own.memory_info().rss

    async def _ping(self, prober: Probing) -> None:
        """A fault of the operator's own pings is said and ends them; the nodes go on being watched."""
        try:
            await prober.run()
        except Exception as error:
            _log.exception("the operator's pings ended")
            self.say(f"the pings from this machine ended: {error!r}", level="error")

    def _session(self, node: NodeName) -> Session | None:
        ready = self._collector is not None and self._collector.done() and not self._collector.cancelled()
        return self._collector.result().session(node) if ready and self._collector is not None else None

    def _burst_told(self, event: BurstTold) -> None:
        self.feed(event)
        if not self._replay:
            self._look_closely(event.at)

    async def _set_node_interval(self, node: NodeName, interval_s: float) -> None:
        collector = await asyncio.shield(self._ready())
        await collector.set_node_interval(node, interval_s)

    async def _set_interval(self, interval_s: float) -> None:
        collector = await asyncio.shield(self._ready())
        await collector.set_interval(interval_s)

    def _errand(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def say(self, text: str, level: str = "info") -> None:
        """A line for the event log."""
        self.feed(LogLine(at=self._clock.now(), node=None, level="error" if level == "error" else "info", text=text))

    def _publish(self, events: tuple[StreamEvent, ...]) -> None:
        for event in events:
            for listener in self._listeners:
                listener(event)
        for callback in self._changed:
            callback()


def burst_terms(settings: BurstSettings | None = None, here: Collection[NodeName] = ()) -> BurstTerms:
    """``here``: nodes that are this machine itself."""
    settings = settings or BurstSettings()
    return BurstTerms(
        limits=BurstLimits(max_bytes=settings.max_bytes, max_time_s=settings.max_time_s),
        ports=tuple(range(settings.first_port, settings.last_port + 1)),
        here=frozenset(here),
    )
