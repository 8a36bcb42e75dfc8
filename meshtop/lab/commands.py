"""``meshtop lab``: the five-node network on this machine, from the command line."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from meshtop.lab import registry
from meshtop.lab.clear import clear, clear_all
from meshtop.lab.faults import ENDINGS, KINDS, NETS, list_kinds
from meshtop.lab.netns import LabError
from meshtop.lab.network import SSHD_KINDS, Lab
from meshtop.lab.overlay import DIRECT, OVERLAYS
from meshtop.lab.plan import CASE, VPN
from meshtop.lab.report import status_json, status_text
from meshtop.lab.scenario_command import scenario

Offer = Callable[[click.Context, click.Parameter, str], list[str]]


def _offered(names: Callable[[], Iterable[str]]) -> Offer:
    """For the shell's completion."""
    return lambda _context, _parameter, begun: [name for name in names() if name.startswith(begun)]


_SITES = [site.name for site in CASE]

P = ParamSpec("P")
R = TypeVar("R")


class _Refusal(click.ClickException):
    exit_code = 2


def _plain_errors(command: Callable[P, R]) -> Callable[P, R]:
    """A LabError is a message for the operator and exit code 2, never a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except LabError as error:
            raise _Refusal(str(error)) from None

    return run


_name = click.option("--name", default=registry.DEFAULT_NAME, show_default=True, help="Which lab.")


def _terminated(number: int, frame: object) -> None:
    raise KeyboardInterrupt  # SIGTERM ends a command as Ctrl-C does: after it has cleared up


@click.group(name="lab", context_settings={"help_option_names": ["-h", "--help"]})
def lab_group() -> None:
    """A five-node mesh in network namespaces of this machine: kernel TCP, real SSH, lines of known rate and delay.

    \b
    Examples:
      meshtop lab up                        prints the path of its meshtop.toml
      meshtop -c "$(meshtop lab up)"        … and opens the monitor on it
      meshtop lab exec a iperf3 -s -1 -D
      meshtop lab exec e iperf3 -c 10.10.10.1 -P 8
      meshtop lab overlay striped:8
      meshtop lab fault e loss 0.5% --path public
      meshtop lab heal
      meshtop lab scenario miku
      meshtop lab down
    """


@lab_group.command()
@_name
@click.option("--dir", "directory", type=click.Path(file_okay=False, path_type=Path), help="Where its files go.")
@click.option("--overlay", default="direct", show_default=True, metavar="KIND", help=f"One of: {', '.join(OVERLAYS)}.")
@click.option(
    "--sshd", default="asyncssh", show_default=True, type=click.Choice(SSHD_KINDS), help="The nodes' SSH server."
)
@click.option("--truth", is_flag=True, help="The WAN notes what it does to packets, in logs/wan.truth.")
@click.option("--nat", default="", metavar="SITES", help="These are behind NAT on public, such as d,e.")
@_plain_errors
def up(name: str, directory: Path | None, overlay: str, sshd: str, nat: str, truth: bool) -> None:
    """Bring a lab up; print the path of its meshtop.toml and nothing else.

    \b
    Examples:
      meshtop lab up
      meshtop lab up --name second --overlay striped:8 --nat d,e
      meshtop -c "$(meshtop lab up)"
    """
    signal.signal(signal.SIGTERM, _terminated)
    try:
        behind_nat = [site for site in nat.split(",") if site]
        lab = Lab.up(name, directory, sshd=sshd, overlay=overlay, nat=behind_nat, truth=truth)
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # cleared up already
    click.echo(lab.config_path)


@lab_group.command()
@_name
@click.option("--all", "everything", is_flag=True, help="Every lab, and whatever is left of labs that were killed.")
@_plain_errors
def down(name: str, everything: bool) -> None:
    """Take a lab away: its processes, namespaces, devices and files.

    \b
    Examples:
      meshtop lab down
      meshtop lab down --all
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # half a clearing helps nobody, and it takes less than a second
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if everything:
        for what in clear_all():
            click.echo(f"cleared {what}", err=True)
        return
    clear(registry.find(name))
    registry.tidy()


@lab_group.command()
@_name
@click.option("--json", "as_json", is_flag=True, help="For scripts, on stdout.")
@_plain_errors
def status(name: str, as_json: bool) -> None:
    """Nodes, rates, round trips for each pair and path, faults in force, and how well the WAN keeps its time.

    \b
    Examples:
      meshtop lab status
      meshtop lab status --json | jq .faults
    """
    lab = Lab.open(name)
    report = status_json(lab)
    click.echo(json.dumps(report, indent=2) if as_json else status_text(report))


@lab_group.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_name
@click.argument("node", shell_complete=_offered(lambda: _SITES))
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@_plain_errors
def exec_(name: str, node: str, command: tuple[str, ...]) -> None:
    """Run COMMAND in the namespaces of NODE; its exit code is ours.

    \b
    Example:
      meshtop lab exec a ping -c 3 10.10.10.5
    """
    if command[0] == "--":  # as `run` and ssh-like tools have it
        command = command[1:]
    if not command:
        raise click.UsageError("which command?")
    # By a shell, whose exit codes 126 and 127 say that the command could not be run.
    argv = Lab.open(name).command(node, ("/bin/sh", "-c", 'exec "$@"', "sh", *command))
    sys.stdout.flush()
    os.execvp(argv[0], argv)  # noqa: S606  # in our place: signals, terminal and exit code are then the command's own


@lab_group.command()
@_name
@click.argument("kind", metavar="|".join(OVERLAYS), shell_complete=_offered(lambda: OVERLAYS))
@_plain_errors
def overlay(name: str, kind: str) -> None:
    """Switch what carries the overlay, while the lab runs.

    \b
    direct      the WAN itself
    udp         each packet in a datagram
    tcp1        all in one TCP connection to the hub
    striped:N   spread over N TCP connections, 2 to 32; small ICMP has one of its own

    \b
    Example:
      meshtop lab overlay striped:8
    """
    lab = Lab.open(name)
    late = lab.set_overlay(kind)
    if late:
        click.echo(f"the tunnel of {', '.join(late)} is not up yet; it goes on trying", err=True)
    if kind != DIRECT and any(fault.net == VPN for fault in lab.status().faults):
        click.echo("faults on vpn do nothing while a tunnel carries it; below it is --path public", err=True)


def _list_faults(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo("\n".join(list_kinds()))
        context.exit()


@lab_group.command()
@_name
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list_faults, help="Say what there is."
)
@click.option("--one-way", is_flag=True, help="Only what SITE sends, or only from SRC to DST.")
@click.option("--path", "net", type=click.Choice(NETS), help="Only there; by default on public and vpn.")
@click.argument("target", metavar="SITE|SRC:DST", shell_complete=_offered(lambda: _SITES))
@click.argument("kind", shell_complete=_offered(lambda: [*KINDS, *ENDINGS]))
@click.argument("value", default="")
@_plain_errors
def fault(name: str, net: str | None, one_way: bool, target: str, kind: str, value: str) -> None:
    """Put a fault in force; the same kind on the same target replaces it.

    \b
    Examples:
      meshtop lab fault e loss 0.5% --path public
      meshtop lab fault a:b delay 40ms --one-way
      meshtop lab fault e policer-udp 8M --path public
      meshtop lab fault d mgmt-cut                  SSH to d is cut, silently
      meshtop lab fault c tool-missing ss
    """
    Lab.open(name).fault(target, kind, value, net=net, one_way=one_way)


@lab_group.command()
@_name
@click.option("--path", "net", type=click.Choice(NETS), help="Only faults that name this path.")
@click.argument("target", metavar="[SITE|SRC:DST]", required=False, shell_complete=_offered(lambda: _SITES))
@click.argument("kind", required=False, shell_complete=_offered(lambda: KINDS))
@_plain_errors
def heal(name: str, net: str | None, target: str | None, kind: str | None) -> None:
    """Take faults away: all, or those of a target, of a kind.

    \b
    Examples:
      meshtop lab heal
      meshtop lab heal e loss
    """
    healed = Lab.open(name).heal(target, kind, net)
    click.echo(f"{healed} {'fault' if healed == 1 else 'faults'} healed", err=True)


lab_group.add_command(scenario)


def main(*args: Any) -> None:
    lab_group(*args, prog_name="meshtop lab")


if __name__ == "__main__":
    main()
