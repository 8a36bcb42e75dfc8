"""Large updates of the terminal, reduced to the cells that really change.

Textual lays a new screen out in several steps and paints all of it after each: three to four times 28 kB at 120×40,
which a slow SSH session feels; and where a number changes it paints the panel. So what the terminal shows is remembered
line by line, and an update of much of the screen becomes one of what differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.screen import Screen
from textual.strip import Strip

# Below, asking for the whole screen would cost more than it saves: these updates are of changed lines already.
_MANY_SPANS = 16
# Cells between two changes that are painted again, as moving the cursor over them takes as many bytes.
_SHORT_GAP = 6
# Latin letters, punctuation, arrows, signs of mathematics, lines, blocks, shapes, braille.
_ONE_CELL = re.compile(
    r"[ -~\u00a1-\u00ac\u00ae-\u02ff\u2010-\u2027\u2030-\u205e\u2190-\u22ff\u2500-\u25fc\u2715\u2800-\u28ff]*"
)


class Piece(NamedTuple):
    """Part of a line, and where it begins."""

    x: int
    y: int
    strip: Strip


class PiecesUpdate(CompositorUpdate):
    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = pieces

    def render_segments(self, console: Console) -> str:
        return "".join(Control.move_to(x, y).segment.text + strip.render(console) for x, y, strip in self.pieces)


def changed_pieces(y: int, before: Strip | None, after: Strip) -> Iterator[Piece]:
    """What of a line is to be painted where the terminal shows ``before``; None: anything."""
    if before == after:
        return
    if before is None or not (
        _cell_by_letter(before) and _cell_by_letter(after) and len(before.text) == len(after.text)
    ):
        yield Piece(0, y, after)
        return
    spans = list(_changed_spans(before, after))
    if not spans:  # the same, in other runs
        return
    gaps = [k for k, (one, other) in enumerate(pairwise(spans), 1) if other[0] - one[1] > _SHORT_GAP]
    for first, end in pairwise([0, *gaps, len(spans)]):
        x, x_end = spans[first][0], spans[end - 1][1]
        yield Piece(x, y, after if (x, x_end) == (0, after.cell_length) else after.crop(x, x_end))


def _cell_by_letter(strip: Strip) -> bool:
    """Whether all of it is text in which each character surely takes one cell."""
    return all(not control and _ONE_CELL.fullmatch(text) for text, _, control in strip)


def _changed_spans(before: Strip, after: Strip) -> Iterator[tuple[int, int]]:
    """Where cells differ, from left to right; lines of the same length."""
    runs = iter(before)
    old, style_before = "", None
    x = 0
    for text, style, _ in after:
        while text:
            while not old:
                old, style_before, _ = next(runs)
            n = min(len(text), len(old))
            if style != style_before:
                yield x, x + n
            elif text[:n] != old[:n]:
                yield from ((x + k, x + k + 1) for k in range(n) if text[k] != old[k])
            text, old, x = text[n:], old[n:], x + n


class Shadow:
    """What the terminal shows, as far as it is known: a line for each row, None where it is not."""

    def __init__(self) -> None:
        self._lines: list[Strip | None] = []

    def forget(self) -> None:
        """The terminal may show anything."""
        self._lines = []

    def reduced(self, screen: Screen[Any], update: Any) -> Any:
        """``update`` itself, a smaller one in its place, or None where nothing changes."""
        if update is None:
            return None
        if screen.is_modal or not isinstance(update, LayoutUpdate | ChopsUpdate):
            self.forget()  # what lies below a dialog is put together elsewhere
            return update
        if isinstance(update, ChopsUpdate) and len(update.spans) < _MANY_SPANS:
            for y, _, _ in update.spans:
                if y < len(self._lines):
                    self._lines[y] = None
            return update
        lines = screen._compositor.render_strips()
        before = self._lines if len(self._lines) == len(lines) else [None] * len(lines)
        changed = [piece for y, line in enumerate(lines) for piece in changed_pieces(y, before[y], line)]
        self._lines = [*lines]
        return PiecesUpdate(changed) if changed else None
