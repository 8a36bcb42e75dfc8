"""Where in a recording we are: the state of the player, the time, and a bar with what may be gone to."""

from __future__ import annotations

from meshtop.engine.view import PlaybackStop, PlaybackView
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.header import clock_text

# The player plays; the cursor; played, read through and not yet read stretches of the bar.
_SIGNS = {"unicode": ("▶", "●", "━", "─", "·"), "ascii": (">", "O", "=", "-", ".")}
# What stands for several stops in one cell: the one that is looked for most.
_RANK = ("stall", "mark", "finding", "burst")


def time_bar(playback: PlaybackView, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    """`` ▶ 4×  14:32:07  ━━━■━━━╸────▲────  15:01:00 ``, as wide as ``width``."""
    state = glyphs.ellipsis if playback.seeking else glyphs.pause if playback.paused else _SIGNS[glyphs.name][0]
    line = Line().gap().add(state, palette.bold).to(4)
    line.add(f"{playback.speed:g}{glyphs.lost}".ljust(6), palette.text)
    line.add(clock_text(playback.at), palette.bold).gap()
    end = Line().gap().add(clock_text(playback.last_at), palette.dim)
    if playback.incomplete is not None:
        end.add(" incomplete", palette.states_bold["degraded"])
    cells = width - line.width - end.width - 1
    if cells >= 8:
        line.join(_bar(playback, cells, glyphs, palette))
    return line.join(end).gap()


def _bar(playback: PlaybackView, cells: int, glyphs: Glyphs, palette: Palette) -> Line:
    length = max(playback.last_at - playback.first_at, 1e-3)

    def cell(at: float) -> int:
        return min(max(int((at - playback.first_at) / length * cells), 0), cells - 1)

    _, cursor, played, known, unknown = _SIGNS[glyphs.name]
    here = cell(playback.at)
    read = cell(playback.read_until) if playback.read_until is not None else -1
    stops: dict[int, PlaybackStop] = {}
    for stop in playback.stops:
        place = cell(stop.at)
        if place not in stops or _RANK.index(stop.kind) < _RANK.index(stops[place].kind):
            stops[place] = stop
    styles = {"stall": palette.states_bold["stalled"], "finding": palette.states_bold["degraded"]}
    signs = {"stall": glyphs.states["stalled"], "finding": glyphs.states["degraded"], "mark": glyphs.mark}
    line = Line()
    for place in range(cells):
        if place == here:
            line.add(cursor, palette.bold)
        elif place in stops:
            kind = stops[place].kind
            line.add(signs.get(kind, "b"), styles.get(kind, palette.bold))
        else:
            sign = played if place < here else known if place <= read else unknown
            line.add(sign, palette.text if place < here else palette.faint)
    return line
