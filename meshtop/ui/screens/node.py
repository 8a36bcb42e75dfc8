"""One node: its interfaces, its flows, its kernel, and what meshtop costs there."""

from __future__ import annotations

from meshtop.ui.scene import Scene
from meshtop.ui.screens.base import SceneScreen


class NodeScreen(SceneScreen):
    def show(self, scene: Scene) -> None:
        """Not drawn yet."""
