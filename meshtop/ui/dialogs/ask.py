"""A question before something is sent, ended or lost. The focus is on the answer that does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from meshtop.ui import keys
from meshtop.ui.dialogs.base import DrawnDialog, button
from meshtop.ui.draw import Line


class AskDialog(DrawnDialog[bool | None]):
    """True for yes, which F5 says too; None for anything else."""

    WIDTH = 68
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("dialog", "ask")]

    def __init__(self, title: str, words: Sequence[str], yes: str, no: str = "Cancel") -> None:
        super().__init__(id="ask")
        self._title = title
        self._words = tuple(words)
        self._answers = (no, yes)
        self._chosen = 0

    def title_words(self) -> str:
        return self._title

    def body(self, width: int, height: int) -> list[Line]:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        room = max(height - 2, 1)
        lines = [
            Line().gap().add(part, palette.text)
            for words in self._words
            for part in glyphs.wrap(words, width - 2, max(room, 1))
        ][:room]
        no, yes = self._answers
        last = Line().gap(2)
        button(last, no, self._chosen == 0, self).gap(2)
        button(last, f"{yes}  F5", self._chosen == 1, self)
        return [*lines, Line(), last]

    def action_other(self) -> None:
        self._chosen = 1 - self._chosen
        self.redraw()

    def action_answer(self) -> None:
        self.dismiss(True if self._chosen else None)

    def action_yes(self) -> None:
        self.dismiss(True)


class ChooseDialog(DrawnDialog[int | None]):
    """One of several, by its place; None for none of them, on which the focus is."""

    WIDTH = 68
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("dialog", "choose")]

    def __init__(self, title: str, options: Sequence[str]) -> None:
        super().__init__(id="choose")
        self._title = title
        self._options = ("Cancel", *options)
        self._chosen = 0

    def title_words(self) -> str:
        return self._title

    def body(self, width: int, height: int) -> list[Line]:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        first = max(0, min(self._chosen - height + 1, len(self._options) - height))
        lines = []
        for place, option in enumerate(self._options[first : first + height], start=first):
            chosen = place == self._chosen
            text = glyphs.fit(option, width - 6).rstrip()
            lines.append(button(Line().gap(), text, True, self) if chosen else Line().gap(3).add(text, palette.text))
        return lines

    def action_step(self, step: int) -> None:
        self._chosen = min(max(self._chosen + step, 0), len(self._options) - 1)
        self.redraw()

    def action_answer(self) -> None:
        self.dismiss(self._chosen - 1 if self._chosen else None)
