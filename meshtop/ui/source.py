"""Where a screen gets its views from, and where its wishes go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from meshtop.engine.snapshot import View
from meshtop.model import Command


class Source(Protocol):
    """A live collection, a replay or a script: a screen cannot tell them apart.

    All three are called in the event loop of the screen and return at once.
    """

    def view(self) -> View:
        """The state now. ``View.at`` moves on from call to call while the source lives; a source whose ``at`` stands
        still is taken for dead after :data:`meshtop.ui.scene.SOURCE_SILENT_S`, and nothing is shown as healthy then."""
        ...

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` whenever something changed. It is cheap: painting is paced elsewhere."""
        ...

    def send(self, command: Command) -> None:
        """Do what the operator asked for. Raises ValueError with plain words for what cannot be done."""
        ...
