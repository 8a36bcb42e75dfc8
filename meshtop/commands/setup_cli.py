"""The options of ``meshtop init`` and ``meshtop doctor``."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from meshtop.commands.options import Settings, common, offered

CONTEXT = {"help_option_names": ["-h", "--help"]}


@click.command(context_settings=CONTEXT)
@click.option("--json", "as_json", is_flag=True, help="One document of schema meshtop.doctor/1.")
@common
@click.pass_obj
def doctor(earlier: Settings, /, as_json: bool, **given: Any) -> int:
    """Look at every node and every pair before watching them; say what is wrong and how to cure it.

    Exit code 1 if anything is unusable. For some seconds an iperf3 server listens on each node, and a few pings and
    one connection go every way; nothing is written there.

    \b
    Examples:
      meshtop doctor
      meshtop doctor --json | jq '.problems[] | {where, detail, cure}'
      meshtop -c lab.toml doctor
    """
    from meshtop.commands import running
    from meshtop.commands.doctor import doctor as look

    config = Settings(earlier, **given).load(screen=False)
    return running.run(partial(look, config, as_json=as_json))


@click.command(context_settings=CONTEXT)
@click.option("-o", "--output", default="meshtop.toml", show_default=True, metavar="FILE",
              help="The file to write; - is standard output.")  # fmt: skip
@click.argument("hosts", nargs=-1, metavar="[HOST…]", shell_complete=offered("aliases"))
@common
@click.pass_obj
def init(earlier: Settings, /, output: str, hosts: tuple[str, ...], **given: Any) -> int:
    """Ask hosts over SSH what they are, and write a meshtop.toml for them.

    HOST is an alias of ssh_config, user@host:port, or "local"; NAME=HOST names the node. Without any, the aliases
    are listed to choose from. Overlays are found by their interfaces, addresses are tried from node to node. Host keys
    are checked as always; nothing is written on the nodes, and no file here is written over without asking.

    \b
    Examples:
      meshtop init a b c d e
      meshtop init hub=root@203.0.113.10 home=home.example:2222 local
      meshtop --ssh-config lab/ssh_config init -o lab.toml a b
    """
    from meshtop.commands import running
    from meshtop.commands.init import Wishes, prepare
    from meshtop.commands.init import init as ask

    settings = Settings(earlier, **given)
    settings.start_log(screen=False)
    wishes = Wishes(hosts=hosts, output=output, ssh_config=settings.ssh_config())
    named = prepare(wishes)
    return running.run(partial(ask, wishes, named))
