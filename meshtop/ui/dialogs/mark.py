"""A few words for a mark."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from meshtop.ui import keys
from meshtop.ui.glyphs import Glyphs

LONGEST_MARK = 80  # fits a line of the log at 100 columns


class MarkDialog(ModalScreen[str | None]):
    """Returns the text, or None when it was closed. No words at all make a mark called "mark"."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("always", priority=True), *keys.bindings("dialog")]

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id="mark", classes="ascii" if glyphs.is_ascii else None)

    def compose(self) -> ComposeResult:
        with Vertical(id="mark-box") as box:
            box.border_title, box.border_subtitle = "Mark this moment as", "enter mark  esc cancel"
            yield Input(id="mark-text", max_length=LONGEST_MARK, select_on_focus=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip() or "mark")

    def action_dismiss_dialog(self) -> None:
        self.dismiss(None)
