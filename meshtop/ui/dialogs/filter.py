"""Words by which the lists of a screen are filtered, as they are typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from meshtop.ui import keys

LONGEST = 60


class FilterDialog(ModalScreen[str | None]):
    """``typed`` is called with each change. Returns the words, or None when it was closed: then those of
    before hold."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("always", priority=True), *keys.bindings("dialog")]

    def __init__(self, words: str, typed: Callable[[str], None]) -> None:
        super().__init__(id="filter")
        self._words = words
        self._typed = typed

    def compose(self) -> ComposeResult:
        with Horizontal(id="filter-box"):
            yield Static("/", markup=False, id="filter-sign")
            yield Input(self._words, id="filter-text", max_length=LONGEST, select_on_focus=True)
            yield Static("enter keep  esc as before", markup=False, classes="hint", id="filter-hint")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._typed(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    def action_dismiss_dialog(self) -> None:
        self.dismiss(None)
