"""A screen that draws a Scene. The app hands it one whenever there is something new to see."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.screen import Screen

from meshtop.model import LinkKey
from meshtop.ui.scene import Scene

if TYPE_CHECKING:
    from meshtop.ui.app import MeshtopApp

WHEEL_LINES = 3  # of a list, as terminals themselves scroll
_STEP_S = 5.0  # where no chart says what a column is


class SceneScreen(Screen[None]):
    """``show`` is called at most four times a second by the app, and after each key that changes what is seen."""

    ALLOW_SELECT = False
    AUTO_FOCUS = ""

    def show(self, scene: Scene) -> None:
        raise NotImplementedError

    def place(self) -> str:
        """What it is called in file names and for `meshtop snapshot --view`."""
        return (self.id or "screen").removesuffix("-screen")

    @property
    def kind(self) -> str:
        """Whose filter holds here: a screen's own, whatever it shows."""
        return (self.id or "screen").removesuffix("-screen")

    @property
    def filter(self) -> str:
        return self.meshtop.choices.filters.get(self.kind, "")

    @property
    def step_s(self) -> float:
        """What one step of the time cursor is."""
        return _STEP_S

    def events_of(self) -> frozenset[LinkKey] | None:
        """The links whose events ``[`` and ``]`` go to; None: all."""
        return None

    def wheel(self, direction: int) -> None:
        """What the wheel moves, -1 up and 1 down; nothing where nothing scrolls."""

    def on_mouse_scroll_up(self) -> None:
        self.wheel(-1)

    def on_mouse_scroll_down(self) -> None:
        self.wheel(1)

    def action_sort(self) -> None:
        self.meshtop.say("There is nothing to sort here.")

    @property
    def meshtop(self) -> MeshtopApp:
        return cast("MeshtopApp", self.app)

    def on_screen_resume(self) -> None:
        """What was below a dialog or another screen was not painted meanwhile."""
        self.show(self.meshtop.scene())

    def on_resize(self) -> None:
        self.show(self.meshtop.scene())
