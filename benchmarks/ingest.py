"""What a second of data costs the operator's program, stage by stage: framing, frames, engine, views.

The data are real: 5 nodes with 200 sockets each, a tenth of them moving, collected through OpenSSH as always and then
folded again as fast as it goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from benchmarks.nodes import NAMES, BenchMesh
from benchmarks.operator_cost import MOVING, OUTGOING
from benchmarks.table import Figure, Table, median
from meshtop import config
from meshtop.collect.clock import Clock
from meshtop.collect.collector import Collector
from meshtop.engine.engine import Engine
from meshtop.model import EngineEvent, FrameReceived, Mesh, NodeName
from meshtop.monitor import TICK_S
from meshtop.parse.frame import FrameReader
from meshtop.parse.framing import FrameDecoder
from meshtop.transport.ssh import SshTransport
from meshtop.transport.ssh_config import SshOptions

VIEWS_PER_S = 4  # as often as the screen is painted at most


@dataclass(frozen=True, slots=True)
class Raw:
    """A frame as it came."""

    at: float
    node: NodeName
    connection: int
    raw: bytes


@dataclass(slots=True)
class Spent:
    """CPU seconds by stage, and what was done for them."""

    framing: float = 0.0
    frames: float = 0.0
    engine: float = 0.0
    views: float = 0.0
    count: int = 0
    bytes: int = 0
    readers: dict[tuple[NodeName, int], tuple[FrameDecoder, FrameReader]] = field(default_factory=dict)


def measure(quick: bool) -> list[Table]:
    table = Table(
        "ingest",
        "Ingest of 5 nodes × 200 sockets: ms of CPU for a second of data",
        (
            "Hz",
            "frames/s",
            "kB/s",
            "framing",
            "frames",
            "engine",
            f"views ({VIEWS_PER_S}/s)",
            "all",
            "frames/s at most",
        ),
    )
    seconds = 6.0 if quick else 15.0
    for hertz in (1, 5):
        with BenchMesh() as mesh:
            for node in mesh.nodes.values():
                node.serve()
            mesh.write_files(f"{1000 / hertz:g}ms")
            mesh.traffic(dict.fromkeys(NAMES, OUTGOING), MOVING)
            watched, taken = asyncio.run(_collect(mesh, seconds))
        _row(table, hertz, watched, taken)
    table.notes.append("Medians of 5 rounds over the same data. The first, whole frames are folded but not counted.")
    return [table]


async def _collect(mesh: BenchMesh, seconds: float) -> tuple[Mesh, list[Raw | EngineEvent]]:
    loaded = config.load(mesh.config)
    options = SshOptions(config=(str(mesh.ssh_config),), known_hosts=loaded.ssh.known_hosts)
    taken: list[Raw | EngineEvent] = []

    def sink(event: EngineEvent) -> None:
        if not isinstance(event, FrameReceived):
            taken.append(event)

    def tap(node: NodeName, connection: int, at: float, raw: bytes) -> None:
        taken.append(Raw(at, node, connection, raw))

    transports = {name: SshTransport(target, options) for name, target in loaded.targets.items()}
    collector = Collector(loaded.mesh, transports, sink, Clock(), tap)
    task = asyncio.create_task(collector.run())
    try:
        await asyncio.wait_for(collector.all_settled(), 30)
        await asyncio.sleep(4 + seconds)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return loaded.mesh, taken


def _row(table: Table, hertz: int, mesh: Mesh, taken: list[Raw | EngineEvent]) -> None:
    first, last = taken[0].at, max(item.at for item in taken if isinstance(item, Raw))
    from_ = first + 4.0  # logins, whole frames and the first slow beat are behind us
    data_s = last - from_
    rounds = [_fold(mesh, taken, from_, last) for _ in range(5)]

    def ms(value: float | None) -> Figure:
        return Figure(None if value is None else 1000 * value / data_s, "ms/s", 2)

    frames = rounds[0].count
    per_frame = median(spent.framing + spent.frames + spent.engine for spent in rounds) or 0.0
    table.add(
        f"{hertz}",
        Figure(frames / data_s, "frames/s", 1),
        Figure(rounds[0].bytes / data_s / 1000, "kB/s", 1),
        ms(median(spent.framing for spent in rounds)),
        ms(median(spent.frames for spent in rounds)),
        ms(median(spent.engine for spent in rounds)),
        ms(median(spent.views for spent in rounds)),
        ms(median(spent.framing + spent.frames + spent.engine + spent.views for spent in rounds)),
        Figure(frames / per_frame, "frames/s", 0),
    )


def _fold(mesh: Mesh, taken: list[Raw | EngineEvent], from_: float, last: float) -> Spent:
    engine = Engine(mesh)
    spent = Spent()
    tick_at = taken[0].at
    view_at = from_
    for item in taken:
        if item.at > last:
            break
        warm = item.at >= from_
        started = time.process_time()
        while tick_at <= item.at:
            engine.tick(tick_at)
            tick_at += TICK_S
        if isinstance(item, Raw):
            spent.engine += (time.process_time() - started) * warm
            _frame(engine, item, spent, warm)
            started = time.process_time()
        else:
            engine.receive(item)
        between = time.process_time()
        spent.engine += (between - started) * warm
        while view_at <= item.at:
            engine.view(view_at)
            view_at += 1 / VIEWS_PER_S
        spent.views += (time.process_time() - between) * warm
    return spent


def _frame(engine: Engine, item: Raw, spent: Spent, warm: bool) -> None:
    key = item.node, item.connection
    decoder, reader = spent.readers.setdefault(key, (FrameDecoder(), FrameReader()))
    begun = time.process_time()
    found = decoder.feed(item.raw)
    before = framed = time.process_time()
    for raw in found:
        assert isinstance(raw, bytes)
        frame = reader.read(raw)
        read = time.process_time()
        engine.receive(FrameReceived(at=item.at, node=item.node, connection=item.connection, frame=frame))
        folded = time.process_time()
        if warm:
            spent.frames += read - before
            spent.engine += folded - read
        before = folded
    if warm:
        spent.framing += framed - begun
        spent.count += len(found)
        spent.bytes += len(item.raw)
