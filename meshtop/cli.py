"""The command line: options in, exit codes out. The work is in ``meshtop.commands``, loaded when it is asked for.

Exit codes: 0 fine, 1 a fault of meshtop or a check that failed, 2 wrong usage or configuration, 3 no node could be
reached, 130 ended by SIGINT, SIGTERM or SIGHUP, after clean-up. Machine output goes to standard output alone, messages
to standard error.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import click

import meshtop
from meshtop.commands.options import (
    FILE,
    Duration,
    ScreenSize,
    Settings,
    common,
    from_option,
    offered,
    record_option,
)
from meshtop.config import ConfigErrors

_FOR_AT_MOST_S = 366 * 86_400.0


# What write(2) says of an output that takes no more: its reader has gone, the disk behind it is full or too small.
_TAKES_NO_MORE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OutputFailed(Exception):
    """Standard output takes no more."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


@contextlib.contextmanager
def _own_output() -> Iterator[None]:
    """Tells an error of standard output from every other, and before click makes an exit code of 1 of a reader that
    has gone. Files that are opened by name are answered for where that is done."""
    try:
        yield
    except OSError as error:
        if error.errno not in _TAKES_NO_MORE or error.filename is not None:
            raise
        raise OutputFailed(error) from error


class LazyGroup(click.Group):
    """Commands of which the module is read only when they are run or listed."""

    elsewhere: ClassVar[dict[str, str]] = {
        "burst": "meshtop.commands.burst:burst",
        "diagnose": "meshtop.commands.diagnose:diagnose",
        "doctor": "meshtop.commands.setup_cli:doctor",
        "init": "meshtop.commands.setup_cli:init",
        "lab": "meshtop.lab.commands:lab_group",
        "run": "meshtop.commands.run_cli:run",
        "replay": "meshtop.commands.report_cli:replay",
        "report": "meshtop.commands.report_cli:report",
    }

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _own_output():  # the help is printed while the options are read
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _own_output():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self.elsewhere])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self.elsewhere.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, name = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


def _install_completion(context: click.Context, _: click.Parameter, shell: str | None) -> None:
    if shell is None or context.resilient_parsing:
        return
    from meshtop.commands.completion_install import install

    for line in install(cli, None if shell == "auto" else shell):
        click.echo(line)
    context.exit()


def _not_both(source: Path | None, record: Path | None) -> None:
    if source is not None and record is not None:
        raise click.UsageError("--record writes what is live; it does not go with --from")


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@record_option
@common
@click.option("--install-completion", is_flag=False, flag_value="auto", is_eager=True, expose_value=False,
              metavar="[bash|zsh|fish]", callback=_install_completion,
              help="Let the shell complete commands, nodes, paths; then exit.")  # fmt: skip
@click.version_option(meshtop.__version__, prog_name="meshtop")
@click.pass_context
def cli(context: click.Context, /, record: Path | None, **given: Any) -> int:
    """Watch the links of a small mesh of Linux servers: for every pair of nodes, why TCP is slow.

    Without a command: the full-screen monitor.

    \b
    Examples:
      meshtop demo                            five nodes on this machine, in trouble
      meshtop init a b c                      write a meshtop.toml for hosts of your own
      meshtop doctor                          what is wrong with them, and the cure
      meshtop                                 watch them
      meshtop run -- docker push IMAGE        watch while a command runs
    """
    context.obj = Settings(None, **given)
    if context.invoked_subcommand is None:
        return _watch(context.obj, record)
    if record is not None:
        raise click.UsageError(f"--record goes behind the command: meshtop {context.invoked_subcommand} --record FILE")
    return 0


@cli.command()
@record_option
@common
@click.pass_obj
def watch(earlier: Settings, /, record: Path | None, **given: Any) -> int:
    """The full-screen monitor (the same as no command at all).

    \b
    Examples:
      meshtop watch
      meshtop -c lab.toml watch --interval 200ms --record trouble.mtr
    """
    return _watch(Settings(earlier, **given), record)


def _watch(settings: Settings, record: Path | None) -> int:
    from meshtop.commands import running, screen

    config = settings.load(screen=True)
    screen.check_terminal()
    return running.run(partial(screen.watch, config, settings.look(), record))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One document of schema meshtop.snapshot/1.")
@click.option("--for", "window_s", type=Duration(0.1, 3600.0), default="10s", show_default=True, metavar="TIME",
              help="Collect that long, once every node is up or has failed.")  # fmt: skip
@click.option("--svg", type=FILE, metavar="FILE", help="Draw the screen into FILE, and its text into FILE.txt.")
@click.option("--png", type=FILE, metavar="FILE", help="The same as PNG.")
@click.option("--text", type=FILE, metavar="FILE", help="The screen as plain text; - is standard output.")
@click.option("--view", show_default="overview", metavar="NAME", shell_complete=offered("views"),
              help="overview, link:SRC:DST, node:NAME, stalls, diagnosis, burst or log.")  # fmt: skip
@click.option("--size", type=ScreenSize(), show_default="120x40", metavar="WxH", help="Columns x lines.")
@from_option
@record_option
@common
@click.pass_obj
def snapshot(
    earlier: Settings,
    /,
    as_json: bool,
    window_s: float,
    svg: Path | None,
    png: Path | None,
    text: Path | None,
    view: str | None,
    size: tuple[int, int] | None,
    source: Path | None,
    record: Path | None,
    **given: Any,
) -> int:
    """Collect for a while without a screen, print the state once. With --from: the state at a recording's end, its
    figures over the last --for. With --svg, --png or --text: draw what the screen would show instead.

    \b
    Examples:
      meshtop snapshot
      meshtop snapshot --json --for 30s | jq '.links[] | select(.state != "ok")'
      meshtop snapshot --png link.png --view link:e:a --size 160x50
      meshtop snapshot --from push.mtr --for 1m
    """
    from meshtop.commands import headless, recorded, running
    from meshtop.commands.pictures import wanted

    _not_both(source, record)
    settings = Settings(earlier, **given)
    theme, theme_dir = settings.values.get("theme"), settings.values.get("theme_dir")
    pictures = wanted({"svg": svg, "png": png, "text": text}, view, size, theme, theme_dir)
    if source is not None:
        return recorded.snapshot(source, window_s, as_json=as_json, pictures=pictures)
    config = settings.load(screen=False)
    return running.run(partial(headless.snapshot, config, window_s, as_json=as_json, record=record, pictures=pictures))


@cli.command()
@click.option("--for", "for_s", type=Duration(0.1, _FOR_AT_MOST_S), metavar="TIME",
              help="End after that long, from when every node is up or has failed; of a recording, from its begin."
)  # fmt: skip
@from_option
@record_option
@common
@click.pass_obj
def stream(earlier: Settings, /, for_s: float | None, source: Path | None, record: Path | None, **given: Any) -> int:
    """Events as they happen on standard output, one JSON object a line. With --from: those of a recording, at once.

    \b
    Examples:
      meshtop stream | jq 'select(.type == "stall")'
      meshtop stream --for 10m --record evening.mtr >/dev/null
      meshtop stream --from evening.mtr
    """
    from meshtop.commands import headless, recorded, running

    _not_both(source, record)
    if source is not None:
        return recorded.stream(source, for_s)
    config = Settings(earlier, **given).load(screen=False)
    return running.run(partial(headless.stream, config, for_s, record))


@cli.command()
@click.option("--scenario", default="miku", show_default=True, metavar="NAME", shell_complete=offered("scenarios"),
              help="What goes on in the lab; `meshtop lab scenario --list` shows them.")  # fmt: skip
@click.option("--no-tui", is_flag=True, help="Print tables instead of drawing a screen.")
@click.option(
    "--for", "for_s", type=Duration(1.0, _FOR_AT_MOST_S), metavar="TIME", help="With --no-tui: end after that long."
)
@record_option
@common
@click.pass_obj
def demo(
    earlier: Settings, /, scenario: str, no_tui: bool, for_s: float | None, record: Path | None, **given: Any
) -> int:
    """A five-node lab on this machine, trouble in it, and the monitor on it. On leaving nothing stays.

    \b
    Examples:
      meshtop demo
      meshtop demo --scenario blackout
      meshtop demo --no-tui --for 60s
    """
    from meshtop.commands.demo import Wishes
    from meshtop.commands.demo import demo as run_demo
    from meshtop.commands.screen import check_terminal
    from meshtop.lab.netns import LabError
    from meshtop.lab.scenario import ScenarioError

    settings = Settings(earlier, **given)
    if not no_tui:
        check_terminal()
    settings.start_log(screen=not no_tui)
    wishes = Wishes(
        scenario=scenario,
        look=settings.look(),
        interval_s=settings.values.get("interval"),
        tui=not no_tui,
        for_s=for_s,
        record=record,
    )
    try:
        return run_demo(wishes)
    except (LabError, ScenarioError) as error:
        raise click.UsageError(str(error)) from None


@cli.group()
def config() -> None:
    """The configuration file.

    \b
    Example:
      meshtop config check
    """


@config.command()
@common
@click.argument("file", required=False, shell_complete=offered("files"))
@click.pass_obj
def check(earlier: Settings, /, file: str | None, **given: Any) -> int:
    """Read the file, report every mistake at once. Exit code 2 if there is one.

    \b
    Examples:
      meshtop config check
      meshtop config check other.toml
    """
    settings = Settings(earlier, **given)
    if file is not None:
        settings.values["config"] = file
    read = settings.load(screen=False)
    nodes, paths = len(read.mesh.nodes), len(read.mesh.paths)
    links = paths * nodes * (nodes - 1)
    click.echo(f"{read.path}: fine: {nodes} nodes, {paths} {'path' if paths == 1 else 'paths'}, {links} directed links")
    return 0


@cli.command()
@common
@click.pass_obj
def themes(earlier: Settings, /, **given: Any) -> int:
    """The themes that there are, and where each comes from.

    \b
    Examples:
      meshtop themes
      meshtop --theme miku
    """
    from meshtop.commands.themes import listing

    code, lines, problems = listing(Settings(earlier, **given).values.get("theme_dir"))
    for line in lines:
        click.echo(line)
    for problem in problems:
        click.echo(f"meshtop: {problem}", err=True)
    return code


def main() -> None:
    """The entry point ``meshtop``."""
    sys.exit(_run())


def _run() -> int:
    if "_MESHTOP_COMPLETE" in os.environ:  # a shell asks what to offer
        from meshtop.commands.completion_install import register

        register()
    try:
        code = cli.main(prog_name="meshtop", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except OutputFailed as failed:
        from meshtop.commands.output import verdict

        # Python would complain once more when it flushes at its end.
        sys.stdout = None
        return verdict(failed.error) or 0
    except ConfigErrors as error:
        for line in error.lines():
            click.echo(line, err=True)
        return 2
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    main()
