"""Fifteen minutes in one line: in each column how many stalls stood, and which of them is selected."""

from __future__ import annotations

from collections.abc import Sequence

from meshtop.engine.snapshot import StallView
from meshtop.ui import plot
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.plot import TimeAxis
from meshtop.ui.scene import Scene
from meshtop.ui.theme import Palette
from meshtop.ui.timecursor import utc
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.header import clock_text
from meshtop.units import format_duration

WINDOW_S = 900.0
_MARGIN = 2
_MOST_LEVEL = 6  # the full height is the selected one


class Timeline(Canvas):
    def draw(
        self, scene: Scene, stalls: Sequence[StallView], chosen: StallView | None, width: int, height: int,
        glyphs: Glyphs, palette: Palette,
    ) -> None:  # fmt: skip
        if height <= 0:
            return
        axis = TimeAxis.until(scene.now_s, WINDOW_S, max(width - 2 * _MARGIN, 1))
        counts = [0] * axis.columns
        for stall in stalls:
            for column in _columns(stall, axis, scene):
                counts[column] += 1
        selected = set(_columns(chosen, axis, scene)) if chosen is not None else set()
        title = Line().add("Timeline", palette.title)
        title.add(glyphs.text(f" · 1 cell = {format_duration(axis.column_s)}"), palette.dim)
        body = [_counted(counts, selected, glyphs, palette), _axis(axis, palette)]
        self.show(panel(title, body, width, height, False, glyphs, palette, right=_legend(glyphs, palette)))


def _columns(stall: StallView, axis: TimeAxis, scene: Scene) -> range:
    end_s = utc(stall.end) if stall.end else scene.now_s
    return axis.covered(utc(stall.start), end_s) if end_s > axis.start_s else range(0)


def _counted(counts: Sequence[int], selected: set[int], glyphs: Glyphs, palette: Palette) -> Line:
    line = Line().gap(_MARGIN)
    for column, count in enumerate(counts):
        if count:
            if column in selected:
                line.add(glyphs.bars[-1], palette.cursor)
            else:
                line.add(glyphs.bars[min(count.bit_length(), _MOST_LEVEL) - 1], palette.states["stalled"])
        else:
            line.add(glyphs.states["idle"], palette.faint)
    return line


def _axis(axis: TimeAxis, palette: Palette) -> Line:
    line = Line()
    for column, at in plot.ticks(axis, 14):
        text = clock_text(at)
        if column + len(text) <= axis.columns - 4:
            line.to(_MARGIN + column).add(text, palette.dim)
    return line.to(_MARGIN + axis.columns - 3).add("now", palette.dim)


def _legend(glyphs: Glyphs, palette: Palette) -> Line:
    line = Line()
    for sign, words in ((glyphs.bars[0], "1 stall"), (glyphs.bars[1], "2"), (glyphs.bars[2], "4")):
        line.add(("  " if line.width else "") + sign, palette.states["stalled"]).add(f" {words}", palette.dim)
    return line.gap(2).add(glyphs.bars[-1], palette.cursor).add(" selected", palette.dim)
