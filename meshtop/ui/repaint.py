"""Large updates of the terminal, reduced to the lines that really change.

Textual lays a new screen out in several steps and paints all of it after each: three to four times 28 kB at 120×40,
which a slow SSH session feels. So what the terminal shows is remembered line by line, and an update of much of the
screen becomes one of the lines that differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.screen import Screen
from textual.strip import Strip

# Below, asking for the whole screen would cost more than it saves: these updates are of changed lines already.
_MANY_SPANS = 16


class LinesUpdate(CompositorUpdate):
    """Whole lines by their number."""

    def __init__(self, lines: Sequence[tuple[int, Strip]]) -> None:
        self.lines = lines

    def render_segments(self, console: Console) -> str:
        return "".join(Control.move_to(0, y).segment.text + strip.render(console) for y, strip in self.lines)


class Shadow:
    """What the terminal shows, as far as it is known: a line for each row, None where it is not."""

    def __init__(self) -> None:
        self._lines: list[Strip | None] = []

    def forget(self) -> None:
        """The terminal may show anything."""
        self._lines = []

    def reduced(self, screen: Screen[Any], update: Any) -> Any:
        """``update`` itself, one of fewer lines in its place, or None where nothing changes."""
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
        changed = [(y, line) for y, line in enumerate(lines) if line != before[y]]
        self._lines = [*lines]
        return LinesUpdate(changed) if changed else None
