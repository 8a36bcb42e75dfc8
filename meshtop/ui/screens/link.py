"""One pair: overlay and underlay on the same axes, the flows on it, what each end's kernel says, and what to do next."""

from __future__ import annotations

from meshtop.ui.scene import Scene
from meshtop.ui.screens.base import SceneScreen


class LinkScreen(SceneScreen):
    def show(self, scene: Scene) -> None:
        """Not drawn yet."""
