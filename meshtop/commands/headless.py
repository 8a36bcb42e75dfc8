"""``meshtop snapshot`` and ``meshtop stream``: the same collection without a screen. Nothing here loads textual."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from meshtop import compose
from meshtop.commands import plain
from meshtop.commands.output import Lines, answer, kept, stdout, verdict
from meshtop.commands.pictures import Wanted, check, write_beside
from meshtop.commands.running import FINE, NO_NODE, beside
from meshtop.config import MeshConfig
from meshtop.engine.events import LogEvent
from meshtop.engine.snapshot import Snapshot
from meshtop.model import Mesh
from meshtop.monitor import Monitor

# What is still in the pipe when a stream ends; a reader that takes longer than this is not reading.
FLUSH_S = 2.0


async def snapshot(
    config: MeshConfig, window_s: float, *, as_json: bool, record: Path | None = None, pictures: Wanted | None = None
) -> int:
    """Collect for ``window_s`` once every node is up or has failed, print the state, return the exit code.
    ``pictures``: draw them; the table is printed without them only."""
    fd = stdout()
    if pictures is not None:
        check(pictures, config.mesh)
    monitor = compose.watch(config, record)

    async def collect() -> Snapshot:
        await monitor.settled()
        if _any_up(monitor.snapshot()):
            await asyncio.sleep(window_s)
        state = monitor.snapshot(window_s)
        if pictures is not None:
            await write_beside(monitor.view(), pictures, monitor)
        return state

    state = await beside(monitor, collect())
    written = show(fd, state, config.mesh, as_json=as_json) if as_json or pictures is None else None
    return kept(monitor.tape.view, _reached(state) if written is None else written)


def show(fd: int, state: Snapshot, mesh: Mesh, *, as_json: bool) -> int | None:
    """The document or the table; an exit code where it could not be written to the end."""
    text = msgspec.json.encode(state) if as_json else plain.table(state, mesh).encode()
    return answer(fd, text + b"\n")


async def stream(config: MeshConfig, for_s: float | None, record: Path | None = None) -> int:
    """Events to standard output, one JSON object a line, for ``for_s`` once settled or until interrupted."""
    monitor = compose.watch(config, record)
    lines = Lines(stdout(), _lost(monitor))
    encoder = msgspec.json.Encoder()
    monitor.listen(lambda event: lines.put(encoder.encode(event) + b"\n"))

    async def collect() -> Snapshot:
        await monitor.settled()
        state = monitor.snapshot()
        if _any_up(state):
            await _at_most(for_s, lines.closed)
        return state

    try:
        state = await beside(monitor, collect())
    finally:
        await lines.flush(FLUSH_S)
    written = verdict(lines.error)
    return kept(monitor.tape.view, _reached(state) if written is None else written)


def _any_up(state: Snapshot) -> bool:
    return any(node.state in ("up", "silent") or node.samples for node in state.nodes)


def _reached(state: Snapshot) -> int:
    for node in state.nodes:
        if node.state in ("down", "connecting"):
            why = node.reason or "no session"
            click.echo(f"meshtop: {node.name} is {node.state}: {why}{f'; {node.cure}' if node.cure else ''}", err=True)
    if _any_up(state):
        return FINE
    click.echo("meshtop: no node could be reached", err=True)
    return NO_NODE


async def _at_most(for_s: float | None, ended: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(for_s):
            await ended.wait()


def _lost(monitor: Monitor) -> Callable[[int], bytes]:
    def tell(count: int) -> bytes:
        text = f"{count} events lost: whoever reads this stream was too slow"
        return msgspec.json.encode(LogEvent(at=monitor.snapshot().at, node=None, level="warning", text=text)) + b"\n"

    return tell
