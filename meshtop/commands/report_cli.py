"""The options of ``meshtop replay`` and ``meshtop report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from meshtop.cli import Settings, common

CONTEXT = {"help_option_names": ["-h", "--help"]}
_file = click.Path(dir_okay=False, path_type=Path)


@click.command(context_settings=CONTEXT)
@click.argument("file", type=_file)
@click.option("--speed", type=float, default=1.0, show_default=True, metavar="N", help="0.25 to 64 times as fast.")
@click.option(
    "--at", metavar="TIME", help="Begin there: 14:32:07 or 2024-05-01T14:32:07Z (UTC), +5m, or -90s from the end."
)
@common
@click.pass_obj
def replay(earlier: Settings, /, file: Path, speed: float, at: str | None, **given: Any) -> int:
    """Open a recording in the full screen: play, stop, and go to and fro in it.

    In it, space stops and goes on, + and - change the speed, comma and full stop go 10 s back and on, [ and ] to the
    previous and next stall, mark, burst or finding.

    \b
    Examples:
      meshtop replay push.mtr
      meshtop replay push.mtr --speed 4 --at 14:32:07
      meshtop replay push.mtr --at -90s
    """
    from meshtop.commands.replay import check_speed
    from meshtop.commands.replay import replay as play
    from meshtop.commands.screen import check_terminal

    settings = Settings(earlier, **given)
    check_terminal()
    settings.start_log(screen=True)
    return play(file, settings.look(), check_speed(speed), at)
