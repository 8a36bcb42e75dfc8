"""``meshtop watch``: the full-screen monitor."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from meshtop import compose
from meshtop.commands.output import kept
from meshtop.commands.running import FINE, beside
from meshtop.config import MeshConfig

if TYPE_CHECKING:
    from meshtop.ui.source import Source

NO_TERMINAL = "the screen needs a terminal; without one there are `meshtop snapshot` and `meshtop stream`"
# The terminal is given back within a few milliseconds; a screen that cannot must not keep the process.
LEAVE_S = 3.0


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """How the screen shall look: a theme by name, and the folder that is searched for it first. ``keymap``: other keys
    for bindings, by their ids; ``bell``: ring at a new stall."""

    theme: str | None = None
    theme_dir: Path | None = None
    keymap: Mapping[str, str] = {}
    bell: bool = False


def check_terminal() -> None:
    """Textual reads keys from standard input and draws on standard error."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(NO_TERMINAL)


async def watch(config: MeshConfig, look: Look, record: Path | None = None) -> int:
    """The screen until the operator quits it; its exit code."""
    monitor = compose.watch(config, record)
    return kept(monitor.tape.view, await beside(monitor, show(monitor, look)))


async def show(source: Source, look: Look) -> int:
    """The screen alone, on a source that runs. A cancelled screen leaves in its own way, so that the
    terminal is whole again."""
    from meshtop.ui.app import MeshtopApp

    app = MeshtopApp(source, theme=look.theme, theme_dir=look.theme_dir, keymap=look.keymap, bell=look.bell)
    shown = asyncio.create_task(app.run_async(), name="screen")
    try:
        await asyncio.shield(shown)
    except asyncio.CancelledError:
        app.exit()
        await asyncio.wait({shown}, timeout=LEAVE_S)
        raise
    return app.return_code or FINE
