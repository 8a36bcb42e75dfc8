"""What ``meshtop burst`` does: both ends watched, the cost said, the burst carried out, its record given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import click
import msgspec

from meshtop import compose
from meshtop.burst import BurstPlan, BurstRecord, BurstRequest
from meshtop.commands import asking, burst_text
from meshtop.commands.output import Lines, answer, kept, stdout, verdict
from meshtop.commands.running import FINE, FOUND_FAILURE, INTERRUPTED, NO_NODE, beside
from meshtop.config import MeshConfig
from meshtop.engine import bursts
from meshtop.engine.burst_compare import Comparison, compare
from meshtop.engine.events import BurstEvent, LogEvent, StreamEvent
from meshtop.model import Value
from meshtop.monitor import Monitor
from meshtop.requests import StartBurst

WRONG = 2
BOTH = "both"
PATHS = ("overlay", "underlay")  # that it compares
ABORT_SCHEMA = "meshtop.abort/1"
# Of the lines as they are before: two seconds at five samples a second tell what flows there.
BEFORE_S = 2.0
_FLUSH_S = 2.0
DEFAULT_SECONDS = 10  # iperf3's own

Shown = Literal["text", "json", "stream"]
OPTIONS = ("path", "streams", "size", "seconds", "reverse", "bidir", "udp", "rate", "mss", "congestion")


class Asked(Value, frozen=True, kw_only=True):
    """The options as they were given."""

    path: str | None
    streams: int
    size: int | None
    seconds: int | None
    reverse: bool
    bidir: bool
    udp: bool
    rate: int | None
    mss: int | None
    congestion: str | None


class Wishes(Value, frozen=True, kw_only=True):
    shown: Shown = "text"
    dry_run: bool = False
    yes: bool = False
    record: Path | None = None


def requests(config: MeshConfig, src: str, dst: str, asked: Asked) -> tuple[BurstRequest, ...]:
    """One burst, or with ``--path both`` one on the first overlay and one on the first underlay. Raises a usage error
    for what cannot be."""
    paths = [asked.path or _usual_path(config, src, dst)]
    if asked.path == BOTH and BOTH not in (path.name for path in config.mesh.paths):
        paths = []
        for kind in PATHS:
            of_kind = [path.name for path in config.mesh.paths if path.kind == kind]
            if not of_kind:
                raise click.UsageError(f"--path both: {config.path} has no {kind}")
            paths.append(of_kind[0])
    seconds = asked.seconds if asked.seconds is not None or asked.size is not None else DEFAULT_SECONDS
    made = tuple(
        BurstRequest(
            src=src,
            dst=dst,
            path=path,
            streams=asked.streams,
            bytes=asked.size,
            seconds=seconds,
            reverse=asked.reverse,
            bidir=asked.bidir,
            udp=asked.udp,
            rate_bps=asked.rate,
            mss=asked.mss,
            congestion=asked.congestion,
        )
        for path in paths
    )
    for each in made:
        try:
            bursts.check(each, config.mesh)
        except bursts.BurstRefused as refusal:
            raise click.UsageError(str(refusal)) from None
    return made


def _usual_path(config: MeshConfig, src: str, dst: str) -> str:
    """The first of the file on which both ends are."""
    ends = [node.address for node in config.mesh.nodes if node.name in (src, dst)]
    names = [path.name for path in config.mesh.paths]
    return next((name for name in names if all(name in address for address in ends)), names[0])


async def carry_out(config: MeshConfig, asked: Sequence[BurstRequest], wishes: Wishes) -> int:
    """The exit code."""
    fd = stdout()
    ends = frozenset((asked[0].src, asked[0].dst))
    closely_s = min(config.mesh.interval_s, config.mesh.burst_interval_s)
    mesh = msgspec.structs.replace(config.mesh, interval_s=closely_s)
    monitor = compose.watch(msgspec.structs.replace(config, mesh=mesh), wishes.record, only=ends)
    code = await beside(monitor, _Front(monitor, fd, asked, wishes).work())
    return kept(monitor.tape.view, code)


async def abort_all(config: MeshConfig, *, as_json: bool) -> int:
    """End every burst of ours on every node. The exit code: 1 if one could not be asked, or something is left there."""
    from meshtop.collect.burst_abort import abort_all as ask_all

    fd = stdout()
    transports = await asyncio.to_thread(compose.transports_of, config)
    reports = await ask_all(transports, time.time)
    failures = [each for each in reports if each.failure is not None or each.left]
    for each in failures:
        words = each.failure or f"{len(each.left)} processes could not be ended"
        burst_text.note(f"meshtop: {each.node}: {words}{f'; {each.cure}' if each.cure else ''}")
    if as_json:
        text = msgspec.json.encode({"schema": ABORT_SCHEMA, "nodes": reports}).decode()
    else:
        text = burst_text.aborted(reports)
    code = NO_NODE if all(each.failure is not None for each in reports) else FOUND_FAILURE if failures else FINE
    return _write(fd, text.encode() + b"\n", code)


class _Front:
    def __init__(self, monitor: Monitor, fd: int, asked: Sequence[BurstRequest], wishes: Wishes) -> None:
        self._monitor = monitor
        self._fd = fd
        self._asked = asked
        self._wishes = wishes

    async def work(self) -> int:
        if self._wishes.shown == "text":
            burst_text.note(f"connecting to {self._asked[0].src} and {self._asked[0].dst} …")
        await self._monitor.settled()
        if self._unreachable():
            return NO_NODE
        await asyncio.sleep(BEFORE_S)
        try:
            plans = [self._monitor.plan_burst(request) for request in self._asked]
        except ValueError as refusal:
            burst_text.note(f"meshtop: {refusal}")
            return WRONG
        if self._wishes.shown == "text" or self._wishes.dry_run:
            for plan in plans:
                burst_text.note(burst_text.cost(plan))
        if self._wishes.dry_run:
            return self._dry(plans)
        if not await self._confirmed(plans):
            return WRONG
        if self._wishes.shown == "stream":
            return await self._streamed()
        if self._wishes.shown == "text":
            self._monitor.listen(burst_text.Live(burst_text.note).hear)
        return self._show(await self._run())

    def _unreachable(self) -> bool:
        failed = False
        for node in self._monitor.snapshot().nodes:
            if node.name in (self._asked[0].src, self._asked[0].dst) and node.state in ("down", "connecting"):
                cure = f"; {node.cure}" if node.cure else ""
                burst_text.note(f"meshtop: {node.name} is {node.state}: {node.reason or 'no session'}{cure}")
                failed = True
        return failed

    def _dry(self, plans: Sequence[BurstPlan]) -> int:
        if self._wishes.shown == "text":
            return FINE
        made: object = plans[0] if len(plans) == 1 else plans
        return _write(self._fd, msgspec.json.encode(made) + b"\n", FINE)

    async def _confirmed(self, plans: Sequence[BurstPlan]) -> bool:
        asks = list(dict.fromkeys(ask for plan in plans for ask in plan.asks))
        if self._wishes.yes or not asks:
            return True
        for ask in asks:
            burst_text.note(f"meshtop: {ask}")
        if not asking.somebody_there():
            burst_text.note("meshtop: nobody is there to confirm it; start it with -y")
            return False
        return await asking.ask("start it? [y/N] ")

    async def _run(self) -> list[BurstRecord]:
        confirmed = StartBurst(requests=tuple(self._asked), confirmed=True)
        try:
            return await self._monitor.bursts.run_all(confirmed)
        except asyncio.CancelledError:
            records = self._monitor.view().bursts
            left = "; ".join(record.cure for record in records if record.cure)
            burst_text.note(
                f"meshtop: interrupted; the burst was ended{f'; {left}' if left else ', nothing of it is left'}"
            )
            if self._wishes.shown == "text":
                for record in records:
                    burst_text.note(burst_text.summary(record))
            elif self._wishes.shown == "json" and records:
                self._document(records, INTERRUPTED)
            raise

    async def _streamed(self) -> int:
        lines = Lines(self._fd, partial(_lost, self._monitor))
        encoder = msgspec.json.Encoder()

        def hear(event: StreamEvent) -> None:
            if isinstance(event, BurstEvent):
                lines.put(encoder.encode(event) + b"\n")

        self._monitor.listen(hear)
        try:
            records = await self._run()
        finally:
            await lines.flush(_FLUSH_S)
        written = verdict(lines.error)
        return _code(records) if written is None else written

    def _show(self, records: Sequence[BurstRecord]) -> int:
        if self._wishes.shown == "json":
            return self._document(records, _code(records))
        parts = [burst_text.summary(record) for record in records]
        if len(records) == len(PATHS):
            parts.append(burst_text.comparison(compare(*records)))
        return _write(self._fd, "\n\n".join(parts).encode() + b"\n", _code(records))

    def _document(self, records: Sequence[BurstRecord], code: int) -> int:
        """One, whatever came of it."""
        made: BurstRecord | Comparison = compare(*records) if len(records) == len(PATHS) else records[0]
        return _write(self._fd, msgspec.json.encode(made) + b"\n", code)


def _write(fd: int, data: bytes, code: int) -> int:
    written = answer(fd, data)
    return code if written is None else written


def _code(records: Sequence[BurstRecord]) -> int:
    return FINE if all(record.state == "done" for record in records) else FOUND_FAILURE


def _lost(monitor: Monitor, count: int) -> bytes:
    text = f"{count} events lost: whoever reads this stream was too slow"
    return msgspec.json.encode(LogEvent(at=monitor.snapshot().at, node=None, level="warning", text=text)) + b"\n"
