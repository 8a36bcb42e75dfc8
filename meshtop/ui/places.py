"""The screens by name: how a picture, a command or another screen asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshtop.ui.screens.base import SceneScreen
from meshtop.ui.screens.log import LogScreen
from meshtop.ui.screens.stalls import StallsScreen

if TYPE_CHECKING:
    from meshtop.ui.app import MeshtopApp


async def open_place(app: MeshtopApp, name: str) -> None:
    """``overview``, ``stalls``, ``log``, ``link:e:a``, …; what is not known opens nothing."""
    kind, *ends = name.split(":")
    if kind == "link" and len(ends) == 2:
        app.choices.pair = (ends[0], ends[1])
        app.repaint()
    elif kind == "stalls":
        await app.push_screen(StallsScreen())
    elif kind == "log":
        await app.push_screen(LogScreen())


def place_of(app: MeshtopApp) -> str:
    """What the screen that is seen is called; a dialog has the name of the screen below it."""
    for screen in reversed(app.screen_stack):
        if isinstance(screen, SceneScreen):
            return screen.place()
    return "screen"
