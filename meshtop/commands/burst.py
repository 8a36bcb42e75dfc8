"""``meshtop burst``: load on demand between two nodes, its cost said first, live while it runs, summed up after."""

from __future__ import annotations

from typing import Any

import click

from meshtop import units
from meshtop.commands.options import Settings, common, offered, record_option


class Size(click.ParamType[int]):
    """``20M`` as bytes, × 1024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else units.parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Rate(click.ParamType[int]):
    """``10M`` as bit/s, × 1000."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else units.parse_rate(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Seconds(click.ParamType[int]):
    """``10s`` or ``10`` as whole seconds, which is what iperf3 takes."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            seconds = int(value) if value.isdigit() else units.parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds != int(seconds):
            self.fail(f'"{value}": iperf3 takes whole seconds', param, ctx)
        return int(seconds)


@click.command()
@click.argument("src", required=False, shell_complete=offered("nodes"))
@click.argument("dst", required=False, shell_complete=offered("nodes"))
@click.option(
    "--path",
    metavar="NAME",
    shell_complete=offered("paths"),
    help="By default the first of the file; `both` compares overlay and underlay.",
)
@click.option("-P", "--streams", type=int, default=8, show_default=True, metavar="N", help="Streams at once.")
@click.option("-n", "--bytes", "size", type=Size(), metavar="100M", help="End after that much, all streams together.")
@click.option("-t", "--time", "seconds", type=Seconds(), metavar="10s", help="End after that long. By default 10s.")
@click.option("-R", "--reverse", is_flag=True, help="DST sends to SRC.")
@click.option("--bidir", is_flag=True, help="Both ways at once.")
@click.option("-u", "--udp", is_flag=True, help="Datagrams that fit the path; 1M a stream, if -b does not say.")
@click.option("-b", "--rate", type=Rate(), metavar="RATE", help="At most that much, for each stream.")
@click.option("-M", "--mss", type=int, metavar="BYTES", help="TCP's maximum segment size.")
@click.option("-C", "--congestion", metavar="NAME", help="TCP's congestion control, such as cubic.")
@click.option("--json", "as_json", is_flag=True, help="One document of schema meshtop.burst/1 at the end.")
@click.option("--stream", "as_stream", is_flag=True, help="Events as they happen, one JSON object a line.")
@click.option("--dry-run", is_flag=True, help="Say what it would cost, and send nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask, also above the limits of [burst].")
@click.option("--abort-all", is_flag=True, help="End every burst of ours on every node, and say what was ended.")
@record_option
@common
@click.pass_obj
def burst(earlier: Settings, /, src: str | None, dst: str | None, **given: Any) -> int:
    """Load the line from SRC to DST with iperf3, and watch both ends meanwhile.

    An end may be "local", this machine. Nothing stays on a node, whatever ends. Exit codes: 0 it was carried out, 1 it
    failed, 2 wrong usage, or refused as nobody confirmed it, 3 an end could not be reached, 130 interrupted.

    \b
    Examples:
      meshtop burst e a -n 100M -P 8
      meshtop burst e a -n 20M --path both
      meshtop burst local a -t 5 -R --path public
    """
    from meshtop.commands import burst_run, running
    from meshtop.commands.this_machine import with_this_machine

    asked = burst_run.Asked(**{name: given.pop(name) for name in burst_run.OPTIONS})
    abort_all, as_json, as_stream = given.pop("abort_all"), given.pop("as_json"), given.pop("as_stream")
    if as_json and as_stream:
        raise click.UsageError("--json is one document at the end, --stream a line for each event; take one of them")
    shown: burst_run.Shown = "json" if as_json else "stream" if as_stream else "text"
    wishes = burst_run.Wishes(
        shown=shown, dry_run=given.pop("dry_run"), yes=given.pop("yes"), record=given.pop("record")
    )
    config = Settings(earlier, **given).load(screen=False)
    if abort_all:
        if src is not None:
            raise click.UsageError("--abort-all ends the bursts of every node; name none")
        return running.run(lambda: burst_run.abort_all(config, as_json=as_json))
    if src is None or dst is None:
        raise click.UsageError("name two nodes: meshtop burst SRC DST")
    config, (src, dst) = with_this_machine(config, (src, dst))
    requests = burst_run.requests(config, src, dst, asked)
    return running.run(lambda: burst_run.carry_out(config, requests, wishes))
