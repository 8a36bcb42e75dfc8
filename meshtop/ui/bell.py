"""The bell: once for each stall that was not there before. Pure."""

from __future__ import annotations

from meshtop.engine.view import View

# Below, it is one trouble that many flows have: one sound is enough for it.
LEAST_PAUSE_S = 2.0


class StallBell:
    """Off until it is switched on; what stood then rings nothing."""

    def __init__(self, on: bool = False) -> None:
        self.on = on
        self._known: set[str] | None = None
        self._rang_at = float("-inf")

    def switch(self) -> None:
        self.on = not self.on
        self._known = None

    def rings(self, view: View, now_s: float) -> bool:
        """Whether to ring now, ``now_s`` on a clock that does not step."""
        if not self.on:
            return False
        standing = {stall.id for stall in view.stalls if stall.outcome == "open"}
        fresh = self._known is not None and not standing <= self._known
        self._known = (self._known or set()) | standing if len(self._known or ()) < 10_000 else standing
        if not fresh or now_s - self._rang_at < LEAST_PAUSE_S:
            return False
        self._rang_at = now_s
        return True
