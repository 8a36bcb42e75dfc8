"""All commands by name: type some letters, press enter. A theme is worn as soon as the cursor stands on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import BindingType

from meshtop.ui import keys
from meshtop.ui.commands import Entry, search
from meshtop.ui.dialogs.base import TypingDialog
from meshtop.ui.draw import Line

_MOST_LISTED = 16
_LONGEST = 40


class PaletteDialog(TypingDialog[Entry | None]):
    """``preview`` is told of each theme that is looked at, and None where none is."""

    WIDTH = 76
    SCOPES = frozenset({"dialog", "palette"})
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("dialog", "palette")]

    def __init__(self, found: Sequence[Entry], preview: Callable[[str | None], None], query: str = "") -> None:
        super().__init__(id="palette")
        self._all = tuple(found)
        self._preview = preview
        self._query = query
        self._place = 0

    def title_words(self) -> str:
        return "Commands"

    @property
    def _found(self) -> list[Entry]:
        return search(self._all, self._query)

    def body(self, width: int, height: int) -> list[Line]:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        found = self._found
        rows = max(min(_MOST_LISTED, height - 2), 1)
        first = max(0, min(self._place - rows + 1, len(found) - rows))
        query = Line().gap().add("> ", palette.key).add(glyphs.text(self._query), palette.bold).add("_", palette.cursor)
        lines = [query]
        for place, entry in enumerate(found[first : first + rows], start=first):
            lines.append(self._row(entry, place == self._place, width))
        if not found:
            lines.append(Line().gap(3).add("nothing is called that", palette.dim))
        lines += [Line()] * (rows - len(lines) + 1)  # the box keeps its size while letters are typed
        above = len(found) - first - rows
        return [*lines, Line().gap(3).add(f"{above} more" if above > 0 else "", palette.dim)]

    def _row(self, entry: Entry, chosen: bool, width: int) -> Line:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        right = entry.why_not or entry.sign
        room = max(width - 5 - min(len(right), width // 2), 4)
        style = palette.dim if entry.why_not else palette.text
        line = Line().add(glyphs.bracket[0] if chosen else " ", palette.cursor).gap()
        line.add(glyphs.fit(entry.words, room), palette.chosen if chosen and not entry.why_not else style).gap()
        told = glyphs.fit(right, max(width - line.width - 1, 0), ">")
        line.add(told, palette.dim if entry.why_not else palette.key)
        return line.add(glyphs.bracket[1] if chosen else " ", palette.cursor)

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def action_step(self, step: int) -> None:
        self._place = min(max(self._place + step, 0), max(len(self._found) - 1, 0))
        self._look()

    def action_erase(self) -> None:
        self._query, self._place = self._query[:-1], 0
        self._look()

    def action_answer(self) -> None:
        found = self._found
        if not found:
            return
        entry = found[self._place]
        if entry.why_not is not None:
            self.meshtop.say(f"Not now: {entry.why_not}.", severity="warning")
            return
        self.dismiss(entry)

    def action_dismiss_dialog(self) -> None:
        self._preview(None)
        self.dismiss(None)

    def typed(self, text: str) -> None:
        if len(self._query) < _LONGEST:
            self._query, self._place = self._query + text, 0
            self._look()

    def _look(self) -> None:
        found = self._found
        self._preview(found[self._place].theme if found else None)
        self.redraw()
