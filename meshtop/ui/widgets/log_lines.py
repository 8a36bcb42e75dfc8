"""The log: what happened and when, newest below. Marks stand among the lines at their time."""

from __future__ import annotations

from collections.abc import Sequence

from meshtop.model import LogLine, Mark
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.scene import Scene
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.header import clock_text

_NODE_WIDTH = 8


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


def log_line(entry: LogLine | Mark, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    line = Line().gap().add(clock_text(entry.at), palette.dim).gap(2)
    if isinstance(entry, Mark):
        line.add(glyphs.fit("mark", _NODE_WIDTH), palette.cursor).gap().add(f"{glyphs.mark} ", palette.cursor)
        return line.add(glyphs.fit(entry.text, max(width - line.width - 1, 0)).rstrip(), palette.cursor)
    line.add(glyphs.fit(entry.node or "", _NODE_WIDTH), palette.bold).gap()
    sign = {"warning": glyphs.states["degraded"], "error": glyphs.states["stalled"]}.get(entry.level)
    style = palette.text if sign is None else palette.levels[entry.level]
    line.add(f"{sign or ' '} ", style)
    return line.add(glyphs.fit(entry.text, max(width - line.width - 1, 0)).rstrip(), style)


def newest(entries: Sequence[LogLine | Mark], rows: int, back: int) -> Sequence[LogLine | Mark]:
    """``rows`` entries that end ``back`` before the newest."""
    end = max(len(entries) - back, min(rows, len(entries)))
    return entries[max(0, end - rows) : end]
