"""``meshtop lab scenario``: what there is, and one of them played on a lab that is up."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import click

from meshtop.lab import registry
from meshtop.lab.netns import LabError
from meshtop.lab.network import Lab
from meshtop.lab.play import TrafficError, playing
from meshtop.lab.scenario import Scenario, ScenarioError, as_json, names
from meshtop.units import parse_duration


@click.command(name="scenario")
@click.argument(
    "name", required=False, shell_complete=lambda _c, _p, begun: [n for n in names() if n.startswith(begun)]
)
@click.option("--list", "listed", is_flag=True, help="The scenarios that there are.")
@click.option("--json", "in_json", is_flag=True, help="With --list: all that is known of them.")
@click.option("--for", "for_text", metavar="TIME", help="End after that long; else with Ctrl-C.")
@click.option("--name", "lab_name", default=registry.DEFAULT_NAME, show_default=True, help="Which lab.")
def scenario(name: str | None, listed: bool, in_json: bool, for_text: str | None, lab_name: str) -> None:
    """Play a scenario on a lab that is up: its overlay, its traffic, its faults as they fall due.

    \b
    Examples:
      meshtop lab scenario --list
      meshtop lab scenario miku
      meshtop lab scenario blackout --for 90s
    """
    if listed or name is None:
        if name is None and not listed:
            raise click.UsageError(f"which scenario? There are {', '.join(names())}")
        _print_list(in_json=in_json)
        return
    try:
        for_s = None if for_text is None else parse_duration(for_text)
        asyncio.run(_play(Lab.open(lab_name), Scenario.load(name), for_s))
    except (ScenarioError, LabError, TrafficError, ValueError) as error:
        raise click.UsageError(str(error)) from None


def _print_list(*, in_json: bool) -> None:
    scenarios = [Scenario.load(each) for each in names()]
    if in_json:
        click.echo(as_json(scenarios))
        return
    width = max(len(each.name) for each in scenarios)
    for each in scenarios:
        click.echo(f"{each.name:{width}}  {each.overlay:9}  {each.summary}")


async def _play(lab: Lab, chosen: Scenario, for_s: float | None) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    click.echo(f"{chosen.name}: {chosen.summary}", err=True)
    began = loop.time()

    def tell(text: str) -> None:
        click.echo(f"{loop.time() - began:6.1f}s  {text}", err=True)

    async with playing(lab, chosen, tell):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), for_s)
    click.echo("over; what was broken is healed", err=True)
