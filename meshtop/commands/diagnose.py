"""``meshtop diagnose``: what is wrong between two nodes, and the experiments that settle it."""

from __future__ import annotations

from typing import Any

import click

from meshtop.commands.options import Duration, Settings, common, offered


@click.command()
@click.argument("src", shell_complete=offered("nodes"))
@click.argument("dst", shell_complete=offered("nodes"))
@click.option(
    "--path",
    metavar="NAME",
    shell_complete=offered("paths"),
    help="By default all; where nothing is found, the first is tried.",
)
@click.option(
    "--for",
    "watch_s",
    type=Duration(1.0, 600.0),
    default="15s",
    show_default=True,
    metavar="TIME",
    help="Look on that long first.",
)
@click.option("--json", "as_json", is_flag=True, help="One document of schema meshtop.diagnosis/1 at the end.")
@click.option("--dry-run", is_flag=True, help="Look on, say what would be sent, and send nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before something is sent.")
@common
@click.pass_obj
def diagnose(earlier: Settings, /, src: str, dst: str, **given: Any) -> int:
    """Look on, run the experiments that settle what is found from SRC to DST, and say what stands after them.

    Where nothing is found, the cheap experiments are run. What each sends is said first, and asked on a terminal. Exit
    codes: 0 nothing is wrong, 1 a finding of warning or worse stands, 2 wrong usage or not confirmed, 3 SRC could not
    be reached, 130 interrupted.

    \b
    Examples:
      meshtop diagnose e a
      meshtop diagnose e a --path vpn --dry-run
      meshtop diagnose e a --json -y | jq .findings
    """
    from meshtop.commands import diagnose_run, running

    path = given.pop("path")
    wishes = diagnose_run.Wishes(
        as_json=given.pop("as_json"),
        yes=given.pop("yes"),
        dry_run=given.pop("dry_run"),
        watch_s=given.pop("watch_s"),
    )
    config = Settings(earlier, **given).load(screen=False)
    pair = diagnose_run.checked(config, src, dst, path)
    return running.run(lambda: diagnose_run.diagnose(config, pair, wishes))
