"""Charts in cells: values of one or two series on one Y axis, as block elements or braille dots. Pure.

The first series is drawn solid, the second dotted, so that they can be told apart without colour; where both stand in
one cell it has a sign of its own. The cursor of time is a line in what is blank, and never hides a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.style import Style

from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.plot import Range
from meshtop.ui.scales import Scale
from meshtop.ui.theme import Palette

LABEL = 8  # cells of a label with the blank behind it: "×public" is one

_UPPER, _LOWER = 2, 1
_FULL = 8  # eighths
# Braille dots (Unicode 28xx) of a cell by its four rows from the bottom, left and right.
_DOTS = ((0x40, 0x80), (0x04, 0x20), (0x02, 0x10), (0x01, 0x08))
_BRAILLE = 0x2800


@dataclass(frozen=True)
class Curve:
    """One series. ``ranges`` are drawn from the least to the most of each column, or with ``filled`` from the bottom
    to the most; ``points`` are single marks above them. For braille ``ranges`` have two places a column."""

    ranges: Sequence[Range | None]
    style: Style
    filled: bool = False
    points: Sequence[float | None] = ()


@dataclass(frozen=True)
class Look:
    """``cursor``: the column of the time cursor; what is right of it came later and is drawn faint."""

    rows: int
    columns: int
    glyphs: Glyphs
    palette: Palette
    cursor: int | None = None
    braille: bool = False


@dataclass
class _Cell:
    bits: list[int] = field(default_factory=lambda: [0, 0])
    level: int = 0  # of a filled one, in eighths
    sign: str = ""
    style: Style | None = None


def chart(curves: Sequence[Curve], scale: Scale, look: Look) -> list[Line]:
    """``look.rows`` lines: labels of the axis, then ``look.columns`` cells."""
    grid = [[_Cell() for _ in range(look.columns)] for _ in range(look.rows)]
    braille = look.braille and not look.glyphs.is_ascii
    for place, curve in enumerate(curves[:2]):
        if braille:
            _dot(grid, place, curve, scale, look)
        else:
            _block(grid, place, curve, scale, look)
    for place, curve in enumerate(curves[:2]):
        for column, value in enumerate(curve.points):
            if value is not None:
                cell = grid[look.rows - 1 - scale.place(value, look.rows)][column]
                cell.sign, cell.style = look.glyphs.full_size[place], curve.style
    lines = []
    for row, cells in enumerate(grid):
        line = _label(scale, row, look)
        for column, cell in enumerate(cells):
            _draw(line, cell, column, curves, look, braille)
        lines.append(line)
    return lines


def _label(scale: Scale, row: int, look: Look) -> Line:
    text = ""
    if row == 0:
        text = scale.label(1.0)
    elif row == look.rows - 1:
        text = scale.label(0.0)
    elif look.rows >= 5 and row == look.rows // 2:
        text = scale.label(1 - row / look.rows)
    line = Line().add(look.glyphs.fit(text, LABEL - 1, ">"), look.palette.dim)
    return line.add(look.glyphs.frame.down, look.palette.faint)


def _block(grid: list[list[_Cell]], place: int, curve: Curve, scale: Scale, look: Look) -> None:
    halves = 2 * look.rows
    for column, values in enumerate(curve.ranges):
        if values is None:
            continue
        high = scale.place(values[1], halves)
        if curve.filled and place == 0:
            _fill(grid, column, scale.place(values[1], _FULL * look.rows) + 1 if values[1] > scale.low else 0)
            continue
        low = high if curve.filled else scale.place(values[0], halves)
        for half in range(low, high + 1):
            grid[look.rows - 1 - half // 2][column].bits[place] |= _UPPER if half % 2 else _LOWER
        if scale.beyond(values[1]):
            cell = grid[0][column]
            cell.sign, cell.style = look.glyphs.text("↑"), curve.style


def _fill(grid: list[list[_Cell]], column: int, level: int) -> None:
    for row in range(len(grid)):
        cell = grid[len(grid) - 1 - row][column]
        cell.level = min(max(level - _FULL * row, 0), _FULL)


def _dot(grid: list[list[_Cell]], place: int, curve: Curve, scale: Scale, look: Look) -> None:
    quarters = 4 * look.rows
    for number, values in enumerate(curve.ranges):
        if values is None or (place == 1 and number % 2):  # the second series is dotted
            continue
        high = scale.place(values[1], quarters)
        low = 0 if curve.filled and place == 0 else high if curve.filled else scale.place(values[0], quarters)
        for quarter in range(low, high + 1):
            cell = grid[look.rows - 1 - quarter // 4][number // 2]
            cell.bits[place] |= _DOTS[quarter % 4][number % 2]


def _draw(line: Line, cell: _Cell, column: int, curves: Sequence[Curve], look: Look, braille: bool) -> None:
    sign, style = _sign_of(cell, curves, look, braille)
    if not sign:
        if column == look.cursor:
            line.add(look.glyphs.frame.down, look.palette.cursor)
        else:
            line.gap()
        return
    later = look.cursor is not None and column > look.cursor
    line.add(sign, look.palette.faint if later else style)


def _sign_of(cell: _Cell, curves: Sequence[Curve], look: Look, braille: bool) -> tuple[str, Style]:
    first, second = cell.bits
    glyphs = look.glyphs
    if cell.sign:
        return cell.sign, cell.style or look.palette.text
    if braille:
        dots = first | second
        return (chr(_BRAILLE | dots) if dots else ""), curves[0 if first else -1].style
    if (first or cell.level == _FULL) and second:
        return glyphs.both, look.palette.dim  # that they agree is the usual, and must not outshine where they do not
    if cell.level:  # how high it stands says more than that the other is about there, too
        return glyphs.bars[cell.level - 1], curves[0].style
    if first:
        return glyphs.solid[first - 1], curves[0].style
    return (glyphs.dotted[second - 1], curves[-1].style) if second else ("", look.palette.text)
