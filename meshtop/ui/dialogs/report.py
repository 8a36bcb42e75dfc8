"""What a report shall have, and which files it will be, before it is made."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import BindingType

from meshtop.requests import MakeReport
from meshtop.ui import keys
from meshtop.ui.dialogs.base import DrawnDialog, button
from meshtop.ui.draw import Line
from meshtop.units import spell_duration

WINDOWS_S = (60.0, 120.0, 300.0, 600.0, 900.0)
_LONGEST_TITLE = 60
_FIELDS = ("title", "window", "names", "cancel", "make")
_FILES = (
    ("report.md", "the story: findings, links, stalls, bursts, versions"),
    ("recording.mtr", "the window's raw frames, to replay it elsewhere"),
    ("pictures/…", "the screens as SVG, PNG and text"),
    ("charts/….svg", "the worst links over the whole window"),
    ("snapshot.json", "the state at its end, for scripts"),
    ("events.ndjson", "stalls, findings, bursts and marks, for scripts"),
)


class ReportDialog(DrawnDialog[MakeReport | None]):
    """What is asked for, or None. F5 makes it, and so does enter on Make; the focus is on the title at first."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("dialog", "form")]

    def __init__(self, until: str | None = None) -> None:
        """``until``: where in a recording the window ends, in words; None: now."""
        super().__init__(id="report-dialog")
        self.focused_field = "title"
        self._title = ""
        self._window = 2
        self._redact = False
        self._until = until

    def title_words(self) -> str:
        return "Report"

    def body(self, width: int, height: int) -> list[Line]:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        title = self._label("Title")
        shown = glyphs.text(self._title)
        room = width - 16
        if self.focused_field == "title":
            line = title.add("[", palette.cursor).add(glyphs.fit(shown, room - 2).rstrip(), palette.bold)
            line.add("_", palette.cursor).to(13 + room).add("]", palette.cursor)
        else:
            title.gap().add(glyphs.fit(shown or "what was found", room), palette.text if shown else palette.dim)
        ends = f"before {self._until}" if self._until else "before now"
        names = "replaced in every file, frames too" if self._redact else "as they are: addresses, ports, processes"
        lines = [
            title,
            self._choice("Window", "window", f"{spell_duration(WINDOWS_S[self._window])} {ends}"),
            self._choice("Names", "names", names),
        ]
        buttons = Line().gap(3)
        button(buttons, "Cancel", self.focused_field == "cancel", self).gap(2)
        button(buttons, "Make  F5", self.focused_field == "make", self)
        where = Line().gap().add("A zip in the current folder, at most 25 MB, with", palette.dim)
        files = [
            Line()
            .gap(3)
            .add(glyphs.fit(glyphs.text(name), 16), palette.text)
            .add(glyphs.fit(what, width - 21), palette.dim)
            for name, what in _FILES
        ]
        spare = height - len(lines) - len(files) - 4
        middle = [Line(), where, *files, Line()] if spare >= 0 else [where, *files][: max(height - len(lines) - 1, 0)]
        return [*lines, *middle, buttons]

    def _label(self, text: str) -> Line:
        return Line().gap().add(self.meshtop.glyphs.fit(text, 11), self.meshtop.palette.dim).gap()

    def _choice(self, label: str, field: str, text: str) -> Line:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        line, text = self._label(label), glyphs.text(text)
        if field != self.focused_field:
            return line.gap(2).add(text, palette.text)
        left, right = ("<", ">") if glyphs.is_ascii else ("◂", "▸")
        return line.add(left, palette.cursor).gap().add(text, palette.chosen).gap().add(right, palette.cursor)

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def action_field(self, step: int) -> None:
        self.focused_field = _FIELDS[(_FIELDS.index(self.focused_field) + step) % len(_FIELDS)]
        self.redraw()

    def action_row(self, step: int) -> None:
        self.action_field(step)

    def action_side(self, step: int) -> None:
        if self.focused_field == "window":
            self._window = min(max(self._window + step, 0), len(WINDOWS_S) - 1)
        elif self.focused_field == "names":
            self._redact = not self._redact
        elif self.focused_field in ("cancel", "make"):
            self.focused_field = "make" if self.focused_field == "cancel" else "cancel"
        self.redraw()

    def action_erase(self) -> None:
        if self.focused_field == "title":
            self._title = self._title[:-1]
            self.redraw()

    def action_answer(self) -> None:
        if self.focused_field == "cancel":
            self.dismiss(None)
        elif self.focused_field == "make":
            self.action_yes()
        else:
            self.action_field(1)

    def action_yes(self) -> None:
        title = self._title.strip() or None
        self.dismiss(MakeReport(title=title, last_s=WINDOWS_S[self._window], redact=self._redact))

    def on_key(self, event: events.Key) -> None:
        sign = event.character
        if self.focused_field == "names" and sign == " ":
            self.action_side(1)
        elif self.focused_field == "title" and sign is not None and sign.isprintable():
            if cell_len(self._title) < _LONGEST_TITLE:
                self._title += sign
                self.redraw()
        else:
            return
        event.stop()
        event.prevent_default()
