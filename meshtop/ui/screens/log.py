"""The whole log, as much of it as the engine keeps."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from meshtop.model import LogLine, Mark
from meshtop.ui import keys
from meshtop.ui.draw import Line
from meshtop.ui.filtering import told
from meshtop.ui.scene import Scene
from meshtop.ui.screens.base import WHEEL_LINES
from meshtop.ui.screens.framed import FramedScreen
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.log_lines import log_entries, newest, passes, wrapped

ORDERS = ("newest last", "gravest last", "by node")
_GRAVITY = {"info": 0, "mark": 1, "warning": 2, "error": 3}


class LogScreen(FramedScreen):
    """Follows the newest line until it is scrolled; then it stays where it is while lines arrive."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.screen_bindings("log")]

    def __init__(self) -> None:
        super().__init__(id="log-screen")
        self._back = 0  # lines between the newest and the last one shown
        self._count = 0

    def show_body(self, scene: Scene, width: int, height: int) -> None:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        entries, of = self._entries(scene), len(log_entries(scene))
        lines = [line for entry in entries for line in wrapped(entry, width, glyphs, palette)]
        if self._back:
            self._back += max(0, len(lines) - self._count)
        self._count = len(lines)
        rows = max(height - 1, 1)
        self._back = min(self._back, max(0, len(lines) - rows))
        body = newest(lines, rows, self._back)
        right = Line().add(glyphs.text(f"↓{self._back} newer"), palette.dim) if self._back else Line()
        count = f"{len(entries)} of {of}" if self.filter else str(of)
        title = Line().add("Log", palette.title).add(glyphs.text(f" · {count} entries, {self._order}"), palette.dim)
        told(title, self.filter, glyphs, palette)
        strips = panel(title, body, width, height, False, glyphs, palette, right=right)
        self.query_one("#lines", Canvas).show(strips)

    @property
    def _order(self) -> str:
        return self.meshtop.choices.orders.get(self.kind, ORDERS[0])

    def _entries(self, scene: Scene) -> list[LogLine | Mark]:
        """Those that pass the filter; the one that matters most stands last, where the screen begins."""
        entries = [entry for entry in log_entries(scene) if passes(entry, self.filter)]
        if self._order == "gravest last":
            return sorted(entries, key=lambda entry: _GRAVITY.get(getattr(entry, "level", "mark"), 0))
        if self._order == "by node":
            return sorted(entries, key=lambda entry: getattr(entry, "node", None) or "")
        return entries

    def action_sort(self) -> None:
        self.meshtop.say(f"Log: {self.meshtop.choices.next_order(self.kind, ORDERS)}.")
        self._back = 0
        self.meshtop.repaint()

    def wheel(self, direction: int) -> None:
        self.action_scroll_by(WHEEL_LINES * direction)

    def action_scroll_by(self, lines: int) -> None:
        self._back = max(0, self._back - lines)
        self.meshtop.repaint()

    def action_scroll_page(self, pages: int) -> None:
        self.action_scroll_by(pages * max(self.app.size.height - 4, 1))

    def action_follow(self) -> None:
        self._back = 0
        self.meshtop.repaint()
