"""What the shell offers behind a command: names out of ssh_config, of nodes and paths, of what there is.

Click asks for it in a process of its own at each press of the key (https://click.palletsprojects.com/shell-completion),
so nothing heavy is read, and whatever goes wrong offers nothing instead of a traceback on the prompt.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

Names = Callable[[click.Context], Iterable[str]]
Offer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completer(names: Names) -> Offer:
    def offer(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            return [CompletionItem(name) for name in names(context) if name.startswith(begun)]
        except Exception:  # a broken file is no matter for the prompt
            return []

    return offer


def _option(context: click.Context, name: str) -> Any:
    """A global option, wherever on the line it stands."""
    at: click.Context | None = context
    while at is not None:
        if at.params.get(name) is not None:
            return at.params[name]
        at = at.parent
    return None


def _aliases(context: click.Context) -> Iterable[str]:
    from meshtop.transport.ssh_aliases import aliases

    named = _option(context, "ssh_config")
    files = [named] if named else ["~/.ssh/config", "/etc/ssh/ssh_config"]
    return aliases([os.path.expanduser(str(file)) for file in files])


def _nodes(context: click.Context) -> Iterable[str]:
    from meshtop.config import find, load

    return [node.name for node in load(find(_option(context, "config"))).mesh.nodes]


def _paths(context: click.Context) -> Iterable[str]:
    from meshtop.config import find, load

    return [*(path.name for path in load(find(_option(context, "config"))).mesh.paths), "both"]


def _scenarios(_: click.Context) -> Iterable[str]:
    from meshtop.lab.scenario import names

    return names()


def _themes(context: click.Context) -> Iterable[str]:
    from meshtop.commands.themes import listing

    folder = _option(context, "theme_dir")
    return [line.split()[0] for line in listing(Path(folder) if folder else None)[1] if line.strip()]


def _views(context: click.Context) -> Iterable[str]:
    nodes = list(_nodes(context))
    pairs = [f"link:{src}:{dst}" for src in nodes for dst in nodes if src != dst]
    return ["overview", "stalls", "diagnosis", "burst", "log", *(f"node:{name}" for name in nodes), *pairs]


def _files(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    return [CompletionItem(begun, type="file")]


OFFERS: Mapping[str, Offer] = {
    "aliases": completer(_aliases),
    "nodes": completer(_nodes),
    "paths": completer(_paths),
    "scenarios": completer(_scenarios),
    "themes": completer(_themes),
    "views": completer(_views),
    "files": _files,
}
