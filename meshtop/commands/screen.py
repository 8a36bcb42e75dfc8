"""``meshtop watch`` and ``meshtop demo``: the full-screen monitor, alone and on a lab of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from meshtop import compose
from meshtop.commands import plain
from meshtop.commands.running import FINE, INTERRUPTED, SIGNALS, beside, run
from meshtop.config import MeshConfig, load
from meshtop.monitor import Monitor

NO_TERMINAL = "the screen needs a terminal; without one there are `meshtop snapshot` and `meshtop stream`"
# The terminal is given back within a few milliseconds; a screen that cannot must not keep the process.
LEAVE_S = 3.0
DEMO_TABLE_S = 5.0


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """How the screen shall look: a theme by name, and the folder that is searched for it first."""

    theme: str | None = None
    theme_dir: Path | None = None


def check_terminal() -> None:
    """Textual reads keys from standard input and draws on standard error."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(NO_TERMINAL)


async def watch(config: MeshConfig, look: Look, record: Path | None = None) -> int:
    """The screen until the operator quits it; its exit code."""
    monitor = compose.watch(config, record)
    return await beside(monitor, _screen(monitor, look))


async def _screen(monitor: Monitor, look: Look) -> int:
    """A cancelled screen leaves in its own way, so that the terminal is whole again."""
    from meshtop.ui.app import MeshtopApp

    app = MeshtopApp(monitor, theme=look.theme, theme_dir=look.theme_dir)
    shown = asyncio.create_task(app.run_async(), name="screen")
    try:
        await asyncio.shield(shown)
    except asyncio.CancelledError:
        app.exit()
        await asyncio.wait({shown}, timeout=LEAVE_S)
        raise
    return app.return_code or FINE


def demo(look: Look, interval_s: float | None, *, tui: bool, for_s: float | None) -> int:
    """A lab, the monitor on it, and nothing left of either, however it ends."""
    from meshtop.lab.network import Lab

    with _signals_as_exceptions(), contextlib.ExitStack() as at_the_end:
        click.echo("meshtop: bringing up five nodes on this machine …", err=True)
        lab = at_the_end.enter_context(Lab.up(name=f"demo-{os.getpid()}"))
        at_the_end.callback(_let_nothing_interrupt)  # called before the lab goes down
        config = load(lab.config_path)
        if interval_s is not None:
            config = msgspec.structs.replace(config, mesh=msgspec.structs.replace(config.mesh, interval_s=interval_s))
        code = run(lambda: watch(config, look) if tui else _tables(config, for_s))
        click.echo("meshtop: taking the lab down …", err=True)
    return code


async def _tables(config: MeshConfig, for_s: float | None) -> int:
    """For people without a screen: the state as text every few seconds."""
    monitor = compose.watch(config)

    async def show() -> int:
        await monitor.settled()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                while True:
                    await asyncio.sleep(DEMO_TABLE_S)
                    click.echo(plain.table(monitor.snapshot(), config.mesh) + "\n")
        return FINE

    return await beside(monitor, show())


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
