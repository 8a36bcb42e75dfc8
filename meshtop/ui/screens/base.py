"""A screen that draws a Scene. The app hands it one whenever there is something new to see."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.screen import Screen

from meshtop.ui.scene import Scene

if TYPE_CHECKING:
    from meshtop.ui.app import MeshtopApp


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
    def meshtop(self) -> MeshtopApp:
        return cast("MeshtopApp", self.app)

    def on_screen_resume(self) -> None:
        """What was below a dialog or another screen was not painted meanwhile."""
        self.show(self.meshtop.scene())

    def on_resize(self) -> None:
        self.show(self.meshtop.scene())
