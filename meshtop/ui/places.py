"""The screens by name: how a picture, a command or another screen asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.app import App

from meshtop.model import LinkKey
from meshtop.ui.screens.base import SceneScreen

if TYPE_CHECKING:
    from meshtop.ui.acts import Acting


async def open_place(app: Acting, name: str) -> None:
    """``overview``, ``stalls``, ``link:e:a``, …; what is not known opens nothing."""
    kind, *ends = name.split(":")
    if kind == "link" and len(ends) == 2:
        await app.open_link(LinkKey(ends[0], ends[1], app.choices.paths(app.scene())[0]))
    elif kind == "node" and len(ends) == 1:
        await app.open_node(ends[0])
    elif kind in _ACTIONS:
        await app.run_action(_ACTIONS[kind])


_ACTIONS = {
    "stalls": "app.stalls_screen", "log": "app.log_screen", "diagnosis": "app.diagnosis_screen",
    "burst": "app.bursts_screen",
}  # fmt: skip


def place_of(app: App[Any]) -> str:
    """What the screen that is seen is called; a dialog has the name of the screen below it."""
    for screen in reversed(app.screen_stack):
        if isinstance(screen, SceneScreen):
            return screen.place()
    return "screen"


def kind_of(app: App[Any]) -> str:
    """Its name in the table of keys (``keys.SCREENS``)."""
    return place_of(app).split(":")[0]
