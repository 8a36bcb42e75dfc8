"""The log: what happened and when, newest below. Marks stand among the lines at their time."""

from __future__ import annotations

from collections.abc import Sequence

from meshtop.model import LogLine, Mark
from meshtop.ui.draw import Line
from meshtop.ui.filtering import matches
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.scene import Scene
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.header import clock_text

_NODE_WIDTH = 8
_TEXT_FROM = 1 + 8 + 2 + _NODE_WIDTH + 1 + 2  # blank, clock, blanks, node, blank, sign


class LogPanel(Canvas):
    def draw(self, scene: Scene, width: int, height: int, framed: bool, glyphs: Glyphs, palette: Palette) -> None:
        rows = height - (2 if framed else 1)
        inner = width - (2 if framed else 0)
        entries = log_entries(scene)[-rows:] if rows > 0 else []
        body = [log_line(entry, inner, glyphs, palette) for entry in entries]
        if not body:
            body = [Line().gap(2).add("nothing yet", palette.dim)]
        title = Line().add("Log", palette.title)
        self.show(panel(title, body, width, height, framed, glyphs, palette))


def log_entries(scene: Scene) -> list[LogLine | Mark]:
    """Oldest first."""
    return sorted((*scene.view.log, *scene.view.marks), key=lambda entry: entry.at)


def passes(entry: LogLine | Mark, words: str) -> bool:
    if isinstance(entry, Mark):
        return matches(words, "mark", entry.text)
    return matches(words, entry.node, entry.level, entry.text)


def log_line(entry: LogLine | Mark, width: int, glyphs: Glyphs, palette: Palette, *, text: str | None = None) -> Line:
    """``text`` stands for the entry's own where only its beginning is wanted."""
    text = entry.text if text is None else text
    line = Line().gap().add(clock_text(entry.at), palette.dim).gap(2)
    if isinstance(entry, Mark):
        line.add(glyphs.fit("mark", _NODE_WIDTH), palette.cursor).gap().add(f"{glyphs.mark} ", palette.cursor)
        return line.add(glyphs.fit(text, max(width - line.width - 1, 0)).rstrip(), palette.cursor)
    line.add(glyphs.fit(entry.node or "", _NODE_WIDTH), palette.bold).gap()
    sign = {"warning": glyphs.states["degraded"], "error": glyphs.states["stalled"]}.get(entry.level)
    style = palette.text if sign is None else palette.levels[entry.level]
    line.add(f"{sign or ' '} ", style)
    return line.add(glyphs.fit(text, max(width - line.width - 1, 0)).rstrip(), style)


def wrapped(entry: LogLine | Mark, width: int, glyphs: Glyphs, palette: Palette) -> list[Line]:
    """The whole entry, on as many lines as it takes."""
    first = log_line(entry, width, glyphs, palette)
    indent = _TEXT_FROM
    texts = glyphs.wrap(entry.text, max(width - indent - 1, 8), 20)
    if len(texts) < 2:
        return [first]
    style = palette.cursor if isinstance(entry, Mark) else palette.text
    if isinstance(entry, LogLine) and entry.level != "info":
        style = palette.levels[entry.level]
    head = log_line(entry, width, glyphs, palette, text=texts[0])
    return [head, *(Line().gap(indent).add(text, style) for text in texts[1:])]


def newest(lines: Sequence[Line], rows: int, back: int) -> Sequence[Line]:
    """``rows`` lines that end ``back`` before the newest."""
    end = max(len(lines) - back, min(rows, len(lines)))
    return lines[max(0, end - rows) : end]
