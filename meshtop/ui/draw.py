"""Lines of styled text, built left to right into Strips. Pure; what is drawn here is plain text, never markup."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from meshtop.ui.glyphs import Glyphs
from meshtop.ui.theme import Palette


class Line:
    """One line under construction. Neighbours of the same style become one segment: fewer bytes on the terminal."""

    __slots__ = ("_segments", "_style", "_texts", "width")

    def __init__(self) -> None:
        self.width = 0
        self._segments: list[Segment] = []
        self._texts: list[str] = []
        self._style: Style | None = None

    def add(self, text: str, style: Style) -> Line:
        if not text:
            return self
        if style is not self._style:
            self._flush()
            self._style = style
        self._texts.append(text)
        self.width += cell_len(text)
        return self

    def gap(self, cells: int = 1) -> Line:
        """Blank cells in whatever style is running, unless it would show on blanks."""
        if cells > 0:
            style = self._style
            if style is not None and (style.reverse or style.underline):
                self._flush()
                self._style = None
            self._texts.append(" " * cells)
            self.width += cells
        return self

    def to(self, column: int) -> Line:
        """Blank up to ``column``."""
        return self.gap(column - self.width)

    def join(self, other: Line) -> Line:
        self._flush()
        other._flush()
        self._segments.extend(other._segments)
        self.width += other.width
        return self

    def strip(self, width: int) -> Strip:
        """Exactly ``width`` cells."""
        self.to(width)
        self._flush()
        strip = Strip(self._segments, self.width)
        return strip if self.width == width else strip.crop(0, width)

    def _flush(self) -> None:
        if self._texts:
            self._segments.append(Segment("".join(self._texts), self._style or Style.null()))
            self._texts = []


def top_edge(title: Line, right: Line, width: int, framed: bool, glyphs: Glyphs, palette: Palette) -> Line:
    """The rule above a panel, with its title at the left and ``right`` at the right if both fit."""
    frame = glyphs.frame
    left_end, right_end = (frame.upper_left, frame.upper_right) if framed else (frame.across, frame.across)
    line = Line().add(left_end + frame.across + " ", palette.faint).join(title).add(" ", palette.faint)
    return _edge_end(line, right, width, right_end, glyphs, palette)


def bottom_edge(left: Line, right: Line, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    frame = glyphs.frame
    line = Line().add(frame.lower_left + frame.across, palette.faint)
    if left.width and left.width + 6 <= width:
        line.gap().join(left).add(" ", palette.faint)
    return _edge_end(line, right, width, frame.lower_right, glyphs, palette)


def _edge_end(line: Line, right: Line, width: int, end: str, glyphs: Glyphs, palette: Palette) -> Line:
    across = glyphs.frame.across
    tail = right.width + 3 if right.width else 0
    if line.width + tail + 2 > width:
        tail, right = 0, Line()
    line.add(across * (width - line.width - tail - 1), palette.faint)
    if tail:
        line.add(" ", palette.faint).join(right).add(" " + across, palette.faint)
    return line.add(end, palette.faint)
