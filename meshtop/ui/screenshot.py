"""The screen as files: SVG, PNG and plain text, of the running screen or of any view without a terminal."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from textual.app import App
from textual.pilot import Pilot

from meshtop.burst import BurstPlan, BurstRequest
from meshtop.engine.view import FlowView, TrailPoint, View
from meshtop.model import LinkKey, Mesh, NodeName
from meshtop.requests import Command, RunExperiment
from meshtop.ui.picture.grid import Grid, grid_of
from meshtop.ui.picture.svg import svg
from meshtop.ui.scene import Scene

# What can be drawn; `link:e:a` and `node:a` name whose.
NAMES = ("overview", "link:SRC:DST", "node:NAME", "stalls", "diagnosis", "burst", "log")
LEAST_SIZE, MOST_SIZE = (10, 3), (500, 200)
CURE_FOR_FONTS = "apt-get install fonts-noto-cjk fonts-unifont brings most of what there is"


class NoSuchView(ValueError):
    """Nothing is called that. The message says what is."""


@dataclass(frozen=True)
class Picture:
    """One screen as it stood. ``at`` is the operator's UTC of what it shows."""

    grid: Grid
    mesh: str
    name: str
    at: float

    @property
    def title(self) -> str:
        return f"meshtop · {self.mesh} · {self.name} · {_moment(self.at):%Y-%m-%d %H:%M:%S} UTC"

    @property
    def stem(self) -> str:
        """A file name of mesh, view and time, without its ending."""
        told = re.sub(r"[^\w.-]+", "-", f"meshtop-{self.mesh}-{self.name}")
        return f"{told}-{_moment(self.at):%Y%m%dT%H%M%SZ}"

    @property
    def text(self) -> str:
        return self.grid.text

    def svg(self) -> str:
        return svg(self.grid, self.title)

    def png(self) -> tuple[bytes, frozenset[str]]:
        """The file, and the signs that no font on this machine has."""
        from meshtop.ui.picture.png import png  # Pillow is read only when a PNG is wanted

        return png(self.grid, self.title)


@dataclass(frozen=True)
class Saved:
    """What was written, and which signs no font has."""

    files: tuple[Path, ...]
    missing: frozenset[str] = frozenset()


class Still:
    """A source that stands still: one view, with what a screen may ask for beside it."""

    def __init__(
        self,
        view: View,
        trail: Callable[[LinkKey], tuple[TrailPoint, ...]] | None = None,
        past: Callable[[float], View | None] | None = None,
        flows: Callable[[NodeName, LinkKey | None], tuple[FlowView, ...]] | None = None,
    ) -> None:
        self._view = view
        self._trail = trail
        self._past = past
        self._flows = flows

    def view(self) -> View:
        return self._view

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Nothing ever changes."""

    def send(self, command: Command) -> None:
        raise ValueError("a picture takes no commands")

    def trail(self, key: LinkKey) -> tuple[TrailPoint, ...]:
        return self._view.trails.get(key, ()) if self._trail is None else self._trail(key)

    def past(self, at: float) -> View | None:
        return None if self._past is None else self._past(at)

    def flows(self, node: NodeName, link: LinkKey | None = None) -> tuple[FlowView, ...]:
        return () if self._flows is None else self._flows(node, link)

    def plan_burst(self, request: BurstRequest) -> BurstPlan:
        raise ValueError("a picture starts no burst")

    def plan_experiment(self, command: RunExperiment) -> NoReturn:
        raise ValueError("a picture runs no experiment")


def check_name(name: str, mesh: Mesh) -> None:
    """Raises NoSuchView for what cannot be drawn."""
    kind, *ends = name.split(":")
    wanted = {"link": 2, "node": 1}.get(kind, 0)
    if len(ends) != wanted or kind not in {known.split(":")[0] for known in NAMES}:
        raise NoSuchView(f'no view is called "{name}"; there are {", ".join(NAMES)}')
    nodes = [node.name for node in mesh.nodes]
    for end in ends:
        if end not in nodes:
            raise NoSuchView(f'{name}: no node is called "{end}"; there are {", ".join(nodes)}')
    if wanted == 2 and ends[0] == ends[1]:
        raise NoSuchView(f"{name}: a link has two ends")


async def drawn(
    view: View,
    name: str = "overview",
    size: tuple[int, int] = (120, 40),
    *,
    theme: str | None = None,
    theme_dir: Path | None = None,
    trail: Callable[[LinkKey], tuple[TrailPoint, ...]] | None = None,
    past: Callable[[float], View | None] | None = None,
    flows: Callable[[NodeName, LinkKey | None], tuple[FlowView, ...]] | None = None,
) -> Picture:
    """``view`` as the screen ``name`` shows it in a terminal of ``size`` columns and lines. Raises NoSuchView."""
    from meshtop.ui import glyphs
    from meshtop.ui.app import MeshtopApp

    check_name(name, view.mesh)
    app = MeshtopApp(
        Still(view, trail, past, flows), theme=theme, theme_dir=theme_dir, ascii=False, ticks=lambda: 0.0, still=True
    )
    if app.theme_file.glyph_set == "ascii":
        app.glyphs = glyphs.ASCII
    taken: list[Picture | BaseException] = []

    async def take(pilot: Pilot[Any]) -> None:
        try:
            await pilot.pause()
            await app.open_view(name)
            await pilot.pause()
            taken.append(picture_of(app, app.scene(), name))
        except BaseException as error:  # Textual would print it and go on
            taken.append(error)
        app.exit()

    await app.run_async(headless=True, size=size, auto_pilot=take)
    if not taken:
        raise RuntimeError("the screen ended before it was drawn")
    if isinstance(taken[0], BaseException):
        raise taken[0]
    return taken[0]


def draw(view: View, name: str = "overview", size: tuple[int, int] = (120, 40), **options: Any) -> Picture:
    """As :func:`drawn`, in an event loop of its own: for threads and commands that have none."""
    return asyncio.run(drawn(view, name, size, **options))


def picture_of(app: App[Any], scene: Scene, name: str) -> Picture:
    """What the app shows now, which is ``scene``, called ``name``."""
    return Picture(grid_of(app), scene.view.mesh.name, name, scene.now_s)


def save(picture: Picture, folder: Path) -> Saved:
    """SVG, PNG and text into ``folder``, under names that were not taken. Raises OSError."""
    stem, number = picture.stem, 1
    while any((folder / f"{stem}{ending}").exists() for ending in (".svg", ".png", ".txt")):
        number += 1
        stem = f"{picture.stem}-{number}"
    data, missing = picture.png()
    contents = {".svg": picture.svg().encode(), ".png": data, ".txt": picture.text.encode()}
    written = []
    for ending, content in contents.items():
        path = folder / f"{stem}{ending}"
        write_whole(path, content)
        written.append(path)
    return Saved(tuple(written), missing)


def write_whole(path: Path, content: bytes) -> None:
    """Where it does not fit on the disk, no part of it stays under a new name. Raises OSError."""
    is_new = not path.exists()
    try:
        path.write_bytes(content)
    except OSError:
        if is_new:
            path.unlink(missing_ok=True)
        raise


def default_folder() -> Path:
    """The current folder; where nothing can be written there, the home folder."""
    here = Path.cwd()
    return here if os.access(here, os.W_OK) else Path.home()


def missing_words(missing: frozenset[str]) -> str:
    return f"no font here has {' '.join(sorted(missing)[:8])}: they are empty boxes in the PNG; {CURE_FOR_FONTS}"


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
