"""One line below the header: what is being watched, for who sees it for the first time."""

from __future__ import annotations

from rich.cells import cell_len

from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.canvas import Canvas


class Notice(Canvas):
    """Takes no line while there is nothing to say, or where lines are scarce."""

    def draw(self, text: str | None, lines: int, width: int, glyphs: Glyphs, palette: Palette) -> None:
        self.display = bool(lines)
        self.show([notice_line(text, width, glyphs, palette).strip(width)] if lines and text else [])


def notice_line(text: str, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    line = Line().gap()
    lead, colon, rest = text.partition(": ")
    name = glyphs.text(lead + colon.rstrip())
    if colon and cell_len(name) <= width // 2:  # what it is called, then what there is to know of it
        line.add(name, palette.bold).gap()
        text = rest
    return line.add(glyphs.fit(text, max(width - line.width - 1, 0)).rstrip(), palette.text)
