"""The options of ``meshtop run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from meshtop.commands.options import Settings, common, record_option


@click.command(
    context_settings={
        "help_option_names": ["-h", "--help"],
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
    }
)
@click.option("--json", "as_json", is_flag=True,
              help="One document of schema meshtop.run/1 at the end; COMMAND prints on standard error.")  # fmt: skip
@click.option("--no-tui", is_flag=True, help="No full screen, on a terminal either.")
@record_option
@common
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND…")
@click.pass_obj
def run(
    earlier: Settings, /, as_json: bool, no_tui: bool, record: Path | None, command: tuple[str, ...], **given: Any
) -> int:
    """Watch the mesh while COMMAND runs; say what stalled meanwhile, on which hop and why.

    On a terminal: the full screen, with the command's output in a pane. Keys and Ctrl-C are the command's. Without a
    terminal the command has our standard input and output, and the summary goes to standard error. The exit code is
    the command's own: 127 if it is not found, 128 and the signal's number if one has ended it.

    Where the configuration has [watch], what counts are the flows of those services; else all between the nodes.

    \b
    Examples:
      meshtop run -- docker push registry.example/app:1.2
      meshtop run --json -- rsync -a data/ c:/srv/ 2>rsync.log | jq .verdict
      meshtop run --record push.mtr -- docker push registry.example/app:1.2
    """
    from meshtop.commands.run import RunWishes
    from meshtop.commands.run import run as run_command

    settings = Settings(earlier, **given)
    wishes = RunWishes(
        command=command,
        as_json=as_json,
        record=None if record is None else str(record),
        look=None if as_json or no_tui else settings.look(),
    )
    config = settings.load(screen=wishes.on_screen)
    return run_command(config, wishes)
