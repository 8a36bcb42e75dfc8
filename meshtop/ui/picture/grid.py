"""What stands on the screen, cell by cell, with its colours resolved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.cells import get_character_cell_size
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import DIMMED_MONOKAI
from textual._context import visible_screen_stack  # what a translucent dialog is blended with; there is no public way
from textual.app import App

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Cell:
    """One sign and where it stands. ``text`` is a character with what combines with it; ``width`` is 1 or 2."""

    column: int
    text: str
    width: int


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbours on one line that look alike."""

    column: int
    text: str
    colour: Colour
    ground: Colour
    bold: bool = False
    underline: bool = False

    def cells(self) -> Iterator[Cell]:
        column, text, width = self.column, "", 0
        for char in self.text:
            size = get_character_cell_size(char)
            if size == 0 and text:
                text += char
                continue
            if text:
                yield Cell(column, text, width)
                column += width
            text, width = char, max(size, 1)
        if text:
            yield Cell(column, text, width)


@dataclass(frozen=True)
class Grid:
    """``rows`` from top to bottom, each filling ``width`` cells."""

    width: int
    height: int
    ground: Colour
    rows: tuple[tuple[Run, ...], ...]

    @cached_property
    def text(self) -> str:
        """A line for each row, without blanks at its end."""
        return "".join("".join(run.text for run in row).rstrip() + "\n" for row in self.rows)


def grid_of(app: App[Any]) -> Grid:
    """The app's screen as it stands now, with what lies over it."""
    visible_screen_stack.set(app._background_screens)
    strips = app.screen._compositor.render_strips()
    ground = _rgb(app.screen.rich_style.bgcolor, (0, 0, 0))
    colour = _rgb(app.screen.rich_style.color, (255, 255, 255))
    width, height = app.size
    rows = tuple(tuple(_runs(list(strip), colour, ground)) for strip in strips[:height])
    return Grid(width, height, ground, rows)


def _runs(segments: list[Segment], colour: Colour, ground: Colour) -> Iterator[Run]:
    column = 0
    for segment in Segment.simplify(Segment(one.text, _look(one.style)) for one in segments if not one.control):
        style = segment.style or Style.null()
        ink, paper = _rgb(style.color, colour), _rgb(style.bgcolor, ground)
        if style.reverse:
            ink, paper = paper, ink
        if style.dim:
            ink = _between(ink, paper)
        yield Run(column, segment.text, ink, paper, bool(style.bold), bool(style.underline))
        column += segment.cell_length


def _look(style: Style | None) -> Style:
    """Without what cannot be seen, so that neighbours become one run."""
    if style is None:
        return Style.null()
    return Style(
        color=style.color, bgcolor=style.bgcolor, bold=style.bold, dim=style.dim, reverse=style.reverse,
        underline=style.underline,
    )  # fmt: skip


def _rgb(color: Color | None, default: Colour) -> Colour:
    return default if color is None or color.is_default else tuple(color.get_truecolor(DIMMED_MONOKAI))  # type: ignore[return-value]


def _between(one: Colour, other: Colour) -> Colour:
    return ((one[0] + other[0]) // 2, (one[1] + other[1]) // 2, (one[2] + other[2]) // 2)
