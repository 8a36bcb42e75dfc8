"""Links second by second by what their flows did: one cell a second, on one axis of time for all of them.

The axis ends with the second that runs now. A second that cannot have been told yet is left blank, one that should have
been is ``?``; what lies before the first measurement is blank too, as nobody was looking.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor

from meshtop.engine.view import Strip, StripState
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.theme import Palette

NOT_DUE_S = 2  # a second is told when the first sample after it has come; sampling may be slower, see `drawn`
SHOWN: tuple[tuple[StripState, str], ...] = (
    ("idle", "idle"), ("sending", "sent"), ("retransmitting", "retx"), ("stalled", "stall"), ("no-data", "no data"),
)  # fmt: skip


def seconds(strip: Strip | None, width: int, now_s: float, interval_s: float) -> list[StripState | None]:
    """The newest ``width`` seconds, oldest first; None where nothing was to be known."""
    cells: list[StripState | None] = [None] * width
    if strip is None or not strip.seconds:
        return cells
    end = ceil(now_s)
    back = floor(end - strip.until + 0.5)  # cells between this strip's last second and the one that runs now
    first = next((place for place, state in enumerate(strip.seconds) if state != "no-data"), len(strip.seconds))
    for place in range(first, len(strip.seconds)):
        column = width - 1 - back - (len(strip.seconds) - 1 - place)
        if 0 <= column < width:
            cells[column] = strip.seconds[place]
    due = width - NOT_DUE_S - ceil(interval_s)
    known = max((column for column, state in enumerate(cells) if state not in (None, "no-data")), default=-1)
    for column in range(known + 1, width):
        cells[column] = "no-data" if first < len(strip.seconds) and column < due else None
    return cells


def draw(line: Line, cells: Sequence[StripState | None], glyphs: Glyphs, palette: Palette) -> Line:
    """A cell for each second."""
    for state in cells:
        if state is None:
            line.gap()
        else:
            line.add(glyphs.strips[state], palette.strips[state])
    return line


def legend(glyphs: Glyphs, palette: Palette) -> Line:
    line = Line()
    for state, word in SHOWN:
        line.add((" " if line.width else "") + glyphs.strips[state], palette.strips[state])
        line.add(f" {word}", palette.dim)
    return line


def axis(line: Line, width: int, palette: Palette, end: str = "now") -> Line:
    """``-30s`` where the second of thirty seconds before ``end`` stands, and that at the right."""
    step = 15 if width < 100 else 30
    start = line.width
    for back in range(width // step * step, 0, -step):
        label = f"-{back}s"
        column = start + width - 1 - back
        if column >= line.width and column + len(label) < start + width - len(end):
            line.to(column).add(label, palette.dim)
    return line.to(start + width - len(end)).add(end, palette.dim)
