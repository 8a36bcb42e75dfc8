"""Experiments carried out: pings over a node's session, bursts by the queue, one experiment at a time.

What becomes of each is told as an event (``ExperimentTold``), so that it is recorded and its figures reach the rules.
"""

from __future__ import annotations

import asyncio
import logging
import math
import statistics
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import Protocol

import msgspec

from meshtop.burst import BurstPlan, BurstRecord, BurstRequest
from meshtop.collect.clock import Clock
from meshtop.collect.pinged import Answers, Pinger, PingFailed, Series
from meshtop.engine import experiments
from meshtop.engine.experiments import BURST_S, FULL_BYTES, PING_EVERY_S, PINGS, SMALL_BYTES, BurstStep, ExperimentPlan
from meshtop.model import ExperimentKind, ExperimentRecord, ExperimentTold, Mesh, NodeName
from meshtop.requests import AbortExperiment, RunExperiment
from meshtop.transport.base import Session, TransportFault

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())

# From the load's end to that of a burst through which nothing passes any more; what came until then counts.
BURST_PATIENCE_S = BURST_S + 12.0
# The pings of an experiment are gone by then whatever happens to its session.
_PINGS_GONE_S = 90.0
_TRIES = 3  # of each size in the sweep: a loss of 10 % is then no failure
_MOST_WAIT_S = 6
_LEAST_WAIT_S = 1
# The load has found the queue's end by then.
_UNDER_WAY_S = 1.0

Sessions = Callable[[NodeName], Session | None]


class Bursts(Protocol):
    """``collect.burst_queue.BurstQueue``."""

    def plan(self, request: BurstRequest) -> BurstPlan: ...

    async def run(
        self, request: BurstRequest, *, confirmed: bool = True, patience_s: float | None = None
    ) -> BurstRecord: ...


class _Failure(Exception):
    def __init__(self, reason: str, cure: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cure = cure


class Experiments:
    """``tell`` takes the events, ``say`` lines for the log. Everything is for callers in the event loop's thread."""

    def __init__(
        self,
        mesh: Mesh,
        sessions: Sessions,
        bursts: Bursts,
        clock: Clock,
        tell: Callable[[ExperimentTold], None],
        say: Callable[[str], None] = lambda text: None,
        *,
        replay: bool = False,
    ) -> None:
        self._mesh = mesh
        self._sessions = sessions
        self._bursts = bursts
        self._clock = clock
        self._tell = tell
        self._say = say
        self._replay = replay
        self._number = 0
        self._task: asyncio.Task[ExperimentRecord] | None = None
        self._ended = False

    # ── what is asked ────────────────────────────────────────────────────────────────────────────────────────────────

    def plan(self, command: RunExperiment) -> ExperimentPlan:
        """What it would send. Raises ValueError with plain words for what cannot be done."""
        made = experiments.plan(command, self._mesh)
        ends = (made.src, made.dst) if made.bursts else (made.src,)
        for node in ends:
            if self._sessions(node) is None:
                raise ValueError(f"there is no session with {node}; see that node's state for why")
        for step in made.bursts:
            self._bursts.plan(step.request)
        return made

    def obey(self, command: RunExperiment | AbortExperiment) -> None:
        """Raises ValueError with plain words for what cannot be done."""
        match command:
            case RunExperiment():
                self.start(command)
            case AbortExperiment():
                self.abort()

    def start(self, command: RunExperiment) -> str:
        """Begin it; its id. Raises ValueError."""
        self._begin(command)
        return f"x{self._number}"

    async def run(self, command: RunExperiment) -> ExperimentRecord:
        """To its end. Raises ValueError as :meth:`start`. When cancelled it ends the experiment, and returns once
        nothing of it is left."""
        task = self._begin(command)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise

    def abort(self) -> None:
        """Raises ValueError where none runs."""
        if self._task is None or self._task.done():
            raise ValueError("no experiment is running")
        self._task.cancel()

    async def serve(self) -> None:
        """Until cancelled: then what runs is ended and cleaned up before this returns."""
        try:
            await asyncio.Event().wait()
        finally:
            self._ended = True
            if self._task is not None and not self._task.done():
                self._task.cancel()
                await asyncio.wait({self._task})

    def _begin(self, command: RunExperiment) -> asyncio.Task[ExperimentRecord]:
        if self._replay:
            raise ValueError("a recording is played: an experiment needs live nodes")
        if self._ended:
            raise ValueError("meshtop is ending")
        if self._task is not None and not self._task.done():
            raise ValueError("an experiment is running; wait for it, or end it first")
        plan = self.plan(command)
        self._number += 1
        record = ExperimentRecord(
            id=f"x{self._number}",
            kind=plan.kind,
            src=plan.src,
            dst=plan.dst,
            path=plan.path,
            sends=plan.sends,
            state="running",
            started=self._clock.now(),
        )
        self._task = asyncio.create_task(self._carry(plan, record), name=f"experiment {record.id}")
        return self._task

    # ── its life ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _carry(self, plan: ExperimentPlan, record: ExperimentRecord) -> ExperimentRecord:
        """Every end is told, that by cancelling too."""
        self._publish(record, f"{_place(record)} begins: {record.sends}")
        trial = Trial(plan, self._sessions, self._bursts)
        try:
            await trial.run()
        except asyncio.CancelledError:
            return self._close(trial, record, state="aborted", reason="aborted by the operator")
        except _Failure as failure:
            return self._close(trial, record, state="failed", reason=failure.reason, cure=failure.cure)
        except Exception as error:
            _log.exception("experiment %s", record.id)
            return self._close(
                trial, record, state="failed", reason=f"mistake in meshtop: {type(error).__name__}: {error}"
            )
        return self._close(trial, record, state="done", summary=experiments.summary(plan.kind, trial.figures))

    def _close(self, trial: Trial, record: ExperimentRecord, **changes: object) -> ExperimentRecord:
        closed = msgspec.structs.replace(
            record, ended=self._clock.now(), figures=dict(trial.figures), bursts=tuple(trial.bursts), **changes
        )
        words = closed.summary or closed.reason or "over"
        self._publish(closed, f"{_place(closed)} is {closed.state}: {words}")
        return closed

    def _publish(self, record: ExperimentRecord, words: str) -> None:
        self._tell(ExperimentTold(at=self._clock.now(), experiment=record))
        self._say(words)


def _place(record: ExperimentRecord) -> str:
    return f"experiment {record.id}, {record.kind} {record.src} → {record.dst} {record.path},"


class Trial:
    """One experiment's steps. ``figures`` and ``bursts`` are what has come so far, also when it breaks off."""

    def __init__(self, plan: ExperimentPlan, sessions: Sessions, bursts: Bursts) -> None:
        self.figures: dict[str, float | None] = {}
        self.bursts: list[str] = []
        self._plan = plan
        self._sessions = sessions
        self._queue = bursts

    async def run(self) -> None:
        """Raises _Failure; whatever it raises, nothing of it is left."""
        kinds: Mapping[ExperimentKind, Callable[[], Awaitable[None]]] = {
            "pmtu-sweep": self._pmtu_sweep,
            "probe-sizes": self._probe_sizes,
            "loaded-ping": self._loaded_ping,
            "tcp-udp": self._tcp_udp,
        }
        await kinds.get(self._plan.kind, self._one_by_one)()

    # ── pings ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _with_pinger(self, work: Callable[[Pinger], Awaitable[None]]) -> None:
        """Raises _Failure."""
        plan = self._plan
        session = self._sessions(plan.src)
        if session is None or plan.target is None:
            raise _Failure(f"there is no session with {plan.src}", "see that node's state for why")
        try:
            async with Pinger(plan.src, session, plan.target, _PINGS_GONE_S) as pinger:
                await work(pinger)
        except PingFailed as failure:
            raise _Failure(failure.reason, failure.cure) from failure
        except TransportFault as fault:
            raise _Failure(f"the session with {plan.src} was lost: {fault.reason}", fault.cure or None) from fault

    async def _probe_sizes(self) -> None:
        await self._with_pinger(self._both_sizes)

    async def _both_sizes(self, pinger: Pinger) -> None:
        small, full = await pinger.ping(*_series(PINGS, wait_s=4))
        self._answered(pinger, small, full)
        self.figures["small_rtt_ms"], self.figures["full_rtt_ms"] = _median(small), _median(full)
        self.figures["small_loss_pct"], self.figures["full_loss_pct"] = small.loss_pct, full.loss_pct

    def _answered(self, pinger: Pinger, *answers: Answers) -> None:
        """Raises _Failure if there was no answer at all."""
        if any(each.rtts_ms for each in answers):
            return
        said = f": {pinger.said[-1]}" if pinger.said else ""
        raise _Failure(
            f"{self._plan.dst} answers no ping from {self._plan.src} on {self._plan.path}{said}",
            "let ICMP echo through, or use an experiment with bursts",
        )

    async def _pmtu_sweep(self) -> None:
        await self._with_pinger(self._sweep)

    async def _sweep(self, pinger: Pinger) -> None:
        plan = self._plan
        if pinger.kind == "busybox":
            raise _Failure(
                f"{plan.src} has BusyBox's ping, which cannot forbid fragmentation: cannot be done here",
                f"install iputils' ping on {plan.src}, or try the other way from {plan.dst}",
            )
        (first,) = await pinger.ping(Series(count=_TRIES, payload_bytes=SMALL_BYTES, wait_s=4))
        self._answered(pinger, first)
        rtt_s = max(first.rtts_ms) / 1000
        wait_s = min(_MOST_WAIT_S, max(_LEAST_WAIT_S, math.ceil(3 * rtt_s + 0.5)))
        version = ip_address(plan.target or "").version
        headers = experiments.IP_HEADERS[version]
        sweep = experiments.Sweep(version)
        while sizes := sweep.next_sizes():
            answers = await pinger.ping(
                *(Series(count=_TRIES, payload_bytes=size - headers, wait_s=wait_s, whole=True) for size in sizes)
            )
            sweep.take({size: bool(each.rtts_ms) for size, each in zip(sizes, answers, strict=True)})
            sweep.told(pinger.told_mtus)
        self._conclude(sweep, pinger.told_mtus)

    def _conclude(self, sweep: experiments.Sweep, told: set[int]) -> None:
        """``vanish_bytes``: the smallest size that the sender's own stack sends on and nobody answers or refuses;
        ``vanishes`` is 1 where there is one and 0 where larger ones are refused in words."""
        if not sweep.low:
            raise _Failure(
                f"no packet of {experiments.LEAST_MTU[4]} bytes passes whole from {self._plan.src} to "
                f"{self._plan.dst} on {self._plan.path}, small ones do"
            )
        self.figures["pmtu_bytes"] = float(sweep.low)
        self.figures["local_mtu_bytes"] = float(max(told)) if told else None
        silent = sweep.high is not None and sweep.low not in told
        self.figures["vanish_bytes"] = float(sweep.high) if silent and sweep.high is not None else None
        self.figures["vanishes"] = float(silent)

    # ── bursts ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _one_by_one(self) -> None:
        """Burst after burst, as planned. Raises _Failure."""
        for step in self._plan.bursts:
            await self._burst(step)

    async def _burst(self, step: BurstStep) -> BurstRecord:
        """Raises _Failure if nothing could be measured by it."""
        try:
            record = await self._queue.run(step.request, confirmed=True, patience_s=BURST_PATIENCE_S)
        except ValueError as error:
            raise _Failure(str(error)) from error
        self.bursts.append(record.id)
        bps = received_bps(record)
        if bps is None:
            raise _Failure(f"burst {record.id}: {record.reason or 'nothing came of it'}", record.cure)
        self.figures[step.bps] = bps
        if step.retrans_pct is not None:
            self.figures[step.retrans_pct] = retrans_pct(record, step.request.mss)
        return record

    async def _loaded_ping(self) -> None:
        await self._with_pinger(self._load)

    async def _load(self, pinger: Pinger) -> None:
        small, full = await pinger.ping(*_series(PINGS, wait_s=4))
        self._answered(pinger, small, full)
        self.figures["idle_rtt_ms"], self.figures["idle_full_rtt_ms"] = _median(small), _median(full)
        (step,) = self._plan.bursts
        pinging = asyncio.create_task(self._while_loaded(pinger), name="pings under load")
        try:
            await self._burst(step)
            small, full = await pinging
        finally:
            pinging.cancel()
            await asyncio.gather(pinging, return_exceptions=True)
        self.figures["loaded_rtt_ms"], self.figures["loaded_full_rtt_ms"] = _median(small), _median(full)
        self.figures["loaded_loss_pct"], self.figures["loaded_full_loss_pct"] = small.loss_pct, full.loss_pct

    async def _while_loaded(self, pinger: Pinger) -> tuple[Answers, ...]:
        await asyncio.sleep(_UNDER_WAY_S)
        return await pinger.ping(*_series(round((BURST_S - _UNDER_WAY_S) / PING_EVERY_S), wait_s=_MOST_WAIT_S))

    async def _tcp_udp(self) -> None:
        """UDP below TCP's rate, then above it."""
        tcp, part, ramp = self._plan.bursts
        await self._burst(tcp)
        rate = self.figures["tcp_bps"] or 0.0
        await self._udp(part, tcp.request, experiments.UDP_SHARE * rate, "udp")
        above = experiments.ramp_bps(rate, self._plan)
        if above is not None:
            await self._udp(ramp, tcp.request, above, "ramp")

    async def _udp(self, step: BurstStep, tcp: BurstRequest, rate_bps: float, name: str) -> None:
        request = experiments.udp_burst(tcp, rate_bps)
        record = await self._burst(msgspec.structs.replace(step, request=request))
        self.figures[f"{name}_offered_bps"] = record.sender_bps
        self.figures[f"{name}_loss_pct"] = udp_loss_pct(record)


def _series(count: int, wait_s: int) -> tuple[Series, Series]:
    return (
        Series(count=count, payload_bytes=SMALL_BYTES, interval_s=PING_EVERY_S, wait_s=wait_s),
        Series(count=count, payload_bytes=FULL_BYTES, interval_s=PING_EVERY_S, wait_s=wait_s),
    )


def _median(answers: Answers) -> float | None:
    return statistics.median(answers.rtts_ms) if answers.rtts_ms else None


def received_bps(record: BurstRecord) -> float | None:
    """What arrived, also of a burst that was ended because it did not end: zero is measured if its intervals say so."""
    if record.receiver_bps is not None:
        return record.receiver_bps
    rates = [each.bps for each in record.intervals if each.bps is not None]
    return statistics.mean(rates) if rates else None


_USUAL_SEGMENT_BYTES = 1400  # what a burst's record does not say; a few per cent do not matter here


def retrans_pct(record: BurstRecord, mss: int | None = None) -> float | None:
    """Segments sent again ÷ segments sent, about: the record has bytes."""
    if record.retransmits is None or not record.sent_bytes:
        return None
    return 100 * record.retransmits / max(1.0, record.sent_bytes / (mss or _USUAL_SEGMENT_BYTES))


def udp_loss_pct(record: BurstRecord) -> float | None:
    if not record.sent_bytes or record.received_bytes is None:
        return None
    return 100 * max(0, record.sent_bytes - record.received_bytes) / record.sent_bytes
