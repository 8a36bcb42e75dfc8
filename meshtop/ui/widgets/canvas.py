"""A widget that is handed finished lines and repaints only those that changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from meshtop.ui.draw import Line, bottom_edge, top_edge
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.theme import Palette


class Canvas(Widget):
    """``show`` takes the lines; they are compared with those before, because over a slow link every byte counts."""

    ALLOW_SELECT = False
    can_focus = False

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._strips: list[Strip] = []

    def show(self, strips: list[Strip]) -> None:
        before, self._strips = self._strips, strips
        if len(before) != len(strips):
            self.refresh()
            return
        dirty = [
            Region(0, y, _changed_width(old, new), 1)
            for y, (old, new) in enumerate(zip(before, strips, strict=True))
            if old != new
        ]
        if dirty:
            self.refresh(*dirty)

    def render_line(self, y: int) -> Strip:
        if y < len(self._strips):
            return self._strips[y].apply_style(self.rich_style)  # the ground, which the drawing leaves to CSS
        return Strip.blank(self.size.width, self.rich_style)


def _changed_width(old: Strip, new: Strip) -> int:
    """Cells from the left edge to the end of the last change. The compositor repaints a line from its left edge in any
    case, so nothing is gained by a region that begins later."""
    if old.cell_length != new.cell_length:
        return max(old.cell_length, new.cell_length)
    width = new.cell_length
    for one, other in zip(reversed(list(old)), reversed(list(new)), strict=False):
        if one != other:
            break
        width -= other.cell_length
    return width


def panel(
    title: Line,
    body: Sequence[Line],
    width: int,
    height: int,
    framed: bool,
    glyphs: Glyphs,
    palette: Palette,
    *,
    right: Line | None = None,
    lower_left: Line | None = None,
    lower_right: Line | None = None,
) -> list[Strip]:
    """``body`` under a title, in a frame or below a rule; exactly ``height`` lines of ``width`` cells."""
    if height <= 0 or width <= 0:
        return []
    strips = [top_edge(title, right or Line(), width, framed, glyphs, palette).strip(width)]
    rows = height - (2 if framed else 1)
    side = glyphs.frame.down
    for index in range(max(rows, 0)):
        inner = body[index] if index < len(body) else Line()
        if framed:
            strip = inner.strip(width - 2)
            edge = Segment(side, palette.faint)
            strips.append(Strip([edge, *strip, edge], width))
        else:
            strips.append(inner.strip(width))
    if framed and height >= 2:
        strips.append(bottom_edge(lower_left or Line(), lower_right or Line(), width, glyphs, palette).strip(width))
    return strips[:height]


def scrolled(body: Sequence[Line], rows: int, first: int, palette: Palette) -> list[Line]:
    """``rows`` lines of ``body`` from ``first`` on, as far as there are any; the last says how many are below."""
    rows = max(rows, 0)
    first = max(0, min(first, len(body) - rows))
    shown = list(body[first : first + rows])
    below = len(body) - first - rows
    if below > 0 and shown:
        shown[-1] = Line().gap().add(f"and {below + 1} lines more", palette.dim)
    return shown
