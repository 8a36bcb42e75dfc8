"""Pictures of a view without a terminal: what `meshtop snapshot --svg/--png/--text` writes. Loads textual."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import click
import msgspec

from meshtop.commands.output import stdout, write_all
from meshtop.engine.view import FlowView, TrailPoint, View
from meshtop.model import LinkKey, Mesh, NodeName

if TYPE_CHECKING:
    from meshtop.ui.screenshot import Picture

Kind = Literal["svg", "png", "text"]
STANDARD_OUTPUT = Path("-")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """``files`` by kind; ``size`` in columns and lines."""

    files: Mapping[Kind, Path]
    view: str
    size: tuple[int, int]
    theme: str | None
    theme_dir: Path | None


def wanted(
    files: Mapping[Kind, Path | None],
    view: str | None,
    size: tuple[int, int] | None,
    theme: str | None,
    theme_dir: Path | None,
) -> Wanted | None:
    """What the options ask for; None where no picture is."""
    given = {kind: file for kind, file in files.items() if file is not None}
    if not given:
        if view is not None or size is not None:
            raise click.UsageError("--view and --size say what is drawn; add --svg, --png or --text FILE")
        return None
    return Wanted(files=given, view=view or "overview", size=size or (120, 40), theme=theme, theme_dir=theme_dir)


def check(asked: Wanted, mesh: Mesh) -> None:
    """Before anything is collected: a usage error for a view or theme that is not there, and a file that cannot be."""
    from meshtop.ui import screenshot, theme

    try:
        screenshot.check_name(asked.view, mesh)
    except screenshot.NoSuchView as error:
        raise click.UsageError(f"--view {error}") from None
    themes, _ = theme.load_themes(theme.search_path(asked.theme_dir))
    complaint = theme.choose(themes, asked.theme)[1]
    if complaint is not None:
        raise click.UsageError(f"--theme: {complaint}")
    for kind, file in asked.files.items():
        if not file.parent.is_dir():
            raise click.UsageError(f"--{kind}: {file.parent} is no folder")


class Kept(Protocol):
    """What a screen may ask for beside the view. The engine and the monitor."""

    def trail(self, key: LinkKey) -> tuple[TrailPoint, ...]: ...

    def flows(self, node: NodeName, link: LinkKey | None = None) -> tuple[FlowView, ...]: ...


class Taken:
    """A copy of what is kept, for another thread while the original goes on."""

    def __init__(self, view: View, kept: Kept) -> None:
        self._trails = {link.key: kept.trail(link.key) for link in view.snapshot.links}
        self._flows = {node.name: kept.flows(node.name) for node in view.mesh.nodes}

    def trail(self, key: LinkKey) -> tuple[TrailPoint, ...]:
        return self._trails.get(key, ())

    def flows(self, node: NodeName, link: LinkKey | None = None) -> tuple[FlowView, ...]:
        return tuple(flow for flow in self._flows.get(node, ()) if link is None or flow.link == link)


def write(view: View, asked: Wanted, kept: Kept) -> None:
    """Draw ``view`` and write the files that are asked for; beside an SVG or PNG always its text. For a thread, or
    where no event loop runs. Raises a usage error where a file cannot be written."""
    from meshtop.ui import screenshot

    picture = screenshot.draw(
        view,
        asked.view,
        asked.size,
        theme=asked.theme,
        theme_dir=asked.theme_dir,
        trail=kept.trail,
        flows=kept.flows,
    )
    for file, content in _contents(picture, asked).items():
        try:
            if file == STANDARD_OUTPUT:
                write_all(stdout(), content)
                continue
            screenshot.write_whole(file, content)
        except OSError as error:
            raise click.UsageError(f"{file}: {error.strerror or error}") from None
        click.echo(f"meshtop: wrote {file}", err=True)


async def write_beside(view: View, asked: Wanted, kept: Kept) -> None:
    """The same from an event loop, which goes on meanwhile."""
    await asyncio.to_thread(write, view, asked, Taken(view, kept))


def _contents(picture: Picture, asked: Wanted) -> dict[Path, bytes]:
    from meshtop.ui import screenshot

    contents: dict[Path, bytes] = {}
    for kind, file in asked.files.items():
        if kind == "png":
            contents[file], missing = picture.png()
            if missing:
                click.echo(f"meshtop: {screenshot.missing_words(missing)}", err=True)
        else:
            contents[file] = (picture.svg() if kind == "svg" else picture.text).encode()
    if "text" not in asked.files:
        for file in asked.files.values():
            if file != STANDARD_OUTPUT and (file.is_file() or not file.exists()):  # never beside /dev/stdout
                contents.setdefault(file.with_suffix(".txt"), picture.text.encode())
    return contents
