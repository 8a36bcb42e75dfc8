"""The queue of bursts: one on a line at a time, in the order in which they were asked for, over the sessions that the
probes use. What becomes of each is told as events (``BurstTold``), so that it is recorded and folded like all else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from meshtop.burst import BurstLimits, BurstPlan, BurstRaw, BurstRecord, BurstRequest, NodeLoad
from meshtop.collect.burst_runner import BurstRun, Phase, Sessions
from meshtop.collect.clock import Clock
from meshtop.engine import bursts
from meshtop.engine.timeseries import rfc3339
from meshtop.model import BurstTold, LinkKey, Mesh, NodeName, Value
from meshtop.requests import AbortBurst, ClearBursts, StartBurst

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())

MOST_WAITING = 50  # more than anybody wants to look through
# What the probes saw of a burst's end is on its way when iperf3 has ended; a line that is still full takes a while.
LAST_FRAMES_S = 2.0
_LOOK_AGAIN_S = 0.05


class BurstTerms(Value, frozen=True, kw_only=True):
    """``[burst]`` of the configuration: which ports, and the limits above which a burst asks first. ``here``: nodes
    that are this machine itself."""

    limits: BurstLimits
    ports: tuple[int, ...]
    here: frozenset[NodeName] = frozenset()


class Watched(Protocol):
    """What is known of the mesh meanwhile. The engine."""

    def loads(self, now: float) -> Mapping[NodeName, NodeLoad]: ...

    def pmtu(self, link: LinkKey) -> int | None: ...

    def seen_until(self, node: NodeName) -> float | None:
        """The operator's UTC of the newest sample of that node."""
        ...

    def burst(self, identity: str) -> BurstRecord | None:
        """A burst with what the probes saw of it."""
        ...


class _Entry:
    """One burst, from the queue to its record."""

    def __init__(self, identity: str, plan: BurstPlan, after: _Entry | None) -> None:
        self.id = identity
        self.plan = plan
        self.after = after  # it does not start before that one is over
        self.run: BurstRun | None = None  # once it is carried out
        self.task: asyncio.Task[None] | None = None
        self.begun = asyncio.Event()
        self.over: asyncio.Future[BurstRecord] = asyncio.get_running_loop().create_future()


class BurstQueue:
    """``tell`` takes the events. Everything is for callers in the event loop's thread."""

    def __init__(
        self,
        mesh: Mesh,
        terms: BurstTerms,
        sessions: Sessions,
        watched: Watched,
        clock: Clock,
        tell: Callable[[BurstTold], None],
        *,
        replay: bool = False,
    ) -> None:
        self._mesh = mesh
        self._terms = terms
        self._sessions = sessions
        self._watched = watched
        self._clock = clock
        self._tell = tell
        self._replay = replay
        self._waiting: list[_Entry] = []
        self._running: list[_Entry] = []
        self._number = 0
        self._ended = False

    # ── what is asked ────────────────────────────────────────────────────────────────────────────────────────────────

    def plan(self, request: BurstRequest) -> BurstPlan:
        """What it would cost now. Raises ValueError with the reason and the cure."""
        now = self._clock.now()
        pmtu = self._watched.pmtu(LinkKey(request.src, request.dst, request.path))
        return bursts.plan(request, self._mesh, self._terms.limits, self._watched.loads(now), pmtu)

    def obey(self, command: StartBurst | AbortBurst | ClearBursts) -> None:
        """Raises ValueError with plain words for what cannot be done."""
        match command:
            case StartBurst():
                self.start(command)
            case AbortBurst(id=identity):
                self.abort(identity)
            case ClearBursts():
                self.clear()

    def start(self, command: StartBurst) -> tuple[str, ...]:
        """Put bursts into the queue; their ids. Raises ValueError for what cannot be, or was not confirmed."""
        return tuple(entry.id for entry in self._enter(command))

    async def run(
        self, request: BurstRequest, *, confirmed: bool = True, patience_s: float | None = None
    ) -> BurstRecord:
        """One burst from the queue to its end; its record, with ``raw``. Raises ValueError as :meth:`start`. When
        cancelled it aborts the burst, and returns once nothing of it is left. ``patience_s``: it is ended in an
        orderly way when it has run for that long; what came so far is in its record."""
        (entry,) = self._enter(StartBurst(requests=(request,), confirmed=confirmed))
        impatient = None if patience_s is None else asyncio.create_task(self._lose_patience(entry, patience_s))
        try:
            (record,) = await self._until_over([entry])
            return record
        finally:
            if impatient is not None:
                impatient.cancel()

    async def run_all(self, command: StartBurst) -> list[BurstRecord]:
        """As :meth:`run`, for several one after the other."""
        return await self._until_over(self._enter(command))

    async def _lose_patience(self, entry: _Entry, patience_s: float) -> None:
        await entry.begun.wait()
        await asyncio.sleep(patience_s)
        if not entry.over.done():
            self._end(entry)

    async def _until_over(self, entries: Sequence[_Entry]) -> list[BurstRecord]:
        overs = [entry.over for entry in entries]
        try:
            await asyncio.wait(overs)
        except asyncio.CancelledError:
            for entry in reversed(entries):
                if not entry.over.done():
                    self._end(entry)
            await asyncio.wait(overs)
            raise
        return [over.result() for over in overs]

    def abort(self, identity: str | None = None) -> None:
        """End one burst wherever it is, or all that run. Raises ValueError for one that is not there."""
        if identity is None:
            if not self._running:
                raise ValueError("no burst is running")
            for entry in self._running:
                self._end(entry)
            return
        for entry in (*self._running, *self._waiting):
            if entry.id == identity:
                self._end(entry)
                return
        raise ValueError(f"there is no burst {identity} that waits or runs")

    def clear(self) -> None:
        """Drop all that wait."""
        for entry in list(self._waiting):
            self._drop(entry, "taken out of the queue")

    async def serve(self) -> None:
        """Until cancelled: then every burst is ended and cleaned up before this returns."""
        try:
            await asyncio.Event().wait()
        finally:
            self._ended = True
            for entry in list(self._waiting):
                self._drop(entry, "meshtop was ended")
            tasks = {entry.task for entry in self._running if entry.task is not None}
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            for entry in list(self._running):  # cancelled before they had begun
                self._close(entry, self._ended_record(entry, "aborted", "meshtop was ended"))

    # ── the queue ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _enter(self, command: StartBurst) -> list[_Entry]:
        if self._replay:
            raise ValueError("a recording is played: a burst needs live nodes")
        if self._ended:
            raise ValueError("meshtop is ending")
        if len(self._waiting) + len(command.requests) > MOST_WAITING:
            raise ValueError(f"{len(self._waiting)} bursts wait already; clear the queue first")
        plans = [self.plan(request) for request in command.requests]
        asks = [ask for plan in plans for ask in plan.asks]
        if asks and not command.confirmed:
            raise ValueError(f"{'; '.join(dict.fromkeys(asks))}; confirm it to start")
        entries: list[_Entry] = []
        for plan in plans:  # each is told of before the next
            self._number += 1
            entry = _Entry(f"b{self._number}", plan, entries[-1] if entries else None)
            entries.append(entry)
            self._waiting.append(entry)
            self._advance()
            if entry in self._waiting:
                self._say("queued", bursts.queued(entry.id, entry.plan))
        return entries

    def _free(self) -> list[_Entry]:
        """Those that may start now."""
        lines = bursts.startable([entry.plan for entry in self._waiting], [entry.plan for entry in self._running])
        return [
            entry
            for entry in self._waiting
            if any(entry.plan is plan for plan in lines) and (entry.after is None or entry.after.over.done())
        ]

    def _advance(self) -> None:
        if self._ended:
            return
        for entry in self._free():
            self._waiting.remove(entry)
            self._running.append(entry)
            self._say("queued", msgspec.structs.replace(bursts.queued(entry.id, entry.plan), state="starting"))
            run = entry.run = BurstRun(
                entry.id, entry.plan, self._sessions, self._terms.ports, self._clock, self._hear, self._terms.here
            )
            entry.begun.set()
            entry.task = asyncio.create_task(self._carry(entry, run), name=f"burst {entry.id}")

    def _hear(self, phase: Phase, record: BurstRecord) -> None:
        if phase != "closed":  # its end is told once the probes have seen it, too
            self._say(phase, msgspec.structs.replace(record, intervals=record.intervals[-1:]))

    async def _carry(self, entry: _Entry, run: BurstRun) -> None:
        record = run.record
        try:
            record = await run.run()
            await self._last_frames(entry.plan)
        except asyncio.CancelledError:
            if record.state not in bursts.OVER:
                record = self._ended_record(entry, "aborted", "meshtop was ended")
            self._close(entry, record)
            raise
        except Exception as error:
            _log.exception("burst %s", entry.id)
            record = self._ended_record(entry, "failed", f"mistake in meshtop: {type(error).__name__}: {error}")
        self._close(entry, record)

    async def _last_frames(self, plan: BurstPlan) -> None:
        """Until both ends were sampled after the end, so that the stalls of the last moment are known."""
        ended = self._clock.now()
        watched = [node for node in plan.nodes if self._watched.seen_until(node) is not None]
        deadline = asyncio.get_running_loop().time() + LAST_FRAMES_S
        while any((self._watched.seen_until(node) or ended) < ended for node in watched):
            if asyncio.get_running_loop().time() >= deadline:
                return
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _ended_record(self, entry: _Entry, state: Literal["aborted", "failed"], reason: str) -> BurstRecord:
        record = entry.run.record if entry.run is not None else bursts.queued(entry.id, entry.plan)
        return msgspec.structs.replace(record, state=state, reason=reason, ended=rfc3339(self._clock.now()))

    def _end(self, entry: _Entry) -> None:
        if entry.run is not None:
            entry.run.abort()
        else:
            self._drop(entry, "aborted by the operator")

    def _drop(self, entry: _Entry, reason: str) -> None:
        self._waiting.remove(entry)
        self._finish(entry, self._ended_record(entry, "aborted", reason))
        self._advance()

    def _close(self, entry: _Entry, record: BurstRecord) -> None:
        self._running.remove(entry)
        self._finish(entry, record)
        self._advance()

    def _finish(self, entry: _Entry, record: BurstRecord) -> None:
        self._say("closed", record)
        seen = self._watched.burst(entry.id) or record
        entry.over.set_result(msgspec.structs.replace(seen, raw=record.raw))

    def _say(self, phase: Literal["queued", "started", "interval", "closed"], burst: BurstRecord) -> None:
        if phase != "closed":
            burst = msgspec.structs.replace(burst, raw=BurstRaw())
        self._tell(BurstTold(at=self._clock.now(), phase=phase, burst=burst))

    @property
    def plans(self) -> Sequence[BurstPlan]:
        """Of those that run."""
        return [entry.plan for entry in self._running]
