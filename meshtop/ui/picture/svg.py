"""The screen as SVG 1.1: text stays text, lines and blocks are geometry, fonts are those of whoever looks at it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from math import cos, radians, sin
from xml.sax.saxutils import escape

from meshtop.ui.picture.grid import Cell, Colour, Grid, Run
from meshtop.ui.picture.shapes import CELL, LIGHT, Arc, Box, Dot, Shape, shapes

FONT_SIZE = 20
BASELINE = 18  # of a line, from its top
# No font is fetched from anywhere: a picture in a report must not call home, and opens without a network.
FAMILIES = "DejaVu Sans Mono, Noto Sans Mono, Liberation Mono, Menlo, Consolas, monospace"


def svg(grid: Grid, title: str) -> str:
    width, height = grid.width * CELL[0], grid.height * CELL[1]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<title>{escape(title)}</title>",
        f"<style>text{{font-family:{FAMILIES};font-size:{FONT_SIZE}px;white-space:pre}}</style>",
        f'<rect width="{width}" height="{height}" fill="{_hex(grid.ground)}"/>',
    ]
    for row, runs in enumerate(grid.rows):
        for run in runs:
            parts += _run(run, row * CELL[1], grid.ground)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _run(run: Run, top: int, ground: Colour) -> Iterable[str]:
    cells = list(run.cells())
    if run.ground != ground and cells:
        size = (cells[-1].column + cells[-1].width - run.column) * CELL[0]
        yield _rect(run.column * CELL[0], top, size, CELL[1], _hex(run.ground))
    for kind, group in groupby(cells, key=_kind):
        if kind == "blank":
            continue
        members = list(group)
        if kind == "shape":
            yield from _drawn(members, top, run)
        elif kind == "wide":
            for one in members:  # each at its own place: no two fonts agree on how wide they are
                yield _text([one], top, run)
        else:
            yield _text(members, top, run)


def _kind(cell: Cell) -> str:
    if cell.text.isspace():
        return "blank"
    return "shape" if shapes(cell.text) is not None else "wide" if cell.width > 1 else "text"


def _text(cells: list[Cell], top: int, run: Run) -> str:
    text = "".join(cell.text for cell in cells)
    size = sum(cell.width for cell in cells) * CELL[0]
    look = ' font-weight="bold"' if run.bold else ""
    look += ' text-decoration="underline"' if run.underline else ""
    return (
        f'<text x="{cells[0].column * CELL[0]}" y="{top + BASELINE}" textLength="{size}" '
        f'lengthAdjust="spacingAndGlyphs" fill="{_hex(run.colour)}"{look}>{escape(text)}</text>'
    )


def _drawn(cells: list[Cell], top: int, run: Run) -> Iterable[str]:
    """Neighbours that are the same bar become one rectangle, and leave no seam between them."""
    for _, group in groupby(cells, key=lambda cell: cell.text):
        members = list(group)
        left, count = members[0].column * CELL[0], len(members)
        drawn = shapes(members[0].text) or ()
        if all(isinstance(shape, Box) and shape.x0 == 0 and shape.x1 == CELL[0] for shape in drawn):
            yield from (_shape(shape, left, top, run.colour, count) for shape in drawn)
            continue
        for cell in members:
            yield from (_shape(shape, cell.column * CELL[0], top, run.colour, 1) for shape in drawn)


def _shape(shape: Shape, left: int, top: int, colour: Colour, count: int) -> str:
    fill = _hex(colour)
    if isinstance(shape, Box):
        width = shape.x1 - shape.x0 + (count - 1) * CELL[0]
        return _rect(left + shape.x0, top + shape.y0, width, shape.y1 - shape.y0, fill, shape.opacity)
    if isinstance(shape, Dot):
        return f'<circle cx="{_n(left + shape.x)}" cy="{_n(top + shape.y)}" r="{_n(shape.radius)}" fill="{fill}"/>'
    return _arc(shape, left, top, fill)


def _arc(arc: Arc, left: int, top: int, stroke: str) -> str:
    start, end = radians(arc.quadrant * 90), radians(arc.quadrant * 90 + 90)
    x0, y0 = left + arc.cx + arc.radius * cos(start), top + arc.cy + arc.radius * sin(start)
    x1, y1 = left + arc.cx + arc.radius * cos(end), top + arc.cy + arc.radius * sin(end)
    return (
        f'<path d="M{_n(x0)} {_n(y0)}A{_n(arc.radius)} {_n(arc.radius)} 0 0 1 {_n(x1)} {_n(y1)}" fill="none" '
        f'stroke="{stroke}" stroke-width="{LIGHT}"/>'
    )


def _rect(x: float, y: float, width: float, height: float, fill: str, opacity: float = 1.0) -> str:
    seen = "" if opacity == 1.0 else f' fill-opacity="{opacity:g}"'
    return f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" fill="{fill}"{seen}/>'


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
