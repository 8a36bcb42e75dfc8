"""``meshtop demo``: a scenario on a lab of its own, and the monitor on it.

Where no lab can be made, a recording of one is played.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from importlib.resources import files
from pathlib import Path

import click
import msgspec

from meshtop import compose
from meshtop.collect.playback import Replay
from meshtop.commands import plain
from meshtop.commands.output import kept
from meshtop.commands.recorded import open_recording
from meshtop.commands.running import FINE, INTERRUPTED, SIGNALS, beside, run
from meshtop.commands.screen import Look, show
from meshtop.config import MeshConfig, load
from meshtop.lab import rootless
from meshtop.lab.netns import LabError
from meshtop.lab.network import Lab
from meshtop.lab.play import playing
from meshtop.lab.scenario import Scenario
from meshtop.model import Mesh
from meshtop.monitor import Monitor

_log = logging.getLogger(__name__)

TABLE_S = 5.0

FrontEnd = Callable[[Monitor | Replay, Mesh], Awaitable[int]]


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for."""

    scenario: str
    look: Look
    interval_s: float | None = None
    tui: bool = True
    for_s: float | None = None
    record: Path | None = None


def demo(wishes: Wishes) -> int:
    """Its exit code; nothing of the lab is left, however it ends. Raises ScenarioError for an unknown scenario, and
    LabError where there is neither a lab nor a recording."""
    scenario = Scenario.load(wishes.scenario)
    if rootless.wanted() and rootless.obstacle() is None:
        rootless.enter(sys.argv[1:])
    front_end = _screen(wishes.look) if wishes.tui else _tables(wishes.for_s)
    try:
        return _live(scenario, wishes, front_end)
    except LabError as error:
        recording = recording_of(scenario.name)
        if recording is None:
            raise LabError(f"{error}{_why_not_rootless()}") from None
        click.echo(f"meshtop: no lab on this machine: {error}{_why_not_rootless()}", err=True)
        click.echo("meshtop: showing a recording of one instead", err=True)
        return _recorded(scenario, recording, front_end)


def _why_not_rootless() -> str:
    obstacle = rootless.obstacle() if rootless.wanted() else None
    return f"; without root: {obstacle}" if obstacle else ""


def recording_of(scenario: str) -> Path | None:
    """The recording that comes with meshtop, if there is one."""
    file = Path(str(files("meshtop.lab"))) / "recordings" / f"{scenario}.mtr"
    return file if file.is_file() else None


def _live(scenario: Scenario, wishes: Wishes, front_end: FrontEnd) -> int:
    with _signals_as_exceptions(), contextlib.ExitStack() as at_the_end:
        click.echo(f"meshtop: bringing up five nodes on this machine, overlay {scenario.overlay} …", err=True)
        lab = at_the_end.enter_context(Lab.up(name=f"demo-{os.getpid()}", overlay=scenario.overlay))
        at_the_end.callback(_let_nothing_interrupt)  # called before the lab goes down
        config = load(lab.config_path)
        if wishes.interval_s is not None:
            mesh = msgspec.structs.replace(config.mesh, interval_s=wishes.interval_s)
            config = msgspec.structs.replace(config, mesh=mesh)
        code = run(lambda: _on_lab(lab, scenario, config, wishes.record, front_end))
        click.echo("meshtop: taking the lab down …", err=True)
    return code


async def _on_lab(lab: Lab, scenario: Scenario, config: MeshConfig, record: Path | None, front_end: FrontEnd) -> int:
    monitor = compose.watch(config, record)
    monitor.notice = _notice(scenario)

    async def story() -> int:
        async with contextlib.AsyncExitStack() as stack:
            beginning = asyncio.create_task(stack.enter_async_context(playing(lab, scenario, monitor.say)))
            beginning.add_done_callback(lambda done: _say_failure(monitor, done))
            try:
                return await front_end(monitor, config.mesh)
            finally:
                beginning.cancel()
                await asyncio.wait({beginning})

    return kept(monitor.tape.view, await beside(monitor, story()))


def _say_failure(monitor: Monitor, done: asyncio.Task[None]) -> None:
    if done.cancelled():
        return
    error = done.exception()
    if error is not None:
        _log.debug("the scenario could not begin", exc_info=error)
        monitor.say(f"the scenario could not begin: {error}", level="error")


def _recorded(scenario: Scenario, file: Path, front_end: FrontEnd) -> int:
    with open_recording(file) as reader:
        source = Replay(reader)
        source.notice = f"RECORDING · {_notice(scenario)}"
        return run(lambda: beside(source, _as_coroutine(front_end(source, reader.header.mesh))))


async def _as_coroutine(awaitable: Awaitable[int]) -> int:
    return await awaitable


def _notice(scenario: Scenario) -> str:
    return f"{scenario.name}: {scenario.hint}"


def _screen(look: Look) -> FrontEnd:
    async def screen(monitor: Monitor | Replay, _: Mesh) -> int:
        return await show(monitor, look)

    return screen


def _tables(for_s: float | None) -> FrontEnd:
    """For people without a screen: the state as text every few seconds."""

    async def tables(monitor: Monitor | Replay, mesh: Mesh) -> int:
        await monitor.settled()
        click.echo(f"{monitor.notice}\n")
        left_s = math.inf if for_s is None else for_s
        while left_s > 0:
            await asyncio.sleep(min(TABLE_S, left_s))
            left_s -= TABLE_S
            click.echo(plain.table(monitor.snapshot(), mesh) + "\n")
        return FINE

    return tables


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Outside the event loop SIGTERM and SIGHUP unwind the stack as SIGINT does, so that a lab in the making goes."""

    def unwind(number: int, frame: object) -> None:
        raise SystemExit(INTERRUPTED)

    before = {number: signal.signal(number, unwind) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _let_nothing_interrupt() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
