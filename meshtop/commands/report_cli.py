"""The options of ``meshtop replay`` and ``meshtop report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from meshtop.commands.options import FILE, Duration, Settings, common, from_option

CONTEXT = {"help_option_names": ["-h", "--help"]}


@click.command(context_settings=CONTEXT)
@click.argument("file", type=FILE)
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


@click.command(context_settings=CONTEXT)
@from_option
@click.option("--last", "last_s", type=Duration(1.0, 86_400.0), default="5m", show_default=True, metavar="TIME",
              help="How much of it; without --from: watch that long first.")  # fmt: skip
@click.option(
    "--until", metavar="TIME", help="The end of the window, in the forms of `replay --at`; else the recording's."
)
@click.option("--against", type=FILE, metavar="FILE",
              help="Another recording beside it: --from is before, this is after.")  # fmt: skip
@click.option("--against-until", metavar="TIME", help="The end of the window in that one.")
@click.option("--title", metavar="TEXT", help="What it is called; else the findings.")
@click.option("--redact", is_flag=True, help="Replace names, addresses, users and processes in every file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR|FILE.zip", help="A new folder or zip.")
@click.option("--dry-run", is_flag=True, help="Build it, list its files, write nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask after the list.")
@common
@click.pass_obj
def report(
    earlier: Settings,
    /,
    source: Path | None,
    last_s: float,
    until: str | None,
    against: Path | None,
    against_until: str | None,
    title: str | None,
    redact: bool,
    output: Path | None,
    dry_run: bool,
    yes: bool,
    **given: Any,
) -> int:
    """A folder or zip that says what happened: words, pictures, charts, and the frames to replay it elsewhere.

    The files are listed first. With --against, two recordings or windows stand side by side, before and after a cure.

    \b
    Examples:
      meshtop report --from push.mtr --last 10m -o push-report.zip
      meshtop report --from push.mtr --until 14:40 --redact -o report
      meshtop report --last 2m -o now.zip
      meshtop report --from before.mtr --against after.mtr -o cured
    """
    from meshtop.commands import report as work
    from meshtop.commands import running

    if output is None and not dry_run:
        raise click.UsageError("-o says where to write it: a new folder, or a name that ends in .zip; or --dry-run")
    if output is not None and output.exists():
        raise click.UsageError(f"{output} is there already; give another name")
    if source is None and (until or against):
        raise click.UsageError("--until and --against need --from")
    wishes = work.Wishes(
        last_s=last_s, target=None if dry_run else output, title=title, redact=redact, until=until,
        against=against, against_until=against_until, yes=yes,
    )  # fmt: skip
    if source is not None:
        return work.report(source, wishes)
    config = Settings(earlier, **given).load(screen=False)
    return running.run(lambda: work.live(config, wishes))
