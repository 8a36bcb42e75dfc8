"""``meshtop run -- COMMAND…``: watch while a command runs, then say what stalled meanwhile. Its exit code is ours.

Without a terminal the command has our standard streams (with ``--json`` its output goes to standard error, as standard
output is for the document). On a terminal it runs in a pane of the full screen, on a terminal of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

import click
import msgspec

from meshtop import compose
from meshtop.commands.output import kept, stdout, write_all
from meshtop.commands.run_text import summary_text
from meshtop.commands.running import INTERRUPTED
from meshtop.commands.screen import LEAVE_S, Look
from meshtop.config import MeshConfig
from meshtop.engine.runs import RunLedger, RunSummary
from meshtop.model import Value
from meshtop.monitor import Monitor
from meshtop.parse.text import clean
from meshtop.requests import AddMark

SETTLE_S = 12.0  # connecting to the nodes; a command is not held up longer by one that is not to be reached
SAMPLE_S = 1.0
LAST_LINES = 20  # of the command's terminal, left behind when the screen goes
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as shells have it
BY_SIGNAL = 128
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class RunWishes(Value, frozen=True, kw_only=True):
    """``look``: of the screen; None: none is wanted."""

    command: tuple[str, ...]
    as_json: bool = False
    record: str | None = None
    look: Look | None = None

    @property
    def on_screen(self) -> bool:
        """Where all three streams are a terminal's."""
        return self.look is not None and all(
            stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)
        )


def run(config: MeshConfig, wishes: RunWishes) -> int:
    """To the command's end; its exit code."""
    return asyncio.run(_run(config, wishes))


async def _run(config: MeshConfig, wishes: RunWishes) -> int:
    fd = stdout() if wishes.as_json else None
    monitor = compose.watch(config, Path(wishes.record) if wishes.record else None)
    last_words: list[str] = []
    with _Signals() as signals:
        async with watching(monitor):
            if not await _settle(monitor, signals):
                return INTERRUPTED
            course = Course(monitor, config, wishes.command)
            if wishes.on_screen:
                code, summary, last_words = await _on_screen(monitor, wishes, course, signals)
            else:
                code = await _pass_through(wishes, signals)
                summary = await course.finish(code, signals.again)
    for line in last_words:
        click.echo(line)
    click.echo(summary_text(summary, sys.stderr.isatty()), err=True)
    kept(monitor.tape.view, code)
    if fd is not None:
        with contextlib.suppress(BrokenPipeError):
            write_all(fd, msgspec.json.encode(summary) + b"\n")
    return code


@contextlib.asynccontextmanager
async def watching(monitor: Monitor) -> AsyncIterator[None]:
    """The monitor beside what is done here. A fault of it is said, and does not touch the command."""
    task = asyncio.create_task(monitor.run(), name="monitor")
    try:
        yield
    finally:
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(outcome, Exception):
            click.echo(f"meshtop: the monitor ended by itself: {outcome!r}", err=True)


async def _settle(monitor: Monitor, signals: _Signals) -> bool:
    """Until the nodes are up or have failed; False where a signal came first."""
    if sys.stderr.isatty():
        click.echo("meshtop: connecting to the nodes …", err=True)
    settled = asyncio.create_task(monitor.settled())
    asked = asyncio.create_task(signals.again.wait())
    try:
        await asyncio.wait({settled, asked}, timeout=SETTLE_S, return_when=asyncio.FIRST_COMPLETED)
        tell_unreached(monitor)
        return not asked.done()
    finally:
        settled.cancel()
        asked.cancel()
        await asyncio.gather(settled, asked, return_exceptions=True)
        signals.again.clear()


def tell_unreached(monitor: Monitor) -> None:
    for node in monitor.snapshot().nodes:
        if node.state in ("down", "connecting"):
            click.echo(f"meshtop: {node.name} is {node.state}: {node.reason or 'no session yet'}", err=True)


class Course:
    """What is noted from a command's start to its end."""

    def __init__(self, monitor: Monitor, config: MeshConfig, command: Sequence[str]) -> None:
        self._monitor = monitor
        self._interval_s = config.mesh.interval_s
        self.title = clean(shlex.join(command), 60)
        self._ledger = RunLedger(config.mesh, command, time.time())
        monitor.listen(self._ledger.event)
        monitor.send(AddMark(text=f"start: {self.title}"))
        self._sampling = asyncio.create_task(self._sample(), name="samples")

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_S)
            self._ledger.sample(time.time(), self._monitor.snapshot(max(2 * self._interval_s, SAMPLE_S)))

    async def finish(self, code: int, enough: asyncio.Event) -> RunSummary:
        """The end is marked; then what is still on its way is waited for, unless ``enough``."""
        ended_at = time.time()
        self._monitor.send(AddMark(text=f"end: {self.title}, exit code {code}"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(2 * self._interval_s + 0.5, 5.0)):
                await enough.wait()
        self._sampling.cancel()
        await asyncio.gather(self._sampling, return_exceptions=True)
        return self._ledger.summary(ended_at, code)


# ── Without a screen ─────────────────────────────────────────────────────────────────────────────────────────────────


async def _pass_through(wishes: RunWishes, signals: _Signals) -> int:
    """With our streams; standard output is the document's if there is one."""
    try:
        process = await asyncio.create_subprocess_exec(*wishes.command, stdout=sys.stderr if wishes.as_json else None)
    except OSError as error:
        tell_not_started(wishes.command[0], error)
        return not_started_code(error)
    signals.forward_to(process)
    try:
        return exit_code(await process.wait())
    finally:
        signals.forward_to(None)


# ── In a pane of the screen ──────────────────────────────────────────────────────────────────────────────────────────


async def _on_screen(
    monitor: Monitor, wishes: RunWishes, course: Course, signals: _Signals
) -> tuple[int, RunSummary, list[str]]:
    """With its last lines, which would go with the screen."""
    from meshtop.commands.run_pty import PtyCommand
    from meshtop.ui.run_app import RunApp
    from meshtop.ui.widgets.command_pane import CommandPane

    look = wishes.look or Look()
    command = PtyCommand(wishes.command, course.title)
    app = RunApp(monitor, command, theme=look.theme, theme_dir=look.theme_dir, keymap=look.keymap, bell=look.bell)
    screen = asyncio.create_task(app.run_async(), name="screen")
    last_words: list[str] = []
    failure: OSError | None = None
    try:
        there = asyncio.create_task(command.pane_there.wait())
        await asyncio.wait({there, screen}, return_when=asyncio.FIRST_COMPLETED)
        there.cancel()
        running = asyncio.create_task(command.run(exit_code), name="command")
        signals.forward_to(command)
        await asyncio.wait({running, screen}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            running.cancel()  # the screen has broken down: its terminal is closed, and the command hears of it
            await asyncio.wait({running})
        signals.forward_to(None)
        code = BY_SIGNAL + signal.SIGHUP
        if not running.cancelled():
            failure = error if isinstance(error := running.exception(), OSError) else None
            code = not_started_code(failure) if failure else running.result()
        summary = await course.finish(code, signals.again)
        if not screen.done():
            last_words = app.screen_stack[0].query_one(CommandPane).terminal.text()[-LAST_LINES:]
    finally:
        app.exit()
        await asyncio.wait({screen}, timeout=LEAVE_S)
    if failure is not None:
        tell_not_started(wishes.command[0], failure)
    return code, summary, last_words


def tell_not_started(name: str, error: OSError) -> None:
    click.echo(f"meshtop: {clean(name, 100)}: {error.strerror}", err=True)


def not_started_code(error: OSError) -> int:
    return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def exit_code(status: int) -> int:
    """As a shell has it: 128 and the signal for a command that one has ended."""
    return BY_SIGNAL - status if status < 0 else status


class HasPid(Protocol):
    @property
    def pid(self) -> int | None: ...


class _Signals:
    """While a command runs, signals are its own: we wait for its end. ``again`` is set by one that comes when none
    runs."""

    def __init__(self) -> None:
        self.again = asyncio.Event()
        self._to: HasPid | None = None

    def __enter__(self) -> _Signals:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._came, number)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def forward_to(self, command: HasPid | None) -> None:
        self._to = command

    def _came(self, number: signal.Signals) -> None:
        if self._to is None:
            self.again.set()
        elif self._to.pid is not None and (number != signal.SIGINT or not _from_the_terminal()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._to.pid, number)


def _from_the_terminal() -> bool:
    """Whether Ctrl-C reaches us as a terminal's foreground process group, and then the command by itself as well."""
    try:
        with open("/dev/tty", "rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
